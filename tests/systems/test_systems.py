"""Systems: wires against the same thing done by hand and in PyTorch, and what cannot be wired."""

from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import (
    Tensor,
    before,
    bidirectional,
    cell,
    cells,
    check_gradients,
    compiled,
    concat,
    errors,
    final,
    grid,
    layer,
    mask,
    matvec,
    softmax,
    stack,
    step_through,
    sum,
    system,
    systems,
    tanh,
    transpose,
    unroll,
    weights,
    where,
    whole,
)
from tinygrad_lstm.diagnosis import diagnose, identify
from tinygrad_lstm.learning import readout

torch = pytest.importorskip("torch")

# mypy: disallow-untyped-defs=False
RANDOM = np.random.default_rng(5)


@cell(
    state="h",
    parameters={"W": "hidden, hidden + inputs", "M": "latent, hidden"},
    sequences={"eps": "latent"},
    loss="K",
)
def reader(now, prev, x, p, eps):
    now.h = tanh(p.W @ concat(prev.h, x))
    now.z = p.M @ now.h + eps
    now.K = sum(now.z**2)


@cell(
    state="h",
    parameters={"W": "hidden, hidden + inputs + latent", "V": "frame, hidden"},
    sequences={"z": "latent", "target": "frame"},
    loss="E",
)
def writer(now, prev, x, p, z, target):
    now.h = tanh(p.W @ concat(prev.h, x, z))
    now.E = sum((target - p.V @ now.h) ** 2)


@cell(
    state="s",
    parameters={"A": "hidden, annotation", "W": "hidden, hidden + inputs + annotation"},
    constants={"H": "length, annotation", "m": "length"},
)
def searcher(now, prev, x, p, H, m):
    now.alpha = softmax(where(m > 0.5, H @ (transpose(p.A) @ prev.s), -1e4))
    now.c = transpose(H) @ now.alpha
    now.s = tanh(matvec(p.W, concat(prev.s, x, now.c)))


@layer(parameters={"W": "hidden, inputs"})
def begin(now, x, p):
    now.s = tanh(p.W @ x)


PAIR = system(
    {"q": reader, "p": writer}, {"q.x": "x", "p.x": before("x"), "p.z": "q.z", "p.target": "x"}
)
SEARCH = system(
    encoder=bidirectional(cells.rnn),
    start=begin,
    decoder=searcher,
    wires={
        "encoder.x": "source",
        "start.x": final("encoder.backward.h"),
        "decoder.x": before("target"),
        "decoder.H": whole("encoder.h"),
        "decoder.m": mask("encoder"),
        "decoder.initial.s": "start.s",
    },
)
LOOP = system(a=cells.gru, b=cells.rnn, wires={"a.x": ["x", before("b.h")], "b.x": "a.h"})


def drawn(network: Any, **sizes: int) -> Any:
    p = network.init(**sizes)
    random = np.random.default_rng(1)
    return p.replace({n: t.data + 0.3 * random.normal(size=t.shape) for n, t in p.items()})


def own(p: Any, part: str) -> dict[str, Any]:
    return {n.removeprefix(f"{part}."): t for n, t in p.items() if n.startswith(f"{part}.")}


def test_two_parts_are_two_runs() -> None:
    p, x, e = (
        drawn(PAIR, inputs=4, hidden=3, latent=2),
        RANDOM.normal(size=(5, 2, 4)),
        np.ones((5, 2, 2)),
    )
    run = unroll(PAIR, p, x=x, eps=e, lengths=[5, 3])
    q = unroll(reader, own(p, "q"), x, eps=e, lengths=[5, 3])
    late = np.concatenate([np.zeros((1, 2, 4)), x[:-1]])
    bound = writer.bind(own(p, "p"), inputs=4)
    g = unroll(writer, bound, late, z=q["z"], target=x, lengths=[5, 3])
    for name, expected in {"q.K": q["K"], "p.E": g["E"], "p.h": g["h"]}.items():
        np.testing.assert_array_equal(run[name].data, expected.data)
    np.testing.assert_allclose(run.loss.item(), (q.loss + g.loss).item(), rtol=1e-14)
    np.testing.assert_array_equal(run.final["x"].data, [x[4, 0], x[2, 1]])


