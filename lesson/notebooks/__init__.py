"""Four notebooks in three languages, stored with what their cells show.

The English .ipynb files are their own source: change them in Jupyter or VS Code. `NAME.TAG.md`
beside one has its words in another language: the texts of its Markdown cells in order, parted by
lines of `%%`, and after a line `%% code` what the code says, `English => own` a line. `make
notebooks` runs each from the top in a fresh kernel and writes it back in one fixed form, and makes
those of the other languages. A test runs the English ones the same way and compares the text of
every output with what is stored, and the code of the others with the English.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lesson import languages
from tinygrad_lstm.errors import DataError

FOLDER = Path(__file__).parent
SECONDS = 120  # for one cell
_PARTS, _CODE, _IS = "\n%%\n", "\n%% code\n", " => "


def paths(tag: str = languages.DEFAULT) -> list[Path]:
    """The notebooks of a language, in the order in which they are read."""
    every = sorted(FOLDER.glob("*.ipynb"))
    return [path for path in every if (path.stem.partition(".")[2] or languages.DEFAULT) == tag]


def translated(notebook: Any, words: Path) -> Any:
    """An English notebook, an nbformat node, in the language of a file of words.

    words: `NAME.TAG.md`. Raises DataError where it does not fit the notebook.
    """
    import nbformat

    tag = words.stem.rpartition(".")[2]
    texts, _, table = words.read_text(encoding="utf-8").rstrip("\n").partition(_CODE)
    own = texts.split(_PARTS)
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    if len(own) != len(cells):
        raise DataError(
            f"{words.name} has {len(own)} texts, but the notebook has {len(cells)} cells of text.\n"
            f"  Part the texts by lines of %%, one for each cell."
        )
    said = dict(_pair(line, words) for line in table.split("\n") if line)
    made: Any = nbformat.from_dict(notebook)  # type: ignore[no-untyped-call]
    code = "".join(cell.source for cell in made.cells if cell.cell_type == "code")
    if lacking := [english for english in said if english not in code]:
        raise DataError(f"{words.name}: the notebook's code does not say {lacking[0]!r}.")
    said['LANGUAGE = "en"'] = f'LANGUAGE = "{tag}"'
    texts_in_order = iter(own)
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = next(texts_in_order).strip("\n")
        else:
            for english, other in said.items():
                cell.source = cell.source.replace(english, other)
    return made


def _pair(line: str, words: Path) -> tuple[str, str]:
    english, arrow, own = line.partition(_IS)
    if not arrow:
        raise DataError(f"{words.name}: {line!r} is not written `English{_IS}own`.")
    return english, own


def store(names: Sequence[str] = ()) -> None:
    """Run the notebooks again, or those whose names begin so, in every language."""
    import nbformat

    for path in paths():
        if names and not path.name.startswith(tuple(names)):
            continue
        book: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        for words in (None, *sorted(FOLDER.glob(f"{path.stem}.*.md"))):
            other = path if words is None else words.with_suffix(".ipynb")
            print(other.name, flush=True)
            own = book if words is None else translated(book, words)
            other.write_text(text(executed(own)), encoding="utf-8")


def executed(notebook: Any) -> Any:
    """A notebook, an nbformat node or a path, as a fresh kernel leaves it.

    Raises nbclient.exceptions.CellExecutionError where a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    folder = FOLDER
    if isinstance(notebook, Path):
        folder = notebook.parent
        notebook = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=40"],  # errors only
        resources={"metadata": {"path": str(folder)}},
    )
    # as the command line does, so that numbers are the same on every machine
    client.execute(env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    for cell in notebook.cells:
        if "outputs" in cell:  # on stderr stands what this machine lacks, such as a compiler
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return notebook


def text(notebook: Any) -> str:
    """A notebook as it is stored: nothing of the machine, and pictures as PNG alone.

    Viewers prefer SVG to PNG; GitHub's then cleans the style sheet out of it.
    """
    import nbformat

    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"file_extension": ".py", "name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                output.data.pop("image/svg+xml", None)
    stored: str = nbformat.writes(nbformat.from_dict(notebook))  # type: ignore[no-untyped-call]
    return stored.rstrip() + "\n"
