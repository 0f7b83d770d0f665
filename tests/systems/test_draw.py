"""DRAW: against PyTorch, as a variational autoencoder, its filters, and what it dreams."""

from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import Cell, compiled, otherwise, unroll
from tinygrad_lstm.systems.drawing import draw, draw_attention, filterbank, window

torch = pytest.importorskip("torch")
T = Any  # a tensor of PyTorch

SIZES = {"height": 4, "width": 6, "patch": 3, "hidden": 5, "latent": 2}
STEPS, BATCH = 3, 2
RANDOM = np.random.default_rng(0)
EPS = RANDOM.normal(size=(STEPS, BATCH, SIZES["latent"]))
IMAGES = RANDOM.integers(0, 2, (BATCH, 4, 6)).astype(float)


def weights(cell: Cell, **sizes: int) -> dict[str, np.ndarray]:
    """Every number random."""
    random = np.random.default_rng(1)
    p = cell.init(**{n: k for n, k in {**SIZES, **sizes}.items() if n in cell.sizes})
    return {n: random.normal(size=v.shape) * 0.4 for n, v in p.items()}


def lstm(q: dict[str, T], part: str, x: T, h: T, C: T) -> tuple[T, T]:
    """As in Graves (2013), without peepholes."""
    hx = torch.cat([h, x], -1)
    gate = {g: hx @ q[f"{part}.W_{g}"].T + q[f"{part}.b_{g}"] for g in "fiCo"}
    C = torch.sigmoid(gate["f"]) * C + torch.sigmoid(gate["i"]) * torch.tanh(gate["C"])
    return torch.sigmoid(gate["o"]) * torch.tanh(C), C


def filters(theta: T, B: int, A: int, N: int) -> tuple[T, T, T]:
    """Equations 19 to 26 of the paper, loops over filters and pixels."""
    g_X, g_Y = (A + 1) / 2 * (theta[0] + 1), (B + 1) / 2 * (theta[1] + 1)
    variance = torch.exp(theta[2])
    delta = (max(A, B) - 1) / (N - 1) * torch.exp(theta[3])
    banks = []
    for centre, length in ((g_X, A), (g_Y, B)):
        rows = []
        for i in range(1, N + 1):
            mu = centre + (i - N / 2 - 0.5) * delta
            row = torch.stack(
                [torch.exp(-((a - mu) ** 2) / (2 * variance)) for a in range(1, length + 1)]
            )
            rows.append(row / row.sum())
        banks.append(torch.stack(rows))
    return banks[0], banks[1], torch.exp(theta[4])


def by_torch(q: dict[str, T], image: T, eps: T, attends: bool) -> tuple[T, T, list[T]]:
    """Canvases, the loss of one image, and KL of each step."""
    n, B, A = SIZES["hidden"], SIZES["height"], SIZES["width"]
    h_enc, C_enc, h_dec, C_dec = (torch.zeros(n, dtype=torch.float64) for _ in range(4))
    c, canvases, divergences = torch.zeros_like(image), [], []
    for t in range(len(eps)):
        missing = image - torch.sigmoid(c)
        if attends:
            F_X, F_Y, gamma = filters(q["reading.W"] @ h_dec, B, A, SIZES["patch"])
            read = torch.cat([(gamma * F_Y @ v @ F_X.T).flatten() for v in (image, missing)])
        else:
            read = torch.cat([image, missing])
        h_enc, C_enc = lstm(q, "enc", torch.cat([read, h_dec]), h_enc, C_enc)
        mu = q["W_mu"] @ h_enc + q["b_mu"]
        sigma = torch.exp(q["W_sigma"] @ h_enc + q["b_sigma"])
        h_dec, C_dec = lstm(q, "dec", mu + sigma * eps[t], h_dec, C_dec)
        if attends:
            G_X, G_Y, gamma_hat = filters(q["writing.W"] @ h_dec, B, A, SIZES["patch"])
            c = c + G_Y.T @ (q["W_w"] @ h_dec) @ G_X / gamma_hat
        else:
            c = c + q["W_write"] @ h_dec + q["b_write"]
        canvases.append(c)
        normal = torch.distributions.Normal
        divergence = torch.distributions.kl_divergence(normal(mu, sigma), normal(0.0, 1.0))
        divergences.append(divergence.sum())
    seen = torch.distributions.Bernoulli(logits=c).log_prob(image).sum()
    return torch.stack(canvases), sum(divergences) - seen, divergences