def test_the_loss_is_that_of_pytorch_written_afresh() -> None:
    p, x = drawn(PAIR, inputs=4, hidden=3, latent=2), RANDOM.normal(size=(5, 4, 4))
    e = RANDOM.normal(size=(5, 4, 2))
    run = unroll(PAIR, p, x=x, eps=e)
    run.loss.backward()
    t = {n: torch.tensor(v.data, requires_grad=True) for n, v in p.items()}
    xs, es = torch.tensor(x), torch.tensor(e)
    h = g = torch.zeros(4, 3, dtype=torch.float64)
    loss, last = torch.zeros(()), torch.zeros(4, 4, dtype=torch.float64)
    for k in range(5):
        h = torch.tanh(torch.cat([h, xs[k]], 1) @ t["q.W"].T)
        z = h @ t["q.M"].T + es[k]
        g = torch.tanh(torch.cat([g, last, z], 1) @ t["p.W"].T)
        loss = loss + (z**2).sum(1).mean() + ((xs[k] - g @ t["p.V"].T) ** 2).sum(1).mean()
        last = xs[k]
    loss.backward()
    np.testing.assert_allclose(run.loss.item(), loss.item(), rtol=1e-12)
    for n in p:
        np.testing.assert_allclose(p[n].grad.data, t[n].grad.numpy(), rtol=1e-10, atol=1e-12)


def test_two_halves_are_the_whole() -> None:
    p, x = drawn(PAIR, inputs=2, hidden=2, latent=2), RANDOM.normal(size=(6, 2, 2))
    e = RANDOM.normal(size=(6, 2, 2))
    one = unroll(PAIR, p, x, eps=e)
    first = unroll(PAIR, p, x[:2], eps=e[:2])
    second = unroll(PAIR, p, x[2:], first.final, eps=e[2:])
    both = np.concatenate([first["p.h"].data, second["p.h"].data])
    np.testing.assert_array_equal(one["p.h"].data, both)


@pytest.mark.parametrize("size", [(6, 2, 4), (2, 2, 2)])  # length = batch = inputs = hidden
def test_a_padded_memory_is_that_of_each_sequence_alone(size: tuple[int, int, int]) -> None:
    length, batch, n = size
    p = drawn(SEARCH, inputs=n, hidden=2)
    source, target = RANDOM.normal(size=size), RANDOM.normal(size=(3, batch, n))
    lengths = {"source": [length, 1], "target": [2, 3]}
    run = unroll(SEARCH, p, source=source, target=target, lengths=lengths)
    assert not run["decoder.alpha"].data[:, 1, 1:].any()
    for b, (s, t) in enumerate(zip(lengths["source"], lengths["target"], strict=True)):
        one = unroll(SEARCH, p, source=source[:s, b], target=target[:t, b])
        found = run["decoder.s"].data[:t, b]
        np.testing.assert_allclose(found, one["decoder.s"].data, rtol=1e-13, atol=1e-15)
    assert run["start.s"].shape == (batch, 2)
    encoder = unroll(bidirectional(cells.rnn), own(p, "encoder"), source, lengths=[length, 1])
    np.testing.assert_array_equal(run.parts["encoder"]["h"].data, encoder["h"].data)


def test_gradients_flow_along_every_wire() -> None:
    p = drawn(SEARCH, inputs=2, hidden=2)
    xs, ys = RANDOM.normal(size=(3, 2, 2)), RANDOM.normal(size=(2, 2, 2))

    def f(q: Any, source: Any, target: Any) -> Any:
        run = unroll(SEARCH, q, source=source, target=target, lengths={"source": [3, 2]})
        return concat(run["decoder.s"].reshape(-1), run["decoder.alpha"].reshape(-1))

    assert check_gradients(f, p, xs, ys).worst < 1e-10
    loop = drawn(LOOP, inputs=3, hidden=2)
    assert check_gradients(lambda q, x: unroll(LOOP, q, x)["b.h"], loop, xs[:, :, :1].repeat(3, 2))


def test_a_loop_through_the_step_before_is_its_program_step_by_step() -> None:
    p, xs = drawn(LOOP, inputs=3, hidden=2), RANDOM.normal(size=(4, 3))
    run, step = unroll(LOOP, p, xs), LOOP.program(inputs=3, hidden=2)
    states = {"a.h": np.zeros(2), "b.h": np.zeros(2)}
    for x in xs:
        arrays = {n: t.data for n, t in p.items()}
        found = step.run(x=x, prev=states, **arrays)
        states = {n: found[n] for n in states}
    np.testing.assert_allclose(run.final["b.h"].data, states["b.h"], rtol=1e-13)


