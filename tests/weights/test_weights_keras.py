"""Keras's own layers and ours with the same weights."""

import os
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import bidirectional, cells, unroll, weights
from tinygrad_lstm.weights.gates import LAYOUTS

pytest.importorskip("torch")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
# of Keras's own, on PyTorch's tensors
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("SimpleRNN", {}),
    ("LSTM", {}),
    ("LSTM", {"use_bias": False}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"use_bias": False}),
]
XS = np.random.default_rng(7).normal(size=(4, 6, 3)).astype(np.float32)  # (batch, time, inputs)


def randomised(layer: Any) -> Any:
    """The layer, built, with no weight left at zero."""
    layer.build(XS.shape)
    random = np.random.default_rng(8)
    layer.set_weights([random.normal(size=w.shape).astype(w.dtype) for w in layer.get_weights()])
    return layer


def agree(layer: Any, network: Any, p: Any) -> None:
    theirs = keras.ops.convert_to_numpy(layer(XS))
    ours = unroll(network, p, XS.swapaxes(0, 1))["h"].data.swapaxes(0, 1)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_a_layer_computes_the_same(name: str, options: dict[str, Any]) -> None:
    layer = randomised(getattr(keras.layers, name)(5, return_sequences=True, **options))
    configuration = {"class_name": name, "config": layer.get_config()}
    agree(layer, *weights.from_keras(configuration, layer.get_weights()))


@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_both_directions(name: str, options: dict[str, Any]) -> None:
    inner = getattr(keras.layers, name)(5, return_sequences=True, **options)
    layer = randomised(keras.layers.Bidirectional(inner))
    configuration = keras.layers.serialize(layer)
    agree(layer, *weights.from_keras(configuration, layer.get_weights()))


@pytest.mark.parametrize("cell", LAYOUTS["keras"], ids=str)
def test_a_layer_with_our_weights(cell: Any) -> None:
    options = {"reset_after": False} if cell is cells.gru_cho2014 else {}
    inner = getattr(keras.layers, LAYOUTS["keras"][cell].kind)(5, return_sequences=True, **options)
    layer = keras.layers.Bidirectional(inner)
    layer.build(XS.shape)
    network = bidirectional(cell)
    p = network.init(inputs=3, hidden=5, dtype=np.float32)
    layer.set_weights(list(weights.to_keras(network, p).values()))
    agree(layer, network, p)
