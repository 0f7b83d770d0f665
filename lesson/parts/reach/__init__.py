"""Which earlier letters a guess hangs on, for every model: by the size of a derivative.

    |∂z_k(T) / ∂x_t|        z_k(T) the score of the likeliest letter k after letter T, x_t what was
                            read at letter t

Each row is relative to its largest. Without JavaScript it is shown for one letter.
"""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from lesson.numbers import titled
from lesson.page import render
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm import Tensor, unroll
from tinygrad_lstm.learning import CharacterModel
from tinygrad_lstm.notation import visible
from tinygrad_lstm.tensor import Array


def markup(subject: Subject) -> Markup:
    """A row of letters for every model, and the texts of the script."""
    text = subject.opening
    at = max(1, text.rfind(" ", 0, len(text) - 1))
    rows = []
    for name, trained in subject.models.items():
        guess, sizes = hangs_on(trained.model, text, at)
        shares = np.rint(100 * sizes / (sizes.max() or 1.0)).astype(int)
        rows.append({"name": name, "title": titled(name), "guess": guess, "shares": shares})
    t = Texts("reach", {"at": str(at + 1), "letter": visible(text[at])})
    facts = {"text": text, "at": at}
    return render(__name__, t=t, rows=rows, letters=list(visible(text)), reach=facts)


def hangs_on(model: CharacterModel, text: str, at: int) -> tuple[str, Array]:
    """The likeliest letter after letter `at`, and the size of its score's derivative in each."""
    ids = model.vocabulary.encode(text[: at + 1])
    rows = model.parameters.get("input.E", np.eye(len(model.vocabulary), dtype=model.dtype))
    x = Tensor(rows[ids], "x")
    own = {name: model.parameters[name] for name in model.cell.parameters}
    run = unroll(model.cell, own, x)
    z = model.logits(run)[len(ids) - 1]
    best = int(np.argmax(z.data))
    z[best].backward()
    sizes = np.zeros(len(text))
    if x.grad is not None:
        sizes[: at + 1] = np.linalg.norm(x.grad.data.astype(float), axis=1)
    return visible(model.vocabulary.symbols[best]), sizes
