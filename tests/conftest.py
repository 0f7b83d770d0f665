"""What the tests find is the same on every machine, and they leave nothing behind.

The user's settings, locale, proxies, home and kept compiled code do not reach them; Hypothesis
draws the same cases everywhere, without a deadline and a database.

A table that is marked `sample(n)` is run in every n-th row, along its diagonals: each value of each
parameter is still there. WHOLE=1 in the environment runs all rows, as does naming one.
"""

import itertools
import os
import re
import shutil
import signal
import site
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import configuration, settings
from sampling import WHOLE

from tinygrad_lstm.tensor import TABLE, Operation

ROOM = "TINYGRAD_LSTM_TESTS"  # one passing folder for this run, its workers and their children
FOREIGN = re.compile(
    r"TINYGRAD_LSTM_(CC|DOT|THREADS)|LANG(UAGE)?|LC_.*|COLUMNS|LINES|(?i:\w+_proxy)|XDG_.*|CI|DISPLAY"
    r"|WAYLAND_DISPLAY|BROWSER|NO_COLOR|FORCE_COLOR|MAKE(FLAGS|LEVEL|OVERRIDES)|MFLAGS"
    r"|PYTHON(IOENCODING|COERCECLOCALE|WARNINGS|OPTIMIZE|BREAKPOINT|DONTWRITEBYTECODE)"
)


OURS = ROOM not in os.environ  # not a worker's


def _settle() -> None:
    for name in [name for name in os.environ if FOREIGN.fullmatch(name)]:
        del os.environ[name]
    if OURS:
        os.environ[ROOM] = tempfile.mkdtemp(prefix="tinygrad-lstm-tests-")
    home = Path(os.environ[ROOM], "home")
    home.mkdir(exist_ok=True)
    os.environ["PYTHONUSERBASE"] = site.getuserbase()  # found through the home otherwise
    os.environ |= {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "TINYGRAD_LSTM_CACHE": str(Path(os.environ[ROOM], "compiled")),
        "TINYGRAD_LSTM_CFLAGS": "-O0",  # tests/kernels/test_compiled.py has what users have
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUTF8": "1",  # what children print is read as UTF-8
    }
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts what is to run in
        signal.signal(signal.SIGINT, signal.default_int_handler)  # the background, and its children


_settle()
settings.register_profile(
    "tests", derandomize=True, print_blob=True, deadline=None, database=None, max_examples=25
)
settings.load_profile("tests")
configuration.set_hypothesis_home_dir(os.path.join(os.environ[ROOM], "hypothesis"))

pytest_plugins = ["pytester"]


def pytest_unconfigure() -> None:
    """The first process takes the folder away, after its workers have ended."""
    if OURS:
        shutil.rmtree(os.environ[ROOM], ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """For coverage: the lines that a table of tests reaches are those of its first rows."""
    parser.addoption("--quick", action="store_true", help="of a test's many rows every tenth alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A browser starts slowly, and the first test waits until the lesson is built."""
    rows, seen = Counter[str](), Seen(dict)
    kept, left = list[pytest.Item](), list[pytest.Item]()
    quick = config.getoption("--quick")
    whole = WHOLE or any("[" in word for word in config.args)
    for item in items:
        if item.get_closest_marker("browser") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(600))
        test = item.nodeid.partition("[")[0]
        taken = not rows[test] % 10 if quick else whole or in_sample(item, seen)
        rows[test] += 1
        (kept if taken else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
    items[:] = kept


Seen = defaultdict[tuple[str, str], dict[object, int]]


def in_sample(item: pytest.Item, seen: Seen) -> bool:
    """Whether a row of a table is run; `seen` numbers the values of each parameter."""
    mark, row = item.get_closest_marker("sample"), getattr(item, "callspec", None)
    if not mark or not row:
        return True
    place = 0
    for name, value in row.params.items():
        values = seen[item.nodeid.partition("[")[0], name]
        place += values.setdefault(value if isinstance(value, str) else id(value), len(values))
    return place % int(mark.args[0]) == 0


@pytest.fixture
def table() -> Iterator[dict[str, Operation]]:
    """The table of operations, of which a test may change rows: they are put back."""
    before = dict(TABLE)
    yield TABLE
    TABLE.clear()
    TABLE.update(before)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings go by a clock of the test's own: each look at it takes two milliseconds."""
    ticks = itertools.count()
    ours = SimpleNamespace(perf_counter=lambda: next(ticks) / 500)
    monkeypatch.setattr("tinygrad_lstm.learning.training.time", ours)


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The lesson on the LSTM and on another cell, for a browser: built once for all processes."""
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("no Chromium on this machine")
    from lesson_pages import written

    return written(tmp_path_factory.mktemp("pages"))
