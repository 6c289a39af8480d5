# make train   environment, retraining on the starter corpus, F1 on its held-out plans, tags of a sample plan
# make test    all that CI runs: checks, tests, the wheel
# make check   ruff and mypy
# make labelstudio-demo   a Label Studio on this machine: label ten plans, train, see F1 move
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pip before 24 trips over lxml's extras.
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: train test check quick clean labelstudio-demo

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=24"
	$(PIP) install --quiet --constraint constraints.txt "torch>=2.4"
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

train: $(VENV)/.installed
	$(BIN)/python -m train run.sample=sample.txt $(ARGS)

test: check
	scripts/labelstudio install
	$(BIN)/python -m pytest -m "" $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

quick: $(VENV)/.installed
	$(BIN)/python -m pytest $(ARGS)

labelstudio-demo: $(VENV)/.installed
	$(BIN)/python scripts/labelstudio_demo.py $(ARGS)

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
