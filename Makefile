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
EXTRAS_bench := all,bench,test
EXTRAS_peers := all,peers

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-interop test-cuda cuda-mutants lint types bench bench-check bench-quick \
	bench-compare bench-publish bench-kernels bench-floors peers scaling clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target text; do printf '%-19s %s\n' "$$target" "$$text"; done

demo: $(VENV)/demo ## the coherence of a real dictionary that ships inside the package
	$(BIN)/superpos-fast coherence

test: lint types $(VENV)/test ## lint, types and tests: what CI runs, with test-interop and test-cuda
	$(BIN)/python -m pytest --ignore=tests/cuda --ignore=tests/interop $(PYTEST_FLAGS)

test-interop: $(VENV)/interop ## tests with torch, JAX, pandas, polars and others: CI runs them too
	$(BIN)/python -m pytest tests/interop $(PYTEST_FLAGS)

test-long: $(VENV)/test ## the cases that take minutes
	$(BIN)/python -m pytest --ignore=tests/cuda --ignore=tests/interop -m long $(PYTEST_FLAGS)

test-cuda: $(VENV)/cuda-test ## tests of the CUDA backend, on the CPU: NVRTC, emulators
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

# asv runs in bench/, `same` is this environment; BENCH names some benchmarks, by a regular expression.
ASV = cd bench && ../$(BIN)/asv
BENCH ?= .
# Each measurement is forked off a process that has loaded the kernels.
FORKED := --launch-method forkserver --show-stderr
BASE ?= main

bench: $(VENV)/bench ## the asv suite on this machine, nothing saved
	$(ASV) machine --yes
	$(ASV) run --python=same $(FORKED) --bench '$(BENCH)'

bench-check: $(VENV)/bench ## whether asv can import the suite
	$(ASV) machine --yes
	$(ASV) check --python=same

bench-quick: bench-check ## the asv suite, each benchmark once
	$(ASV) run --quick --python=same $(FORKED) --bench '$(BENCH)'

# asv takes the smaller of two numbers for the better one: shares of the peak are left out.
bench-compare: bench-check ## HEAD against BASE (main), each in an environment of its own
	$(ASV) continuous $(BASE) HEAD --factor 1.15 $(FORKED) $(ASV_FLAGS) \
		--bench '^(?!.*track_roofline_)(?=.*($(BENCH)))'

bench-publish: bench-check ## results of HEAD, measured where they are missing, as web pages
	$(ASV) run HEAD^! --skip-existing $(FORKED) $(ASV_FLAGS) --bench '$(BENCH)'
	$(ASV) publish

bench-kernels: $(VENV)/bench ## the kernels one by one, saved in .benchmarks
	$(BIN)/python -m pytest bench/test_kernels.py --benchmark-enable --benchmark-only \
		--benchmark-autosave $(PYTEST_FLAGS)

bench-floors: $(VENV)/test ## fail where a share of the multiply-add peak is under its floor
	$(BIN)/python -m bench.tracked --floors

peers: $(VENV)/peers ## tables and a chart against other libraries: bench/peers.md, README.md
	$(BIN)/python -m bench.peers --write

scaling: $(VENV)/bench ## the cost model: bench/scaling.md
	$(BIN)/python -m bench.scaling --write

clean: ## remove .venv and everything built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last, so that what was interrupted starts again.
$(VENV)/made:
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/demo $(VENV)/test $(VENV)/bench $(VENV)/peers $(VENV)/cuda-test $(VENV)/interop: $(VENV)/%: pyproject.toml setup.cfg | $(VENV)/made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS_$*)]'
	@touch $@
