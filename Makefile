# Everything a newcomer or a clean machine needs: `make demo`, `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3.12
# Pinned: the resolver decides what `make lock` writes.
UV_VERSION := 0.13.9
DEMO_DIR ?= demo
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Two test processes share the machine: one thread each, and no start-up chatter.
TEST_ENV := TF_CPP_MIN_LOG_LEVEL=3 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MPLBACKEND=Agg CUDA_VISIBLE_DEVICES=-1

.PHONY: help demo test lint lock install

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## From nothing to a catalogue of located earthquakes and a map, offline once installed.
	@$(BIN)/geomon demo --dir $(DEMO_DIR)

test: $(STAMP) ## Run all tests (PYTEST_ARGS="-k archive" narrows them).
	@$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

lint: $(STAMP) ## Check style, types and the layers.
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/lint-imports

install: $(STAMP) ## Create .venv and install geomon into it.

lock: $(BIN)/uv ## Pin every dependency anew, with hashes, into requirements.lock.
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.12 --upgrade \
		--generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet \
		--output-file requirements.lock
	@if grep -nE '://|--(extra-)?index|--find-links|@ file' requirements.lock; then \
		echo "requirements.lock: must not hold an address" >&2; exit 1; fi

$(STAMP): requirements.lock pyproject.toml $(BIN)/uv
	@echo "Installing geomon into $(VENV) (the first time takes a few minutes) …"
	@# Compiled once: else a first process, and each where Python may not write, compiles all it imports.
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python \
		--require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import sys; assert sys.version_info >= (3, 12)' \
		2>/dev/null || { echo "geomon needs Python 3.12 or newer, and '$(PYTHON)' does not run." \
		"Install it (Debian: apt-get install python3.12 python3.12-venv), or name another one:" \
		"make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "'$(PYTHON)' lacks the venv module." \
		"Install it (Debian: apt-get install python3.12-venv)." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)" || { \
		echo "pip could not install uv; the first installation needs a Python package index." >&2; exit 1; }
