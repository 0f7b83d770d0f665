"""Which converter of `weights` reads arrays as the search did, found by calling it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.readings import Array
from tinygrad_lstm.diagnosis.weight_search import Hit
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.parameters import under
from tinygrad_lstm.weights.gates import LAYOUTS
from tinygrad_lstm.weights.keras import from_keras
from tinygrad_lstm.weights.onnx import from_onnx
from tinygrad_lstm.weights.pytorch import from_pytorch

# Orders of blocks that are met where no converter is needed, by the letters of the tables.
ORDERS = {
    "fiCo": "OpenVINO (FICO)",
    "iCof": "OpenVINO (ICOF)",
    "iCfo": "TensorFlow's BasicLSTMCell (i, j, f, o)",
    "ifoC": "char-rnn, OpenVINO (IFOC)",
    "iofC": "OpenVINO (IOFC), WebNN (iofg)",
    "ifCo": "OpenVINO (IFCO), WebNN (ifgo)",
    "zrn": "WebNN (zrn)",
    "rzn": "WebNN (rzn)",
}


def known_orders(hit: Hit) -> list[str]:
    """Who stores the gates in this order."""
    order = "".join(hit.order)
    names = {"pytorch": "PyTorch", "keras": "Keras", "onnx": "ONNX"}
    found = [
        names[framework]
        for framework, layouts in LAYOUTS.items()
        if hit.cell.cell in layouts and layouts[hit.cell.cell].order == order
    ]
    return found + [ORDERS[order]] if order in ORDERS else found


def converter(hit: Hit, weights: Mapping[str, Array]) -> tuple[str, Any, Any] | None:
    """The call that converts these arrays, as text, with its network and parameters.

    None where no converter gives the parameters that were found.
    """
    if hit.rewrite is not None or hit.direction == "go_backwards":
        return None
    found = hit.parameters()
    for text, call in _calls(hit, weights):
        try:
            network, parameters = call()
        except TinygradError:
            continue
        side = next((s for s in ("backward.", "1.") if f"{s}{next(iter(found))}" in parameters), "")
        own = under(side, parameters) if side else parameters
        if set(own) == set(found) and all(
            np.allclose(own[n].data, found[n], rtol=1e-6, atol=1e-9) for n in found
        ):
            return text, network, parameters
    return None


def _item(name: str) -> str:
    """An array of those that were given: of a list by its place."""
    return f"w[{name}]" if name.isdigit() else f"w[{name!r}]"


def _calls(hit: Hit, weights: Mapping[str, Array]) -> Iterator[tuple[str, Any]]:
    """The calls that the readings allow."""
    names = hit.pools.names
    if len(names["x"]) != 1 or len(names["h"]) != 1 or names["x"] == names["h"]:
        return
    if any(r.by_unit for r in hit.pools.readings):
        return
    W, R = names["x"][0], names["h"][0]
    biases = list(dict.fromkeys([*names["b"], *names["r"]]))
    cell = hit.cell.cell
    forward = hit.direction == "forward"
    if cell in LAYOUTS["pytorch"] and forward and len(biases) in (0, 2):
        roles = {"weight_ih": W, "weight_hh": R}
        roles |= dict(zip(("bias_ih", "bias_hh"), biases, strict=False))
        text = ", ".join(f'"{role}": {_item(name)}' for role, name in roles.items())
        given = {role: weights[name] for role, name in roles.items()}
        yield f"weights.from_pytorch({{{text}}})", lambda: from_pytorch(given)
    if cell in LAYOUTS["keras"] and forward and len(biases) < 2:
        layout = LAYOUTS["keras"][cell]
        config = {"class_name": layout.kind, "config": dict(layout.options)}
        several = [W, R, *biases]
        text = ", ".join(f"{_item(name)}" for name in several)
        layer = repr(config) if layout.options else repr(layout.kind)
        arrays = [weights[name] for name in several]
        yield f"weights.from_keras({layer}, [{text}])", lambda: from_keras(config, arrays)
    if cell in LAYOUTS["onnx"] and len(biases) < 2:
        yield from _onnx(hit, weights, W, R, biases)


def _onnx(
    hit: Hit, weights: Mapping[str, Array], W: str, R: str, biases: list[str]
) -> Iterator[tuple[str, Any]]:
    layout = LAYOUTS["onnx"][hit.cell.cell]
    attributes = {n: v for n, v in layout.options.items() if v}
    if hit.direction == "reverse":
        attributes["direction"] = "reverse"
    roles = {"W": W, "R": R}
    roles |= {"B": biases[0]} if biases else {}
    roles |= {"P": hit.pools.names["p"][0]} if hit.pools.names["p"] else {}
    given, text = {}, []
    for role, name in roles.items():
        array = weights[name]
        axes = 2 + (role in "WR")
        given[role] = array if array.ndim == axes else array[None]
        text.append(f"{role}={_item(name)}" + "[None]" * (array.ndim != axes))
    called = f"weights.from_onnx({layout.kind!r}, {attributes!r}, {', '.join(text)})"
    yield called, lambda: from_onnx(layout.kind, attributes, **given)
