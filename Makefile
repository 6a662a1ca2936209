# All there is to do with a checkout. `make demo` and `make test` set everything up by themselves, once.
# Needs Python 3.11 or newer with venv, and a Python package registry (as pip is configured).

# The first that is new enough; python3 when there is none, so that the message names it.
NEW_ENOUGH := import sys; sys.version_info >= (3, 11) or sys.exit(1)
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
    $$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && exit; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
LOCK := requirements/dev.lock
RUN_LOCK := requirements/run.lock

.PHONY: help setup demo test lint bench lock clean
.DELETE_ON_ERROR:

help:
	@echo "make demo   a sample of real speech and one of real video inside 512M"
	@echo "make test   run the tests"
	@echo "make lint   ruff and mypy"
	@echo "make bench  memory and time figures, the quick ones (bench/README.md tells of the others)"
	@echo "make lock   make the locks in requirements/ again from pyproject.toml; UPGRADE=1 takes newer versions"
	@echo "make clean  remove what the above made, but for $(VENV) and the models in your cache"

setup: $(STAMP)

$(STAMP): $(LOCK) pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "setup: there is no $(PYTHON) here. Install Python 3.11 or newer, or name one: make setup PYTHON=python3.12" >&2; \
	  exit 2; }
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' || { \
	  echo "setup: Python 3.11 or newer is needed, and $(PYTHON) is `"$(PYTHON)" -V 2>&1`. Name another: make setup PYTHON=python3.12" >&2; \
	  exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "setup: $(PYTHON) comes without its venv module. On Debian and Ubuntu: apt install python3-venv" >&2; \
	  exit 2; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	$(BIN)/narrowboat demo --memory 512M

# Two at a time, each file in one process: most of the time goes by waiting for processes that the tests start.
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python bench/transcribe.py --quick

# Extras stay in the lock: pip before 24 refuses a hash for google-auth where google-auth[requests] is asked for.
# Made with the oldest Python that is supported: what that one resolves to, the newer ones can install.
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/python -m piptools compile --quiet --generate-hashes --allow-unsafe \
  --no-strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
  --extra speech --extra feeds --extra gemini --extra language --extra openai --extra pdf --extra pose --extra service \
  --extra stores
lock: $(STAMP)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --extra dev --output-file $(LOCK) pyproject.toml
	$(COMPILE) --constraint $(LOCK) --build-deps-for wheel --output-file $(RUN_LOCK) pyproject.toml

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build demo-output
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
