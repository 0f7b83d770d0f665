"""How far rounding alone can move right gradients: what is measured in single precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.rules import Array

SAMPLES = 3  # runs in single precision
MARGIN = 20  # times what they differ by: other orders of summing, other approximations of tanh
LEAST = 2e-6  # of the largest entry
FLOOR = 2e-8  # of the largest entry of all gradients
EPS = float(np.finfo(np.float32).eps)


def tolerances(graph: Recorded, right: Mapping[str, Array]) -> dict[str, float]:
    """By name what an entry may differ by from the right one, and still be right.

    The whole computation is done in float32, on inputs that are moved by about an ulp; its
    largest difference from float64 is what saturated gates, sums that cancel and long
    sequences make of rounding.
    """
    random = np.random.default_rng(0)
    noise = dict.fromkeys(right, 0.0)
    for _ in range(SAMPLES):
        for name, array in _single(graph, random).items():
            off = np.abs(array - right[name]).max(initial=0.0)
            if np.isfinite(off):
                noise[name] = max(noise[name], float(off))
    largest = {name: float(np.abs(array).max(initial=0.0)) for name, array in right.items()}
    shares = [noise[n] / largest[n] for n in right if largest[n] > 0]
    usual = float(np.median(shares)) if shares else 0.0
    least = FLOOR * max(largest.values(), default=0.0)
    return {
        n: max(MARGIN * max(noise[n], usual * largest[n]), LEAST * largest[n], least) for n in right
    }


def _single(graph: Recorded, random: np.random.Generator) -> dict[str, Array]:
    def moved(array: Array) -> Array:
        if array.dtype.kind != "f":
            return array
        found: Array = array * (1 + EPS * random.uniform(-1, 1, array.shape))
        return found.astype(np.float32)

    with np.errstate(all="ignore"):
        rough = Recorded(
            graph.cell,
            {n: moved(v) for n, v in graph.parameters.items()},
            moved(graph.xs),
            {n: moved(v) for n, v in graph.seeds.items()},
            {n: moved(v) for n, v in graph.start.items()},
            np.float32,
            **{n: moved(np.asarray(v)) for n, v in graph.further.items()},
        )
        return rough.backward()
