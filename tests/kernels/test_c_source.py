"""C sources: one text for all sizes of a cell, and one that compiles, links and runs alone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import MISSING, compare, problem
from readings.subjects import CELLS, draw

from tinygrad_lstm import (
    Cell,
    Tensor,
    cell,
    cells,
    compiled,
    concat,
    logsumexp,
    matvec,
    tanh,
    unroll,
)
from tinygrad_lstm.kernels import toolchain
from tinygrad_lstm.kernels.c_source import Source
from tinygrad_lstm.kernels.loop import lower
from tinygrad_lstm.kernels.plan import Buffer, Kind, Plan, Space
from tinygrad_lstm.kernels.toolchain import Machine, machine

needs_compiler = pytest.mark.skipif(bool(MISSING), reason=MISSING)
STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror")


def source(own: Cell, dtype: Any = np.float32, **sizes: int) -> Source:
    return Source(lower(compiled(own).plan(**sizes)), dtype, Machine("any", 32, 6))


# --- sizes ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(CELLS)[::3])
def test_one_text_serves_all_sizes(name: str) -> None:
    own = CELLS[name]
    first, second = (
        source(own, **{size: start + step * k for k, size in enumerate(own.sizes)})
        for start, step in ((14, 3), (21, 5))
    )
    assert first.code == second.code
    assert own.sizes == [] or first.sizes.counts != second.sizes.counts


@pytest.mark.parametrize("name", ["lstm", "gru", "bahdanau"])
def test_what_differs_is_told_by_the_struct(name: str) -> None:
    """Every number of the loops is a member, but for those of any cell."""
    own = source(CELLS[name], **{size: 14 + 3 * k for k, size in enumerate(CELLS[name].sizes)})
    loops = own.code[own.code.index("void forward") :]
    assert set(re.findall(r"n->(\w+)", loops)) - {"reals"} <= {*own.sizes.counts, *own.sizes.tables}
    found = set(re.findall(r"(?<![\w.])(\d+)(?![\w.\]])", loops))
    assert found <= {"0", "1", "2"}


@cell(
    state="h",
    parameters={"W": "hidden, hidden + inputs", "U": "width, hidden"},
    constants={"memory": "length, width"},
)
def reader(now, prev, x, p, memory):
    """Sizes stand in its numbers, too, and a memory may have any length."""
    now.q = matvec(memory, matvec(p.U, prev.h)) / memory.shape[0]
    now.s = logsumexp(now.q) * (1 / prev.h.shape[0] ** 0.5)
    now.c = matvec(p.W, concat(prev.h, x)) - now.s.mean()
    now.h = tanh(now.c - now.c.mean() + now.q[::-1].sum() / memory.shape[0])


SIZES = [
    {"hidden": 5, "inputs": 4, "width": 3, "length": 7},
    {"hidden": 9, "inputs": 3, "width": 6, "length": 2},
    {"hidden": 33, "inputs": 17, "width": 4, "length": 40},
]


@needs_compiler
@pytest.mark.parametrize("own", [reader, cells.lstm], ids=str)
def test_a_new_size_is_not_compiled_again(own: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    for k, sizes in enumerate(SIZES):
        q = draw(own, time=3 + k, batch=2 + k, **{n: sizes[n] for n in own.sizes})
        found = []
        for network in (own, compiled(own, "c")):
            p = {n: Tensor(v) for n, v in q.p.items()}
            run = unroll(network, p, q.xs, q.initial, **q.further)
            (run["h"] ** 2).sum().backward()
            gradients = [t.grad.numpy() for t in p.values() if t.grad is not None]
            found.append([run["h"].numpy(), *gradients])
        for plain, fast in zip(*found, strict=True):
            np.testing.assert_allclose(fast, plain, 1e-9, 1e-11)
        if not k:  # from now on nothing is compiled
            monkeypatch.setenv("TINYGRAD_LSTM_CACHE", os.devnull)
            monkeypatch.setattr(toolchain, "_compile", None)


@needs_compiler
@pytest.mark.parametrize("name", ["lstm", "reader", "gru_d"])
def test_sizes_that_coincide(name: str) -> None:
    """hidden = inputs = batch = time = 3, right after another size of the same cell."""
    own: Any = {**CELLS, "reader": reader}[name]
    for n in (4, 3):
        q = draw(own, time=3, batch=3, **dict.fromkeys(own.sizes, n))
        plain, fast = (
            unroll(network, q.p, q.xs, q.initial, **q.further)[own.output].numpy()
            for network in (own, compiled(own, "c"))
        )
        np.testing.assert_allclose(fast, plain, 1e-10, 1e-12)


# --- alone ----------------------------------------------------------------------------------------
class Alone:
    """A main of a source: its buffers as arrays, its weights packed, forward, backward, printed."""

    def __init__(self, made: Source, values: dict[str, Any], steps: int, batch: int) -> None:
        self.made, self.values, self.steps, self.batch = made, values, steps, batch
        plan, self.memory = made.loops.plan, list[str]()
        at, by = [], []
        for k, b in enumerate(made.buffers):
            timed = b.kind is Kind.TIME
            by.append(batch * b.width if timed else 0)
            at.append(self.array(f"b{k}", b, plan))
        scratch = max(made.scratch.values()) * steps * batch + 1
        sums = sum(b.width for b in made.totals) + 1
        products = sum(s.left.size * s.right.size for s in made.outers) + 1
        packs, lines = [], []
        for k, (_, s, size) in enumerate(made.packs):
            m, n = map(int, s.weight.shape)
            shape = f"{m}, {n}, {{}}, {n}, 1" if s.transposed else f"{n}, {m}, {{}}, 1, {n}"
            weight = at[made.buffers.index(s.weight.buffer)]
            self.memory.append(f"static real p{k}[{size}];")
            packs.append(f"p{k}")
            lines.append(f"pack({shape.format(weight)}, p{k});")
        self.memory += [
            f"static real scratch[{scratch}], sums[{sums}], products[{products}];",
            f"static real *const at[] = {{{', '.join(at)}}};",
            f"static const count by[] = {{{', '.join(map(str, by))}}};",
            f"static real *const packs[] = {{{', '.join(packs)}}};",
        ]
        memory = "at, by, packs, NULL, sums, products, scratch"
        for loop, piece in (("forward", 2), ("backward", steps)):
            lines.append(f"{loop}(&sizes, {steps}, {batch}, 0, {batch}, {piece}, {memory});")
        for name, where, size in (
            *((b.name, at[k], self.size(b)) for k, b in enumerate(made.buffers)),
            ("products", "products", products - 1),
        ):
            lines.append(f'printf("{name}\\n"); show({where}, {size});')
        show = (
            'static void show(const real *x, int n) { while (n--) printf("%.17g ", (double)*x++);'
        )
        body = "\n    ".join([*lines, "return 0;"])
        self.text = "\n".join(
            ["#include <stdio.h>", made.text, *self.memory, f'{show} printf("\\n"); }}']
            + [f"int main(void)\n{{\n    {body}\n}}\n"]
        )

    def size(self, b: Buffer) -> int:
        if b.kind is Kind.WEIGHT:
            return int(np.size(self.values[b.name]))
        return b.width * self.batch * (self.steps if b.kind is Kind.TIME else 1)

    def array(self, name: str, b: Buffer, plan: Plan) -> str:
        """An array for a buffer; a state's has one step more, and begins with the one before."""
        if b.space is Space.PREVIOUS:
            self.memory.append(
                f"static real {b.label}_[{(self.steps + 1) * self.batch * b.width}];"
            )
            return f"{b.label}_"
        if b.name in plan.states:
            return f"{b.name}_ + {self.batch * b.width}"
        given = self.values.get(b.name)
        numbers = (
            "" if given is None else f" = {{{', '.join(map(repr, np.ravel(given).tolist()))}}}"
        )
        self.memory.append(f"static real {name}[{self.size(b)}]{numbers};")
        return name

    def run(self, command: tuple[str, ...], folder: Path, *flags: str) -> dict[str, Any]:
        """What it prints."""
        (folder / "alone.c").write_text(self.text, encoding="utf-8")
        made = str(folder / "alone")
        given = [*command, *STRICT, *flags, "-o", made, str(folder / "alone.c"), "-lm"]
        done = subprocess.run(given, capture_output=True, encoding="utf-8", timeout=120)
        assert done.returncode == 0, done.stderr
        lines = subprocess.run([made], capture_output=True, encoding="utf-8", timeout=60).stdout
        pairs = lines.split("\n")[:-1]
        return {n: np.array(v.split(), float) for n, v in zip(pairs[::2], pairs[1::2], strict=True)}


