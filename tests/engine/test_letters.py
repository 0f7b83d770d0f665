"""`each` and `total`: what runs over the places of an axis, written for one of them."""

import pickle

import corpus
import numpy as np
import pytest
from corpus import letters
from readings import subjects

import equations
from tinygrad_lstm import (
    Cell,
    Tensor,
    cell,
    check_gradients,
    compiled,
    concat,
    diagnose,
    each,
    export,
    layer,
    matvec,
    otherwise,
    softmax,
    tanh,
    total,
    unroll,
    vecdot,
)
from tinygrad_lstm.errors import LetterError, ShapeError
from tinygrad_lstm.text import LATEX

random = np.random.default_rng(0)


# --- on values ------------------------------------------------------------------------------------
def test_values_are_those_of_a_loop():
    H, W = random.standard_normal((4, 3)), random.standard_normal((2, 3))
    a = random.standard_normal(4)
    rows = each("j", H, a, lambda h_j, a_j: a_j * tanh(matvec(W, h_j)))
    np.testing.assert_allclose(rows.data, [s * np.tanh(W @ h) for s, h in zip(a, H, strict=True)])
    both = each("i", H, lambda h_i: each("j", W, 2, lambda w_j, j: j * vecdot(h_i, w_j)))
    np.testing.assert_allclose(both.data, H @ W.T * [1, 2])
    turned = each("j", W, lambda w_j: each("i", H, lambda h_i: vecdot(h_i, w_j) + w_j))
    np.testing.assert_allclose(turned.data, (W @ H.T)[..., None] + W[:, None])
    np.testing.assert_allclose(total("j", a, lambda a_j: 2.0).data, 8.0)


def test_gradients_reach_what_is_read_at_every_place():
    H, s = random.standard_normal((4, 3)), random.standard_normal(3)

    def f(H, s):
        scores = each("j", H, lambda h_j: vecdot(tanh(h_j * s), s))
        return total("j", H, softmax(scores), lambda h_j, a_j: vecdot(h_j, h_j) * a_j + s[0])

    assert check_gradients(f, H, s, second_order=True).entries
    leaf = Tensor(H)
    total("j", leaf * 2.0, lambda h_j: vecdot(h_j, h_j)).backward()
    np.testing.assert_allclose(leaf.grad.data, 8 * H)


# --- in cells -------------------------------------------------------------------------------------
def attention(state="s", **more):
    declared = {
        "parameters": {"W_a": "align, hidden", "U_a": "align, annotation", "v_a": "align"},
        "constants": {"H": "length, annotation"},
        "state": {state: "annotation"},
        "x": "hidden",
    }
    return cell(**declared | more)


def test_a_cell_is_printed_with_its_letter():
    by_letter = letters.by_letter
    program = by_letter.program()
    assert program.text("e") == "e_{t,j} = v_a · tanh(W_a · s_{t-1} + U_a · H_j)"
    assert program.text("c", LATEX) == r"c_t = \sum_{j} \alpha_{t,j} \, H_j"
    lines = equations.forward(by_letter)
    assert lines["e"].unicode() == "e_{t,j} = v_a·tanh(W_a·s_{t-1} + U_a·H_j)"
    assert (
        equations.unrolled(by_letter, 2)["e.2"].unicode().startswith("e_{2,j} = v_a·tanh(W_a·s_1")
    )
    back = equations.backward(by_letter)
    assert back["bar.s"].unicode() == "s̄_t = ∂L/∂s_t + Σ_j W_aᵀ·δ^e_{t+1,j} + Wᵀ·δ^s_{t+1}"
    assert back["bar.H"].unicode() == "H̄_j = Σ_t (U_aᵀ·δ^e_{t,j} + c̄_t α_{t,j})"
    assert back["bar.v_a"].unicode().startswith("v̄_a = Σ_t Σ_j ē_{t,j} tanh(")
    assert back["bar.alpha"].unicode().startswith("ᾱ_{t,j} = ")


@pytest.mark.parametrize("name", [n for n, v in vars(letters).items() if isinstance(v, Cell)])
def test_no_array_code_is_printed(name):
    own = corpus.CELLS[name]
    printed = [own.program(), own.program().gradient(), equations.forward(own)]
    printed += [equations.backward(own), equations.derive(own, next(iter(own.parameters)))]
    for text in map(str, printed):
        assert "None" not in text and "..." not in text and "swapaxes" not in text
        assert "axis=-2" not in text and "axis=0" not in text


def test_difference_marks_what_changed_at_one_place():
    @attention()
    def one(now, prev, x, p, H):
        now.e = each("j", H, lambda h_j: vecdot(p.v_a, tanh(matvec(p.W_a, x) + matvec(p.U_a, h_j))))
        now.s = total("j", softmax(now.e), H, lambda a_j, h_j: a_j * h_j)

    @attention()
    def other(now, prev, x, p, H):
        now.e = each("j", H, lambda h_j: vecdot(p.v_a, tanh(matvec(p.U_a, h_j))))
        now.s = total("j", softmax(now.e), H, lambda a_j, h_j: a_j * h_j) + prev.s

    text = equations.difference(one, other).unicode()
    assert "- e_{t,j} = v_a·tanh(«W_a·x_t + U_a·H_j»)" in text
    assert "+ e_{t,j} = v_a·tanh(«U_a·H_j»)" in text


