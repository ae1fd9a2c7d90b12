# rolegate: one command for each thing people do with a checkout.
#
# Needs make and Python 3.11 or later (`make PYTHON=/path/to/python ...` if it is not on the path). Everything
# else goes into .venv, at the versions and hashes of the lock files.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# A lock file is complete. `--no-deps` keeps pip from looking for more: it would take the newest version of what is
# asked for with an extra, and then refuse that one for its hash, as soon as there is a newer one than ours.
LOCKED := $(PIP) install --no-deps --require-hashes -r

# Stamps: each says that .venv holds what the files it depends on ask for.
INSTALLED := $(VENV)/.installed
INSTALLED_TEST := $(VENV)/.installed-test
INSTALLED_BENCH := $(VENV)/.installed-bench

# The wheel that `make wheel` builds, laid out where tests and benchmark find it before the source.
COMPILED := build/compiled
SOURCES = $(shell find proxy -name '*.py')

UV := uv==0.13.9
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

export PYTHON

.PHONY: help demo wheel test test-compiled check fix bench lock clean

help:  ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## show rolegate at work, with an identity provider and an upstream of its own
	$(BIN)/rolegate demo

wheel: $(COMPILED)/.made  ## build dist/rolegate-*.whl, in which what every request passes is compiled to C

test: $(INSTALLED_TEST)  ## run every test; those whose components cannot be installed are skipped by name
	tests/kit/components
	$(BIN)/python -m pytest $(TESTS)

test-compiled: $(COMPILED)/.made  ## run them on what the wheel holds, but for those that replace parts of it
	tests/kit/components
	ROLEGATE_COMPILE=1 PYTHONPATH=$(CURDIR)/$(COMPILED):$(CURDIR) \
		$(BIN)/pytest --import-mode=importlib -m "not interpreted" $(TESTS)

check: $(INSTALLED_TEST)  ## lint, format, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

fix: $(INSTALLED_TEST)  ## mend what lint and format can mend by themselves
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED_BENCH) $(COMPILED)/.made  ## measure a request, here and in its peers; BENCH=--quick is short, BENCH=--write fills the README
	tests/kit/components bench
	$(BIN)/python -m tests.bench $(BENCH)

lock: $(INSTALLED)  ## write the lock files anew; UPGRADE=1 takes newer versions
	$(PIP) install $(UV)
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.lock
	$(COMPILE) --extra test -c requirements.lock pyproject.toml -o requirements-test.lock
	$(COMPILE) --extra bench -c requirements.lock pyproject.toml -o requirements-bench.lock

clean:  ## remove what the other commands left behind
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	rm -rf tests/kit/oidc/node_modules
	find proxy tests -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python: deploy/bootstrap
	deploy/bootstrap $(VENV)
	@touch -c $@

$(INSTALLED): $(BIN)/python requirements.lock pyproject.toml
	$(LOCKED) requirements.lock
	$(PIP) install --no-deps --editable .
	@touch $@

# These come on top; their lock files hold the same versions and more.
$(INSTALLED_TEST): requirements-test.lock $(INSTALLED)
	$(LOCKED) requirements-test.lock
	@touch $@

$(COMPILED)/.made: setup.py pyproject.toml $(SOURCES) $(INSTALLED_TEST)
	deploy/compiler $(BIN)/python
	rm -rf build dist
	ROLEGATE_COMPILE=1 $(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	$(PIP) install --no-deps --target $(COMPILED) dist/*.whl
	@touch $@

$(INSTALLED_BENCH): requirements-bench.lock $(INSTALLED)
	$(LOCKED) requirements-bench.lock
	@touch $@