HOW = {
    "as here": (np.float64, ("-O2",)),
    "vectors of 16 bytes": (np.float32, ("-O1", "-DVECTOR=16", "-DROWS=4")),
    "without vectors": (np.float64, ("-O1", "-DPLAIN")),
}


@needs_compiler
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", ["lstm", "rnn"])
def test_a_source_runs_alone(name: str, how: str, tmp_path: Path) -> None:
    """The output, and the gradients of the packed weights and of x, beside the interpreter's."""
    own, (dtype, flags) = cells.all()[name], HOW[how]
    steps, batch, sizes = 5, 3, {"inputs": 19, "hidden": 5}
    p = own.init(seed=1, **sizes)
    random = np.random.default_rng(0)
    xs, G = random.normal(size=(steps, batch, 19)), random.normal(size=(steps, batch, 5))
    plan = compiled(own).plan(**sizes)
    assert plan.seeds == ["h"]
    x = Tensor(xs)
    run = unroll(own, p, x)
    (run["h"] * G).sum().backward()
    weights = plan.once.run(**{n: t.data for n, t in p.items()})
    given = {n: weights[n] for n in plan.once.outputs} | plan.fixed
    given |= {"in.x": xs, "given.h": G[::-1]}
    made = Source(lower(plan), dtype, machine())
    found = Alone(made, given, steps, batch)
    # the loop back reads what is kept of each step from the last one on: here by a second table
    found.text = back_to_front(found, plan)
    numbers = found.run(toolchain.compiler() or (), tmp_path, *flags)
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(numbers["h"], run["h"].data.ravel(), 0, tolerance)
    bar = numbers["bar.in.x"].reshape(steps, batch, -1)[::-1]
    np.testing.assert_allclose(bar, x.grad.data, 0, tolerance)
    packed = plan.once.run(**{n: t.grad.data for n, t in p.items()})
    right = [packed[s.weight].ravel() for s in made.outers]
    np.testing.assert_allclose(numbers["products"], np.concatenate(right), 0, tolerance)


