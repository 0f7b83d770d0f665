"""RNNsearch against PyTorch written afresh, with padded sources and targets."""

from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import systems, unroll

torch = pytest.importorskip("torch")

RANDOM = np.random.default_rng(8)
SYMBOLS, HIDDEN, BATCH = 5, 3, 4
SOURCE, TARGET = [4, 2, 3, 1], [3, 3, 1, 2]


def gru(t: dict[str, Any], x: Any, h: Any) -> Any:
    hx = torch.cat([h, x], 1)
    z, r = torch.sigmoid(hx @ t["W_z"].T), torch.sigmoid(hx @ t["W_r"].T)
    return (1 - z) * h + z * torch.tanh(torch.cat([r * h, x], 1) @ t["W_h"].T)


def in_pytorch(t: dict[str, Any], source: Any, target: Any) -> tuple[Any, Any]:
    """The negative log likelihood of one pair, and the weights of its last step."""
    own = {
        part: {n.removeprefix(part): v for n, v in t.items() if n.startswith(part)}
        for part in ("encoder.forward.", "encoder.backward.", "decoder.", "start.")
    }
    h, ahead = torch.zeros(1, HIDDEN, dtype=torch.float64), []
    for x in source:
        ahead.append(h := gru(own["encoder.forward."], x[None], h))
    h, back = torch.zeros(1, HIDDEN, dtype=torch.float64), []
    for x in reversed(source):
        back.insert(0, h := gru(own["encoder.backward."], x[None], h))
    memory = torch.cat([torch.cat(ahead), torch.cat(back)], 1)  # (length, 2 hidden)
    p = own["decoder."]
    s, last, loss = torch.tanh(own["start."]["W_s"] @ back[0][0]), torch.zeros(SYMBOLS).double(), 0
    for y in target:
        e = torch.tanh(p["W_a"] @ s + memory @ p["U_a"].T) @ p["v_a"]
        alpha = torch.softmax(e, 0)
        c = alpha @ memory
        z = torch.sigmoid(p["W_z"] @ last + p["U_z"] @ s + p["C_z"] @ c)
        r = torch.sigmoid(p["W_r"] @ last + p["U_r"] @ s + p["C_r"] @ c)
        t_ = p["U_o"] @ s + p["V_o"] @ last + p["C_o"] @ c  # (readout, 2)
        logits = p["W_o"] @ t_.max(-1).values
        s = (1 - z) * s + z * torch.tanh(p["W"] @ last + p["U"] @ (r * s) + p["C"] @ c)
        loss = loss - (torch.log_softmax(logits, 0) * y).sum()
        last = y
    return loss, alpha


def test_a_padded_batch_is_each_pair_in_pytorch() -> None:
    net = systems.rnnsearch
    p = net.init(inputs=SYMBOLS, hidden=HIDDEN, align=4, readout=2)
    p = p.replace({n: t.data + 0.4 * RANDOM.normal(size=t.shape) for n, t in p.items()})
    symbols = np.eye(SYMBOLS)
    xs = symbols[RANDOM.integers(0, SYMBOLS, (4, BATCH))]
    ys = symbols[RANDOM.integers(0, SYMBOLS, (3, BATCH))]
    run = unroll(net, p, source=xs, target=ys, lengths={"source": SOURCE, "target": TARGET})
    run.loss.backward()
    t = {n: torch.tensor(v.data, requires_grad=True) for n, v in p.items()}
    total: Any = 0.0
    for b, (m, n) in enumerate(zip(SOURCE, TARGET, strict=True)):
        loss, alpha = in_pytorch(t, torch.tensor(xs[:m, b]), torch.tensor(ys[:n, b]))
        total = total + loss / BATCH
        found = run["decoder.alpha"].data[n - 1, b]
        np.testing.assert_allclose(found[:m], alpha.detach().numpy(), rtol=1e-12)
        assert not found[m:].any()
    total.backward()
    np.testing.assert_allclose(run.loss.item(), total.item(), rtol=1e-12)
    for name in p:
        expected = t[name].grad.numpy()
        np.testing.assert_allclose(p[name].grad.data, expected, rtol=1e-10, atol=1e-12)


def test_attention_is_uniform_at_first() -> None:
    p = systems.rnnsearch.init(inputs=3, hidden=2, align=2, readout=2)
    run = unroll(systems.rnnsearch, p, source=np.eye(3)[[0, 1, 2, 0]], target=np.eye(3)[[1, 1]])
    np.testing.assert_allclose(run["decoder.alpha"].data, 0.25)
