"""Those who compete: each computes the loss and all gradients of a workload, again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from speeds.workloads import Workload
from tinygrad_lstm import Tensor, compiled, unroll
from tinygrad_lstm.kernels.kernel import Call, Given
from tinygrad_lstm.weights import pytorch
from tinygrad_lstm.weights.gates import LAYOUTS

NAMES = {
    "c": "C",
    "numpy": "NumPy",
    "c.kernel": "C without the graph",
    "numpy.kernel": "NumPy without the graph",
    "c.low": "C, memory=low",
    "numpy.low": "NumPy, memory=low",
    "interpreter": "interpreter",
    "module": "PyTorch's module",
    "eager": "PyTorch eager",
    "written": "PyTorch eager, product by product",
    "torch.compile": "torch.compile",
    "products.numpy": "products alone, NumPy",
    "products.torch": "products alone, PyTorch",
}
MODULES = {"lstm": "LSTM", "rnn": "RNN", "gru_reset_after": "GRU"}  # nn's names


def called(name: str, cell: str) -> str:
    """A contender's name in tables; nn's module by its own."""
    return f"nn.{MODULES[cell]}" if name == "module" and cell in MODULES else NAMES.get(name, name)


class Absent(Exception):
    """Why somebody cannot take part."""


Runner = Callable[[], Any]
Found = tuple[Runner, Callable[[], dict[str, Any]]]


def prepare(name: str, workload: Any) -> Found:
    """A function to be timed, and one that returns the loss and the gradients of its last call."""
    workload.draw()
    if not isinstance(workload, Workload):
        return workload.prepare(name)  # type: ignore[no-any-return]
    kind, _, variant = name.partition(".")
    if name == "torch.compile" or kind in ("module", "eager", "written"):
        return _by_torch(name, workload)
    if kind == "products":
        from speeds.products import runner

        return runner(workload, variant), dict
    if variant == "kernel":
        return _kernel(kind, workload)
    return _through_the_graph(name, workload)


# --- ours -----------------------------------------------------------------------------------------
def _through_the_graph(name: str, w: Workload) -> Found:
    code, _, memory = name.partition(".")
    cell = w.found
    if code != "interpreter":
        cell = compiled(cell, code=code, memory=memory or "full")
        _kernel_of(cell, w)
    xs = Tensor(w.xs) if w.input_gradient else w.xs
    last: dict[str, Any] = {}

    def run() -> None:
        states = unroll(cell, w.parameters, xs, **w.further)
        loss = (states[cell.output] * w.G).sum()
        loss.backward()
        last["loss"] = loss.numpy()  # the number alone: the graph is to be gone at the next call

    def results() -> dict[str, Any]:
        found = {n: t.grad.numpy() for n, t in w.parameters.items() if t.grad is not None}
        if isinstance(xs, Tensor) and xs.grad is not None:
            found["xs"] = xs.grad.numpy()
        return {"loss": last["loss"], **found}

    return run, results


def _kernel_of(fast: Any, w: Workload) -> Any:
    """The kernel that unroll uses, too. No NumPy code in the place of C: that is no measurement."""
    seeds, wants = frozenset({fast.output}), frozenset({"x"} if w.input_gradient else ())
    kernel = fast.kernel(fast.plain.program(**w.sizes), w.dtype, seeds, wants, frozenset())
    if fast.code == "c" and type(kernel.code).__name__ == "NumpyCode":
        raise Absent("C code cannot be made of this cell")
    return kernel


def _kernel(code: str, w: Workload) -> Found:
    cell = w.found
    kernel = _kernel_of(compiled(cell, code=code), w)
    once = {n: t.data for n, t in w.parameters.items()}
    once |= {n: w.further[n] for n in cell.constants}
    inputs = {"x": w.xs, **{n: w.further[n] for n in cell.sequences}}
    inputs = {n: v.reshape(w.time, w.batch, -1) for n, v in inputs.items()}
    program = cell.program(**w.sizes)
    initial = {
        n: np.zeros((w.batch, program.inputs[f"prev.{n}"].size), w.dtype) for n in cell.state
    }
    G = w.G.reshape(w.time, w.batch, -1)
    last: dict[str, Any] = {}

    call, given = Call(kernel, w.time, w.batch, workers=w.threads), Given(once, inputs)

    def run() -> None:
        call.forward(given, initial)
        last["loss"] = np.vdot(call.equation(cell.output), G)
        last["gradients"], of_inputs, _ = call.backward(given, {cell.output: G}, {})
        last["xs"] = of_inputs.get("x")

    def results() -> dict[str, Any]:
        found = {n: v for n, v in last["gradients"].items() if n in w.parameters}
        if w.input_gradient:
            found["xs"] = last["xs"].reshape(w.xs.shape)
        return {"loss": last["loss"], **found}

    return run, results


# --- PyTorch --------------------------------------------------------------------------------------
def _by_torch(name: str, w: Workload) -> Found:
    try:
        import torch
    except ImportError:
        raise Absent("PyTorch is not installed: pip install 'tinygrad-lstm[peers]'") from None
    from speeds import torch_peers

    torch.set_num_threads(w.threads)
    xs, G = torch.from_numpy(w.xs), torch.from_numpy(w.G)
    if w.input_gradient:
        xs.requires_grad_()
    if name == "module":
        return _module(torch, w, xs, G)
    p = {n: torch.tensor(t.numpy(), requires_grad=True) for n, t in w.parameters.items()}
    further = {n: torch.from_numpy(v) for n, v in w.further.items()}
    make = torch_peers.loop if name == "written" else torch_peers.packed
    forward = make(w.found, w.found.program(**w.sizes), w.dtype)
    if name == "torch.compile":
        forward = torch.compile(forward, fullgraph=True)
    last: dict[str, Any] = {}

    def run() -> None:
        xs.grad = None
        for t in p.values():
            t.grad = None
        loss = (forward(xs, p, further) * G).sum()
        loss.backward()
        last["loss"] = loss

    def results() -> dict[str, Any]:
        found = {n: t.grad.numpy() for n, t in p.items() if t.grad is not None}
        return {"loss": last["loss"].detach().numpy(), **found, **_of(xs)}

    return run, results


def _of(xs: Any) -> dict[str, Any]:
    return {} if xs.grad is None else {"xs": xs.grad.numpy()}


def _module(torch: Any, w: Workload, xs: Any, G: Any) -> Found:
    """nn.LSTM, nn.GRU or nn.RNN where the cell is what they compute."""
    layout = LAYOUTS["pytorch"].get(w.found)
    if layout is None:
        raise Absent(f"PyTorch has no module for {w.cell}")
    arrays = pytorch.to_pytorch(w.found, w.parameters)
    one_bias = sum(t.ndim == 1 for t in w.parameters.values()) == len(layout.order)
    kind = getattr(torch.nn, MODULES[w.found.name])
    module = kind(w.inputs, w.hidden, dtype=getattr(torch, w.dtype))
    module.load_state_dict({n: torch.from_numpy(a) for n, a in arrays.items()})
    last: dict[str, Any] = {}

    def run() -> None:
        module.zero_grad()
        xs.grad = None
        loss = (module(xs)[0] * G).sum()
        loss.backward()
        last["loss"] = loss

    def results() -> dict[str, Any]:
        found = {n: t.grad.numpy() for n, t in module.named_parameters()}
        if one_bias:  # it stands in both of the module's, whose gradients are equal
            found["bias_hh_l0"] = np.zeros_like(found["bias_hh_l0"])
        _, named = pytorch.from_pytorch(found)
        gradients = {n: t.numpy() for n, t in named.items()}
        return {"loss": last["loss"].detach().numpy(), **gradients, **_of(xs)}

    return run, results
