# Two commands matter: `make demo` and `make test`. Both set themselves up on a fresh clone, once.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHARED_DATA := $(abspath ../shared/data)
ifneq ($(wildcard $(SHARED_DATA)/README.md),)
export SEPARABLE_TEST_DATA ?= $(SHARED_DATA)
endif
# Passive waiting: threads that spin at barriers make a shared machine several times slower.
PYTEST := KERAS_BACKEND=torch OMP_WAIT_POLICY=passive $(BIN)/python -m pytest

.PHONY: help demo test test-slow test-gpu check format wheel wheel-test bench clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

demo: $(READY)  ## set up and train a narrow Xception on scanned digits, with a report to look at
	$(BIN)/separable demo

test: $(READY)  ## set up and run the tests, all but the slow and the GPU ones
	$(PYTEST) -m "not slow and not gpu"

test-slow: $(READY)  ## the tests that take minutes
	$(PYTEST) -m "slow and not gpu" --timeout 3600

test-gpu: $(READY)  ## the tests that need a CUDA device
	$(PYTEST) -m gpu --timeout 3600

check: $(READY)  ## lint, format, types, import direction, exact exports, frozen flags
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/mypy
	$(PYTEST) tests/test_architecture.py tests/cli/test_frozen_flags.py

format: $(READY)  ## let ruff rewrite the files
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs

wheel: $(READY)  ## build the wheel into dist/
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

wheel-test: wheel  ## install the wheel alone in an environment of its own and run it from there
	rm -rf $(VENV)-wheel
	$(PYTHON) -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl
	cd / && $(abspath $(VENV)-wheel)/bin/separable doctor
	cd / && $(abspath $(VENV)-wheel)/bin/separable models
	cd / && $(abspath $(VENV)-wheel)/bin/python -c "from separable.ops.cpu import load_kernels; s = load_kernels(); print(s.reason); assert s.available or 'no C++ compiler' in s.reason"

bench: $(READY)  ## the measurements that README and docs quote; results go to benchmarks/results
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt '.[bench]'
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:  ## remove what make made, but no runs
	rm -rf $(VENV) $(VENV)-wheel dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
