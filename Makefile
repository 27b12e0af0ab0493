PYTHON ?= python3
BIN = .venv/bin
# onnxruntime-gpu where an NVIDIA GPU is present; `make serve RUNTIME=cpu` chooses by hand
RUNTIME ?= $(if $(wildcard /dev/nvidia0 /dev/dxg),gpu,cpu)

.PHONY: serve test check models bench bench-kernels up test-containers clean

serve: .venv/$(RUNTIME).done
	$(BIN)/fovea serve

test: .venv/dev.done
	$(BIN)/pytest

check: .venv/dev.done
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

models: .venv/dev.done
	$(BIN)/fovea export --all

bench: .venv/dev.done
	$(BIN)/python -m tests.benchmarks

bench-kernels: .venv/dev.done
	$(BIN)/python -m tests.benchmarks.kernels

up:
	docker compose up --build

test-containers: .venv/dev.done
	$(BIN)/pytest tests/containers

.venv/%.done: pyproject.toml hatch_build.py $(wildcard protos/*.proto) | .venv/bin/pip
	$(BIN)/pip install -q -e '.[$*$(if $(filter dev,$*),$(comma)cpu$(comma)export)]'
	@touch $@

# Debian keeps venv in a package of its own
.venv/bin/pip:
	$(PYTHON) -m venv .venv || { rm -rf .venv; apt-get update -q && apt-get install -y -q python3-venv && $(PYTHON) -m venv .venv; }

clean:
	rm -rf .venv build dist

comma := ,
