# Everything that is needed is Python 3.11 with venv, git and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest

.PHONY: install demo check test test-servers bench soak wheel docs lock clean

install: $(STAMP)

# Python compiles what is imported when it is imported: most of the 250 packages' files never are.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: install
	$(BIN)/agentctl demo

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports
	$(BIN)/agentctl schema --check
	$(BIN)/agentctl validate

# The embedded parts only: no server, no network. Three workers for two cores: a third of the time they wait for others.
test: install
	$(PYTEST) -n 3 --dist loadgroup --durations 15 -m "not servers"

# The same code on PostgreSQL, and what needs shared test data: a missing one is a failure, not a skip.
test-servers: install
	$(PYTEST) -n 3 --dist loadgroup --durations 15 -m "servers"

bench: install
	$(BIN)/python bench/run.py

# Ten minutes of load with flat memory (PENSTOCK_SOAK_S shortens it), then faults of every part by a seed of this run.
soak: install
	$(BIN)/python bench/soak.py
	$(BIN)/python bench/faults.py

# The wheel, tried where src/ cannot be seen.
wheel: install
	rm -rf dist
	$(BIN)/python -m build --no-isolation --wheel --outdir dist .
	$(BIN)/python tests/wheel_smoke.py dist

docs: install
	$(BIN)/python -m penstock.cli.help_page > docs/commands.md

lock:
	uv pip compile --universal --python-version 3.11 --all-extras --generate-hashes --no-emit-index-url --no-annotate -q pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) dist .penstock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
