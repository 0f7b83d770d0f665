"""Hypothesis draws the same cases everywhere: no deadline, no database, nothing left behind."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import configuration, settings

from tinygrad_lstm.tensor import TABLE, Operation

settings.register_profile(
    "tests",
    derandomize=True,
    print_blob=True,
    deadline=None,
    database=None,
    max_examples=25,
)
settings.load_profile("tests")
configuration.set_hypothesis_home_dir(tempfile.mkdtemp(prefix="hypothesis-"))

pytest_plugins = ["pytester"]


@pytest.fixture
def table() -> Iterator[dict[str, Operation]]:
    """The table of operations, of which a test may change rows: they are put back."""
    before = dict(TABLE)
    yield TABLE
    TABLE.clear()
    TABLE.update(before)


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The lesson on the LSTM and on another cell, for a browser: built once for all processes."""
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("no Chromium on this machine")
    from lesson_pages import written

    base = tmp_path_factory.getbasetemp()
    return written(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
