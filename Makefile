# make demo                            the work queue on RabbitMQ, in three tabs
# make demo PATTERN=rabbitmq/fanout    another walkthrough
# make test                            every walkthrough, wrong arguments, the lab
# make test-faults                     wrong settings, odd messages, killing and pausing
# make evidence                        the tables in docs/, from a run of their tests
# make test-rabbitmq-4.3               RabbitMQ's tests with 4.3; needs Debian and root
# make test-docker                     docker-compose.yml; needs Docker, or Debian and root
# make bench                           figures: times, memory, messages per second
# make lint                            style and format

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Tests wait most of the time. Who is done takes over from those who are not: each
# begins with another part of the tests, and so mostly with another broker.
PARALLEL := -n 4 --dist worksteal

.PHONY: demo test test-faults evidence test-rabbitmq-4.3 test-docker bench lint python

demo: python
	@$(PYTHON) -m lab.demo $(PATTERN)

test: $(VENV)/ready
	$(RUN) -m pytest $(PARALLEL) --ignore tests/faults

test-faults: $(VENV)/ready
	$(RUN) -m pytest $(PARALLEL) tests/faults

evidence: $(VENV)/ready
	$(RUN) -m pytest $(PARALLEL) --record -m evidence
	$(RUN) -m tests.evidence

test-rabbitmq-4.3: $(VENV)/ready
	tests/rabbitmq_4_3/run $(RUN) -m pytest $(PARALLEL) -k rabbitmq

test-docker: $(VENV)/ready
	tests/docker/run $(RUN) -m pytest -n 2 tests/docker

bench: $(VENV)/ready
	$(RUN) -m pip install --disable-pip-version-check --quiet -r benchmarks/requirements.txt
	$(RUN) benchmarks/bench_first_minute.py
	$(RUN) benchmarks/bench_rabbitmq.py
	$(RUN) benchmarks/bench_kafka.py
	$(RUN) benchmarks/bench_pulsar.py
	$(RUN) benchmarks/bench_activemq.py
	$(RUN) benchmarks/bench_rocketmq.py
	$(RUN) benchmarks/bench_all.py

lint: $(VENV)/ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

# Looks each time, and installs what is missing.
.PHONY: $(VENV)/ready
$(VENV)/ready: python
	@$(PYTHON) -m lab.install tests

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "Python 3.10 or newer is needed. Name yours: make PYTHON=python3.12" >&2; exit 1; }
