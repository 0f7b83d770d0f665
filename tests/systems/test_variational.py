"""VRNN and STORN: against PyTorch, and what the generator shares with the inference."""

from typing import Any

import numpy as np
import pytest

import equations
from tinygrad_lstm import Cell, cells, compiled, kl_normal, normal, otherwise, sigmoid, unroll
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.systems.variational import generator, recogniser, vrnn, vrnn_i

torch = pytest.importorskip("torch")

SIZES = {"inputs": 6, "hidden": 4, "latent": 3, "mlp": 5, "features": 2}
STEPS, BATCH = 4, 2
RANDOM = np.random.default_rng(0)
ROLLS = RANDOM.integers(0, 2, (STEPS, BATCH, 6)).astype(float)
EPS = RANDOM.normal(size=(STEPS, BATCH, 3))
relu, softplus = torch.relu, torch.nn.functional.softplus


def weights(cell: Cell, seed: int = 1) -> dict[str, np.ndarray]:
    """Every number random."""
    random = np.random.default_rng(seed)
    p = cell.init(**{n: k for n, k in SIZES.items() if n in cell.sizes})
    return {n: random.normal(size=v.shape) * 0.5 for n, v in p.items()}


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {n: torch.tensor(v, requires_grad=True) for n, v in arrays.items()}


def divergence(mu: Any, sigma: Any, mu_0: Any, sigma_0: Any) -> Any:
    one, other = torch.distributions.Normal(mu, sigma), torch.distributions.Normal(mu_0, sigma_0)
    return torch.distributions.kl_divergence(one, other).sum(-1)


def likelihood(x: Any, logits: Any) -> Any:
    return torch.distributions.Bernoulli(logits=logits).log_prob(x).sum(-1)


def vrnn_by_torch(q: dict[str, Any], cell: Cell) -> tuple[Any, Any, Any]:
    """Equations 5 to 11 of Chung et al. (2015): h, KL and log p(x) of each step."""

    def layers(part: str, x: Any, last: Any = lambda v: v) -> Any:
        hidden = relu(x @ q[f"{part}.V"].T + q[f"{part}.a"])
        return last(hidden @ q[f"{part}.W"].T + q[f"{part}.b"])

    def gaussian(part: str, x: Any) -> tuple[Any, Any]:
        hidden = relu(x @ q[f"{part}.V"].T + q[f"{part}.a"])
        mu, s = (hidden @ q[f"{part}.W_{n}"].T + q[f"{part}.b_{n}"] for n in ("mu", "sigma"))
        return mu, softplus(s) + 1e-4

    h = C = torch.zeros(BATCH, 4, dtype=torch.float64)
    hs, kls, logps = [], [], []
    for t in range(STEPS):
        x = torch.tensor(ROLLS[t])
        prior = (torch.zeros(()), torch.ones(())) if cell is vrnn_i else gaussian("prior", h)
        seen = layers("phi_x", x, relu)
        mu, sigma = gaussian("enc", torch.cat([seen, h], 1))
        z = mu + sigma * torch.tensor(EPS[t])
        of_z = layers("phi_z", z, relu)
        logps.append(likelihood(x, layers("dec", torch.cat([of_z, h], 1))))
        kls.append(divergence(mu, sigma, *prior))
        hx = torch.cat([h, seen, of_z], 1)
        if "rnn.W_f" in q:
            gate = {g: hx @ q[f"rnn.W_{g}"].T + q[f"rnn.b_{g}"] for g in "fiCo"}
            f, i, o = (torch.sigmoid(gate[g]) for g in "fio")
            C = f * C + i * torch.tanh(gate["C"])
            h = o * torch.tanh(C)
        else:
            h = torch.tanh(hx @ q["rnn.W"].T + q["rnn.b"])
        hs.append(h)
    return torch.stack(hs), torch.stack(kls), torch.stack(logps)


def agree(run: Any, p: Any, q: dict[str, Any], total: Any) -> None:
    """One loss, and its gradient by every parameter."""
    run.loss.backward()
    total.backward()
    assert abs(run.loss.item() - total.item()) < 1e-10
    for n in q:
        np.testing.assert_allclose(p[n].grad.numpy(), q[n].grad, atol=1e-10, err_msg=n)


OF_RNNS = vrnn.with_parts(rnn=cells.rnn)


