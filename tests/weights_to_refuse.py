"""Weights that the converters' tests give, and what is said of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import errors

RANDOM = np.random.default_rng(21)


def filled(network: Any, dtype: Any = np.float64) -> Any:
    p = network.init(inputs=3, hidden=2, dtype=dtype)
    return p.replace({n: RANDOM.normal(size=t.shape).astype(dtype) for n, t in p.items()})


def arrays(**shapes: tuple[int, ...]) -> dict[str, Any]:
    return {name: RANDOM.normal(size=shape) for name, shape in shapes.items()}


def message(case: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(errors.TinygradError) as said:
        case()
    assert isinstance(said.value, kind)
    return str(said.value)