def back_to_front(alone: Alone, plan: Plan) -> str:
    """Going back, what was kept is read from its last step on: `at` is there, `by` is negative."""
    lines = [
        "    static real *back[sizeof at / sizeof *at];",
        "    static count down[sizeof at / sizeof *at];",
    ]
    for k, b in enumerate(alone.made.buffers):
        kept = b.kind is Kind.TIME and b.space not in (Space.SEED, Space.INPUT_ADJOINT)
        kept = kept and b not in alone.made.transient
        lines.append(f"    back[{k}] = at[{k}] + {(alone.steps - 1) * kept} * by[{k}];")
        lines.append(f"    down[{k}] = {'-' * kept}by[{k}];")
    head, call, rest = alone.text.partition("    backward(&sizes")
    return "\n".join([head, *lines, call + rest.replace("at, by, packs", "back, down, packs", 1)])


@needs_compiler
@pytest.mark.parametrize("name", ["ntm", "draw_row", "layernorm_lstm", "bahdanau", "reader"])
def test_sources_of_all_sorts_are_c99(name: str, tmp_path: Path) -> None:
    own: Any = {**CELLS, "reader": reader}[name]
    text = source(own, **{size: 5 + 2 * k for k, size in enumerate(own.sizes)}).text
    (tmp_path / "cell.c").write_text(text, encoding="utf-8")
    for flags in ([], ["-DPLAIN"], ["-DVECTOR=16", "-DROWS=4"]):
        given = [*(toolchain.compiler() or ()), *STRICT, *flags, "-fsyntax-only", "cell.c"]
        done = subprocess.run(given, capture_output=True, encoding="utf-8", cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@needs_compiler
def test_sizes_of_one_and_ragged_lengths() -> None:
    for lead, lengths in (((1,), [4]), ((3,), [6, 1, 3])):
        for sizes in ({"hidden": 1, "inputs": 1}, {"hidden": 2, "inputs": 1}):
            given = problem(cells.lstm, lead=lead, lengths=lengths, reverse=True)
            random = np.random.default_rng(0)
            given.parameters = {
                n: random.normal(size=t.shape) for n, t in cells.lstm.init(**sizes).items()
            }
            given.xs = random.normal(size=(6, *lead, 1))
            given.initial = {n: random.normal(size=(*lead, sizes["hidden"])) for n in "hC"}
            compare(cells.lstm, given, "c")


# --- what is kept ---------------------------------------------------------------------------------
@needs_compiler
def test_the_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_LSTM_CACHE", str(tmp_path))
    sources = [f"int number{k}(void) {{ return {k}; }}\n" for k in range(5)]
    for text in sources[:4]:
        toolchain.load(text, "", machine())
    made = {f: f.stat() for f in tmp_path.iterdir() if f.suffix == ".so"}
    assert len(made) == 4
    first = min(made, key=lambda f: made[f].st_mtime_ns)
    for k, f in enumerate(sorted(made, key=lambda f: made[f].st_mtime_ns)):
        os.utime(f, (k, made[f].st_mtime))  # used in this order, long ago
    toolchain.load.cache_clear()
    toolchain.load(sources[0], "", machine())  # and the first one again
    left = tmp_path / "making-left-behind"
    left.mkdir()
    os.utime(left, (0, 0))
    monkeypatch.setattr(toolchain, "_MOST", 3 * first.stat().st_size)
    toolchain.load(sources[4], "", machine())
    kept = {f for f in tmp_path.iterdir() if f.suffix == ".so"}
    assert first in kept and len(kept) < 5 and not left.exists()
    for note in tmp_path.glob("*.json"):
        assert note.with_suffix("").is_file()  # nothing is left of what was removed
