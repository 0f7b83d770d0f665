"""What the documents say is so: examples run, links lead somewhere, nothing is left out."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import equations
import tinygrad_lstm
import viz
from tinygrad_lstm import composites, learning, searching, weights

ROOT = Path(tinygrad_lstm.__file__).parents[1]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
BLOCK = re.compile(r"```python\n(.*?)```", re.S)
OWN = re.compile(r"# (\w+\.py)\n")


def blocks(document: Path) -> list[str]:
    return BLOCK.findall(document.read_text(encoding="utf-8"))


@pytest.mark.timeout(480)
@pytest.mark.parametrize("document", GUIDES, ids=lambda file: file.stem)
def test_the_examples_of_a_guide_run(document: Path, tmp_path: Path) -> None:
    for guide in GUIDES:  # a file of one guide is used by another
        for block in blocks(guide):
            if named := OWN.match(block):
                (tmp_path / named[1]).write_text(block, encoding="utf-8")
    found = blocks(document)
    assert found
    for block in found:
        if (named := OWN.match(block)) and named[1].startswith("test_"):
            words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", named[1]]
        else:
            words = ["-W", "error", "-c", block]
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=400,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_is_in_the_reference() -> None:
    pages = (ROOT / "docs" / "reference").glob("*.md")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    listed = set(re.findall(r"^\.\. auto\w+:: (\S+)$", text, re.M))
    of_ops = {*vars(tinygrad_lstm.ops)["__all__"], *vars(composites)["__all__"]}  # one listing each
    public = {
        *(f"tinygrad_lstm.{name}" for name in set(tinygrad_lstm.__all__) - of_ops - {"weights"}),
        *(f"tinygrad_lstm.learning.{name}" for name in learning.__all__),
        *(f"tinygrad_lstm.searching.{name}" for name in searching.__all__),
        *(f"tinygrad_lstm.weights.{name}" for name in weights.__all__),
        *(f"equations.{name}" for name in equations.__all__),
        *(f"viz.{name}" for name in viz.__all__),
    }
    assert public <= listed
    for name in listed:  # and nothing that is gone
        module, _, attribute = name.rpartition(".")
        __import__(module)
        assert hasattr(sys.modules[module], attribute) or __import__(name), name


def test_every_document_is_in_the_contents() -> None:
    contents = (ROOT / "docs" / "contents.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        if not name.startswith(("gallery/", "generated/")) and name not in ("contents", "index"):
            assert re.search(rf"^{name}$", contents, re.M), name


def test_the_formatter_is_the_same_everywhere() -> None:
    (pin,) = re.findall(r"^ruff(==\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"ruff(==[^\"]+)", hooks)) == {pin}


def test_a_note_on_a_change_is_of_a_known_kind() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    kinds = {kind["directory"] for kind in settings["towncrier"]["type"]}
    for note in (ROOT / "changes").glob("*.md"):
        assert note.stem == "README" or note.stem.split(".")[-1] in kinds, note
