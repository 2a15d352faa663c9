# Everything is installed into .venv, nothing beside it, and nothing twice: the stamps in
# .venv say what is there. Needs Python 3.11 and make; see constraints.txt for versions.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -qq --no-compile \
	--constraint constraints.txt
# pip would compile on one core. Some packages hold files for a newer Python: hence true.
COMPILE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true
PYTHON := $(shell for each in python3.11 python3 python; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	&& { echo "$$each"; break; }; done)

.PHONY: help demo demo-processes test test-all lint bench clean
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

demo: $(VENV)/.core ## Install what a study needs (40 s, once), and run one
	@$(BIN)/consilium demo

demo-processes: $(VENV)/.core ## The same over mutual TLS, one hospital killed and back
	@$(BIN)/consilium demo --engine processes --kill-one

test: $(VENV)/.everything ## Run the tests
	@$(BIN)/python -m pytest -n auto --dist worksteal

test-all: $(VENV)/.ray ## Run the tests, the slow ones too
	@$(BIN)/python -m pytest -n auto --dist worksteal -m ""

lint: $(VENV)/.everything ## Check style, types, and who imports whom
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(VENV)/.everything ## Measure what is claimed
	@$(BIN)/python -m simulations.benches.benchmark
	@$(BIN)/python -m simulations.benches.network_bench

clean: ## Remove .venv, the caches, and what the demo wrote
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache build dist consilium-demo
	@find client common server simulations tests -name __pycache__ -prune -exec rm -r {} +

$(VENV)/.new:
	@test "$(PYTHON)" || { echo "There is no Python 3.11 here. Install it, e.g.:" \
		"apt install python3.11-venv, or brew install python@3.11" >&2; exit 1; }
	@"$(PYTHON)" -c "import ensurepip, venv" 2>/dev/null || { echo "This Python makes no" \
		"environments. Install its part for that, e.g.: apt install python3.11-venv" >&2; exit 1; }
	@echo "Making $(VENV) ..."
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

# What is to be installed; not touched when only the settings of a tool change.
$(VENV)/.wanted: pyproject.toml constraints.txt | $(VENV)/.new
	@sed '/^\[tool/,$$d' pyproject.toml | cat - constraints.txt >$@.next
	@cmp -s $@.next $@ && rm $@.next || mv $@.next $@

$(VENV)/.core: $(VENV)/.wanted
	@echo "Installing what a study needs, about 40 s ..."
	@$(PIP) --editable .
	@$(COMPILE)
	@touch $@

$(VENV)/.everything: $(VENV)/.core
	@echo "Installing TensorFlow, PyTorch, readers and test tools, 1 to 5 min ..."
	@$(PIP) --editable '.[everything,dev]'
	@$(COMPILE)
	@touch $@

$(VENV)/.ray: $(VENV)/.everything
	@echo "Installing Ray (75 MB to fetch, 200 MB on the disk) ..."
	@$(PIP) --editable '.[everything,dev,ray]'
	@$(COMPILE)
	@touch $@
