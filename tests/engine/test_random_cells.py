"""Cells drawn at random: the interpreter and the code of all kinds agree on all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiling import CODES, JS, Problem, agree, by_samples, everything
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis import strategies as st
from sampling import WHOLE, sample

from tinygrad_lstm import Cell, cell, compiled, concat, matvec, tanh
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.kernels import numpy_code, patterns, rewriting
from tinygrad_lstm.tensor import TABLE, Tensor, ancestors
from tinygrad_lstm.testing.programs import OPERATIONS, random_cells

TOLERANCE = {"numpy": 1e-12, "c": 1e-10, "js": 1e-10}  # of the largest number in the run
KINK = 1e-9
C = CODES[1]
quick = settings(
    phases=[Phase.explicit, Phase.generate],  # shrinking compiles hundreds of cells
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@dataclasses.dataclass(frozen=True)
class Situation:
    """How a cell is run. Sizes of a random cell are 1 to 3, so that all lengths may coincide."""

    seed: int
    time: int
    batch: int | None
    ended: bool  # samples end at different steps
    reverse: bool
    each: bool  # every sample has further inputs of its own

    def problem(self, own: Cell) -> Problem:
        """A problem for a cell."""
        random = np.random.default_rng(self.seed)
        lead = () if self.batch is None else (self.batch,)
        further = lead if self.each else ()
        lengths = None
        if self.ended and self.batch:
            lengths = [self.time, *(1 + k % self.time for k in range(self.batch - 1))]

        def drawn(words: str, *axes: int) -> np.ndarray:
            return random.uniform(-1.0, 1.0, (*axes, *dimensions.shape(words, {})))

        return Problem(
            {name: drawn(words) for name, words in own.parameters.items()},
            drawn(own.x, self.time, *lead),
            {name: drawn(words, *lead) for name, words in own.state.items()},
            {name: drawn(words, self.time, *further) for name, words in own.sequences.items()}
            | {name: drawn(words, *further) for name, words in own.constants.items()},
            lengths,
            self.reverse,
        )


situations = st.builds(
    Situation,
    st.integers(0, 99),
    st.sampled_from((3, 4)),
    st.sampled_from((2, 3, 1, None)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


def distance(own: Cell, given: Problem) -> float:
    """How far the run stays from a kink or a jump, where rounding decides."""
    run, _ = given.run(own)
    nearest = np.inf
    for node in ancestors([value for step in run.steps for value in step.values()]):
        if not node.inputs or not any(i.dtype.kind == "f" for i in node.inputs):
            continue
        operands = [i.data for i in node.inputs]
        row = TABLE[node.op or ""]
        gap = row.distance(*operands, **node.attributes) if row.distance else np.inf
        if node.op in ("equal", "not_equal"):
            gap = np.abs(operands[0] - operands[1])
            gap = np.where(gap == 0, np.inf, gap)  # the same number twice stays the same
        nearest = min(nearest, float(np.min(gap, initial=np.inf)))
    return nearest


def check(own: Cell, given: Problem, code: str, memory: str = "full") -> None:
    note(str(own.program()))
    assume(distance(own, given) > KINK)
    fast = compiled(own, code, memory)
    plain = by_samples(own, given)  # for one sample every cell is written
    largest = max(1.0, *(float(np.max(np.abs(v), initial=0.0)) for v in plain.values()))
    agree(plain, everything(fast, given), TOLERANCE[code] * largest)


@pytest.mark.parametrize("code", [*CODES, JS])
@pytest.mark.parametrize("memory", ["full", "low"])
def test_every_random_cell_agrees(code: str, memory: str) -> None:
    @settings(quick, max_examples=20 if code == "numpy" else 6)
    @given(random_cells(), situations)
    def agrees(own: Cell, how: Situation) -> None:
        check(own, how.problem(own), code, memory)

    agrees()


@pytest.mark.parametrize(
    ("operation", "code"),
    [(o, "numpy") for o in OPERATIONS]
    + [pytest.param(o, *C.values, marks=C.marks) for o in OPERATIONS]
    + [pytest.param(o, *JS.values, marks=JS.marks) for o in sample(OPERATIONS, 4)],
)
def test_every_operation_of_the_table(operation: str, code: str) -> None:
    @settings(quick, max_examples=(20 if WHOLE else 5) if code == "numpy" else 5 if WHOLE else 1)
    @given(random_cells(operation, max_equations=4), situations)
    def agrees(own: Cell, how: Situation) -> None:
        assert operation in {node.op for node in own.program().nodes()}
        check(own, how.problem(own), code)

    agrees()


# --- the test can fail ----------------------------------------------------------------------------
def wrong_rows(self: Any, v: Tensor, root: Tensor) -> int:
    return 0


def without_the_last_term(node: Tensor) -> list[Tensor]:
    found = right_terms(node)
    return found[:-1] or found


def axes_from_the_front(node: Tensor, *batch: Any) -> Any:
    steps, found = right_lift(node, *batch)
    return steps, {**found, "axis": 0} if "axis" in found else found


def always_a_view(node: Tensor) -> bool:
    return right_view(node) or node.op == "getitem" and node.ndim == 1


right_terms, right_lift, right_view = patterns.terms, numpy_code.lift, patterns.is_view
MUTATIONS: dict[str, tuple[Any, str, Callable[..., Any], str | None]] = {
    "packed rows": (rewriting._Rewriter, "_start", wrong_rows, "matvec"),
    "deferred terms": (patterns, "terms", without_the_last_term, None),
    "axes of a batch": (numpy_code, "lift", axes_from_the_front, "sum"),
    "views": (patterns, "is_view", always_a_view, "getitem"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_broken_rule_of_planning_is_found(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, wrong, operation = MUTATIONS[mutation]
    monkeypatch.setattr(where, name, wrong)

    @settings(quick, max_examples=100)
    @given(random_cells(operation), situations)
    def agrees(own: Cell, how: Situation) -> None:
        check(own, how.problem(own), "numpy")

    with pytest.raises((AssertionError, ValueError)):
        agrees()


def test_a_wrong_derivative_in_the_compiled_code_is_found(table: Any) -> None:
    @cell(state={"h": "3"}, parameters={"W": "3, 5"}, x="2")
    def own(now, prev, x, p):
        now.h = tanh(matvec(p.W, concat(prev.h, x)))

    given = Situation(0, 3, 2, False, False, False).problem(own)
    plain = everything(own, given)
    agree(plain, everything(compiled(own, "numpy"), given), TOLERANCE["numpy"])
    row = table["tanh"]
    table["tanh"] = dataclasses.replace(row, derivatives=(lambda g, y, x: g * (1.01 - y * y),))
    with pytest.raises(AssertionError, match="gradient of"):
        agree(plain, everything(compiled(own, "numpy"), given), TOLERANCE["numpy"])
