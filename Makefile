# Everything sets itself up on first use in .venv/, node_modules/ and .cache/, from the lock files.

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

# The pinned node and npm of the lock file come before the machine's own.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# As git and pip: the certificates that this machine trusts, a company's own among them.
export UV_SYSTEM_CERTS ?= true
export NODE_USE_SYSTEM_CA ?= 1
# The compiled modules are kept, whatever the user prefers elsewhere: the service is several Python
# processes, and the tests start hundreds.
export PYTHONDONTWRITEBYTECODE :=
# Nothing is left outside this folder.
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export npm_config_cache ?= $(CURDIR)/.cache/npm

.PHONY: run
run: $(RUNTIME) ## Run the service, with its own databases unless MONGODB_URI and REDIS_URL are set
	@exec $(PY) -m dmstats

.PHONY: test
test: $(READY) $(JS_READY) $(BROWSER) ## Pass all tests: unit, service, live, browser, and the dashboard's own
	@echo "make: all tests take about 12 minutes on two cores; make test-quick takes one"
	@$(MAKE) --no-print-directory --jobs 2 test-together test-dashboard
	@$(MAKE) --no-print-directory test-alone

.PHONY: test-together
test-together: $(READY) $(JS_READY) $(BROWSER)
	$(PY) -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not alone"

# Only the folders that have such tests: collecting all takes seconds.
.PHONY: test-alone
test-alone: $(READY) $(JS_READY) $(BROWSER)
	$(PY) -m pytest -m alone tests/live tests/browser

# Beside the others: what it prints is shown only if it fails.
.PHONY: test-dashboard
test-dashboard: $(JS_READY)
	@said=$$(npm run --silent check 2>&1 && npm run --silent test 2>&1) || { printf '%s\n' "$$said"; exit 1; }
	@echo "make: the dashboard's own tests have passed"

.PHONY: test-quick
test-quick: $(READY) ## Pass the tests that start nothing: about a minute
	$(PY) -m pytest -n 2 --dist loadfile tests/unit tests/service
	npm run --silent test

.PHONY: test-live
test-live: $(READY) ## Pass the tests on real servers; TEST_MONGODB_URI= and TEST_REDIS_URL= name yours
	$(PY) -m pytest tests/live -n 2 --dist loadfile --no-loadscope-reorder -m "not alone"

.PHONY: lint
lint: $(READY) ## Check style, types and common security mistakes
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/bandit --quiet --recursive --configfile pyproject.toml dmstats migrations

.PHONY: format
format: $(READY) ## Format the code and mend what can be mended
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

.PHONY: docs
docs: $(READY) ## Write the pages of docs/ that follow from the code
	$(PY) -m docs

.PHONY: bench
bench: $(READY) ## Run the benchmarks, ARGS="ingest streams" only these; writes docs/benchmarks.md
	$(PY) -m benchmarks $(ARGS)

.PHONY: endurance
endurance: $(READY) ## Count for two hours through restarts; ARGS="--hours 2 --rate 1667"
	$(PY) -m benchmarks endurance $(ARGS)

.PHONY: torture
torture: $(READY) ## Kill parts of a service under load and count again; ARGS="--seconds 600 --seed 7"
	$(PY) -m tests.torture $(ARGS)

.PHONY: bench-quick
bench-quick: $(READY) ## The benchmarks in minutes, less precise
	$(PY) -m benchmarks --quick

LOCK := $(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header
SAME := --constraint requirements-dev.lock pyproject.toml --output-file

.PHONY: lock
lock: $(READY) ## Pin the newest allowed versions in all lock files
	$(LOCK) --upgrade --all-extras pyproject.toml --output-file requirements-dev.lock
	$(LOCK) --upgrade --extra embedded --extra checkout $(SAME) requirements.lock
	$(LOCK) --upgrade --no-annotate $(SAME) deploy/requirements.lock
	npm install --package-lock-only --silent

.PHONY: clean
clean: ## Remove what was installed and built; the data in var/ stays
	rm -rf $(VENV) node_modules .cache static/vendor build dist *.egg-info .coverage* coverage.xml \
		htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name '*.py[cod]' -prune -exec rm -rf {} +

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

define PREPARE
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	|| { echo "make: dmstats needs Python 3.11 or newer as python3; or say which: make PYTHON=python3.12" >&2; exit 1; }
@$(PYTHON) tools/prepare.py
endef

$(RUNTIME): requirements.lock $(SETUP)
	$(PREPARE) run
	@touch $@

# Holds all that runs, too.
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
