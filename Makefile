# Every target does its own set-up: a fresh machine needs Python 3.11 or newer, and this file.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := setup.cfg pyproject.toml pyqueue/_version.py
PORT ?= 8000
SHOP := example_projects/django_shop
NOTES := example_projects/flask_notes/notes

.DEFAULT_GOAL := help
.PHONY: help install demo example-django example-flask example-fastapi screenshots test test-django soak lint check bench docs clean

help: ## List what can be done here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-15s %s\n", $$1, $$2}'

install: $(VENV)/installed-dev ## Set up .venv with pyqueue and all that tests and checks need

demo: $(VENV)/installed ## Push, work, kill -9, recover, finish: shown as it happens (20 s)
	$(BIN)/python demo/crash_demo.py

example-django: $(VENV)/installed-django ## A shop in Django: http://127.0.0.1:8000 (PORT=...), admin/admin; Ctrl-C ends it
	$(BIN)/python $(SHOP)/manage.py migrate --verbosity 0
	$(BIN)/python $(SHOP)/manage.py loaddata demo --verbosity 0
	$(BIN)/python example_projects/together.py \
	  "$(BIN)/python $(SHOP)/manage.py runserver 127.0.0.1:$(PORT)" \
	  "$(BIN)/python $(SHOP)/manage.py rqworker"

example-flask: $(VENV)/installed-flask ## Notes in Flask: http://127.0.0.1:8000 (PORT=...); Ctrl-C ends it
	$(BIN)/python example_projects/together.py \
	  "$(BIN)/python -m flask --app $(NOTES) run --port $(PORT)" \
	  "$(BIN)/python -m flask --app $(NOTES) pyqueue worker"

example-fastapi: $(VENV)/installed-fastapi,server ## Reports in FastAPI: http://127.0.0.1:8000 (PORT=...); Ctrl-C ends it
	$(BIN)/python -m uvicorn main:app --app-dir example_projects/fastapi_reports --port $(PORT)

test: $(VENV)/installed-dev ## Run all tests (about ten minutes)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

test-django: $(VENV)/installed-dev ## Run the tests of Django on each version of it for which there is a Python here
	$(BIN)/python -m tests.contrib.versions

soak: $(VENV)/installed-dev ## Run the long proofs: hundreds of kills, long random walks
	$(BIN)/python -m pytest -m soak --timeout 3600

lint: $(VENV)/installed-dev ## Format the code and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(VENV)/installed-dev ## Format, lint, types, import direction: what CI checks before the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed-dev ## Measure against raw sqlite3 in the same run; writes bench/RESULTS.md
	$(BIN)/python -m bench --write

docs: $(VENV)/installed-dev ## Run every example in README.md and docs/
	$(BIN)/python -m pytest tests/test_docs.py

screenshots: $(VENV)/installed-dev ## Make the pictures in docs/images anew, in a real browser
	PYQUEUE_SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/browser/test_django_shop.py

clean: ## Remove .venv, caches and build products
	rm -rf $(VENV) .django build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "pyqueue needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/installed: $(VENV)/created $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

comma := ,
# What an example needs besides: installed-django for the extra `django`, installed-fastapi,server for two.
$(VENV)/installed-%: $(VENV)/created $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $(VENV)/installed $@

$(VENV)/installed-dev: $(VENV)/created $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(VENV)/installed $(addprefix $(VENV)/installed-,django flask fastapi$(comma)server) $@
