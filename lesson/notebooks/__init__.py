"""Four notebooks, stored with what their cells show; the fourth in three languages.

The .ipynb files are their own source: change them in Jupyter or VS Code, then `make notebooks`
runs each from the top in a fresh kernel and writes it back in one fixed form. A test runs them the
same way and compares the text of every output with what is stored.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SECONDS = 120  # for one cell


def paths() -> list[Path]:
    """The notebooks, in the order in which they are read."""
    return sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path) -> Any:
    """The notebook at `path` as a fresh kernel leaves it, an nbformat node.

    Raises nbclient.exceptions.CellExecutionError where a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=40"],  # errors only
        resources={"metadata": {"path": str(path.parent)}},
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
