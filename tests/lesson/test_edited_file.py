"""The file that is edited: kept, begun, run apart; what is wrong in it is told at its line."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from edited_files import FORKS, GOOD, processes

from lesson import editing, languages
from lesson.commands import main
from lesson.editing import cell_file
from lesson.editing.cell_file import CellFile, Changed
from lesson.editing.child import Order
from lesson.editing.errors import in_words, place
from lesson.editing.first_listing import begin, listing
from lesson.editing.runs import Run
from tinygrad_lstm import cell_files, cells
from tinygrad_lstm.errors import CellError, TinygradError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "own.py"
    found.write_text(GOOD, encoding="utf-8")
    return found


class TestTheFile:
    """It is written whole, as it was, and only over what was seen."""

    @pytest.mark.parametrize(
        "before", [b"a = 1\r\nb = 2\r\n", b"\xef\xbb\xbfa = 1\nb = 2\n", "a = 'ñ'\nb = 2".encode()]
    )
    def test_marks_and_ends_of_lines_are_kept(self, path: Path, before: bytes) -> None:
        path.write_bytes(before)
        file = CellFile(path)
        held = file.read()
        assert "\r" not in held.text and "\ufeff" not in held.text
        after = file.write(held.text.replace("2", "34"), held.version)
        assert path.read_bytes() == before.replace(b"2", b"34")
        assert after.text == held.text.replace("2", "34") and after == file.read()

    def test_what_was_not_seen_is_not_written_over(self, path: Path) -> None:
        file = CellFile(path)
        seen = file.read().version
        path.write_text("other = 1\n", encoding="utf-8")
        for version in (seen, "", "0" * 64):
            with pytest.raises(Changed):
                file.write("mine = 1\n", version)
        assert path.read_text(encoding="utf-8") == "other = 1\n"
        file.write("mine = 1\n", None)
        assert path.read_text(encoding="utf-8") == "mine = 1\n"
        path.unlink()
        with pytest.raises(Changed):
            file.write("again = 1\n", seen)
        assert file.read().problem == "deleted" and not path.exists()
        file.write("again = 1\n", "")
        assert path.read_text(encoding="utf-8") == "again = 1\n"
        assert list(path.parent.iterdir()) == [path]

    @pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
    def test_its_mode_and_a_link_stay(self, path: Path) -> None:
        path.chmod(0o640)
        link = path.with_name("link.py")
        link.symlink_to(path)
        file = CellFile(link)
        file.write("a = 1\n", file.read().version)
        assert link.is_symlink() and path.read_text(encoding="utf-8") == "a = 1\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_what_is_no_text_to_edit(self, path: Path) -> None:
        file = CellFile(path)
        for content, problem in ((b"\xff\xfe", "not_text"), (b"#" * 2**19, "too_large")):
            path.write_bytes(content)
            assert file.read().problem == problem
        path.write_text("a = 1\n", encoding="utf-8")
        with pytest.raises(OSError, match="too_large"):
            file.write("#" * (cell_file.LARGEST + 1), None)
        assert path.read_text(encoding="utf-8") == "a = 1\n"

    def test_files_of_the_package_are_not_edited(self, tmp_path: Path) -> None:
        link = tmp_path / "mine.py"
        link.symlink_to(Path(str(cells.__file__)).parent / "gated.py")
        for inside in (Path(str(cells.__file__)), Path(str(editing.__file__)), link):
            with pytest.raises(CellError, match=r"belongs to (tinygrad_lstm|lesson)"):
                CellFile(inside)
        assert main(["lesson", "--edit", "--no-open", "--cell", f"{link}:lstm"]) == 2


class TestTheFirstListing:
    """A built-in cell is copied, once."""

    @pytest.mark.parametrize("name", list(cells.all()))
    def test_it_is_the_cell(self, tmp_path: Path, name: str) -> None:
        own, path = cells.all()[name], tmp_path / "copy.py"
        path.write_text(listing(own), encoding="utf-8")
        copied = cell_files.load(path)[name]
        program, other = own.program(), copied.program()
        assert [*program.equations] == [*other.equations]
        assert [program.text(n) for n in program.equations] == [
            other.text(n) for n in other.equations
        ]
        assert (copied.state, copied.parameters, copied.start) == (
            own.state,
            own.parameters,
            own.start,
        )

    def test_a_file_that_is_there_is_kept(self, tmp_path: Path) -> None:
        path, written = begin(cells.lstm, tmp_path)
        assert written and path.name == "lstm.py" and "now.f = sigmoid" in path.read_text("utf-8")
        path.write_text("mine", encoding="utf-8")
        assert begin(cells.lstm, tmp_path) == (path, False)
        assert path.read_text(encoding="utf-8") == "mine"


def told_of(text: str, path: Path, **limits: float) -> list[dict[str, Any]]:
    path.write_text(text, encoding="utf-8")
    found: list[dict[str, Any]] = []
    Run(Order(path, text, "", **limits), found.append, processes()).join()
    return found


@pytest.mark.skipif(not FORKS, reason="each process would take seconds to start")
class TestRuns:
    """Whatever a file does, it is told, and the one who started it goes on."""

    @pytest.mark.parametrize(
        ("line", "ended"),
        [
            ("    while True: pass", "endless"),
            ("    import time; time.sleep(60)", "endless"),
            ("    import os; os.abort()", "crashed"),
        ],
    )
    def test_an_end_without_a_word_is_told_at_its_line(
        self, path: Path, line: str, ended: str
    ) -> None:
        text = GOOD.replace("    hx =", f"{line}\n    hx =")
        assert told_of(text, path, file_seconds=1.5) == [{"ended": ended, "line": 7}]

    def test_what_it_starts_ends_with_it(self, path: Path, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        text = (
            "import os, time\nif os.fork() == 0:\n    time.sleep(4)\n"
            f"    open({str(mark)!r}, 'w').close()\n    os._exit(0)\nwhile True: pass\n"
        )
        assert told_of(text, path, file_seconds=1.0) == [{"ended": "endless", "line": 6}]
        time.sleep(4)
        assert not mark.exists()

    @pytest.mark.parametrize(
        ("text", "line", "word"),
        [
            ("exit()\n", 1, "SystemExit"),
            ("def f(): f()\nf()\n", 1, "RecursionError"),
            ("x = [0] * 10**12\n", 1, "MemoryError"),
            ("import os\n", None, "no cells"),
            ("raise KeyboardInterrupt\n", 1, "KeyboardInterrupt"),
        ],
    )
    def test_what_ends_a_file_is_an_error_of_it(
        self, path: Path, text: str, line: int | None, word: str
    ) -> None:
        told = told_of(text, path)
        assert told[0]["error"]["line"] == line and word in told[0]["error"]["words"]["en"]
        assert told[-1] == {"done": True}

    def test_nothing_is_told_after_it_was_stopped(self, path: Path) -> None:
        found: list[Any] = []
        run = Run(Order(path, GOOD, ""), found.append, processes())
        run.stop()
        run.join()
        assert found == []


MISTAKES = [  # what stands there instead of what, at which line, and a word of it in any language
    ("prev.h + (1", "prev.g + (1", 10, "prev.g"),
    ("p.W_n @ hx)", "p.W_n @ hx", 9, "("),
    ("now.n = tanh", "now.k = tanh", 9, "k"),
    ("now.h = now", "now.y = now", 5, "now.h"),
    ("tanh(p.W_n", "tanhh(p.W_n", 9, "tanhh"),
    ("p.W_n @ hx", "p.W_n @ x", 9, "(3, 7)"),
    ('"b_k": "hidden"', '"h": "hidden"', 4, "h"),
    ("now.h = now.k * prev.h + (1 - now.k) * now.n", "now.h = concat(now.k, now.n)", 10, "(6,)"),
    ("    now.n", "      now.n", 9, ""),
    ("x, p):", "x, p)", 5, ":"),
    ("cell, concat", "cell, concatt", 1, "concatt"),
    ('state="h"', 'state="h", loss="q"', 5, "q"),
]


@pytest.mark.parametrize(("old", "new", "line", "word"), MISTAKES, ids=[m[1] for m in MISTAKES])
def test_a_mistake_is_told_at_its_line_in_three_languages(
    path: Path, old: str, new: str, line: int, word: str
) -> None:
    text = GOOD.replace(old, new)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TinygradError) as caught:
        for found in cell_files.load(path).values():
            found.program()
    words = in_words(caught.value)
    assert place(caught.value, path, text) == line
    assert set(words) == set(languages.languages())
    for tag, told in words.items():
        assert word in told and str(path) not in told, tag
        assert (tag == "en") == (told == words["en"]), f"{tag} is not translated: {told}"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cell", "missing/own.py:a"], "there is no folder missing"),
        (["--cell", "own.txt:a"], "is not a Python file"),
        (["--cell", "nonsense"], "there is no cell 'nonsense'"),
        (["--cell", ".:a"], "is not a Python file"),
        (["--watch"], "leave --watch out"),
    ],
)
def test_the_command_says_what_it_cannot_edit(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["lesson", "--edit", "--no-open", *words]) == 2
    assert told in capsys.readouterr().err
    assert os.listdir(tmp_path) == []
