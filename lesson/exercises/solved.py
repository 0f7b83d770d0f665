"""What a student has done so far: a small file in the folder of the answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lesson.exercises.tasks import ExerciseError
from tinygrad_lstm.atomic import replace_whole

FILE = ".tinygrad-lstm-exercises.json"


@dataclass
class Solved:
    """The names of the exercises solved, how many hints of each were read, how often tried."""

    folder: Path
    passed: set[str]
    hints: dict[str, int]
    tries: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Solved:
        """The progress kept in a folder; nothing done where there is no file."""
        path = folder / FILE
        try:
            found: Any = json.loads(path.read_text(encoding="utf-8"))
            passed, hints = set(found["passed"]), dict(found["hints"])
            tries = dict(found.get("tries", {}))
            if not all(isinstance(n, int) for n in (*hints.values(), *tries.values())):
                raise ValueError("counts are whole numbers")
        except FileNotFoundError:
            return cls(folder, set(), {})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ExerciseError(
                f"{path} cannot be read ({error}).\n"
                f"  It only holds which exercises are done: delete it to begin counting anew."
            ) from error
        return cls(folder, passed, hints, tries)

    def forget(self, name: str) -> bool:
        """Count an exercise's hints and tries anew; whether there were any."""
        known = [count.pop(name, None) for count in (self.hints, self.tries)]
        return any(count is not None for count in known)

    def write(self) -> None:
        """Keep it; the file is replaced whole."""
        path = self.folder / FILE
        kept = {"passed": sorted(self.passed), "hints": self.hints, "tries": self.tries}
        try:
            with replace_whole(path) as file:
                file.write(json.dumps(kept, indent=1).encode() + b"\n")
        except OSError as error:
            raise ExerciseError(
                f"{path} cannot be written: {error.strerror or error}.\n"
                f"  Work in a folder that can be written."
            ) from error
