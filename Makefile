# Each target first installs what it needs, from the lock files, into .venv/, node_modules/ and .cache/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
RUNTIME := $(VENV)/.runtime
READY := $(VENV)/.ready
JS_READY := node_modules/.ready
BROWSER := .cache/chromium/.ready
SETUP := pyproject.toml hatch_build.py package-lock.json tools/prepare.py

# Prefer the node and npm pinned in the lock file to the ones installed on this machine.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Trust the system's certificates, including a company's own, as git and pip do.
export UV_SYSTEM_CERTS ?= true
export NODE_USE_SYSTEM_CA ?= 1
# Always cache bytecode, even if the user has disabled it: the service is several Python processes, and
# the tests start hundreds.
export PYTHONDONTWRITEBYTECODE :=
# Keep the package caches inside this folder.
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export npm_config_cache ?= $(CURDIR)/.cache/npm

.PHONY: run
run: $(RUNTIME) ## Run the service, with bundled databases unless MONGODB_URI and REDIS_URL are set
	@exec $(PY) -m dmstats

.PHONY: test
test: $(READY) ## Run all tests: unit, service, live, browser and JavaScript (about 6 minutes)
	@echo "make: running all tests takes about 6 minutes on two cores (make test-quick: about one minute)"
	@$(MAKE) --no-print-directory --jobs 3 test-processes test-in-process test-dashboard

# Four workers on two cores, because many tests wait. Six keep both cores busy all the time, and gain nothing.
.PHONY: test-processes
test-processes: $(READY) $(JS_READY) $(BROWSER)
	$(PY) -m pytest -n 4 --dist loadfile --no-loadscope-reorder tests/live tests/browser

# These run in parallel with others, so their output is shown only if they fail.
define QUIETLY
@output=$$($(2) 2>&1) || { printf '%s\n' "$$output"; exit 1; }; echo "make: $(1): $${output##*$$'\n'}"
endef

# One process, since each worker of pytest-xdist would collect these thousands of tests again. It never
# waits, and so runs at a low priority, while those that often wait do so.
.PHONY: test-in-process
test-in-process: $(READY)
	$(call QUIETLY,unit and service tests,nice -n 5 $(PY) -m pytest --quiet tests/unit tests/service)

.PHONY: test-dashboard
test-dashboard: $(JS_READY) test-js
	@output=$$(npm run --silent check 2>&1) || { printf '%s\n' "$$output"; exit 1; }

# Three processes on two cores, because some tests wait. Each collects and runs about a third.
.PHONY: test-quick
test-quick: $(READY) ## Run the tests that start no other processes (about a minute)
	@$(MAKE) --no-print-directory --jobs 4 test-service test-unit-long test-unit-other test-js

LONG := tests/unit/commit tests/unit/history tests/unit/ingest

.PHONY: test-service
test-service: $(READY)
	$(call QUIETLY,service tests,$(PY) -m pytest --quiet tests/service)

.PHONY: test-unit-long
test-unit-long: $(READY)
	$(call QUIETLY,unit tests of $(notdir $(LONG)),$(PY) -m pytest --quiet $(LONG))

.PHONY: test-unit-other
test-unit-other: $(READY)
	$(call QUIETLY,other unit tests,$(PY) -m pytest --quiet tests/unit $(LONG:%=--ignore=%))

.PHONY: test-js
test-js: $(JS_READY)
	@output=$$(npm run --silent test 2>&1) || { printf '%s\n' "$$output"; exit 1; }
	@echo "make: the JavaScript tests have passed"

.PHONY: test-live
test-live: $(READY) ## Run the tests that need real servers; set TEST_MONGODB_URI and TEST_REDIS_URL to use your own
	$(PY) -m pytest tests/live -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: lint
lint: $(READY) ## Check style, types and common security problems
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/bandit --quiet --recursive --configfile pyproject.toml dmstats migrations

.PHONY: format
format: $(READY) ## Format the code and apply automatic fixes
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

.PHONY: docs
docs: $(READY) ## Regenerate the pages of docs/ that are made from the code
	$(PY) -m docs

.PHONY: bench
bench: $(READY) ## Run the benchmarks and update docs/benchmarks.md; ARGS="ingest streams" runs only these
	$(PY) -m benchmarks $(ARGS)

.PHONY: endurance
endurance: $(READY) ## Run a two-hour load test with restarts; ARGS="--hours 2 --rate 1667"
	$(PY) -m benchmarks endurance $(ARGS)

.PHONY: torture
torture: $(READY) ## Run the chaos test: kill processes under load, then verify the counts; ARGS="--seconds 600 --seed 7"
	$(PY) -m tests.torture $(ARGS)

.PHONY: bench-quick
bench-quick: $(READY) ## Run shorter, less precise benchmarks
	$(PY) -m benchmarks --quick

LOCK := $(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header
SAME := --constraint requirements-dev.lock pyproject.toml --output-file

.PHONY: lock
lock: $(READY) ## Update all lock files to the newest allowed versions
	$(LOCK) --upgrade --all-extras pyproject.toml --output-file requirements-dev.lock
	$(LOCK) --upgrade --extra embedded --extra checkout $(SAME) requirements.lock
	$(LOCK) --upgrade --no-annotate $(SAME) deploy/requirements.lock
	npm install --package-lock-only --silent

.PHONY: clean
clean: ## Remove everything that was installed or built; keeps the data in var/
	rm -rf $(VENV) node_modules .cache static/vendor build dist *.egg-info .coverage* coverage.xml \
		htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name '*.py[cod]' -prune -exec rm -rf {} +

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

define PREPARE
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	|| { echo "make: python3 must be Python 3.11 or newer; to use another interpreter: make PYTHON=python3.12" >&2; exit 1; }
@$(PYTHON) tools/prepare.py
endef

$(RUNTIME): requirements.lock $(SETUP)
	$(PREPARE) run
	@touch $@

# The development environment includes the runtime packages.
$(READY): requirements-dev.lock $(SETUP)
	$(PREPARE) dev
	@touch $@ $(RUNTIME)

$(JS_READY): package.json package-lock.json .npmrc | $(READY)
	@echo "make: installing the dashboard's tools and the tests' browser (150 MB)"
	@npm ci --silent
	@touch $@

$(BROWSER): package-lock.json tests/browser/unpack.js | $(JS_READY)
	@rm -rf $(@D) && mkdir -p $(@D)
	@node tests/browser/unpack.js $(CURDIR)/$(@D)
	@touch $@