@pytest.mark.parametrize("code", ["auto", "numpy"])
def test_compiled_systems_compute_the_same(code: str) -> None:
    for network, sizes, inputs in (
        (PAIR, {"inputs": 3, "hidden": 2, "latent": 2}, {"x": (4, 2, 3), "eps": (4, 2, 2)}),
        (SEARCH, {"inputs": 3, "hidden": 2}, {"source": (4, 2, 3), "target": (3, 2, 3)}),
        (LOOP, {"inputs": 3, "hidden": 2}, {"x": (4, 2, 3)}),
    ):
        p, q = drawn(network, **sizes), drawn(network, **sizes)
        arrays = {n: RANDOM.normal(size=shape) for n, shape in inputs.items()}
        plain, fast = unroll(network, p, **arrays), unroll(compiled(network, code), q, **arrays)
        for run in (plain, fast):
            (run[run.cell.output] ** 2).sum().backward()
        for name in plain.names:
            np.testing.assert_allclose(fast[name].data, plain[name].data, rtol=1e-12, atol=1e-14)
        for n in p:
            assert (p[n].grad is None) == (q[n].grad is None)
            if p[n].grad is not None:
                np.testing.assert_allclose(q[n].grad.data, p[n].grad.data, rtol=1e-10, atol=1e-13)


def test_tied_layers_have_one_set_of_parameters(tmp_path: Any) -> None:
    net = stack([cells.rnn, *[cells.gru] * 3], tied="2..")
    p, xs = drawn(net, inputs=2, hidden=2), Tensor(RANDOM.normal(size=(3, 2)))
    assert [n for n in p if n[0] != "1"] == ["2.W_z", "2.W_r", "2.W_h"]
    (unroll(net, p, xs)["h"] ** 2).sum().backward()
    plain = stack([cells.rnn, *[cells.gru] * 3])
    q = plain.bind({n: p[n if n in p else f"2{n[1:]}"].data for n in plain.parameters})
    (unroll(plain, q, xs.data)["h"] ** 2).sum().backward()
    for n in ("W_z", "W_r", "W_h"):
        added = np.sum([q[f"{k}.{n}"].grad.data for k in (2, 3, 4)], axis=0)
        np.testing.assert_allclose(p[f"2.{n}"].grad.data, added, rtol=1e-12)
    weights.save(tmp_path / "tied.safetensors", net, p)
    again, r = weights.load(tmp_path / "tied.safetensors")
    assert [*r] == [*p] and again.home == net.home
    with pytest.raises(errors.CellError, match="1 is cell 'rnn'|2 is cell 'gru'"):
        stack([cells.rnn, cells.gru], tied="1 2")


def test_a_further_input_goes_to_the_part_that_declares_it() -> None:
    net = stack([cells.rnn, reader])
    p, xs = drawn(net, inputs=3, hidden=2, latent=2), RANDOM.normal(size=(4, 2, 3))
    eps = RANDOM.normal(size=(4, 2, 2))
    one, other = unroll(net, p, xs, eps=eps), unroll(net, p, xs, **{"2.eps": eps})
    np.testing.assert_array_equal(one["2.z"].data, other["2.z"].data)


def test_the_stepper_walks_through_a_system() -> None:
    p = drawn(SEARCH, inputs=2, hidden=2)
    run = unroll(SEARCH, p, source=RANDOM.normal(size=(2, 2)), target=RANDOM.normal(size=(2, 2)))
    text = "\n".join(str(event) for event in step_through(run["decoder.s"].sum()))
    assert "encoder" in text and "decoder" in text and "start" in text


def wired(**wires: Any) -> Any:
    return lambda: system(
        q=reader, p=writer, wires={"q.x": "x", "p.x": before("x"), "p.z": "q.z"} | wires
    )


def given(**arrays: Any) -> Any:
    return lambda: unroll(SEARCH, drawn(SEARCH, inputs=3, hidden=2), **arrays)


def by_hand(**memory: Any) -> Any:
    """A memory that is given, or that leads to a part by a wire."""
    wires = {"a.x": "x", **({"a.H": "memory"} if "memory" in memory else {})}
    net = system(a=searcher, wires=wires)
    p = drawn(net, inputs=3, hidden=2, annotation=6, length=4)
    return lambda: unroll(net, p, S, **memory, m=np.ones((2, 4)))


