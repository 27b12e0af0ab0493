SHELL = /bin/bash
.SHELLFLAGS = -o pipefail -c
PYTHON ?= python3
BIN = .venv/bin
TOOLS = .venv/tools/bin
# onnxruntime-gpu where an NVIDIA GPU is present; `make serve RUNTIME=cpu` chooses by hand
RUNTIME ?= $(if $(wildcard /dev/nvidia[0-9]* /dev/dxg),gpu,cpu)

other-than-cpu = onnxruntime-gpu
other-than-gpu = onnxruntime

PACKAGE = pyproject.toml hatch_build.py $(wildcard protos/*.proto)
LOCKS = $(wildcard requirements/*.lock)
# Of what pip says, that it is at work: what it fetches of a megabyte or more, what it builds and installs
SHOWN = sed -unE 's/^ *(Downloading|Using cached) ([^ ]+).*( \([0-9.]+ [MG]B\)).*/  \2\3/p; s/^ *(Building .*): started$$/  \1/p; s/^(Installing collected packages):.*/  \1/p'
COMPILE = UV_CUSTOM_COMPILE_COMMAND='make lock' $(TOOLS)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade
SPARED = --overrides requirements/not-locked.txt
ALIKE = --constraint requirements/cpu.lock
LOCKED = $(BIN)/pip install --progress-bar off --require-hashes -r requirements
OWN = $(BIN)/pip install --progress-bar off --no-build-isolation
TORCH = $(shell sed -nE 's/.*"(torch==[^"]*)".*/\1/p' pyproject.toml)
KERNELS = $(wildcard service/kernels/*.py service/kernels/*.cc service/kernels/*.h service/kernels/*/*.cc service/kernels/*/*.h)

.PHONY: serve test check models seeds settings dashboards dashboard-pictures catalogue kernels kernels-sanitize bench bench-kernels bench-start bench-cluster torture up test-containers lock audit wheel clean

# What is exported meanwhile is served as well, a few seconds later
serve: export FOVEA_CONTROL_MODE ?= poll
serve: export FOVEA_POLL_S ?= 2
serve: .venv/$(RUNTIME).done service/kernels/build/.done
	$(BIN)/fovea serve

test: .venv/dev.done service/kernels/build/.done
	$(BIN)/pytest

check: .venv/dev.done
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

models: .venv/dev.done
	$(BIN)/fovea export --all

# Two further seeds of the fashion models, for README's table; goes on where it was interrupted
seeds: .venv/dev.done
	$(BIN)/python -m tests.benchmarks.seeds
	$(BIN)/python -m tests.benchmarks.families_page

# docs/SETTINGS.md, after a change of service/fovea/serving/settings.py
settings: .venv/dev.done
	$(BIN)/python docs/settings_page.py

# deploy/grafana/dashboards, after a change of the metrics or of a panel
dashboards: .venv/dev.done
	PYTHONPATH=deploy $(BIN)/python -m grafana.dashboards

# docs/dashboards: each dashboard, drawn from what a server measured under load; takes three minutes
dashboard-pictures: .venv/dev.done service/kernels/build/.done
	PYTHONPATH=deploy $(BIN)/python -m tests.benchmarks.dashboard_pictures

# docs/CATALOGUE.md and README's tables of models, measured anew: a mechanism, its kernel or its models have changed
catalogue: .venv/dev.done service/kernels/build/.done
	$(BIN)/python -m tests.benchmarks.catalogue
	$(BIN)/python -m tests.benchmarks.families

kernels:
	$(PYTHON) service/kernels/build.py

# Python is built without the sanitizers, so their runtime has to be in the process before anything else
kernels-sanitize: .venv/dev.done
	$(PYTHON) service/kernels/build.py --sanitize
	FOVEA_TEST_KERNEL_LIBRARY=service/kernels/build/sanitize/libfovea_kernels.so \
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 $(BIN)/python -m pytest tests/kernels

# `make bench FLAGS='--against OTHER_TREE'`: does a request cost more processor time than there?
bench: .venv/dev.done service/kernels/build/.done
	$(BIN)/python -m tests.benchmarks $(FLAGS)

bench-kernels: .venv/dev.done .venv/peers.done service/kernels/build/.done
	$(BIN)/python -m tests.benchmarks.kernels

bench-start: .venv/dev.done service/kernels/build/.done
	$(BIN)/python -m tests.benchmarks.start_up

# Two servers behind HAProxy beside one that is asked directly
bench-cluster: .venv/dev.done service/kernels/build/.done
	PYTHONPATH=tests $(BIN)/python -m tests.benchmarks.cluster $(FLAGS)

# Faults, tried and counted; `make torture FLAGS=--short` takes three minutes instead of twenty
torture: .venv/dev.done service/kernels/build/.done
	$(BIN)/python -m tests.torture $(FLAGS)

up: export REVISION ?= $(shell git rev-parse HEAD)
up:
	docker compose up --build

test-containers: .venv/dev.done
	$(BIN)/pytest --timeout 3600 tests/containers

# New versions of everything that is installed, as far as pyproject.toml allows; UV_DEFAULT_INDEX names another index
lock: .venv/tools.done
	$(COMPILE) pyproject.toml --extra cpu $(SPARED) -o requirements/cpu.lock
	$(COMPILE) pyproject.toml --extra gpu $(ALIKE) $(SPARED) -o requirements/gpu.lock
	$(COMPILE) pyproject.toml --extra dev --extra export --extra otel $(ALIKE) $(SPARED) -o requirements/dev.lock
	$(COMPILE) pyproject.toml --extra otel --constraint requirements/dev.lock $(SPARED) -o requirements/otel.lock
	$(COMPILE) pyproject.toml --extra peers $(ALIKE) $(SPARED) -o requirements/peers.lock
	$(COMPILE) --group build $(ALIKE) -o requirements/build.lock
	$(COMPILE) --group sbom -o requirements/sbom.lock
	$(COMPILE) --group tools -o requirements/tools.lock

# Known holes in what the locks name; PyPA's and PyPI's database is asked, where it can be reached
audit: .venv/tools.done
	$(TOOLS)/python requirements/audit.py

# For a package index: the tag says which Linux the kernels run on, as auditwheel finds it; without kernels it is any
wheel: .venv/tools.done .venv/$(RUNTIME).done
	rm -rf build/wheel
	$(BIN)/pip wheel -q --no-deps --no-build-isolation --wheel-dir build/wheel .
	@mkdir -p dist; case $$(ls build/wheel) in \
	*-any.whl) cp build/wheel/*.whl dist ;; \
	*) PATH=$(TOOLS):$$PATH auditwheel repair --wheel-dir dist build/wheel/*.whl ;; esac

# The two wheels of ONNX Runtime write into one folder: the other one goes, and takes along what it shares with this one.
# Before it was fovea-serving, this distribution was called fovea: the old one's files would shadow the new one's
.venv/cpu.done .venv/gpu.done: .venv/%.done: $(PACKAGE) $(LOCKS) | .venv/bin/pip
	@if $(BIN)/pip show -q $(other-than-$*) 2>/dev/null; then $(BIN)/pip uninstall -q -y onnxruntime-gpu onnxruntime; fi
	@if $(BIN)/pip show -q fovea 2>/dev/null; then $(BIN)/pip uninstall -q -y fovea; fi
	@echo "Installing Fovea into .venv (nothing else changes; a minute or two, the first time)"
	@$(LOCKED)/build.lock -r requirements/$*.lock --no-deps | $(SHOWN)
	@$(OWN) --no-deps -e . | $(SHOWN)
	@rm -f .venv/cpu.done .venv/gpu.done && touch $@

.venv/dev.done: $(PACKAGE) $(LOCKS) .venv/$(RUNTIME).done
	@echo "Installing PyTorch and what the tests need into .venv (several minutes, the first time)"
	@$(LOCKED)/dev.lock --no-deps | $(SHOWN)
	@$(OWN) '$(TORCH)' | $(SHOWN)
	@touch $@

.venv/peers.done: requirements/peers.lock .venv/dev.done
	@$(LOCKED)/peers.lock --no-deps | $(SHOWN)
	@touch $@

.venv/tools.done: requirements/tools.lock | .venv/bin/pip
	@$(PYTHON) -m venv .venv/tools
	@$(TOOLS)/pip install --progress-bar off --require-hashes -r requirements/tools.lock | $(SHOWN)
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
