PYTHON ?= python3
BIN = .venv/bin
# onnxruntime-gpu where an NVIDIA GPU is present; `make serve RUNTIME=cpu` chooses by hand
RUNTIME ?= $(if $(wildcard /dev/nvidia[0-9]* /dev/dxg),gpu,cpu)

other-than-cpu = onnxruntime-gpu
other-than-gpu = onnxruntime

PACKAGE = pyproject.toml hatch_build.py $(wildcard protos/*.proto)
KERNELS = $(wildcard service/kernels/*.py service/kernels/*.cc service/kernels/*/*.cc service/kernels/*/*.h)

.PHONY: serve test check models kernels kernels-sanitize bench bench-kernels torture up test-containers clean

serve: .venv/$(RUNTIME).done service/kernels/build/.done
	$(BIN)/fovea serve

test: .venv/dev.done service/kernels/build/.done
	$(BIN)/pytest

check: .venv/dev.done
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

models: .venv/dev.done
	$(BIN)/fovea export --all

kernels:
	$(PYTHON) service/kernels/build.py

# Python is built without the sanitizers, so their runtime has to be in the process before anything else
kernels-sanitize: .venv/dev.done
	$(PYTHON) service/kernels/build.py --sanitize
	FOVEA_TEST_KERNEL_LIBRARY=service/kernels/build/sanitize/libfovea_kernels.so \
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 $(BIN)/python -m pytest tests/kernels

bench: .venv/dev.done service/kernels/build/.done
	$(BIN)/python -m tests.benchmarks

bench-kernels: .venv/dev.done service/kernels/build/.done
	$(BIN)/python -m tests.benchmarks.kernels

# Faults, tried and counted; `make torture FLAGS=--short` takes two minutes instead of twenty
torture: .venv/dev.done service/kernels/build/.done
	$(BIN)/python -m tests.torture $(FLAGS)

up:
	docker compose up --build

test-containers: .venv/dev.done
	$(BIN)/pytest tests/containers

# The two wheels of ONNX Runtime write into one folder: the other one goes, and takes along what it shares with this one
.venv/cpu.done .venv/gpu.done: .venv/%.done: $(PACKAGE) | .venv/bin/pip
	@if $(BIN)/pip show -q $(other-than-$*) 2>/dev/null; then $(BIN)/pip uninstall -q -y onnxruntime-gpu onnxruntime; fi
	$(BIN)/pip install -q -e '.[$*]'
	@rm -f .venv/cpu.done .venv/gpu.done && touch $@

.venv/dev.done: $(PACKAGE) .venv/$(RUNTIME).done
	$(BIN)/pip install -q -e '.[dev,export]'
	@touch $@

# The package's build compiles the kernels first; this does after a pull that changed them, where there is a compiler
service/kernels/build/.done: $(KERNELS)
	@$(PYTHON) service/kernels/build.py --optional
	@if [ -f $(@D)/libfovea_kernels.so ]; then touch $@; fi

# Debian keeps venv in a package of its own
.venv/bin/pip:
	$(PYTHON) -m venv .venv || { rm -rf .venv; apt-get update -q && apt-get install -y -q python3-venv && $(PYTHON) -m venv .venv; }

clean:
	rm -rf .venv build dist service/kernels/build
