# Each command makes the virtual environment it needs, in .venv/<version>.
# Use another interpreter with: make test PYTHON=/path/to/python3.13t
# Pass options on with:         make test ARGS="-k refs -x"

PYTHON ?= python3
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# Three words: the tag (3.12, or 3.13t for a free-threaded build), the full version,
# and the folder the interpreter lives in. Empty where there is no usable Python.
FOUND := $(shell '$(PYTHON)' -c 'import sys, sysconfig; \
  t = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""; \
  new = sys.version_info >= (3, 11); \
  new and print("%d.%d%s" % (sys.version_info[:2] + (t,)), \
    sys.version.split()[0] + t, sys.base_prefix)' 2>/dev/null </dev/null)
TAG := $(firstword $(FOUND))
FREE_THREADED := $(filter %t,$(TAG))
VENV := .venv/$(or $(TAG),none)
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install -qq --no-input --disable-pip-version-check

# The environment is made anew when pyproject.toml or the interpreter changes.
ifneq ($(FOUND),$(shell cat $(VENV)/.python 2>/dev/null))
$(VENV)/.made: FORCE
endif

$(VENV)/.made: pyproject.toml
ifeq ($(TAG),)
	@echo "atomos needs Python 3.11 or newer, but '$(PYTHON) --version' says:" \
	  "$$('$(PYTHON)' --version 2>&1 </dev/null | head -n 1)" >&2
	@echo "Install one, or name one: make $(firstword $(MAKECMDGOALS)) PYTHON=/path/to/python3.13" >&2
	@exit 1
else
	@echo "Making $(VENV) with Python $(word 2,$(FOUND))"
	@rm -rf $(VENV)
	@'$(PYTHON)' -m venv $(VENV)
	@echo "$(FOUND)" > $(VENV)/.python
	@touch $@
endif

# What is installed, one stamp for each set of extras. To import lmdb on a free-threaded
# build brings its GIL back, so it is not there.
COMMA := ,
LMDB := $(if $(FREE_THREADED),,$(COMMA)lmdb)
$(VENV)/.demo: EXTRAS := demo
$(VENV)/.test: EXTRAS := test,demo$(LMDB)
$(VENV)/.parallel: EXTRAS := test,demo,parallel$(LMDB)
$(VENV)/.bench: EXTRAS := bench$(LMDB)
$(VENV)/.peers: EXTRAS := bench,peers
$(VENV)/.plots: EXTRAS := bench,plots
$(VENV)/.docs: EXTRAS := docs
$(VENV)/.dev: EXTRAS := dev
INSTALLED := demo test parallel bench peers plots docs dev
$(INSTALLED:%=$(VENV)/.%): $(VENV)/.made
	$(if $(and $(FREE_THREADED),$(filter %/.dev %/.docs,$@)),@$(NO_TOOLS))
	@echo "Installing atomos[$(EXTRAS)] in $(VENV)"
	@$(PIP_INSTALL) --editable '.[$(EXTRAS)]'
	@touch $@

NO_TOOLS = echo "mypy and Sphinx need packages with no wheel for Python $(TAG)." \
  "Use an interpreter with a GIL for this." >&2; exit 1

# What `make package` installs besides atomos, as wheels, so that it needs no network.
$(VENV)/.wheels: $(VENV)/.dev
	@rm -rf $(VENV)/wheels
	@$(PY) -m pip wheel -qq --no-input --disable-pip-version-check \
	  --no-build-isolation --wheel-dir $(VENV)/wheels '.[testing]' pytest
	@rm -f $(VENV)/wheels/atomos-*
	@touch $@

##@ Commands

.PHONY: demo
demo: $(VENV)/.demo ## Run the demo
	@$(PY) -m atomos $(ARGS)

.PHONY: test
test: $(VENV)/.test ## Run the tests, on as many processors as there are up to 4
	$(PY) -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal $(ARGS)

.PHONY: points
points: $(VENV)/.test ## Run the tests at each point where something may come in
	ATOMOS_TEST_STRIDE=1 $(PY) -m pytest --numprocesses=auto --maxprocesses=4 \
	  --dist=worksteal -k 'point or opcode' $(ARGS)

