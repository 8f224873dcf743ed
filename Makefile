# One screen: what a person does with this checkout. PYTHON picks the interpreter to build with.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export PYTHONWARNINGS := ignore::DeprecationWarning
export OMP_NUM_THREADS ?= 1

.PHONY: help install demo test test-fast lint bench clean

help:
	@echo "make demo       install, then run the main job on real data (3 minutes after installing)"
	@echo "make test       install what the tests need, then run all of them"
	@echo "make test-fast  all but what takes over .3 s (a minute and a half)"
	@echo "make lint       floors, types, style, documentation of public names"
	@echo "make bench      the benchmarks, each beside a peer (hours; see docs/benchmarks.md)"

$(BIN)/promise: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

install: $(BIN)/promise

demo: $(BIN)/promise
	$(BIN)/promise demo

$(VENV)/.test: $(BIN)/promise pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[deep,s3,postgres,redis,words]" --group test --group lint
	@touch $@

test: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/interrogate --quiet --ignore-magic --ignore-private --ignore-semiprivate --ignore-init-method --ignore-nested-functions --fail-under 100 src

bench: $(VENV)/.test
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
