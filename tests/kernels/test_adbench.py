"""ADBench's LSTM objective, of our benchmarks, against PyTorch written here from its equations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import CODES

from tinygrad_lstm import compiled, unroll

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from speeds import adbench  # noqa: E402

torch = pytest.importorskip("torch")


def expected(q: Any) -> dict[str, Any]:
    """Objective and gradients, each gate in a line and each layer's rows by their index."""
    a = {name: torch.tensor(array) for name, array in q.arrays.items()}
    main, extra = a["main"].requires_grad_(), a["extra"].requires_grad_()
    n, text = q.hidden, a["text"]
    h = [a["state"][2 * k] for k in range(q.layers)]
    C = [a["state"][2 * k + 1] for k in range(q.layers)]
    surprise = torch.zeros((), dtype=torch.float64)
    for now, following in zip(text[:-1], text[1:], strict=True):
        x = now * extra[0]
        for k in range(q.layers):
            weight, bias = main[2 * k], main[2 * k + 1]
            forget = torch.sigmoid(weight[:n] * x + bias[:n])
            write = torch.sigmoid(weight[n : 2 * n] * h[k] + bias[n : 2 * n])
            show = torch.sigmoid(weight[2 * n : 3 * n] * x + bias[2 * n : 3 * n])
            change = torch.tanh(weight[3 * n :] * h[k] + bias[3 * n :])
            C[k] = forget * C[k] + write * change
            x = h[k] = show * torch.tanh(C[k])
        y = extra[1] * x + extra[2]
        surprise = surprise + (following * (torch.log(2 + torch.exp(y).sum()) - y)).sum()
    loss = surprise / ((len(text) - 1) * n)
    loss.backward()
    return {"loss": loss.detach(), "main": main.grad, "extra": extra.grad}


@pytest.mark.parametrize("code", ["interpreter", *CODES])
@pytest.mark.parametrize("layers", [1, 2])
def test_objective_and_gradient_are_those_of_pytorch(layers: int, code: str) -> None:
    q = adbench.Objective(layers=layers, length=9, hidden=5)
    run, results = q.prepare(code)
    for _ in range(2):
        run()
        for name, value in expected(q).items():
            np.testing.assert_allclose(results()[name], value, 1e-10, 1e-12, err_msg=name)


@pytest.mark.parametrize("name", ["PyTorch eager", "autograd"])
def test_those_it_is_compared_with_compute_the_same(name: str) -> None:
    pytest.importorskip(name.lower().removesuffix(" eager").replace("pytorch", "torch"))
    q = adbench.Objective(length=7, hidden=4)
    run, results = q.prepare(name)
    run()
    for part, value in expected(q).items():
        np.testing.assert_allclose(results()[part], value, 1e-10, 1e-12, err_msg=part)


def test_the_cell_takes_batches_as_any_cell_does() -> None:
    q = adbench.Objective(length=5, hidden=3)
    plain = adbench.diagonal(q.layers)
    p = plain.bind(adbench.named(q.arrays["main"], q.arrays["extra"], q.layers))
    text = np.random.default_rng(0).normal(size=(6, 4, 3))
    both = [
        unroll(network, p, text[:-1], target=text[1:]).loss.item()
        for network in (plain, compiled(plain, "numpy"))
    ]
    each = [unroll(plain, p, text[:-1, k], target=text[1:, k]).loss.item() for k in range(4)]
    assert both[0] == pytest.approx(both[1], rel=1e-12) == pytest.approx(np.mean(each), rel=1e-12)
