# Needs only Python >= 3.11, venv, pip, make and git. `make help` lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# How long each test of a long run may take, in seconds (pyproject.toml has the ordinary limit).
limit   = -o timeout=$(1) -o faulthandler_timeout=$(1)

.DEFAULT_GOAL := help
.PHONY: help install install-dev serve test check check-all format lock bench bench-policy bench-detect cases drill-kill drill-leak sim model mutants clients names clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit("Forestall needs Python 3.11 or newer: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	@echo "making the virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/serve-ready: $(VENV)/made requirements.lock pyproject.toml
	@echo "installing what the server needs (requirements.lock)"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev-ready: $(VENV)/serve-ready requirements-dev.lock
	@echo "installing what the tests need (requirements-dev.lock)"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/serve-ready ## prepare .venv with the `forestall` command
install-dev: $(VENV)/dev-ready ## the same, and the tools the tests need

serve: install ## start the control plane (Ctrl-C stops it)
	@exec $(BIN)/forestall serve

check: install-dev ## format, lint, types, import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## everything a change must pass
	$(BIN)/pytest -n auto --dist worksteal

check-all: check $(VENV)/schemathesis/made ## the tests with 100,000 random cases each where it counts (long)
	FORESTALL_PROPERTY_EXAMPLES=100000 FORESTALL_API_EXAMPLES=40 $(BIN)/pytest -n auto --dist worksteal $(call limit,7200)

sim: install-dev ## the whole plane in one process from a seed, 2,000 times (SEED= replays one; SEEDS= STEPS=)
	$(BIN)/python -m tests.sim $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(STEPS),--steps $(STEPS))

model: install-dev ## everything that can happen to a job that awaits approval, in every order; states and interleavings counted
	FORESTALL_MODEL=full $(BIN)/pytest -n auto -rA $(call limit,7200) tests/model

cases: install-dev ## small inputs with the wanted answer, one line each (FORESTALL_CASES= a folder with more)
	$(BIN)/pytest -n auto -rA -q tests/cases

mutants: install-dev ## small sabotages of the source, each of which a test must notice; long (MUTANT= JOBS= SINCE=)
	$(BIN)/python -m tests.mutants $(if $(MUTANT),--mutant '$(MUTANT)') $(if $(SINCE),--since '$(SINCE)') $(if $(JOBS),--jobs $(JOBS))

drill-kill: install-dev ## kill -9 server and workers under load, 200 times; count what was lost or ran twice
	FORESTALL_KILLS=$${FORESTALL_KILLS:-200} $(BIN)/pytest -n 0 -rA $(call limit,1800) tests/e2e/test_kill.py tests/e2e/test_kill_matrix.py

drill-leak: install-dev ## canary secrets in results, searched for in every byte the server sends or stores
	$(BIN)/pytest -n 0 -rA $(call limit,1800) tests/e2e/test_output_leak.py

bench: install-dev ## measure; results as JSON in bench/results
	$(BIN)/python -m bench

bench-policy: install-dev $(VENV)/bench-engines/made ## µs per decision at 10 to 100,000 rules, against other engines
	$(BIN)/python -m bench evaluate field

bench-detect: install-dev ## detectors: precision, recall, F1 of each kind; MB/s of a scan
	$(BIN)/python -m bench detect

# Other engines, in a folder that only the bench looks into; without them the rest is measured.
$(VENV)/bench-engines/made: $(VENV)/dev-ready bench/requirements.txt
	@echo "installing the engines to compare with (bench/requirements.txt)"
	@mkdir -p $(@D)
	@$(PIP) --upgrade --target $(@D) -r bench/requirements.txt && touch $@ || echo "not all of them could be installed"

clients: $(VENV)/clients/made ## published clients of this API, for tests/e2e/test_clients.py

# In an environment of their own: nothing of ours may come to need what they need.
$(VENV)/clients/made: $(VENV)/made tests/clients/requirements.txt
	@echo "installing published clients (tests/clients/requirements.txt)"
	@$(BIN)/python -m venv $(VENV)/clients
	@$(VENV)/clients/bin/python -m pip --disable-pip-version-check install --quiet -r tests/clients/requirements.txt
	@touch $@

# In an environment of its own: it comes with a web framework and a plugin for every run of pytest.
$(VENV)/schemathesis/made: $(VENV)/made tests/schemathesis/requirements.txt
	@echo "installing schemathesis (tests/schemathesis/requirements.txt)"
	@$(BIN)/python -m venv $(VENV)/schemathesis
	@$(VENV)/schemathesis/bin/python -m pip --disable-pip-version-check install --quiet -r tests/schemathesis/requirements.txt
	@touch $@

names: $(VENV)/names/made ## spaCy and a pipeline of it, for the two test files that need one

# In an environment of their own: the extra is off by default, and 800 MB.
$(VENV)/names/made: $(VENV)/made requirements.lock tests/names/requirements.txt
	@echo "installing spaCy and a pipeline (tests/names/requirements.txt)"
	@$(BIN)/python -m venv $(VENV)/names
	@$(VENV)/names/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements.lock
	@$(VENV)/names/bin/python -m pip --disable-pip-version-check install --quiet --only-binary :all: -r tests/names/requirements.txt
	@$(VENV)/names/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@

format: install-dev ## put every file into the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: install-dev ## resolve the lock files anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra build -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra build --extra dev -o requirements-dev.lock pyproject.toml

clean: ## remove what the targets made (never your data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache
