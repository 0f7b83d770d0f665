"""The documentation site, built by Sphinx: `make docs` writes it to build/site.

README, CONTRIBUTING, CHANGELOG and the notebooks stay where they are and are read from there.
Formulas become MathML here, so that a page needs no script for them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from equations.markup import math, mathml_row, table
from lesson import commands

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ROOT / "docs" / "generated"
FORMULA = re.compile(
    r"(?:```math\n|\$\$)(.*?)(?:```|\$\$)|(`{3}.*?`{3}|`[^`\n]+`)|\$([^$\n]+)\$", re.S
)

project = "tinygrad-lstm"
extensions = ["sphinx.ext.autodoc", "myst_nb"]
html_theme = "furo"
html_title = "tinygrad-lstm"
html_extra_path = [str(page) for page in [ROOT / "build" / "lesson.html"] if page.exists()]
exclude_patterns = ["pictures", "contents.md"]
default_role = "code"  # docstrings quote `names` once
nitpicky = True
myst_enable_extensions = ["html_image"]
html_static_path = ["site.css", "../lesson/assets/STIXTwoMath-subset.woff2"]
html_css_files = ["site.css"]
nb_execution_mode = "off"  # what the notebooks show is stored in them, and tested
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
nitpick_ignore_regex = [("py:.*", ".*")]  # types in signatures need no page of their own


def _with_mathml(text: str) -> str:
    """Every formula, ```math, $$…$$ or $…$, as MathML; code is left alone."""

    def shown(found: re.Match[str]) -> str:
        display, code, inline = found.groups()
        return code or (_lines(display) if display else math(mathml_row(inline), display=False))

    return FORMULA.sub(shown, text)


def _lines(latex: str) -> str:
    r"""The lines of \\begin{aligned} … \\end{aligned}, aligned at their sign."""
    inside = re.sub(r"\\(begin|end)\{aligned\}", "", latex).strip()
    rows = [line.split("&", 1) for line in inside.split("\\\\\n")]
    return math(table([[mathml_row(side.strip()) for side in row] for row in rows]))


def _moved(text: str, folder: Path, to: Path) -> str:
    """The text of a file in `folder`, its relative links seen from `to`."""

    def link(found: re.Match[str]) -> str:
        path, _, anchor = found[2].partition("#")
        if not path or ":" in path:
            return found[0]
        target = (folder / path).resolve()
        target = {v: k for k, v in _pages().items()}.get(target, target)
        inside = os.path.relpath(target, to) + (f"#{anchor}" if anchor else "")
        return f"{found[1]}{inside}{found[3]}"

    text = re.sub(r"(\]\()([^)\s]+)(\))", link, text)
    return re.sub(r'(src=")([^"]+)(")', link, text)


def _pages() -> dict[Path, Path]:
    """Page of the site -> the file of the project that it shows."""
    notebooks = sorted((ROOT / "lesson" / "notebooks").glob("*.ipynb"))
    return {
        ROOT / "docs" / "index.md": ROOT / "README.md",
        GENERATED / "index.ko.md": ROOT / "README.ko.md",
        GENERATED / "index.zh.md": ROOT / "README.zh.md",
        GENERATED / "contributing.md": ROOT / "CONTRIBUTING.md",
        GENERATED / "changes.md": ROOT / "CHANGELOG.md",
        GENERATED / "notes.md": ROOT / "changes" / "README.md",
    } | {GENERATED / notebook.name: notebook for notebook in notebooks}


def _write_pages(app: Any) -> None:
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    for page, source in _pages().items():
        text = source.read_text(encoding="utf-8")
        if page.suffix == ".md":
            text = _moved(text, source.parent, page.parent)
            if page.stem == "index":
                text += "\n" + (ROOT / "docs" / "contents.md").read_text(encoding="utf-8")
        else:
            notebook = json.loads(text)
            for cell in notebook["cells"]:
                if cell["cell_type"] == "markdown":
                    cell["source"] = _with_mathml("".join(cell["source"]))
            text = json.dumps(notebook)
        page.write_text(text, encoding="utf-8")
    (GENERATED / "commands.md").write_text(_commands(), encoding="utf-8")


def _commands() -> str:
    """Every command's help, as it prints it."""
    pages = ["# The command line\n"]
    for command in commands.summaries():
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
            commands.main([command, "--help"])
        pages.append(f"## {command}\n\n```text\n{shown.getvalue().rstrip()}\n```\n")
    return "\n".join(pages)


def _read(app: Any, name: str, source: list[str]) -> None:
    if not (GENERATED / f"{name}.ipynb").exists() and str(app.env.doc2path(name)).endswith(".md"):
        source[0] = _with_mathml(source[0])


def _as_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A docstring is text, with `names` quoted and code indented; none of it is markup else."""
    if what == "data":  # a type: its own docstring is NumPy's or Python's
        del lines[1:]
    shown: list[str] = []
    for line in lines:
        if line.startswith("    "):
            if not any(kept.startswith("    ") for kept in shown[-2:]):
                shown += ["", ".. code-block:: text", ""]
        else:
            bullet, text = re.fullmatch(r"(\s*(?:[-*] )?)(.*)", line).groups()  # type: ignore[union-attr]
            line = bullet + "".join(
                part if index % 2 else re.sub(r"([*|\\]|_\b)", r"\\\1", part)
                for index, part in enumerate(re.split(r"(`[^`]+`)", text))
            )
            if shown and shown[-1].startswith("    "):
                shown.append("")
        shown.append(line)
    lines[:] = shown


def setup(app: Any) -> None:
    """What Sphinx calls."""
    _write_pages(app)
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _as_rst)
