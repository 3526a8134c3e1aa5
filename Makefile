# Two commands are the whole set-up: `make run` and `make test`. Everything is installed into .venv from the lock files,
# which are complete: --no-deps keeps pip from looking for newer versions of what they pin.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet

# A .venv is broken if its Python is gone or too old, if it has no pip, or if it was moved or copied: its programs name
# the folder for which it was made, which .venv/.run has too. (A link to another checkout's .venv is somebody's own choice.)
BROKEN := $(shell test ! -e .venv && test ! -L .venv || { \
	$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	{ test -L .venv || test ! -s .venv/.run || test "$$(cat .venv/.run)" = "$$(pwd -P)"; }; } || echo broken)
ifdef BROKEN
.PHONY: .venv/bin/python .venv/.run .venv/.dev
endif

# Compiled files halve the time that a process of the tests needs to start.
unexport PYTHONDONTWRITEBYTECODE

RUNS ?= 10
# How setup calls the app in Slack, and what it asks for: see `nebula-bot setup --help`.
APP ?=
# Tests at once on two cores, as much of a test is waiting: with four, the whole run took a sixth longer. Each process
# costs what it takes to collect the tests.
AT_ONCE := -n 6 --dist worksteal

.PHONY: help run setup update console sandbox test test-busy check compiled unit coverage bench bench-live bench-crowd bench-rooms chaos lock clean
.DEFAULT_GOAL := help

help:                  ## what there is to make
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

run: .venv/.run        ## the bot: every platform that has tokens in .env, else the sandbox
	@$(BIN)/python -m bots run

setup: .venv/.run      ## answer a few questions, tried at once, which become .env (APP='--name Tutor': another app)
	@$(BIN)/python -m bots setup $(APP)

update:                ## get the newest version and install what it needs; then start the bot again
	@git pull --ff-only
	@$(MAKE) --no-print-directory .venv/.run

console: .venv/.run    ## talk to the models in this terminal
	@$(BIN)/python -m bots console

sandbox: .venv/.run    ## try the bot in a Slack and a Discord of our own
	@$(BIN)/python -m bots sandbox

test: .venv/.dev       ## everything that CI checks
	@$(MAKE) --no-print-directory --jobs=2 check compiled
	@$(MAKE) --no-print-directory unit

# pytest compiles the tests itself. In a fresh checkout all its processes would do so at the same time, each for itself.
compiled:
	@$(BIN)/pytest --collect-only -qq >/dev/null 2>&1 || true

check: .venv/.dev      ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: .venv/.dev       ## the tests alone
	$(BIN)/pytest $(AT_ONCE)

coverage: .venv/.dev   ## the tests again, slower, and how much of the code they reach: at least 95 %
	$(BIN)/pytest $(AT_ONCE) --cov --cov-report=term:skip-covered --cov-fail-under=95

test-busy: .venv/.dev compiled  ## the tests ten times (RUNS=…) beside busy loops, until a run is red
	$(BIN)/python -m tests.busy --runs $(RUNS) -- -q $(AT_ONCE)

bench: .venv/.dev      ## speed, as ratios from one run
	$(BIN)/python -m tests.bench

bench-live: .venv/.dev ## what people see while the model writes, against its targets
	$(BIN)/python -m tests.bench.live

bench-crowd: .venv/.dev  ## what people see who ask at once in one place, against its targets
	$(BIN)/python -m tests.bench.crowd

bench-rooms: .venv/.dev  ## a thousand rooms on three processes: shares, waits and costs
	$(BIN)/python -m tests.bench.rooms

chaos: .venv/.dev      ## kills, outages, copies and restarts under load; nobody may lose a reply
	$(BIN)/python -m tests.chaos

lock:                  ## refresh the lock files (needs uv)
	@command -v uv >/dev/null || { echo "This needs uv: https://docs.astral.sh/uv/"; exit 1; }
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock $(UPGRADE)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group dev -c requirements.lock -o requirements-dev.lock $(UPGRADE)

clean:                 ## remove .venv and all that is made anew; .env and data/ stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

# What is left of a set-up that failed would keep the next one from trying again.
.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Nebula Bot needs Python 3.11 or newer; none was found. Install it (on Debian and Ubuntu: apt install python3 python3-venv), or say which: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Nebula Bot needs Python 3.11 or newer, and $(PYTHON) is none. Say which: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) can't make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@test ! -e .venv && test ! -L .venv || { echo "The .venv here is broken, or was made for another folder: making it anew."; rm -rf .venv; }
	@"$(PYTHON)" -m venv .venv && $(BIN)/python -m pip --version >/dev/null || { rm -rf .venv; echo "$(PYTHON) can't make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

.venv/.run: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing into .venv; this takes about half a minute."
	@$(PIP) install --no-deps --require-hashes -r requirements.lock
	@$(PIP) install --no-deps -e .
	@pwd -P > $@

.venv/.dev: requirements-dev.lock .venv/.run
	@echo "Installing what the checks need."
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	@touch $@
