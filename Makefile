# `make demo` and `make test` do everything on a machine that has make and Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin
DEMO := demo
PROCESSES ?= 2
SIDE_BY_SIDE := --numprocesses $(PROCESSES) --dist loadfile

.PHONY: demo test test-deep test-floors lint format docs clean
.DEFAULT_GOAL := test

$(READY): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "ucf_vit needs Python 3.11 or newer, and $(PYTHON) is `$(PYTHON) --version 2>&1`; install one (Debian: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@test -x $(RUN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) has no working venv; install it (Debian and Ubuntu: apt-get install python3-venv)"; exit 1; }
	$(RUN)/python -m pip install --quiet uv
	$(RUN)/uv pip install --quiet --python $(RUN)/python --editable '.[dev]'
	@touch $@

test: $(READY)
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest $(SIDE_BY_SIDE) -m 'not deep'

test-deep: $(READY)
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest $(SIDE_BY_SIDE) -m deep

test-floors: $(READY)
	PROCESSES=$(PROCESSES) .ci/floors

lint: $(READY)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/lint-imports
	$(RUN)/mypy

format: $(READY)
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

docs: $(READY)
	$(RUN)/python utils/write_config_reference.py

demo: $(READY)
	$(RUN)/ucf-vit synth basic_ct $(DEMO)/data --number 10 --size 64 --seed 0
	$(RUN)/ucf-vit train configs/basic_ct/mae/demo.yaml
	$(RUN)/ucf-vit train configs/basic_ct/unetr/demo.yaml
	$(RUN)/ucf-vit evaluate configs/basic_ct/unetr/demo.yaml --threshold

clean:
	rm -rf $(DEMO) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
