# One target per task; plain `make` lists them. Needs only make and Python 3.11 or newer (with its venv module).

VENV := .venv
BIN := $(VENV)/bin
CORPUS ?= ../shared/corpus

# The first Python on the PATH that is new enough; PYTHON=... overrides it.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help run test lint format check lock schemathesis fuzz storms python chaos drill sweep seeds train screenshots bench load clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run ## set up what is missing, then run the whole system
	@exec $(BIN)/python run.py serve

test: $(VENV)/.dev ## set up what is missing, then run all tests
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.dev ## ruff, bandit and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit -q -ll -c pyproject.toml -r engine storage fakemail classification actors web commands settings run.py
	$(BIN)/mypy engine storage fakemail classification actors web commands settings run.py tests

format: $(VENV)/.dev ## let ruff format the code and fix what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint test ## lint, then test

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"

lock: $(VENV)/.dev ## write the lock files, with hashes, from requirements*.txt
	$(LOCK) requirements.txt -o requirements.lock
	$(LOCK) requirements-dev.txt -o requirements-dev.lock

schemathesis: $(VENV)/.dev ## a long run of schemathesis against /openapi.json (EXAMPLES=500)
	$(BIN)/python -m tests.security.schema $(or $(EXAMPLES),500)

fuzz: $(VENV)/.dev ## a long run of the parsers' fuzzers (RUNS=1000000)
	$(BIN)/python -m tests.security.fuzz $(or $(RUNS),1000000)

storms: $(VENV)/.dev ## slow sockets, stuck readers, a webhook storm, idle connects, with figures
	$(BIN)/python -m tests.security.storms

python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it (Debian: apt-get install python3 python3-venv)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is needed: install it (Debian: apt-get install python3-venv)"; exit 1; }

# A virtual environment whose set-up was interrupted, or whose Python was replaced, is unusable: create it again.
$(shell $(BIN)/python -c 'import pip' 2>/dev/null || rm -f $(BIN)/python $(VENV)/.run $(VENV)/.dev)

$(BIN)/python: | python
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.run: requirements.lock | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements.lock requirements-dev.lock | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.run

chaos: $(VENV)/.dev ## break things for some minutes: outages, poison, a short drill, part of the sweep
	$(BIN)/python -m pytest -m chaos $(ARGS) tests/chaos tests/simulation

drill: $(VENV)/.dev ## the long failure drill: over 1,000 kills under 100,000 emails (about 45 minutes)
	@$(BIN)/python run.py drill --minutes 45 --pace 1.9 --emails 100000 --poison 6 $(ARGS)

sweep: $(VENV)/.dev ## kill at every failpoint, in every process, at its first and second hit (about 10 minutes)
	@$(BIN)/python -m tests.chaos.sweep $(ARGS)

seeds: $(VENV)/.dev ## 20,000 seeds of the simulation (about 7 minutes on two cores)
	@$(BIN)/python -m tests.simulation.run --seeds 20000 --jobs $(shell nproc 2>/dev/null || echo 2) $(ARGS)

train: ## rebuild the model file from the corpus (CORPUS=../shared/corpus), in a separate virtual environment
	@test -d "$(CORPUS)" || { echo "no corpus at $(CORPUS): say CORPUS=FOLDER"; exit 1; }
	@test -x .venv-train/bin/python || $(PYTHON) -m venv .venv-train
	@.venv-train/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-train.txt
	.venv-train/bin/python -m classification.learning.training --corpus $(CORPUS)

screenshots: $(VENV)/.dev ## take the README's pictures again
	$(BIN)/python -m scripts.screenshots

load: $(VENV)/.dev ## locust's scenarios against the running server at BASE_URL; fails if a limit is exceeded (ARGS="--scenario mixed --seconds 60")
	@$(BIN)/python -m tests.load.run $(ARGS)

bench: $(VENV)/.dev .venv-bench/.made .venv-bench-arq/.made ## all benchmarks → benchmarks/RESULTS.md, about an hour on two quiet cores (ARGS="--only e,f --quick")
	$(BIN)/python -m benchmarks.run $(ARGS)

.venv-bench/.made: benchmarks/requirements.txt | python
	@$(PYTHON) -m venv .venv-bench && .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.venv-bench-arq/.made: benchmarks/requirements-arq.txt | python
	@$(PYTHON) -m venv .venv-bench-arq && .venv-bench-arq/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

clean: ## remove the virtual environment and caches; the data stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
