"""A cell of the reader's own: the file and the commands."""

from __future__ import annotations

import inspect

from lesson.chapters import Content
from lesson.subject import Subject
from tinygrad_lstm.cells import gru

ORDER = 250
APPENDIX = True


def content(subject: Subject) -> Content:
    """A listing to start from."""
    return Content(more={"listing": inspect.getsource(gru.step).rstrip()})
