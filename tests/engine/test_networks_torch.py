"""Networks of cells against the same layers written with PyTorch's cells, step by step."""

from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import bidirectional, cells, stack, unroll, weights

torch = pytest.importorskip("torch")

LENGTHS = [2, 5, 1, 4]


def by_hand(module: Any, x: Any, reverse: bool) -> Any:
    """One sequence through an nn.LSTMCell or nn.GRUCell."""
    state, out = None, []
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        state = module(x[t], state)
        out.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(out[::-1] if reverse else out)


def cell_parameters(module: Any) -> dict[str, Any]:
    named = {f"{n}_l0": v for n, v in module.named_parameters()}
    return dict(weights.from_pytorch(named)[1])


def test_layers_of_two_kinds_and_a_padded_batch() -> None:
    torch.manual_seed(4)
    xs = np.random.default_rng(4).normal(size=(5, 4, 3))
    double = {"dtype": torch.float64}
    forward, backward = torch.nn.LSTMCell(3, 2, **double), torch.nn.LSTMCell(3, 2, **double)
    upper = torch.nn.GRUCell(4, 3, **double)
    network = stack([bidirectional(cells.lstm), cells.gru_reset_after])
    parts = {"1.forward": forward, "1.backward": backward, "2": upper}
    p = network.bind(
        {f"{k}.{n}": v.data for k, m in parts.items() for n, v in cell_parameters(m).items()}
    )
    w = np.random.default_rng(5).normal(size=(5, 4, 3))

    loss = torch.tensor(0.0, **double)
    expected = np.zeros((5, 4, 3))
    for b, length in enumerate(LENGTHS):
        x = torch.tensor(xs[:length, b])
        low = torch.cat([by_hand(forward, x, False), by_hand(backward, x, True)], dim=-1)
        high = by_hand(upper, low, False)
        expected[:length, b] = high.detach().numpy()
        loss = loss + (high * torch.tensor(w[:length, b])).sum()
    loss.backward()

    run = unroll(network, p, xs, lengths=LENGTHS)
    np.testing.assert_allclose(run["h"].data, expected, rtol=0, atol=1e-12)
    (run["h"] * w).sum().backward()
    for k, module in parts.items():
        own = {n.removeprefix(f"{k}."): t.grad.data for n, t in p.items() if n.startswith(f"{k}.")}
        cell = cells.gru_reset_after if k == "2" else cells.lstm
        ours = weights.to_pytorch(cell, own)
        for n, v in module.named_parameters():
            kept = n if k == "2" else n.replace("bias_hh", "bias_ih")
            np.testing.assert_allclose(ours[f"{kept}_l0"], v.grad.numpy(), rtol=0, atol=1e-10)
