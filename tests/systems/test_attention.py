"""The cells that attend to a memory: against PyTorch, written afresh, and what must be true."""

import numpy as np
import pytest
from readings import subjects, test_compiled_code, test_numbers

from tinygrad_lstm import Tensor, compiled, unroll
from tinygrad_lstm.systems import attention
from tinygrad_lstm.testing.strategies import Case

torch = pytest.importorskip("torch")

NAMES = ("bahdanau", "xu2015", "luong_general", "luong_dot", "luong_concat", "dot_product")
TIME, BATCH = 4, 3


def problem(name, batch=BATCH, **sizes):
    """Random numbers for a cell, its words one-hot, its mask zeros and ones."""
    q = subjects.draw(getattr(attention, name), TIME, batch, **sizes)
    random = np.random.default_rng(1)
    if "y" in q.sequences:
        symbols = q.sequences["y"].shape[-1]
        q.sequences["y"] = np.eye(symbols)[random.integers(0, symbols, q.sequences["y"].shape[:-1])]
    if "mask" in q.constants:
        q.constants["mask"] = np.float64(random.random(q.constants["mask"].shape) < 0.7)
        q.constants["mask"][..., 0] = 1.0
    return q


# --- written afresh in PyTorch, for batches of one size -------------------------------------------
def affine(p, name, *parts):
    return torch.cat(parts, -1) @ p[f"W_{name}"].T + p[f"b_{name}"]


def lstm(p, x, h, c):
    gate = {n: affine(p, n, h, x) for n in ("rnn.f", "rnn.i", "rnn.C", "rnn.o")}
    c = torch.sigmoid(gate["rnn.f"]) * c + torch.sigmoid(gate["rnn.i"]) * torch.tanh(gate["rnn.C"])
    return torch.sigmoid(gate["rnn.o"]) * torch.tanh(c), c


def of_part(p):
    """Parameters rnn.W_f as W_rnn.f."""
    renamed = {k: (k[4:5] + "_rnn." + k[6:] if k.startswith("rnn.") else k) for k in p}
    return {renamed[k]: v for k, v in p.items()}


def read(alpha, memory):
    return torch.einsum("bj,bjd->bd", alpha, memory)


def bahdanau(p, xs, state, y, H, mask):
    s, rows = state["s"], []
    for x, word in zip(xs, y, strict=True):
        e = torch.tanh((s @ p["W_a"].T)[:, None] + H @ p["U_a"].T) @ p["v_a"]
        alpha = torch.softmax(e.masked_fill(mask == 0, -torch.inf), -1)
        c = read(alpha, H)
        z = torch.sigmoid(x @ p["W_z"].T + s @ p["U_z"].T + c @ p["C_z"].T)
        r = torch.sigmoid(x @ p["W_r"].T + s @ p["U_r"].T + c @ p["C_r"].T)
        t = sum(
            torch.einsum("kpn,bn->bkp", p[n], v) for n, v in (("U_o", s), ("V_o", x), ("C_o", c))
        )
        logits = t.amax(-1) @ p["W_o"].T
        new = torch.tanh(x @ p["W"].T + (r * s) @ p["U"].T + c @ p["C"].T)
        s = (1 - z) * s + z * new
        L = torch.nn.functional.cross_entropy(logits, word.argmax(-1), reduction="none")
        rows.append({"alpha": alpha, "c": c, "s": s, "logits": logits, "L": L})
    return rows


def xu2015(p, xs, state, y, a):
    h, c, seen, rows = state["h"], state["c"], state["A"], []
    for x, word in zip(xs, y, strict=True):
        e = torch.tanh(a @ p["W_c"].T + p["b_att"] + (h @ p["W_d"].T)[:, None]) @ p["U_att"]
        alpha = torch.softmax(e + p["c_tt"], -1)
        beta = torch.sigmoid(h @ p["W_sel"] + p["b_sel"])
        z = beta[:, None] * read(alpha, a)
        i, f, o = (torch.sigmoid(affine(p, n, x, h, z)) for n in "ifo")
        c = f * c + i * torch.tanh(affine(p, "g", x, h, z))
        h = o * torch.tanh(c)
        logits = torch.tanh(h @ p["L_h"].T + x + z @ p["L_z"].T) @ p["L_o"].T
        before, seen = ((1 - seen) ** 2).sum(-1), seen + alpha
        said = torch.nn.functional.cross_entropy(logits, word.argmax(-1), reduction="none")
        L = said + ((1 - seen) ** 2).sum(-1) - before
        rows.append({"alpha": alpha, "z_hat": z, "h": h, "c": c, "A": seen, "L": L})
    return rows


def luong(score):
    def run(p, xs, state, H):
        h, C, h_att, rows = state["h"], state["C"], state["h_att"], []
        for x in xs:
            h, C = lstm(of_part(p), torch.cat([x, h_att], -1), h, C)
            alpha = torch.softmax(score(p, h, H), -1)
            h_att = torch.tanh(torch.cat([read(alpha, H), h], -1) @ p["W_c"].T)
            rows.append({"alpha": alpha, "h": h, "C": C, "h_att": h_att})
        return rows

    return run


def concat_score(p, h, H):
    both = torch.cat([h[:, None].expand(-1, H.shape[1], -1), H], -1)
    return torch.tanh(both @ p["W_a"].T) @ p["v_a"]


def dot_product(p, xs, state, H):
    h, C, rows = state["h"], state["C"], []
    for x in xs:
        query = (h @ p["W_q"].T)[:, None]
        keys, values = H @ p["W_k"].T, H @ p["W_v"].T
        c = torch.nn.functional.scaled_dot_product_attention(query, keys, values)[:, 0]
        h, C = lstm(of_part(p), torch.cat([x, c], -1), h, C)
        rows.append({"c": c, "h": h, "C": C})
    return rows