@pytest.mark.parametrize("fast", [False, True], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("cell", [draw, draw_attention], ids=lambda c: c.name)
def test_draw_is_what_pytorch_computes(cell: Cell, fast: bool) -> None:
    attends = cell is draw_attention
    images = IMAGES if attends else IMAGES.reshape(BATCH, -1)
    arrays = weights(cell, pixels=24)
    p = cell.bind(arrays)
    xs = np.zeros((STEPS, BATCH))
    run = unroll(compiled(cell) if fast else cell, p, xs, image=images, eps=EPS)
    run.loss.backward()
    q = {n: torch.tensor(v, requires_grad=True) for n, v in arrays.items()}
    total: Any = 0.0
    for k in range(BATCH):
        eps, image = torch.tensor(EPS[:, k]), torch.tensor(images[k])
        canvases, loss, divergences = by_torch(q, image, eps, attends)
        total = total + loss / BATCH
        np.testing.assert_allclose(run["c"].numpy()[:, k], canvases.detach(), atol=1e-10)
        found = torch.stack(divergences).detach()
        np.testing.assert_allclose(run["KL"].numpy()[:, k], found, atol=1e-10)
    total.backward()
    assert abs(run.loss.item() - total.item()) < 1e-10
    for n in arrays:
        np.testing.assert_allclose(p[n].grad.numpy(), q[n].grad, atol=1e-10, err_msg=n)  # type: ignore[union-attr]


def test_one_step_without_attention_is_a_variational_autoencoder() -> None:
    """An encoder that sees the image, a Gaussian, a decoder: the bound of Kingma & Welling."""
    arrays = weights(draw, pixels=24)
    q = {n: torch.tensor(v) for n, v in arrays.items()}
    image, zero = torch.tensor(IMAGES[0].reshape(-1)), torch.zeros(5, dtype=torch.float64)
    h = lstm(q, "enc", torch.cat([image, image - 0.5, zero]), zero, zero)[0]
    mu, sigma = q["W_mu"] @ h + q["b_mu"], torch.exp(q["W_sigma"] @ h + q["b_sigma"])
    hidden = lstm(q, "dec", mu + sigma * torch.tensor(EPS[0, 0]), zero, zero)[0]
    p = torch.sigmoid(q["W_write"] @ hidden + q["b_write"])
    seen = (image * torch.log(p) + (1 - image) * torch.log(1 - p)).sum()
    divergence = -0.5 * (1 + 2 * torch.log(sigma) - mu**2 - sigma**2).sum()
    run = unroll(draw, arrays, np.zeros(1), image=IMAGES[0].reshape(-1), eps=EPS[:1, 0])
    assert abs(run.loss.item() - (divergence - seen).item()) < 1e-10


def filtered(theta: list[float], height: int, width: int, patch: int) -> dict[str, np.ndarray]:
    """The filters for five numbers."""
    program = filterbank.program(hidden=5, patch=patch, height=height, width=width)
    found = program.run(x=np.array(theta), W=np.eye(5))
    return {n: np.asarray(found[n]) for n in ("F_X", "F_Y", "gamma", "mu_X", "mu_Y")}


@pytest.mark.parametrize("side", [2, 5, 8])
def test_a_patch_as_large_as_the_image_is_the_image(side: int) -> None:
    """Narrow filters at every pixel: the identity. Pixels are counted from 1."""
    found = filtered([0.0, 0.0, -12.0, 0.0, 0.0], side, side, side)
    np.testing.assert_allclose(found["mu_X"], np.arange(1, side + 1), atol=1e-12)
    np.testing.assert_allclose(found["F_X"], np.eye(side), atol=1e-10)
    np.testing.assert_allclose(found["F_Y"], np.eye(side), atol=1e-10)


def test_a_filter_far_outside_is_no_division_by_zero() -> None:
    found = filtered([900.0, -900.0, -20.0, 0.0, 0.0], 4, 6, 3)
    for name in ("F_X", "F_Y"):
        np.testing.assert_allclose(found[name].sum(axis=1), 1.0)


def test_the_window_is_where_the_filters_are() -> None:
    """A grid over the whole image, to the outer edges of its pixels."""
    arrays = weights(draw_attention)
    arrays["reading.W"][:] = 0
    run = unroll(draw_attention, arrays, np.zeros((STEPS, BATCH)), image=IMAGES, eps=EPS)
    half = (6 - 1) / (3 - 1) * 3 / 2
    expected = np.broadcast_to([3 - half, 2 - half, 3 + half, 2 + half], (STEPS, BATCH, 4))
    np.testing.assert_allclose(window(run, "reading"), expected)
    assert not np.allclose(window(run, "writing")[0], window(run, "writing")[1])


@pytest.mark.parametrize("cell", [draw, draw_attention], ids=lambda c: c.name)
def test_what_it_dreams_is_its_decoder_alone(cell: Cell) -> None:
    """The generator shares every equation but z's, and knows no image and no encoder."""
    dream = otherwise(cell, z=lambda v: v.eps, L=None)
    there, here = cell.program(), dream.program()
    changed = {n for n in here.equations if here.text(n) != there.text(n)}
    assert changed == {"z"}
    assert not dream.constants and dream.loss is None
    assert list(dream.state) == ["c", "dec.h", "dec.C"]
    gone = {n for n in cell.parameters if n not in dream.parameters}
    assert {n.partition(".")[0] for n in gone} <= {"enc", "reading", *cell.parameters}
    arrays = weights(cell, pixels=24)
    images = IMAGES if cell is draw_attention else IMAGES.reshape(BATCH, -1)
    seen = unroll(cell, arrays, np.zeros((STEPS, BATCH)), image=images, eps=EPS)
    blank = {"c": np.zeros_like(images)}
    own = {n: arrays[n] for n in dream.parameters}
    run = unroll(dream, own, np.zeros((STEPS, BATCH)), blank, eps=seen["z"])
    np.testing.assert_allclose(run["c"].numpy(), seen["c"].numpy(), atol=1e-12)


def test_sizes_are_printed_by_name_and_hold_for_others() -> None:
    program = draw_attention.program()
    assert "(max(width, height) - 1) / (patch - 1)" in program.text("reading.delta")
    assert "(width + 1) / 2" in program.text("reading.g_X")
    assert draw_attention.parameters["enc.W_f"] == "hidden, 2 * hidden + 2 * patch * patch"
