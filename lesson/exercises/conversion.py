"""The exercise on weights: those of another library's LSTM become those of the cell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lesson.exercises.comparisons import alike
from lesson.exercises.tasks import Answer, make_exercise
from lesson.exercises.words import SAYS
from tinygrad_lstm import cells, unroll
from tinygrad_lstm.tensor import Array

INPUTS, HIDDEN, TIME = 2, 3, 5
_GATES = ("i", "f", "C", "o")  # the order of the rows of PyTorch's matrices


def foreign(seed: int) -> dict[str, Array]:
    """Weights in PyTorch's layout: (4 hidden, inputs), (4 hidden, hidden), and two biases."""
    random = np.random.default_rng(seed)
    shapes = {
        "weight_ih": (4 * HIDDEN, INPUTS),
        "weight_hh": (4 * HIDDEN, HIDDEN),
        "bias_ih": (4 * HIDDEN,),
        "bias_hh": (4 * HIDDEN,),
    }
    return {name: random.normal(0.0, 0.8, shape) for name, shape in shapes.items()}


def output(p: Mapping[str, Array], xs: Array) -> Array:
    """h at every step of an LSTM in that layout: written as the documentation of it reads."""
    h, c, found = np.zeros(HIDDEN), np.zeros(HIDDEN), []
    for x in xs:
        z = p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ h + p["bias_hh"]
        i, f, g, o = np.split(z, 4)
        i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        found.append(h)
    return np.array(found)


def converted(
    p: Mapping[str, Array], order: tuple[str, ...] = _GATES, mistake: str = ""
) -> dict[str, Array]:
    """The cell's parameters, right or with a mistake: h_last, ih_only, hh_only."""
    found = {}
    for k, gate in enumerate(order):
        rows = slice(k * HIDDEN, (k + 1) * HIDDEN)
        wide = [p["weight_hh"][rows], p["weight_ih"][rows]]
        found[f"W_{gate}"] = np.concatenate(wide[::-1] if mistake == "h_last" else wide, axis=1)
        biases = {"ih_only": ("bias_ih",), "hh_only": ("bias_hh",)}
        several = biases.get(mistake, ("bias_ih", "bias_hh"))
        found[f"b_{gate}"] = np.sum([p[name][rows] for name in several], axis=0)
    return found


_WRONG: Mapping[str, tuple[tuple[str, ...], str]] = {
    "h_last": (_GATES, "h_last"),
    "one_bias.ih": (_GATES, "ih_only"),
    "one_bias.hh": (_GATES, "hh_only"),
    "own_order": (("f", "i", "C", "o"), ""),
    "other_order.onnx": (("i", "o", "f", "C"), ""),
    "other_order.last": (("i", "f", "o", "C"), ""),
}


@make_exercise(13, "convert-weights")
def convert_weights(answer: Answer) -> None:
    """The converted cell gives the outputs of the other library's."""
    given = foreign(answer.seed)
    function = answer.callable("convert")
    found = function(*(np.array(v) for v in given.values()))
    right = converted(given)
    if not isinstance(found, Mapping) or set(found) != set(right):
        answer.stop(answer.says["names"], names=", ".join(right))
    arrays = {}
    for name, wanted in right.items():
        array = np.asarray(found[name])
        if array.dtype.kind not in "fi":
            answer.stop(SAYS["not_numbers"], name=f"convert: {name}", value=repr(found[name]))
        if array.shape != wanted.shape:
            key = "turned" if array.shape == wanted.shape[::-1] else "shape"
            answer.stop(answer.says[key], name=name, found=array.shape, wanted=wanted.shape)
        arrays[name] = array.astype(float)
    xs = np.random.default_rng(answer.seed + 1).normal(size=(TIME, INPUTS))
    wanted, own = output(given, xs), unroll(cells.lstm, arrays, xs)["h"].numpy()
    if alike(own, wanted):
        answer.right(answer.says["same"], count=wanted.size)
        return
    for key, (order, mistake) in _WRONG.items():
        other = converted(given, order, mistake)
        if all(alike(arrays[name], other[name]) for name in arrays):
            answer.stop(answer.says[key.partition(".")[0]])
    off = [name for name in right if not alike(arrays[name], right[name])]
    answer.wrong(
        answer.says["differs"],
        names=", ".join(off),
        found=f"{own.flat[-1]:.6g}",
        wanted=f"{wanted.flat[-1]:.6g}",
    )