PEERS = {
    "bahdanau": bahdanau,
    "xu2015": xu2015,
    "luong_general": luong(lambda p, h, H: torch.einsum("bh,ha,bja->bj", h, p["W_a"], H)),
    "luong_dot": luong(lambda p, h, H: torch.einsum("bh,bjh->bj", h, H)),
    "luong_concat": luong(concat_score),
    "dot_product": dot_product,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("code", [None, "numpy"])
def test_cell_is_what_pytorch_computes(name, code):
    q = problem(name)
    network = compiled(q.cell, code=code) if code else q.cell
    leaves = {n: Tensor(v, n) for n, v in {**q.p, "xs": q.xs, **q.initial, **q.constants}.items()}
    run = unroll(
        network,
        {n: leaves[n] for n in q.p},
        leaves["xs"],
        {n: leaves[n] for n in q.initial},
        **q.sequences,
        **{n: leaves[n] for n in q.constants},
    )
    own = {n: torch.tensor(v.numpy(), requires_grad=True) for n, v in leaves.items()}
    rows = PEERS[name](
        {n: own[n] for n in q.p},
        own["xs"],
        {n: own[n] for n in q.initial},
        *map(torch.tensor, q.sequences.values()),
        *(own[n] for n in q.constants),
    )
    loss, other = Tensor(0.0), torch.zeros((), dtype=torch.float64)
    for k, equation in enumerate(rows[0]):
        expected = torch.stack([row[equation] for row in rows])
        subjects.close(run[equation].numpy(), expected.detach().numpy(), 1e-10, equation)
        weights = np.random.default_rng(k).uniform(0.5, 1.5, expected.shape)
        loss = loss + (run[equation] * weights).sum()
        other = other + (expected * torch.tensor(weights)).sum()
    loss.backward()
    other.backward()
    for n, leaf in leaves.items():
        if n == "mask":
            continue
        gradient = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
        expected = own[n].grad
        expected = torch.zeros_like(own[n]) if expected is None else expected
        subjects.close(gradient, expected.numpy(), 1e-10, f"gradient of {n}")


# --- what must be true ----------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["bahdanau", "xu2015", "luong_concat"])
def test_formulas_and_complex_step_are_the_engine(name):
    cell = getattr(attention, name)
    q = problem(name, None)
    case = Case(cell, q.sizes, q.p, q.xs[:2], q.initial, q.further)
    case.further.update({n: v[:2] for n, v in q.sequences.items()})
    assert test_numbers.sympy_against_engine(case) < 1e-9
    if name != "bahdanau":  # whose maxout and mask have kinks
        test_numbers.complex_step_on_all_equations(cell)


@pytest.mark.parametrize("name", ["bahdanau", "xu2015", "dot_product"])
def test_batches_and_halves_and_compiled_code(name):
    cell = getattr(attention, name)
    test_numbers.a_batch_is_its_samples(cell)  # with batch = length, too
    test_numbers.two_halves_are_the_whole(cell)
    test_compiled_code.compiled_c_is_interpreted(cell)


def test_no_weights_look_at_all_places_alike():
    q = problem("bahdanau", length=5)
    q.constants["mask"][:] = 1.0
    run = unroll(q.cell, {**q.p, "v_a": 0.0 * q.p["v_a"]}, q.xs, q.initial, **q.further)
    np.testing.assert_allclose(run["alpha"].numpy(), 0.2, rtol=1e-15)
    fresh = q.cell.init(**q.sizes)
    assert not fresh["v_a"].numpy().any()


def test_a_mask_of_all_but_one_place_gives_that_place():
    q = problem("bahdanau")
    places = np.array([2, 0, 4])
    q.constants["mask"] = np.eye(q.constants["mask"].shape[1])[places]
    run = unroll(q.cell, q.p, q.xs, q.initial, **q.further)
    expected = q.constants["H"][np.arange(BATCH), places]
    np.testing.assert_array_equal(run["c"].numpy(), np.broadcast_to(expected, run["c"].shape))


def test_penalties_of_a_caption_add_to_that_of_the_paper():
    q = problem("xu2015")
    lengths = [4, 2, 3]
    initial = {**q.initial, "A": 0.0 * q.initial["A"]}
    run = unroll(q.cell, q.p, q.xs, initial, lengths=lengths, **q.further)
    looked = run["alpha"].numpy().sum(axis=0)  # of the present steps alone
    expected = ((1 - looked) ** 2).sum(-1) - looked.shape[-1]
    np.testing.assert_allclose(run["D"].numpy().sum(axis=0), expected, rtol=1e-12)
    assert run.loss.item() == pytest.approx(run["L"].numpy().sum() / BATCH)


def test_first_states_of_a_caption_come_from_the_mean_annotation():
    a = np.random.default_rng(0).standard_normal((6, 4))
    program = attention.xu2015_start.program(length=6, annotation=4, hidden=3)
    random = np.random.default_rng(1)
    p = {n: random.standard_normal(node.shape) for n, node in program.inputs.items() if n != "x"}
    found = program.run(x=a, **p)
    np.testing.assert_allclose(found["h"], np.tanh(p["W_h"] @ a.mean(0) + p["b_h"]), rtol=1e-12)
    np.testing.assert_allclose(found["c"], np.tanh(p["W_c"] @ a.mean(0) + p["b_c"]), rtol=1e-12)