.PHONY: parallel
parallel: $(VENV)/.parallel ## Run each test on three threads at once
	$(PY) -m pytest --parallel-threads=3 $(ARGS)

.PHONY: bench
bench: $(VENV)/.bench ## Run the benchmarks
	$(PY) -m benchmarks $(ARGS)

.PHONY: bench-peers
bench-peers: $(VENV)/.peers ## Compare with other packages, locks and Clojure
	$(PY) -m benchmarks.compare $(ARGS)

.PHONY: bench-peers-all
bench-peers-all: ## The same on each interpreter found
	@.ci/interpreters | while read -r tag version path; do \
	  $(MAKE) --no-print-directory bench-peers PYTHON="$$path" </dev/null || exit; done

.PHONY: bench-page
bench-page: $(VENV)/.plots ## Make the plots and tables of docs/performance.md from these
	$(PY) -m benchmarks.compare --page

.PHONY: soak
soak: $(VENV)/.test ## Make faults under load for 10 minutes, and show what they leave
	@$(PY) -m tests.faults $(ARGS)

.PHONY: soak-processes
soak-processes: $(VENV)/.test ## Transfers, kills and waits among processes; show figures
	@$(PY) -m tests.multiprocessing.soak $(ARGS)

.PHONY: docs
docs: $(VENV)/.docs ## Build the manual as HTML, in docs/_build, and check its links
	@rm -rf docs/_build
	@$(PY) -m sphinx --fresh-env --fail-on-warning --keep-going --quiet \
	  docs docs/_build $(ARGS)
	@$(PY) docs/links.py docs/_build
	@echo "docs: see docs/_build/index.html"

.PHONY: check
ifeq ($(FREE_THREADED),)
check: lint types test docs package ## Run everything CI runs: lint, types, tests, manual, package
	@echo "check: all passed on Python $(word 2,$(FOUND))"
else
check: test
	@echo "check: tests and examples passed on Python $(word 2,$(FOUND))." \
	  "Lint, types, manual and package are checked on an interpreter with a GIL only."
endif

.PHONY: format
format: $(VENV)/.dev ## Format the code and fix what the linter can fix
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

.PHONY: clean
clean: ## Remove the virtual environments and everything else made here
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache \
	  .coverage .coverage.* htmlcov docs/_build
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## Show this help
	@echo "Usage: make COMMAND [PYTHON=/path/to/python] [ARGS=\"...\"]"
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

##@ Parts of check

.PHONY: lint
lint: $(VENV)/.dev ## Check style and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

.PHONY: types
types: $(VENV)/.dev ## Check the types
	$(PY) -m mypy

.PHONY: package
package: $(VENV)/.wheels ## Build the package; try it, and its types, in an empty environment
	@rm -rf $(VENV)/dist $(VENV)/empty
	@echo "Building the sdist and the wheel in $(VENV)/dist"
	@$(PY) -m build --no-isolation --outdir $(VENV)/dist . > $(VENV)/build.log 2>&1 \
	  || { cat $(VENV)/build.log; exit 1; }
	@$(PY) -m venv --without-pip $(VENV)/empty
	@$(INTO_EMPTY) "$$(echo $(VENV)/dist/atomos-*.whl)[testing]"
	@cd $(VENV)/empty && bin/python -W error $(CURDIR)/tests/wheel.py
	@$(INTO_EMPTY) pytest
	@cp -R tests/typing $(VENV)/empty/types
	@cd $(VENV)/empty && $(abspath $(PY)) -m mypy --config-file $(CURDIR)/pyproject.toml \
	  --python-executable bin/python types
	@cd $(VENV)/empty && $(abspath $(PY)) -m pyright --pythonpath bin/python --project types

INTO_EMPTY = $(PY) -m pip --python $(VENV)/empty/bin/python install -qq --no-input \
  --disable-pip-version-check --no-index --find-links $(VENV)/wheels

.PHONY: FORCE
FORCE:
