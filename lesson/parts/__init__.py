"""The interactive parts of the page.

A part NAME is `lesson/parts/NAME.py` with a function `markup(subject)` that returns its place in
the page, `lesson/page/NAME.js` and `NAME.css`, and the texts `lesson/texts/LANGUAGE/NAME.toml`. The
template says where it stands, with `{{ part("NAME") }}`. A part that is not named here is left out.
"""

from __future__ import annotations

import importlib

from markupsafe import Markup

from lesson.subject import Subject

# in the order in which their scripts and styles follow base.js; some are only a script
PARTS: tuple[str, ...] = (
    "unrolling",
    "stages",
    "family",
    "growth",
    "heatmap",
    "checks",
    "sliders",
    "takeaway",
    "trace",
    "stepper_view",
    "stepper",
    "predict",
)


def part(name: str, subject: Subject) -> Markup:
    """The place of a part in the page; nothing if it is not among `PARTS`."""
    if name not in PARTS:
        return Markup("")
    made: Markup = importlib.import_module(f"lesson.parts.{name}").markup(subject)
    return made
