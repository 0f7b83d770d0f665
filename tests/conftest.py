"""Hypothesis draws the same cases everywhere: no deadline, no database, nothing left behind."""

import tempfile
from collections.abc import Iterator

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
