"""What stays in a state that is not the output, along the state alone.

    kept_k = √(mean_u (Π_{t = T-k+1 … T} d_tu)²)        d_tu = ∂s_tu / ∂s_{t-1,u}

with all else that the step reads held fixed: in an LSTM d is the forget gate. The geometric mean
over pieces of text; what other units hand on and what went through the output is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygrad_lstm.learning import CharacterModel
from tinygrad_lstm.tensor import Array, Tensor


@dataclass(frozen=True)
class Belt:
    """Along a state: what is left by how many letters back, and of the units that hold something.

    holding: how many keep more than half over ten letters, in the median; size: the median of
    their |s|; slope: the mean of |∂h_u/∂s_u| there, h the output.
    """

    state: str
    curve: Array
    holding: int
    size: float
    slope: float


def belt(model: CharacterModel, text: str, lags: int, pieces: int) -> Belt | None:
    """None where the last state is what the cell shows, or no vector."""
    state = list(model.cell.state)[-1]
    length = lags + 2
    if state == model.output or len(text) < length * pieces or pieces < 1:
        return None
    ids = model.vocabulary.encode(text[-length * pieces :]).reshape(pieces, length).T
    run = model.run(ids[:-1])
    if run[state].data.ndim != 3:
        return None
    before = {name: run[name].data[:-1].reshape(lags * pieces, -1) for name in model.cell.state}
    leaves = {name: Tensor(value, name) for name, value in before.items()}
    step = model.run(ids[1:-1].reshape(1, -1), leaves).steps[0]
    step[state].sum().backward()
    found = leaves[state].grad
    own = np.zeros(before[state].shape) if found is None else found.data.astype(float)
    d = own.reshape(lags, pieces, -1)[::-1]
    products = np.concatenate([np.ones((1, *d.shape[1:])), np.cumprod(d, axis=0)])
    norms = np.sqrt((products**2).mean(axis=2))
    ten = np.abs(products[min(10, lags)])
    holding = np.median(ten, axis=0) > 0.5
    values = run[state].data.reshape(-1, holding.size)
    slope = _slope(model, ids, state, before)
    return Belt(
        state,
        np.exp(np.log(np.maximum(norms, 1e-300)).mean(axis=1)),
        int(holding.sum()),
        float(np.median(np.abs(values[:, holding]))) if holding.any() else 0.0,
        float(slope[:, holding].mean()) if holding.any() else 0.0,
    )


def _slope(model: CharacterModel, ids: Array, state: str, before: dict[str, Array]) -> Array:
    """|∂h_u/∂s_u| at each step, by a small change of what the state was: (steps, units)."""
    reads = ids[1:-1].reshape(1, -1)
    small = 1e-2

    def moved(by: float) -> tuple[Array, Array]:
        run = model.run(reads, {**before, state: before[state] + by})
        return run[model.output].data[0].astype(float), run[state].data[0].astype(float)

    (h_up, s_up), (h_down, s_down) = moved(small), moved(-small)
    change = s_up - s_down
    some = np.abs(change) > 1e-4
    return np.where(some, np.abs(h_up - h_down) / np.where(some, np.abs(change), 1.0), 0.0)
