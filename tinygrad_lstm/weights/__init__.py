"""Weights in and out: PyTorch, Keras, ONNX, and files.

    from tinygrad_lstm import unroll, weights
    network, parameters = weights.from_pytorch(module.state_dict())
    unroll(network, parameters, xs)["h"]                # (time, batch, directions * hidden)
    weights.save("network.safetensors", network, parameters)

The converters work on arrays and need none of those packages.
"""

from tinygrad_lstm.weights.files import load, save
from tinygrad_lstm.weights.gates import WeightsError, joined, layers
from tinygrad_lstm.weights.keras import from_keras, to_keras
from tinygrad_lstm.weights.onnx import from_onnx, to_onnx
from tinygrad_lstm.weights.pytorch import from_pytorch, to_pytorch

__all__ = [
    "from_keras",
    "from_onnx",
    "from_pytorch",
    "joined",
    "layers",
    "load",
    "save",
    "to_keras",
    "to_onnx",
    "to_pytorch",
    "WeightsError",
]
