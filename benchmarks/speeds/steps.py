"""Whole training steps: forward, read-out, loss, backward, clipping, Adam.

    z_t = W_y · h_t + b_y,  and the mean squared error, or softmax and cross-entropy over symbols

Before it is timed, each must find the interpreter's loss, gradient norm, and moved parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from speeds.contenders import MODULES, Absent, Found
from tinygrad_lstm import cells, learning
from tinygrad_lstm.weights import pytorch

CLIP, RATE = 1.0, 1e-3
W_Y, B_Y, E = "output.W_y", "output.b_y", "input.E"


@dataclass(frozen=True)
class Steps:
    """A training step of a cell. symbols: how many x is embedded from, and z tells; 0: numbers."""

    cell: str = "lstm"
    time: int = 100
    batch: int = 32
    inputs: int = 32
    hidden: int = 32
    symbols: int = 0
    threads: int = 1
    dtype: str = "float32"

    def __str__(self) -> str:
        shape = f"{self.time}, {self.batch}, {self.inputs}, {self.hidden}"
        out = f"{self.symbols} symbols" if self.symbols else "squared error"
        return f"{self.cell}, {shape}, {self.dtype}, whole training step, {out}"

    @property
    def outputs(self) -> int:
        """The length of z."""
        return self.symbols or self.inputs

    def contenders(self) -> list[str]:
        """Those that can learn it."""
        known = [f"nn.{MODULES[self.cell]}"] if self.cell in MODULES else []
        return ["c", *known, "PyTorch eager"]

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """Parameters by name, and xs and target."""
        random = np.random.default_rng(20)
        p = cells.all()[self.cell].init(seed=0, inputs=self.inputs, hidden=self.hidden)
        found = {n: random.uniform(-1, 1, t.shape) * t.shape[-1] ** -0.5 for n, t in p.items()}
        found[W_Y] = random.uniform(-1, 1, (self.outputs, self.hidden)) * self.hidden**-0.5
        found[B_Y] = random.uniform(-0.1, 0.1, self.outputs)
        if self.symbols:
            found[E] = random.uniform(-1, 1, (self.symbols, self.inputs))
        return {name: array.astype(self.dtype) for name, array in found.items()}

    @cached_property
    def batch_of_data(self) -> tuple[Any, Any]:
        """xs and target, the same at every step."""
        random, lead = np.random.default_rng(21), (self.time, self.batch)
        if self.symbols:
            text = random.integers(0, self.symbols, (self.time + 1, self.batch))
            return text[:-1], text[1:]
        xs, target = (random.uniform(-1, 1, (*lead, self.inputs)) for _ in range(2))
        return xs.astype(self.dtype), target.astype(self.dtype)

    def draw(self) -> None:
        """Draw everything."""
        _ = self.arrays, self.batch_of_data

    def prepare(self, name: str) -> Found:
        """A function to be timed, and one that tells what its steps so far have come to."""
        return ours(self, name) if name in ("c", "interpreter") else by_torch(self, name)


def ours(w: Steps, code: str) -> Found:
    """By `learning.Learner`."""
    cell, last = cells.all()[w.cell], dict[str, Any]()
    sizes = {"inputs": w.inputs, "hidden": w.hidden}
    loss = "cross-entropy" if w.symbols else "squared-error"
    model = learning.readout(cell, w.outputs, loss=loss, symbols=w.symbols)
    learner = learning.Learner(
        model,
        parameters=w.arrays,
        optimiser=learning.Adam(RATE),
        clip=CLIP,
        dtype=w.dtype,
        eager=code == "interpreter",
        **sizes,
    )
    xs, target = w.batch_of_data

    def run() -> None:
        found = learner.step(xs, target)
        last.update(loss=found.loss, norm=found.norm)

    return run, lambda: _told(last, learner.parameters)


def _told(last: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    moved = np.concatenate([np.ravel(parameters[name]) for name in sorted(parameters)])
    return {"parameters": moved, **{name: np.asarray(value) for name, value in last.items()}}


def by_torch(w: Steps, name: str) -> Found:
    """PyTorch: its module, or the cell's operations one by one."""
    try:
        import torch
    except ImportError:
        raise Absent("PyTorch is not installed: pip install 'tinygrad-lstm[peers]'") from None
    from torch.nn import functional

    torch.set_num_threads(w.threads)
    cell = cells.all()[w.cell]
    own = {n: torch.tensor(w.arrays[n]) for n in (W_Y, B_Y, E) if n in w.arrays}
    for tensor in own.values():
        tensor.requires_grad_()
    bound = cell.bind({n: w.arrays[n] for n in cell.parameters})
    if name.startswith("nn."):
        kind = getattr(torch.nn, MODULES[w.cell])
        module = kind(w.inputs, w.hidden, dtype=getattr(torch, w.dtype))
        arrays = pytorch.to_pytorch(cell, bound)
        module.load_state_dict({n: torch.from_numpy(a) for n, a in arrays.items()})
        trained = list(module.parameters())
        biases = [sum(t.shape[0] for t in p if t.ndim == 1) for p in (bound.values(), trained)]
        if biases[1] == 2 * biases[0]:  # the second of two that are added stays as it is
            trained = [t for n, t in module.named_parameters() if not n.startswith("bias_hh")]

        def network(xs: Any) -> Any:
            return module(xs)[0]

        def parameters() -> Any:
            return pytorch.from_pytorch({n: t.detach() for n, t in module.state_dict().items()})[1]
    else:
        from speeds import torch_peers

        p = {n: torch.tensor(w.arrays[n]).requires_grad_() for n in cell.parameters}
        program = cell.program(inputs=w.inputs, hidden=w.hidden)
        packed = torch_peers.packed(cell, program, w.dtype)
        trained = list(p.values())

        def network(xs: Any) -> Any:
            return packed(xs, p, {})

        def parameters() -> Any:
            return p

    trained = [*trained, *own.values()]
    optimiser = torch.optim.Adam(trained, lr=RATE)
    xs, target = (torch.from_numpy(array) for array in w.batch_of_data)
    last: dict[str, Any] = {}

    def run() -> None:
        optimiser.zero_grad()
        z = functional.linear(network(own[E][xs] if w.symbols else xs), own[W_Y], own[B_Y])
        if w.symbols:
            loss = functional.cross_entropy(z.reshape(-1, w.symbols), target.reshape(-1))
        else:
            loss = functional.mse_loss(z, target)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimiser.step()
        last.update(loss=loss.detach().numpy(), norm=norm.numpy())

    def results() -> dict[str, Any]:
        both = {**parameters(), **own}
        return _told(last, {n: np.asarray(t.data) for n, t in both.items()})

    return run, results
