"""Networks with loops, and unrolling."""

from __future__ import annotations

import viz
from lesson.chapters import Content
from lesson.subject import Subject
from tinygrad_lstm.cells import rnn

ORDER = 10


def content(subject: Subject) -> Content:
    """The loop; the unrolled figure is the part `unrolling`."""
    return Content(figures={"rolled": viz.rolled(rnn)})
