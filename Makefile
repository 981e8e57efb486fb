# The same commands for people and for CI. Everything installs into .venv; `make clean` removes it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
DEMO_HOME := $(CURDIR)/.demo
# How many tests run side by side: one more than there are cores, for two of them wait most of the time
# (surgical_pipeline_tests/workers.py).
WORKERS ?= $(shell echo $$(( $$(nproc) + 1 )))
PYTEST = $(BIN)/python -m pytest -n $(WORKERS)
# What `make simulate` takes on, and how many of it side by side.
SEEDS ?= 200
LEDGER ?= duckdb
SIMULATIONS ?= $(shell nproc)
# Where it is set, each of the hundreds of processes that tests start would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; none was found on the PATH." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Could not make $(VENV); on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "Installing what tests need into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

.PHONY: demo
demo: $(VENV)/.runtime ## Sync three issues and two merge requests of a sandbox GitLab, end to end
	@$(BIN)/surgical-pipeline demo --home $(DEMO_HOME)

.PHONY: ui
ui: $(VENV)/.runtime ## Dagster's UI on http://127.0.0.1:3000 beside a sandbox GitLab, ready to launch
	@mkdir -p $(DEMO_HOME) && cp dagster.yaml $(DEMO_HOME)/
	@# Not `dg dev`, which starts the same program but needs 21 packages more.
	@# From the demo's folder: Dagster lets the .env of the folder it starts in win over what is exported.
	@cd $(DEMO_HOME) && DAGSTER_HOME=$(DEMO_HOME) SURGICAL_EXAMPLE_SCOPE='acme/rocket#12-14!34+35' \
		$(CURDIR)/$(BIN)/surgical-pipeline sandbox exec -- \
		$(CURDIR)/$(BIN)/dagster dev -w $(CURDIR)/workspace.yaml -h 127.0.0.1 -p 3000

.PHONY: lint
lint: $(VENV)/.dev ## Lint, formatting and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

.PHONY: format
format: $(VENV)/.dev ## Put the code into the house format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: check
check: lint ## The quick loop: lint, types, unit tests and some simulations, in about a minute
	@$(PYTEST) surgical_pipeline_tests/unit surgical_pipeline_tests/simulation/test_seeds.py $(PYTEST_ARGS)

.PHONY: test
test: lint ## Lint, types and all tests
	@$(PYTEST) $(PYTEST_ARGS)

.PHONY: schema
schema: $(VENV)/.dev ## Write the JSON Schemas in docs/ anew
	@$(BIN)/python -m surgical_pipeline_tests.published_schemas

.PHONY: pictures
pictures: $(VENV)/.dev ## Make the pictures in docs/images anew
	@SURGICAL_SCREENSHOTS=$(CURDIR)/docs/images $(BIN)/python -m pytest $(addprefix surgical_pipeline_tests/browser/, \
		test_ui.py test_backfills_ui.py test_report_page.py)

.PHONY: simulate
simulate: $(VENV)/.dev ## Simulate an installation, GitLab and all that goes wrong, on virtual time: SEEDS=200, LEDGER=duckdb
	@$(BIN)/python -m surgical_pipeline_tests.simulation --ledger $(LEDGER) --seeds $(SEEDS) --processes $(SIMULATIONS)

.PHONY: views
views: $(VENV)/.dev ## Write the typed views' SQL and docs/data.md anew from the tables' columns
	@$(BIN)/python -m surgical_pipeline_tests.published_views

.PHONY: soak
soak: $(VENV)/.dev ## Kill everything, contend, cancel, start on nothing, and live an hour of it all: about 4 hours
	@$(BIN)/python -m surgical_pipeline_tests.soak kills --kills 200
	@$(BIN)/python -m surgical_pipeline_tests.soak contention --processes 32
	@$(BIN)/python -m surgical_pipeline_tests.soak cancellations
	@$(BIN)/python -m surgical_pipeline_tests.soak interrupts --interrupts 150
	@$(BIN)/python -m surgical_pipeline_tests.soak first_runs --processes 16 --rounds 10
	@$(BIN)/python -m surgical_pipeline_tests.soak webhook --kills 20
	@$(BIN)/python -m surgical_pipeline_tests.soak events --seconds 300
	@$(BIN)/python -m surgical_pipeline_tests.soak backfill --kills 3
	@$(BIN)/python -m surgical_pipeline_tests.soak readers
	@$(BIN)/python -m surgical_pipeline_tests.soak partitions --partitions 3500
	@$(BIN)/python -m surgical_pipeline_tests.soak machines
	@$(BIN)/python -m surgical_pipeline_tests.soak hour
	@$(BIN)/python -m surgical_pipeline_tests.simulation --first 1000 --runs 20000 --seeds 100000 --processes $(SIMULATIONS)

.PHONY: bench
bench: $(VENV)/.dev ## Measure everything, then ours beside dlt and others, which it installs in .peers: 2 hours
	@$(BIN)/python -m benchmarks.fetching
	@$(BIN)/python -m benchmarks.long_list
	@$(BIN)/python -m benchmarks.sync
	@$(BIN)/python -m benchmarks.shares
	@$(BIN)/python -m benchmarks.small_runs
	@$(BIN)/python -m benchmarks.sweep
	@$(BIN)/python -m benchmarks.politeness
	@$(BIN)/python -m benchmarks.backfill
	@$(BIN)/python -m benchmarks.scale
	@$(BIN)/python -m benchmarks.events
	@$(BIN)/python -m benchmarks.pruning
	@$(BIN)/python -m benchmarks.documents
	@$(BIN)/python -m benchmarks.search
	@$(BIN)/python -m benchmarks.dataset
	@$(BIN)/python -m benchmarks.webhook
	@$(BIN)/python -m benchmarks.peers --write

.PHONY: clean
clean: ## Remove .venv, caches and the demo's files
	@rm -rf $(VENV) $(DEMO_HOME) .pytest_cache .mypy_cache .ruff_cache .hypothesis