S, T = np.zeros((4, 2, 3)), np.zeros((3, 2, 3))
REFUSED: list[tuple[Any, str]] = [
    (wired(**{"r.x": "x"}), "the wire 'r.x' leads to no part: there is no 'r'; the parts are q, p"),
    (wired(**{"p.y": "x"}), "the wire 'p.y' leads nowhere: p takes no 'y'; it takes x, z, target"),
    (wired(**{"p.z": "r.z"}), "comes from 'r.z', but there is no part 'r'; the parts are q, p"),
    (wired(**{"p.z": "q.y"}), "comes from 'q.y', but cell 'reader' has no equation 'y'; it has h"),
    (wired(**{"q.eps": "p.h"}), "go round in a circle: q.eps reads 'p.h'; p.z reads 'q.z'"),
    (lambda: system(q=reader, wires={}), "nothing is wired to q.x \\(inputs\\)"),
    (
        lambda: system(a=begin, b=cells.rnn, wires={"a.x": "x", "b.x": "x", "a.initial.s": "b.h"}),
        "leads to a first state, but layer 'begin' has no state",
    ),
    (
        lambda: system(a=begin, b=cells.rnn, wires={"a.x": "x", "b.x": final("a.s")}),
        "comes from final\\('a.s'\\), but layer 'begin' has no state",
    ),
    (
        lambda: system(a=cells.rnn, b=searcher, wires={"a.x": "x", "b.x": "x", "b.H": "a.h"}),
        "b.H is a constant, but 'a.h' has a value at each step.\n  Write whole\\('a.h'\\)",
    ),
    (
        lambda: PAIR.init(inputs=4, hidden=3, latent=2, **{"p.latent": 3}),
        "p.z is \\(latent\\) = 3 there, but 'q.z', which is wired to it, has 2",
    ),
    (given(source=S), "needs its input 'target', \\(time, …\\)"),
    (given(source=S, target=T, lengths=[4, 2]), "lengths={'source': …, 'target': …}"),
    (given(source=S, target=T, lengths={"x": [4, 2]}), "lengths has 'x'; the inputs with steps"),
    (
        given(source=S, target=np.zeros((3, 4, 3))),
        "decoder.x is \\(inputs\\), inputs=3, but before",
    ),
    (
        given(source=S, target=np.zeros((3, 2, 5))),
        "decoder.x is \\(inputs\\), inputs=3, but before",
    ),
    (
        lambda: SEARCH.program(),
        "has no one step: the parts go by steps of their own, encoder by those of source, decoder",
    ),
    (
        by_hand(H=np.zeros((4, 2, 6))),
        r"a.H is given with shape \(4, 2, 6\), but it is \(length, annotation\), with the batch's "
        r"axes \(2,\) in front",
    ),
    (
        by_hand(memory=np.zeros((4, 2, 6))),
        r"a.H is \(length, annotation\).*but 'memory', which is wired to it, has shape \(4, 2, 6\)."
        r"\n  It has to be \(length, annotation\) after the batch's \(2,\)",
    ),
    (lambda: readout(SEARCH, outputs=2), "readout predicts from.*at each step.*value_and_grad"),
    (lambda: readout(grid(systems.grid_lstm), outputs=2), "grid of cell 'grid_lstm' has places"),
    (
        lambda: diagnose(SEARCH, lambda p, xs, h_bar: {}),
        "Of a network diagnose each cell by itself",
    ),
    (
        lambda: diagnose(grid(systems.grid_lstm), lambda p, xs, h_bar: {}),
        "diagnose takes a cell, got grid of cell 'grid_lstm'. Of a grid diagnose its block",
    ),
    (
        lambda: identify([S], S, S, cells=[grid(systems.grid_lstm)]),
        "a cell is needed, got grid of cell 'grid_lstm'; write the grid's block",
    ),
    (lambda: identify([S], S, S, cells=[PAIR]), "a cell is needed, got network"),
    (
        lambda: unroll(PAIR, drawn(PAIR, inputs=4, hidden=3, latent=2), np.zeros((3, 4))),
        "further inputs; pass them by name: eps=… \\(latent\\)",
    ),
]


@pytest.mark.parametrize(("case", "message"), REFUSED)
def test_what_cannot_be_wired_is_named(case: Any, message: str) -> None:
    with pytest.raises(errors.TinygradError, match=f"(?s){message}"):
        case()
