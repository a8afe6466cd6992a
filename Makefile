# Everything runs from a bare machine with Python 3.11+ and make. Each target installs what it needs into .venv.
PYTHON ?= python3
PORT ?= 8800
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: up test lint types fix bench docs lock wheel clean

up: $(VENV)/.run  ## Install, start the gateway with the local model on loopback, print how to call it.
	$(BIN)/trimtab up --port $(PORT)

test: $(VENV)/.dev lint  ## Everything that CI runs.
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## Ratios against rivals, in one run. See bench/README.md.
	$(BIN)/python -m bench.gateway

docs: $(VENV)/.dev  ## Rewrite the generated reference pages.
	$(BIN)/python -m docs.generate

lock: $(VENV)/.dev  ## Resolve the dependencies anew, with hashes.
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --upgrade \
	  --extra local --group build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --upgrade \
	  --extra local --extra hub --group dev --group build pyproject.toml -o requirements-dev.lock

wheel: $(VENV)/.dev
	$(BIN)/uv build --no-build-isolation --python $(BIN)/python --out-dir dist

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trimtab needs Python 3.11 or newer. Try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python requirements.lock pyproject.toml
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-build-isolation --no-deps -e .
	touch $@

$(VENV)/.dev: $(BIN)/python requirements-dev.lock pyproject.toml
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install --no-build-isolation --no-deps -e .
	touch $@ $(VENV)/.run
