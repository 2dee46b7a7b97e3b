# make demo                            the work queue on RabbitMQ, in three tabs
# make demo PATTERN=rabbitmq/fanout    another walkthrough
# make check                           all that needs no broker
# make test                            that, and each walkthrough once, on all brokers
# make test-all                        that, and every fault, repetition and limit
# make evidence                        the tables in docs/, from a run of their tests
# make test-rabbitmq-4.3               RabbitMQ's tests with 4.3; needs Debian and root
# make test-docker                     docker-compose.yml; needs Docker, or Debian and root
# make bench                           figures: times, memory, messages per second
# make bench PARTS="kafka all"         some of them
# make lint                            style and format

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Tests wait most of the time. Those of a group share a broker, one after the other.
GROUPS := --dist loadgroup --no-loadscope-reorder
PARALLEL := -n 6 $(GROUPS)
# Five of these fill two processors; with six, clients run out of time.
SLOW := -n 5 $(GROUPS) tests/slow
# Of one broker there would be two groups.
SLOW_ONE := -n 4 --dist worksteal tests/slow
# Those that assert an upper limit in seconds.
ALONE := tests/slow -m alone

.PHONY: demo check test test-all evidence test-rabbitmq-4.3 test-docker bench lint python

demo: python
	@$(PYTHON) -m lab.demo $(PATTERN)

check: $(VENV)/ready
	$(RUN) -m pytest -n auto tests/static

test: $(VENV)/ready
	$(RUN) -m pytest $(PARALLEL) tests/live tests/static

test-all: test
	$(RUN) -m pytest $(SLOW) -m "not alone"
	$(RUN) -m pytest $(ALONE)

evidence: $(VENV)/ready
	$(RUN) -m pytest $(PARALLEL) tests/live --record -m evidence
	$(RUN) -m pytest $(SLOW) --record -m "evidence and not alone"
	$(RUN) -m pytest $(ALONE) --record
	$(RUN) -m tests.evidence

test-rabbitmq-4.3: $(VENV)/ready
	tests/rabbitmq_4_3/run $(RUN) -m pytest $(PARALLEL) tests/live -k rabbitmq
	tests/rabbitmq_4_3/run $(RUN) -m pytest $(SLOW_ONE) -m "not alone" -k rabbitmq
	tests/rabbitmq_4_3/run $(RUN) -m pytest $(ALONE) -k rabbitmq

test-docker: $(VENV)/ready
	tests/docker/run $(RUN) -m pytest -n 2 tests/docker

bench: $(VENV)/ready
	$(RUN) -m pip install --disable-pip-version-check --quiet -r benchmarks/requirements.txt
	$(RUN) -m benchmarks $(PARTS)

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
