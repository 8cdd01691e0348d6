# `make help` lists what there is. Everything is installed into .venv, from the package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What each target needs beyond the package itself. Every install is editable, so that one
# target's install never hides the sources from the next one.
EXTRAS_demo := cli,io
EXTRAS_test := all,test
EXTRAS_cuda-test := all,test,cuda-test
EXTRAS_interop := all,test,interop
EXTRAS_bench := all,bench

.DEFAULT_GOAL := help
.PHONY: help demo test test-interop test-cuda cuda-mutants lint types bench peers clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target text; do printf '%-12s %s\n' "$$target" "$$text"; done

demo: $(VENV)/demo ## the coherence of a real dictionary that ships inside the package
	$(BIN)/superpos-fast coherence

test: lint types $(VENV)/test ## lint, types and tests: what CI runs
	$(BIN)/python -m pytest --ignore=tests/cuda --ignore=tests/interop $(PYTEST_FLAGS)

test-interop: $(VENV)/interop ## tests with torch, JAX, pandas, polars and others: CI runs them too
	$(BIN)/python -m pytest tests/interop $(PYTEST_FLAGS)

test-cuda: $(VENV)/cuda-test ## tests of the CUDA kernels, on the CPU: NVRTC, emulators
	$(BIN)/python tests/cuda/wheels.py
	$(BIN)/python -m pytest tests/cuda $(PYTEST_FLAGS)

cuda-mutants: $(VENV)/cuda-test ## whether these tests find bugs that are planted
	$(BIN)/python tests/cuda/wheels.py
	$(BIN)/python tests/cuda/mutants.py

lint: $(VENV)/test ## ruff: lint and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/test ## mypy --strict on the package and its kernels
	@# mypy cannot know that kernels/ is superpos_fast.kernels: show it a tree where it is.
	@rm -rf build/tree && mkdir -p build/tree/superpos_fast
	@for entry in superpos_fast/*; do ln -s "../../../$$entry" build/tree/superpos_fast/; done
	@ln -s ../../../kernels build/tree/superpos_fast/kernels
	cd build/tree && ../../$(BIN)/mypy --strict --config-file ../../pyproject.toml \
		--cache-dir ../../.mypy_cache -p superpos_fast

bench: $(VENV)/bench ## the asv suite on this machine
	cd bench && ../$(BIN)/asv machine --yes && ../$(BIN)/asv run --python=same

peers: $(VENV)/bench ## a table against NumPy, faiss, scikit-learn and torch
	$(BIN)/python -m bench.peers

clean: ## remove .venv and everything built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last, so that what was interrupted starts again.
$(VENV)/made:
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/demo $(VENV)/test $(VENV)/bench $(VENV)/cuda-test $(VENV)/interop: $(VENV)/%: pyproject.toml setup.cfg | $(VENV)/made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS_$*)]'
	@touch $@
