"""The exercise on shapes: mend a cell whose shapes do not fit, and predict shapes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lesson.exercises.cells_to_write import LSTM
from lesson.exercises.comparisons import same_cell
from lesson.exercises.tasks import Answer, make_exercise
from lesson.exercises.words import Words, say
from tinygrad_lstm import cells
from tinygrad_lstm.running import unroll

# what is exchanged in the listing, and by what
FAULTS: Mapping[str, tuple[str, str]] = {
    "W_o": (
        '"W_f W_i W_C W_o": "hidden, hidden + inputs",',
        '"W_f W_i W_C": "hidden, hidden + inputs",\n        "W_o": "hidden, inputs",',
    ),
    "b_f": ('"b_f b_i b_C b_o": "hidden",', '"b_i b_C b_o": "hidden",\n        "b_f": "inputs",'),
    "hx": ("hx = concat(prev.h, x)", "hx = concat(prev.h, prev.C)"),
    "W_i": ("matvec(p.W_i, hx)", "matvec(hx, p.W_i)"),
    "C": ("now.C = now.f * prev.C + now.i * now.C_tilde", "now.C = now.f * prev.C + now.i * hx"),
}
_QUESTIONS = ("W_f", "b_f", "hx", 'run["C"]', 'run.final["h"]')


def _drawn(seed: int) -> tuple[list[str], dict[str, int]]:
    """Two faults, and the sizes that are asked about: all different."""
    random = np.random.default_rng(seed)
    faults = [str(name) for name in random.choice(list(FAULTS), 2, replace=False)]
    numbers = random.permutation(np.arange(2, 9))[:4]
    names = ("inputs", "hidden", "time", "batch")
    return faults, dict(zip(names, map(int, numbers), strict=True))


def _start(seed: int) -> str:
    faults, _ = _drawn(seed)
    listing = LSTM.replace("NAME", "lstm")
    for name in faults:
        listing = listing.replace(*FAULTS[name])
    asked = "".join(f"    {name!r}: ...,\n" for name in _QUESTIONS)
    return (
        f"{listing}\n\n# {{{{sizes}}}}\n# {{{{as_tuples}}}}\n"
        f"shapes = {{\n{asked}}}\n\n# {{{{count}}}}\nnumbers = ...\n"
    )


def _measured(sizes: Mapping[str, int]) -> tuple[dict[str, tuple[int, ...]], int]:
    p = cells.lstm.init(inputs=sizes["inputs"], hidden=sizes["hidden"])
    run = unroll(cells.lstm, p, np.zeros((sizes["time"], sizes["batch"], sizes["inputs"])))
    hx = (*run.initial["h"].shape[:-1], p["W_f"].shape[-1])
    found = (p["W_f"].shape, p["b_f"].shape, hx, run["C"].shape, run.final["h"].shape)
    count = sum(p[name].numpy().size for name in p)
    return dict(zip(_QUESTIONS, found, strict=True)), count


def _facts(seed: int) -> Mapping[str, Words]:
    faults, sizes = _drawn(seed)
    measured, count = _measured(sizes)
    columns = sizes["hidden"] + sizes["inputs"]
    return {
        **{name: str(n) for name, n in sizes.items()},
        "columns": str(columns),
        "sizes": {x: say(shapes.words["sizes"], x, **sizes) for x in shapes.languages},
        "first": FAULTS[faults[0]][0],
        "second": FAULTS[faults[1]][0],
        "shapes": "\n".join(f"    {name}: {shape}" for name, shape in measured.items()),
        "total": str(count),
    }


@make_exercise(2, "shapes", _start, _facts)
def shapes(answer: Answer) -> None:
    """Shapes are told, and a cell is mended whose shapes do not fit."""
    _, sizes = _drawn(answer.seed)
    own = answer.cell("lstm")
    wanted, count = _measured(sizes)
    given = answer.value("shapes")
    if not isinstance(given, dict) or set(given) != set(wanted):
        answer.stop(answer.says["not_all"], names=", ".join(wanted))
    for name, shape in wanted.items():
        found = tuple(given[name]) if isinstance(given[name], tuple | list) else given[name]
        if found == shape:
            answer.right(answer.says["is_shape"], name=name, shape=shape)
            continue
        key = "not_shape"
        if isinstance(found, tuple) and len(found) == len(shape) and sorted(found) == sorted(shape):
            key = "turned"
        elif isinstance(found, tuple) and len(found) == len(shape) - 1:
            key = "axis_lost"
        elif not isinstance(found, tuple):
            key = "no_tuple"
        answer.wrong(answer.says[key], name=name, found=repr(found), axes=len(shape))
    found = answer.number("numbers")
    if found == count:
        answer.right(answer.says["is_count"], count=count)
    else:
        matrix = sizes["hidden"] * (sizes["hidden"] + sizes["inputs"])
        key = {4 * matrix: "no_biases", count / 4: "one_gate"}.get(found, "not_count")
        answer.wrong(answer.says[key], found=f"{found:g}")
    same_cell(answer, own, cells.lstm)
