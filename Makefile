# Every command of the project. A machine needs Python >= 3.11 with pip and venv, make, and a package index.
# Each target installs what it needs: .venv has the tested stack with dask-awkward, .venv-newest the newest dask,
# .venv-docs what makes the documentation.
# ARGS goes to the tool, for example: make test ARGS="-k smote -x"

PYTHON ?= python3
ARGS ?=

VENV := .venv
NEWEST := .venv-newest
DOCS := .venv-docs
PINS := constraints/full.txt
DOCS_PINS := constraints/docs.txt
NEWEST_PINS := $(lastword $(sort $(wildcard constraints/newest-*.txt)))
PIP_INSTALL := -m pip --quiet --quiet --disable-pip-version-check install

# The real events the tests read: a folder that the caller names, or one filled once by tools/fetch_samples.py.
ifeq ($(strip $(DASK_AUGMENT_DATA)),)
export DASK_AUGMENT_DATA := $(CURDIR)/.cache/samples
SAMPLES := .cache/samples/.complete
endif

# A demo of more events than are shipped generates them with Pythia 8, which is under the GPL and installed only then.
SHIPPED := 6500
ifneq ($(filter demo,$(MAKECMDGOALS)),)
ifneq ($(shell n=$$(echo '$(ARGS)' | sed -n 's/.*--events[ =]*\([0-9][0-9]*\).*/\1/p'); test "$${n:-0}" -gt $(SHIPPED) && echo more),)
DEMO_NEEDS := $(VENV)/.pythia
endif
endif

# How many processes run the tests, a file at a time, the dearest first (tests/budget.py). WORKERS=0: all in this one.
WORKERS ?= auto
PYTEST := pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 20

# What uses Dask; all else knows nothing of it, and needs no second stack to be tested on. tests/test_house.py looks for
# files that are forgotten here.
DASK_TESTS := tests/demo/test_demo.py::test_what_is_printed_and_left \
  tests/augmenters/test_function.py::test_function_travels_to_dask_workers tests/augmenters/test_smotenc.py \
  tests/dataset/test_readers.py \
  tests/fault/test_transient_errors.py tests/fault/test_workers_killed.py \
  tests/fit_resample/test_pairing.py tests/fit_resample/test_per_stratum.py tests/fit_resample/test_resampler.py \
  tests/fit_resample/test_types.py \
  tests/frames/test_coffea.py tests/frames/test_dataframe.py \
  tests/frames/test_every_frame.py tests/frames/test_is_made.py tests/frames/test_pandas.py \
  tests/runs/test_passes.py tests/runs/test_pools.py tests/runs/test_where.py \
  tests/sampling/test_acceptance.py::test_nothing_is_read_before_it_is_asked_for \
  tests/sampling/test_one_result.py::test_pandas_and_dask_dataframe_in_threads \
  tests/sampling/test_one_result.py::test_on_a_cluster \
  tests/validation/test_closure.py::test_same_in_every_frame \
  tests/whole/test_one_hash.py::test_run tests/whole/test_one_hash.py::test_pandas_and_dask_dataframe \
  tests/whole/test_one_hash.py::test_coffea \
  tests/whole/test_readers.py \
  tests/runs/test_cluster.py tests/contract/test_augmenter.py tests/test_docs.py \
  tests/test_light_import.py tests/contract/test_nesting.py

# BLAS threads beside the worker processes of a local cluster only make two cores slower.
test test-slow test-newest: export OMP_NUM_THREADS := 1
test test-slow test-newest: export OPENBLAS_NUM_THREADS := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help env samples demo test test-slow test-newest mutants lint format docs public-names bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(VENV)/.dev ## make .venv with everything needed to work on the project

samples: $(SAMPLES) ## fetch the real events the tests read, unless DASK_AUGMENT_DATA names a folder

demo: $(VENV)/.light $(DEMO_NEEDS) ## the main job on shipped events in a minute or two; ARGS="--events 20000" makes more
	$(VENV)/bin/dask-augment demo $(ARGS)

test: $(VENV)/.dev $(SAMPLES) ## run the tests, without the slow ones
	$(VENV)/bin/$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(VENV)/.dev $(SAMPLES) ## run the slow tests
	$(VENV)/bin/$(PYTEST) -m slow $(ARGS)

test-newest: $(NEWEST)/.dev $(SAMPLES) ## run what knows Dask on the newest one, which dask-awkward does not support
	$(NEWEST)/bin/$(PYTEST) -m "not slow" $(DASK_TESTS) $(ARGS)

mutants: $(VENV)/.dev $(SAMPLES) ## make wrong changes that tests must see, five at random; ARGS="--list" shows all of them
	$(VENV)/bin/python tools/mutants.py $(or $(ARGS),--random 5 --seed $$(date +%j))

lint: $(VENV)/.dev ## check style, types and the direction of imports
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.dev ## mend what the style checks can mend by themselves
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(DOCS)/.dev ## make the documentation in build/docs; a warning is an error
	$(DOCS)/bin/python -m sphinx --fail-on-warning --keep-going --quiet -d build/doctrees $(ARGS) docs build/docs

public-names: $(VENV)/.dev ## write the public names to the file that the tests compare them with
	$(VENV)/bin/python tests/test_house.py

bench: $(VENV)/.dev ## run the benchmarks, one after the other
	@set -e; for file in $(wildcard benchmarks/[a-z]*.py); do echo "== $$file"; $(VENV)/bin/python $$file $(ARGS); done

clean: ## remove the environments, the samples and all that the tools left behind
	rm -rf $(VENV) $(NEWEST) $(DOCS) docs/made demo demo.yaml demo.png demo-events demo-again .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is made anew when its pins change, and brought up to date when pyproject.toml changes.
$(VENV)/.base: $(PINS)
$(NEWEST)/.base: $(NEWEST_PINS)
$(DOCS)/.base: $(PINS) $(DOCS_PINS)
%/.base:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dask-augment needs Python >= 3.11; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $*
	$*/bin/python $(PIP_INSTALL) 'pip>=25.1'
	@touch $@

$(VENV)/.light: $(VENV)/.base pyproject.toml
	$(VENV)/bin/python $(PIP_INSTALL) -c $(PINS) -e '.[demo]'
	@touch $@

$(VENV)/.pythia: $(VENV)/.base $(VENV)/.light
	$(VENV)/bin/python $(PIP_INSTALL) -c $(PINS) --only-binary=:all: 'pythia8mc<8.318'
	@touch $@

# The full environment contains the light one, hence both stamps.
$(VENV)/.dev: $(VENV)/.base pyproject.toml
	$(VENV)/bin/python $(PIP_INSTALL) -c $(PINS) -e '.[awkward,coffea,dataframe,demo]' --group dev
	@touch $(VENV)/.light $@

$(NEWEST)/.dev: $(NEWEST)/.base pyproject.toml
	$(NEWEST)/bin/python $(PIP_INSTALL) -c $(NEWEST_PINS) -e '.[coffea,dataframe,demo]' --group test
	@touch $@

$(DOCS)/.dev: $(DOCS)/.base pyproject.toml
	$(DOCS)/bin/python $(PIP_INSTALL) -c $(PINS) -c $(DOCS_PINS) -e . --group docs
	@touch $@

.cache/samples/.complete: tools/fetch_samples.py
	$(PYTHON) tools/fetch_samples.py $(@D)
	@touch $@
