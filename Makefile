# SPDX-License-Identifier: MIT
# One verb per task. `make help` lists them. Needs Python 3.11+, a C++ compiler and make; everything else goes into .venv.

PYTHON ?= python3
VENV ?= .venv
# The encoder trains with torch. Where a CPU-only build is at hand under a pinned version, say so here:
#   make test TORCH=torch==2.13.0
TORCH ?= torch==2.13.0
CLIP ?= samples/pan.mp4
PRESET ?= medium
BPP ?= 0.25
PYTEST_ARGS ?=
FUZZ_SECONDS ?= 60
FUZZ_INPUTS ?= 0
FUZZ_JOBS ?= 1

BIN := $(VENV)/bin
PY := $(BIN)/python
NAME := $(basename $(notdir $(CLIP)))
# What the compiled kernel and the install are made from. Python sources are used in place (editable install).
BUILD_INPUTS := pyproject.toml CMakeLists.txt $(wildcard kernels/cpu/*.* kernels/cpu/*/*.*)
# Extras of pyproject.toml, as they stand in the names of the stamp files.
RUN := encode
TEST := encode,test
DEV := encode,test,dev
LINTED := format kernels gscodec_cli tests samples benchmarks docs

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PRECIOUS: $(VENV)/.extras-%

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.extras-$(RUN) ## set up, then encode, inspect, decode and measure a sample clip (CLIP=, PRESET=, BPP=); results in out/
	@mkdir -p out
	$(BIN)/gsv encode $(CLIP) -o out/$(NAME).gsv --preset $(PRESET) --bpp $(BPP) -y
	$(BIN)/gsv info out/$(NAME).gsv
	$(BIN)/gsv decode out/$(NAME).gsv -o out/$(NAME).mp4 -y
	$(BIN)/gsv eval $(CLIP) out/$(NAME).gsv

.PHONY: test
test: $(VENV)/.extras-$(TEST) $(VENV)/.triton ## set up, then run the tests (PYTEST_ARGS="-k name")
	$(BIN)/pytest $(PYTEST_ARGS)

.PHONY: check
check: lint test ## lint, types, import rules and tests: what a change must pass

.PHONY: lint
lint: $(VENV)/.extras-$(DEV) build/mypy/gscodec ## ruff, format, mypy and the import rules, without the slow tests
	$(BIN)/ruff check $(wildcard $(LINTED))
	$(BIN)/ruff format --check $(wildcard $(LINTED))
	$(BIN)/mypy
	$(BIN)/pytest -q tests/architecture

.PHONY: format
format: $(VENV)/.extras-$(DEV) ## let ruff rewrite the sources
	$(BIN)/ruff check --fix $(wildcard $(LINTED))
	$(BIN)/ruff format $(wildcard $(LINTED))

.PHONY: fuzz
fuzz: $(VENV)/.extras-$(TEST) ## throw mutated files, and parts of files, at the readers and the decoder (FUZZ_SECONDS=60, FUZZ_INPUTS=0: at least, FUZZ_JOBS=1); guided by coverage where atheris installs
	$(PY) -m pip install --quiet 'atheris>=3' || echo "atheris is not to be had here: fuzzing without coverage" >&2
	$(PY) -m tests.fuzz.run --seconds $(FUZZ_SECONDS) --inputs $(FUZZ_INPUTS) --jobs $(FUZZ_JOBS)

.PHONY: sanitize
sanitize: $(VENV)/.extras-$(DEV) ## build the kernels with AddressSanitizer and UndefinedBehaviorSanitizer, aside, and test them
	cmake -S . -B build/sanitize -DGSV_SANITIZE=ON -DCMAKE_BUILD_TYPE=Debug -DPython_EXECUTABLE=$(abspath $(PY)) \
		-Dnanobind_DIR="$$($(PY) -m nanobind --cmake_dir)" > /dev/null
	cmake --build build/sanitize --parallel 2 > /dev/null
	GSV_CPU_MODULE="$$(ls build/sanitize/_cpu*.so)" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so):$$($(CXX) -print-file-name=libstdc++.so.6)" \
		$(BIN)/pytest -q -p tests.sanitized --capture=sys tests/kernels

.PHONY: wheel-test
wheel-test: $(VENV)/.ready ## build the wheel, install it without torch away from the tree, and decode with it
	$(PY) tests/wheel_test.py

.PHONY: regen-vectors
regen-vectors: $(VENV)/.extras-$(TEST) ## write the conformance vectors anew and say what changed
	$(PY) -m tests.conformance.generate

.PHONY: samples
samples: $(VENV)/.extras-$(RUN) ## write the sample clips anew
	$(PY) samples/make_samples.py

.PHONY: docs
docs: $(VENV)/.extras-$(RUN) ## write the tables of docs/CLI.md from the code
	$(PY) -m docs.tables

.PHONY: bench
bench: $(VENV)/.extras-$(RUN) ## measure kernels and decoder on this machine; rows go to benchmarks/results
	$(PY) benchmarks/kernels.py
	$(PY) benchmarks/decode.py --made stgv
	$(PY) benchmarks/decode.py --made main

.PHONY: clean
clean: ## remove what was built (.venv, build, out)
	rm -rf $(VENV) build out

$(VENV)/.ready:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python 3.11 or newer; choose one with PYTHON=" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.torch: $(VENV)/.ready
	$(PY) -m pip install --quiet '$(TORCH)'
	touch $@

# A CUDA build of torch brings triton; elsewhere it is wanted for the tests of the GPU engine, which it interprets.
$(VENV)/.triton: $(VENV)/.torch
	$(PY) -m pip install --quiet triton || echo "no triton for this machine: the tests of the GPU engine are skipped"
	touch $@

# A build folder of its own: the environment that builds is a temporary one, whose paths stay in CMake's cache.
$(VENV)/.extras-%: $(VENV)/.torch $(BUILD_INPUTS)
	$(PY) -m pip install --quiet --config-settings=build-dir=build/venv -e '.[$*]'
	touch $@ $(foreach smaller,$(RUN) $(TEST),$(if $(findstring $(smaller),$*),$(VENV)/.extras-$(smaller)))

# mypy knows packages by their folders; these links give it gscodec.format and gscodec.kernels.
build/mypy/gscodec:
	mkdir -p $@
	ln -sfn ../../../format $@/format
	ln -sfn ../../../kernels $@/kernels
