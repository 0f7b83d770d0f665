"""What came of it: attention, later networks, and where to go on."""

from __future__ import annotations

from lesson.chapters import Content
from lesson.exercises import collection
from lesson.formulas import forward
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.cells import lstm

ORDER = 120

LOOKS = ("000171010", "010020797", "797020000")  # weights of nine parts of a picture, in tenths


def content(subject: Subject) -> Content:
    """The six lines once more, and a picture that is captioned part by part."""
    words = Texts("page").plain("next.caption_words")
    split = {tag: text.split("|") for tag, text in words.items()}
    looks = [
        {"weights": [int(w) for w in weights], "words": {tag: s[k] for tag, s in split.items()}}
        for k, weights in enumerate(LOOKS)
    ]
    facts = {"exercises": str(len(collection.built_in()))}
    return Content(facts, more={"looks": looks, "six": forward(lstm)})
