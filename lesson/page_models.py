"""Models as the page carries them: weights of a byte each, and compiled plans as JavaScript.

    w_kj ≈ s_k q_kj        q a whole number from -127 to 127, s_k = max_j |w_kj| / 127

A row of a matrix has one scale s, a vector one in all. `rounded` gives the model that these numbers
make, in Python; every number on the page is measured on it, so the page computes what it tells.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_lstm import compiled
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.learning import CharacterModel
from tinygrad_lstm.learning.readouts import Readout
from tinygrad_lstm.tensor import Array

LEVELS = 127


def whole(values: Array) -> tuple[Array, Array]:
    """Whole numbers and scales (rows,) of a parameter's rows; a vector is one row."""
    rows = values.reshape(values.shape[0], -1) if values.ndim > 1 else values.reshape(1, -1)
    largest = np.max(np.abs(rows), axis=1, initial=0.0)
    scales = (np.where(largest > 0, largest, 1.0) / LEVELS).astype(np.float32)
    return np.rint(rows / scales[:, None]).clip(-LEVELS, LEVELS).astype(np.int8), scales


def rounded(model: CharacterModel) -> CharacterModel:
    """The model whose weights are those that the page carries."""
    sizes = {n: k for n, k in model.sizes.items() if n != "inputs" or model.input == "embedding"}
    made = CharacterModel(
        model.cell,
        model.vocabulary,
        input=model.input,
        further=model.further,
        start=model.start,
        dtype=model.dtype,
        **sizes,
    )
    kept = {}
    for name, value in model.parameters.items():
        q, scales = whole(value)
        product = q.astype(np.float32) * scales[:, None]
        kept[name] = product.reshape(value.shape).astype(value.dtype)
    made.parameters = made.parameters.fit(kept)  # type: ignore[attr-defined]
    return made


def described(model: CharacterModel) -> dict[str, Any]:
    """A model for `network.js`: its symbols, and its weights as base64."""
    weights = {}
    for name, value in model.parameters.items():
        q, scales = whole(value)
        weights[name] = {
            "shape": list(value.shape),
            "scales": base64.b64encode(scales.astype("<f4").tobytes()).decode(),
            "data": base64.b64encode(q.tobytes()).decode(),
        }
    return {
        "script": script_name(model.cell.name),
        "symbols": model.vocabulary.symbols,
        "input": model.input,
        "output": model.cell.output,
        "states": list(model.cell.state),
        "weights": weights,
    }


def script_name(cell: str, use: str = "read") -> str:
    """What a plan is called in the page."""
    return f"{cell} {use}"


def script(model: Readout, sizes: Mapping[str, int], use: str = "read") -> str:
    """The step of a model with read-out and loss as JavaScript; "" if it cannot be printed.

    It is what `compiled(cell).source("js")` prints, without the remarks.
    """
    try:
        step = model.step(**sizes)
        code = compiled(step).source("js", **sizes)
    except TinygradError:
        return ""
    named = f"root[{json.dumps(script_name(model.network.name, use))}] = cell;"
    return bare(code.replace(f"root[{json.dumps(step.name)}] = cell;", named))


def bare(code: str) -> str:
    """JavaScript without lines that are remarks, remarks at ends of lines, and indentation."""
    lines = (re.sub(r"\s+// [^\"'`]*$", "", line).strip() for line in code.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))