@pytest.mark.parametrize("fast", [False, True], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("cell", [vrnn, vrnn_i, OF_RNNS], ids=["lstm", "independent", "rnn"])
def test_vrnn_is_what_pytorch_computes(cell: Cell, fast: bool) -> None:
    arrays = weights(cell)
    p, q = cell.bind(arrays), tensors(arrays)
    run = unroll(compiled(cell) if fast else cell, p, ROLLS, eps=EPS)
    h, kl, logp = vrnn_by_torch(q, cell)
    for name, value in {"h": h, "KL": kl, "logp": logp}.items():
        np.testing.assert_allclose(run[name].numpy(), value.detach(), atol=1e-10)
    agree(run, p, q, (kl - logp).sum() / BATCH)


@pytest.mark.parametrize("fast", [False, True], ids=["interpreted", "compiled"])
def test_storn_is_what_pytorch_computes(fast: bool) -> None:
    """Two ordinary RNNs: the recogniser reads x_t, the generator x_{t-1} and z_t."""
    both = [weights(recogniser, 1), weights(generator, 2)]
    p, g = recogniser.bind(both[0]), generator.bind(both[1])
    q, w = map(tensors, both)
    before = np.concatenate([np.zeros_like(ROLLS[:1]), ROLLS[:-1]])
    first = unroll(compiled(recogniser) if fast else recogniser, p, ROLLS, eps=EPS)
    second = unroll(
        compiled(generator) if fast else generator, g, before, z=first["z"], target=ROLLS
    )
    h = k = torch.zeros(BATCH, 4, dtype=torch.float64)
    total: Any = 0.0
    for t in range(STEPS):
        x, last = torch.tensor(ROLLS[t]), torch.tensor(before[t])
        h = torch.tanh(x @ q["W_in"].T + h @ q["W_rec"].T + q["b"])
        mu, log_variance = (h @ q[f"W_{n}"].T + q[f"b_{n}"] for n in ("mu", "v"))
        z = mu + torch.exp(log_variance / 2) * torch.tensor(EPS[t])
        k = torch.tanh(last @ w["W_in"].T + z @ w["V_in"].T + k @ w["W_rec"].T + w["b"])
        total = total - likelihood(x, k @ w["W_out"].T + w["b_out"]).sum() / BATCH
        # Bayer & Osendorfer: ½ Σ μ² + σ² - log σ² - 1, the constant in every dimension
        own = 0.5 * (mu**2 + torch.exp(log_variance) - log_variance - 1).sum()
        total = total + own / BATCH
    loss = first.loss + second.loss
    loss.backward()
    total.backward()
    assert abs(loss.item() - total.item()) < 1e-10
    for mine, other in ((p, q), (g, w)):
        for n in other:
            np.testing.assert_allclose(mine[n].grad.numpy(), other[n].grad, atol=1e-10, err_msg=n)  # type: ignore[union-attr]


def test_equal_gaussians_do_not_diverge() -> None:
    mu, sigma = RANDOM.normal(size=5), RANDOM.random(5) + 0.1
    assert kl_normal(mu, sigma, mu, sigma).item() == pytest.approx(0, abs=1e-14)
    assert kl_normal(np.zeros(5), np.ones(5)).item() == 0.0
    arrays = weights(vrnn)  # a posterior that is blind, and has the prior's weights
    for n in ("V", "a", "W_mu", "W_sigma", "b_mu", "b_sigma"):
        own = arrays[f"prior.{n}"]
        arrays[f"enc.{n}"] = np.hstack([np.zeros((5, 2)), own]) if n == "V" else own
    run = unroll(vrnn, arrays, ROLLS, eps=EPS)
    np.testing.assert_allclose(run["KL"].numpy(), 0.0, atol=1e-12)


DREAM = otherwise(
    vrnn,
    z=lambda v: normal(v.mu_0, v.sigma_0, v.eps),
    x=lambda v: v.u < sigmoid(v.logits),
    inputs={"u": "inputs"},
    name="dream",
)


def test_the_generator_shares_every_equation_but_those_replaced() -> None:
    there, here = vrnn.program(), DREAM.program()
    shared = {*there.equations} & {*here.equations}
    assert {n for n in shared if here.text(n) != there.text(n)} == {"z"}
    assert {*here.equations} - shared == {"x"}
    gone = {*there.equations} - shared
    assert {n.partition(".")[0] for n in gone} == {"enc", "mu", "sigma", "KL", "logp", "L"}
    shown = equations.difference(vrnn, DREAM).unicode()
    assert "+ z_t = «μ_{0,t}» + «σ_{0,t}»" in shown and "h^(rnn)" not in shown


def test_what_it_dreams_it_would_have_read() -> None:
    """The dreamt x, given to the inference with z's own noise, leads to the same states."""
    arrays = weights(vrnn)
    own = {n: arrays[n] for n in DREAM.parameters}
    u = RANDOM.random((STEPS, BATCH, 6))
    run = unroll(DREAM, own, np.zeros((STEPS, BATCH)), u=u, eps=EPS)
    x, z = run["x"].numpy().astype(float), run["z"]
    given = otherwise(vrnn, z=lambda v: v.known, inputs={"known": "latent"}, L=None)
    read = {n: arrays[n] for n in given.parameters}
    again = unroll(given, read, x, known=z)
    np.testing.assert_allclose(again["h"].numpy(), run["h"].numpy(), atol=1e-12)


def test_another_part_is_the_same_listing() -> None:
    assert [*OF_RNNS.state] == ["h", "rnn.h"]
    folded = [c.program().folded() for c in (vrnn, OF_RNNS)]
    assert folded[0].text("L") == folded[1].text("L")
    with pytest.raises(UnknownNameError, match="no part 'cell'.*its parts are"):
        vrnn.with_parts(cell=cells.gru)
