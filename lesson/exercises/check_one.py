"""`python -m lesson.exercises.check_one`: check one answer in a process of its own.

For `class_summary`: an answer that never ends, or takes the process with it, takes no other along.
What was found is written to a file, since an answer may print what it likes.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

MEMORY = 4 << 30  # bytes that an answer may take, where the system can say so


def main(words: list[str]) -> None:
    """RESULT EXERCISE ANSWER LANGUAGE CELL [FILE …]: the verdict as JSON in the file RESULT."""
    result, name, answer, language, cell, *files = words
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    from lesson.exercises.collection import collect, find
    from lesson.exercises.tasks import checked
    from tinygrad_lstm.cell_files import find as find_cell

    if cell:
        from lesson.exercises import derive

        exercise = next(e for e in derive.derivations(find_cell(cell)) if e.name == name)
        verdict = checked(exercise, Path(answer), language)
    else:
        verdict = checked(find(collect([Path(f) for f in files]), name)[1], Path(answer), language)
    wrong = [finding.text for finding in verdict.findings if not finding.right]
    found = {"passed": verdict.passed, "wrong": wrong}
    Path(result).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
