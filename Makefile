# durian: what a developer or a visitor runs. `make` lists it.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$python && break; \
	done)
VENV := .venv
BIN := $(VENV)/bin
NODE := $(VENV)/node/node_modules/standardwebhooks/package.json
PEER := .venv-peer

.PHONY: help demo test versions lint audit fuzz chaos bench servers

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/installed ## run a small site with webhooks; ARGS=--once for a single round
	@$(BIN)/durian demo $(ARGS)

test: servers lint $(NODE) ## install what is missing, check everything and run all tests
	$(BIN)/pytest $(ARGS)
	@$(BIN)/python -m tests.audit --lenient

versions: servers $(NODE) ## run all tests with the oldest and the newest Python and Django; VERSIONS="python3.12/5.2"
	for version in $(or $(VERSIONS),python3.10/4.2 python3.13/6.0); do \
		home=.venv-$$(echo $$version | tr / -) && $${version%/*} -m venv $$home && mkdir -p $$home/node && \
		cp -r $(VENV)/node/. $$home/node && \
		$$home/bin/python -m pip install --quiet --editable '.[dev]' "django==$${version#*/}.*" && \
		$$home/bin/pytest $(ARGS) || exit 1; done

lint: $(VENV)/installed-dev ## check style, types and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy durian publisher deliverer tests
	$(BIN)/lint-imports --no-logo

audit: $(VENV)/installed-dev ## ask PyPI for known vulnerabilities of what is installed; fails when it cannot be asked
	@$(BIN)/python -m tests.audit

fuzz: $(VENV)/installed-dev ## feed the readers of strangers' bytes with what breaks them; SECONDS=60 for each
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	for target in filters messages properties signatures options urls; do \
		$(BIN)/python -m tests.fuzz $$target --seconds $(or $(SECONDS),60) || exit 1; done

chaos: servers $(VENV)/installed-dev ## inject faults under load and account for every event; FAULT=name N=rounds SEED=n SABOTAGE=1 JSON=file DOCUMENT=1
	$(BIN)/python -m tests.chaos $(FAULT) $(if $(N),-n $(N)) $(if $(SEED),--seed $(SEED)) $(if $(JSON),--json $(JSON)) \
		$(if $(SABOTAGE),--sabotage) $(if $(DOCUMENT),--document)

bench: servers $(VENV)/installed-dev $(PEER)/installed ## measure beside a peer and the limits; FIGURE=name CHECK=1 DOCS=1 MINUTES=10
	$(BIN)/python -m tests.benchmarks $(FIGURE) $(if $(CHECK),--check) $(if $(MINUTES),--minutes $(MINUTES))
	$(if $(DOCS),$(BIN)/python -m tests.benchmarks.document)

servers:
	@tests/servers/install

$(BIN)/python:
	@$(if $(PYTHON),,$(error durian needs Python 3.10 or newer: install it, or say make PYTHON=...))
	$(PYTHON) -m venv $(VENV)

# A change of the dependencies installs them anew.
$(VENV)/installed: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/installed

# The environment of the peer that durian is measured beside. -I, since by PYTHONPATH pip would see
# durian, or take what is installed elsewhere for installed here.
$(PEER)/installed: tests/benchmarks/peer/requirements.txt | $(BIN)/python
	$(BIN)/python -m venv --clear $(PEER)
	$(PEER)/bin/python -I -m pip install --quiet --requirement $<
	@touch $@

# Standard Webhooks' verifier of another language, for the acceptance tests.
$(NODE): | servers $(BIN)/python
	npm install --silent --no-audit --no-fund --prefix $(VENV)/node standardwebhooks@1.0.0
