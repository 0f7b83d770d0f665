"""The reader guesses some letters of the page's line, against the network."""

from __future__ import annotations

from markupsafe import Markup

from lesson.chapters.game import rounds
from lesson.page import render
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.notation import visible


def markup(subject: Subject) -> Markup:
    """A field for the next letter and, without JavaScript, what there was to guess."""
    shown = [
        {**each, "before": "".join(visible(each["before"])), "next": visible(each["next"])}
        for each in rounds(subject)
    ]
    return render(__name__, t=Texts("guessing"), rounds=shown)
