"""Models as the page carries them: weights of a byte each, and compiled plans as JavaScript.

    w_kj ≈ s_k q_kj        q a whole number from -127 to 127, s_k = max_j |w_kj| / 127

A row of a matrix has one scale s, a vector one in all. `rounded` gives the model that these numbers
make, in Python; every number on the page is measured on it, so the page computes what it tells.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

import numpy as np

from tinygrad_lstm import compiled
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.kernels.names import file
from tinygrad_lstm.learning import CharacterModel
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.readouts import Readout
from tinygrad_lstm.tensor import Array

LEVELS = 127
NUMBERS = "const Numbers = Float32Array, F = Math.fround;"  # as every plan begins


def whole(values: Array) -> tuple[Array, Array]:
    """Whole numbers and scales (rows,) of a parameter's rows; a vector is one row."""
    rows = values.reshape(values.shape[0], -1) if values.ndim > 1 else values.reshape(1, -1)
    largest = np.max(np.abs(rows), axis=1, initial=0.0)
    scales = (np.where(largest > 0, largest, 1.0) / LEVELS).astype(np.float32)
    return np.rint(rows / scales[:, None]).clip(-LEVELS, LEVELS).astype(np.int8), scales


def packed(parameters: Mapping[str, Array]) -> dict[str, Any]:
    """Parameters for `network.js`: by name their shape, whole numbers and scales as base64."""
    found = {}
    for name, value in parameters.items():
        q, scales = whole(value)
        found[name] = {
            "shape": list(value.shape),
            "scales": base64.b64encode(scales.astype("<f4").tobytes()).decode(),
            "data": base64.b64encode(q.tobytes()).decode(),
        }
    return found


def unpacked(kept: Mapping[str, Any]) -> dict[str, Array]:
    """The parameters that `packed` keeps, as the page has them, in single precision."""
    found = {}
    for name, one in kept.items():
        q = np.frombuffer(base64.b64decode(one["data"]), np.int8)
        scales = np.frombuffer(base64.b64decode(one["scales"]), "<f4")
        product = q.reshape(len(scales), -1).astype(np.float32) * scales[:, None]
        found[name] = product.reshape(one["shape"])
    return found


def rounded(model: CharacterModel) -> CharacterModel:
    """The model whose weights are those that the page carries."""
    made = copy(model)
    made.parameters = Flat.of(model.parameters).fit(unpacked(packed(model.parameters)))
    return made


def described(model: CharacterModel) -> dict[str, Any]:
    """A model for `network.js`: its symbols, and its weights."""
    return {
        "script": script_name(model.cell.name),
        "symbols": model.vocabulary.symbols,
        "input": model.input,
        "output": model.cell.output,
        "states": list(model.cell.state),
        "weights": packed(model.parameters),
    }


def script_name(cell: str) -> str:
    """What a plan is called in the page."""
    return f"{cell} read"


def plan(model: Readout, sizes: Mapping[str, int]) -> str:
    """The step of a model with read-out and loss as JavaScript; "" if it cannot be printed.

    It is what `compiled(cell).source("js")` prints, under a name of its own.
    """
    try:
        step = model.step(**sizes)
        code: str = compiled(step).source("js", **sizes)
    except TinygradError:
        return ""
    named = f"root[{json.dumps(script_name(model.network.name))}] = cell;"
    return code.replace(f"root[{json.dumps(step.name)}] = cell;", named)


def joined(plans: Iterable[str]) -> str:
    """One script of several plans, in which what they have in common stands once."""
    plans = list(filter(None, plans))
    around = file("cell.js").strip()
    helpers = [block for block in file("functions.js").strip().split("\n\n") if "(" in block]
    shared = [block for block in helpers if any(block in code for code in plans)]
    needs = "CELL, loops, packWeights, unpackGradients, reserve, prepare"
    own = []
    for code in plans:
        for block in shared:
            code = code.replace(block, "", 1)
        code = code.replace(around, f"const cell = makeCell({needs});", 1)
        own.append(code.replace(NUMBERS, "", 1))
    made = f"const makeCell = ({needs}) => {{\n{around}\nreturn cell;\n}};"
    return bare("\n".join(["(() => {", '"use strict";', NUMBERS, *shared, made, *own, "})();"]))


def bare(code: str) -> str:
    """JavaScript without lines that are remarks, remarks at ends of lines, and indentation."""
    lines = (re.sub(r"\s+// [^\"'`]*$", "", line).strip() for line in code.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))
