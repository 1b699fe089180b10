# Each command sets up what it needs first: Python >= 3.11, make and the package registry are enough.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
READY   := $(VENV)/.installed
AUDIT   := $(VENV)/audit
RIVALS  := $(VENV)/.rivals
DUCKDB  := $(VENV)/duckdb-1.4/.installed $(VENV)/duckdb-2/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo ui test lint bench docs lock audit

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## Load 60 nights of 24 made-up people and query them; no key needed
	$(BIN)/asleep-pipeline demo

ui: $(READY) ## Open the Dagster UI on the demo, or on your key
	$(BIN)/asleep-pipeline ui

test: $(READY) $(DUCKDB) ## Run the whole test suite
	$(BIN)/pytest --numprocesses auto --dist worksteal

lint: $(READY) ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --explicit-package-bases asleep_pipeline asleep_pipeline_tests examples

bench: $(READY) $(RIVALS) ## Measure cost and speed beside dlt and a plain script
	for part in "" .increment .quota .webhooks .memory .queries .marts .serving; do $(BIN)/python -m benchmarks$$part || exit; done

docs: $(READY) ## Write the generated parts of the README and docs/ again
	$(BIN)/python -m asleep_pipeline.reference README.md docs/tables.md
	$(BIN)/python -m asleep_pipeline.questions_page docs/questions.md

audit: $(READY) $(AUDIT)/.installed ## Look at licences and known weaknesses of the dependencies; writes sbom.json
	$(BIN)/python -m supply.licences
	$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file sbom.json $(BIN)/python
	$(BIN)/python -m supply.advisories $(AUDIT)/bin/pip-audit requirements.lock

lock: $(READY) ## Resolve the dependencies again and write the lock files
	$(COMPILE) pyproject.toml --extra dev --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra dev --extra bench --constraint requirements.lock --output-file requirements/bench.lock
	printf 'cyclonedx-bom\npip-audit\n' | $(COMPILE) - --output-file requirements/audit.lock
	echo 'duckdb==1.4.5' | $(COMPILE) - --no-deps --no-annotate --output-file requirements/duckdb-1.4.lock
	echo 'duckdb==2.0.0' | $(COMPILE) - --no-deps --no-annotate --output-file requirements/duckdb-2.lock

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Python 3.11 or newer is needed; name it like this: make PYTHON=python3.12 demo' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo 'This Python has no venv module; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.locked: requirements.lock $(VENV)/.created
	$(PIP) --require-hashes --requirement requirements.lock
	@touch $@

# No build isolation: the build back end comes from the lock too.
$(READY): pyproject.toml $(VENV)/.locked
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(RIVALS): requirements/bench.lock $(READY)
	$(PIP) --require-hashes --requirement $<
	@touch $@

# In an environment of its own: what looks at the dependencies is none of them.
$(AUDIT)/.installed: requirements/audit.lock
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes --requirement $<
	@touch $@

# The published file must open in other DuckDB releases: tests import each from a folder of its own.
$(VENV)/duckdb-%/.installed: requirements/duckdb-%.lock $(VENV)/.created
	$(PIP) --require-hashes --only-binary :all: --upgrade --target $(@D) --requirement $<
	@touch $@
