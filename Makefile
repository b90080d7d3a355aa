# One entry for people and CI. Every target sets up .venv by itself.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint docs bench client clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

setup: .venv/.ready ## create .venv and install the package with everything the other targets need

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Conceptome needs Python 3.11 or newer; found $$($(PYTHON) --version). Set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || { echo "This Python lacks venv. On Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup ## run the main job on 700 real immune cells and open its atlas (DEMO_ARGS=--no-serve tells how to)
	$(BIN)/conceptome demo $(DEMO_ARGS)

test: setup ## run the tests; one thread each, because workers that share processors with threads wait for each other
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder \
		--cov=conceptome --cov-fail-under=90

lint: setup ## check style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup ## build the documentation as HTML under docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench: setup ## run the benchmarks on a collection, make bench GMT=FILE; they write docs/benchmarks/results.json
	@test -n "$(GMT)" || { echo "Name a collection: make bench GMT=go_bp.gmt"; exit 1; }
	$(BIN)/python benchmarks/gsea.py --gmt $(GMT)
	$(BIN)/python benchmarks/transformer_forward.py

client: ## check and build the browser client with npm; what it writes under src/conceptome/web/static is committed
	npm --prefix client install --no-save --no-audit --no-fund
	npm --prefix client run check
	npm --prefix client run build

clean: ## remove what the other targets made
	rm -rf .venv docs/_build demo-run .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