def test_memories_of_one_or_of_each_and_float32():
    q = corpus.draw("by_letter", batch=5, length=5)  # as long as the batch is large
    for network in (q.cell, compiled(q.cell, code="numpy")):
        whole = unroll(network, q.p, q.xs, q.initial, **q.further)
        shared = unroll(network, q.p, q.xs, q.initial, H=q.constants["H"][2])
        for name in ("e", "c", "s"):
            single = unroll(
                q.cell, q.p, q.xs[:, 2], {"s": q.initial["s"][2]}, H=q.constants["H"][2]
            )
            for run in (whole, shared):
                np.testing.assert_allclose(run[name].data[:, 2], single[name].data, rtol=1e-12)
    p = q.cell.init(**q.sizes, dtype=np.float32)
    run = unroll(q.cell, p, q.xs.astype(np.float32), H=q.constants["H"].astype(np.float32))
    assert {run[n].dtype for n in run.names} == {np.dtype(np.float32)}
    p = letters.filterbank.init(**letters.filterbank.small_sizes(), dtype=np.float32)
    assert unroll(letters.filterbank, p, np.zeros((2, 4, 5), np.float32))["Q"].dtype == np.float32


def test_a_cell_goes_there_and_back():
    by_letter = letters.by_letter
    again = Cell.of(by_letter.program(), constants=["H"])
    assert equations.forward(again).unicode() == equations.forward(by_letter).unicode()
    uniform = otherwise(
        by_letter, alpha=lambda v: each("j", v.H, "length", lambda h, j: 0.2 + 0 * j)
    )
    assert equations.forward(uniform)["alpha"].unicode() == "α_{t,j} = 0.2 + 0 j"
    assert "e" not in equations.forward(uniform)
    assert equations.forward(uniform)["c"].unicode() == "c_t = Σ_j α_{t,j} H_j"
    assert pickle.loads(pickle.dumps(by_letter)) is by_letter


def test_a_part_has_letters_of_its_own():
    @layer(x="hidden", constants={"M": "places, hidden"})
    def reading(now, x, p, M):
        now.a = softmax(each("j", M, lambda m_j: vecdot(m_j, x)))
        now.r = total("j", now.a, M, lambda a_j, m_j: a_j * m_j)

    @cell(
        state="h",
        x="hidden",
        parameters={"W": "hidden, 2 * hidden"},
        parts={"one two": reading},
        constants={"H": "length, hidden", "G": "width, hidden"},
    )
    def both(now, prev, x, p, H, G, part):
        seen = concat(part.one(prev.h, M=H), part.two(prev.h, M=G))
        now.h = tanh(matvec(p.W, seen)) + x

    assert "r^(one)_t = Σ_j a^(one)_{t,j} H_j" in equations.forward(both).unicode()
    assert "one(h_{t-1}, H)" in equations.forward(both, folded=True).unicode()
    q = subjects.draw(both, 2, None)
    e = np.exp(q.constants["G"] @ q.initial["h"])
    run = unroll(both, q.p, q.xs, q.initial, **q.further)
    np.testing.assert_allclose(run["two.r"].data[0], e @ q.constants["G"] / e.sum(), rtol=1e-12)


def test_it_is_exported_and_diagnosed():
    by_letter = letters.by_letter
    assert "tanh" in export(by_letter, "torch")

    def backward(p, xs, h_bar, H):
        leaves = {n: Tensor(v) for n, v in p.items()}
        (unroll(by_letter, leaves, xs, H=H)["s"] * h_bar).sum().backward()
        found = {n: t.grad.numpy() for n, t in leaves.items() if t.grad is not None}
        return found | {"v_a": 2 * found["v_a"]}

    assert "v̄_a" in str(diagnose(by_letter, backward))

    def step(p, x, prev, H):
        e = np.tanh(p["W_a"] @ prev["s"] + H @ p["U_a"].T) @ p["v_a"]
        alpha = np.exp(e) / np.exp(e).sum()
        return {"s": np.tanh(p["W"] @ prev["s"] + p["C"] @ (alpha @ H) - p["V"] @ x)}

    assert "V" in str(diagnose(by_letter, forward=step))


# --- bad input ------------------------------------------------------------------------------------
def with_equation(make, kept=()):
    """A step of which one equation is what `make` gives, after one that uses the letter k."""

    @attention(constants={"H": "length, annotation", "G": "other, annotation"})
    def bad(now, prev, x, p, H, G):
        now.c = each("k", H, lambda h: kept.append(h) or vecdot(h, h))
        now.e = make(H, G)
        now.s = prev.s

    return bad.program()


def test_errors_name_the_equation_and_the_fix():
    kept = []

    def raises(kind, words, make):
        with pytest.raises(kind) as caught:
            with_equation(make, kept)
        text = str(caught.value)
        assert "cell 'bad'" in text and (" line " in text or "equation e" in text), text
        assert words in text, text

    raises(LetterError, "begins with a letter", lambda H, G: each(H, lambda h: h))
    raises(LetterError, "last a function", lambda H, G: each("j", H))
    raises(LetterError, "number without axes", lambda H, G: each("j", H[0, 0], tanh))
    raises(ShapeError, "H: length = 5, G: other = 7", lambda H, G: each("j", H, G, vecdot))
    raises(LetterError, "gives nothing", lambda H, G: each("j", H, lambda h: None))
    raises(LetterError, "given 1", lambda H, G: each("j", H, lambda h, g: h))
    same = "inside another one of the same letter"
    raises(LetterError, same, lambda H, G: each("j", H, lambda h: each("j", G, lambda g: g)))
    raises(LetterError, "no size", lambda H, G: each("j", "places", lambda j: j))
    raises(LetterError, "the step in time", lambda H, G: each("t", H, lambda h: h))
    raises(LetterError, "also a value of the step, s", lambda H, G: each("s", H, lambda h: h))
    raises(LetterError, "has run over length = 5", lambda H, G: each("k", G, lambda g: g))
    raises(LetterError, "one place k alone", lambda H, G: kept[-1])
