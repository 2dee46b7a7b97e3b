# make demo                            the work queue on RabbitMQ, in three tabs
# make demo PATTERN=rabbitmq/fanout    another walkthrough
# make test                            every walkthrough, wrong arguments, the lab
# make test-faults                     wrong settings, odd messages, killing and pausing
# make evidence                        the tables in docs/, from a run of their tests
# make test-rabbitmq-4.3               RabbitMQ's tests with 4.3; needs Debian and root
# make test-docker                     docker-compose.yml; needs Docker, or Debian and root
# make bench                           figures: times, memory, messages per second
# make bench PARTS="kafka all"         some of them
# make lint                            style and format

PYTHON ?= python3
PATTERN ?= rabbitmq/work-queue
BROKER = $(firstword $(subst /, ,$(PATTERN)))
VENV := .venv
RUN := $(VENV)/bin/python
# Tests wait most of the time. Who is done takes over from those who are not: each
# begins with another part of the tests, and so mostly with another broker.
PARALLEL := -n 4 --dist worksteal

.PHONY: demo test test-faults evidence test-rabbitmq-4.3 test-docker bench lint

demo: $(VENV)/ready
	@$(RUN) -m lab up $(BROKER)
	@$(RUN) -m lab run $(PATTERN)

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
	$(RUN) -m benchmarks $(PARTS)

lint: $(VENV)/ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

# The file `ready` is written last, so that an interrupted installation is redone.
$(VENV)/ready: requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "Python 3.10 or newer is needed. Name yours: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python has no venv module. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing the libraries of requirements.txt and requirements-dev.txt into $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(RUN) -m pip install --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	@touch $@
