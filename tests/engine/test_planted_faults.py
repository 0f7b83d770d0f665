"""The checker is checked: for each property a fault that it must see, and that no other one can.

So a property that is weakened, or that looks at less than it says, fails a test of its own.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sympy.core.cache import clear_cache

from equations import algebra
from lesson.cell_checks import EVERY_PROPERTY
from tinygrad_lstm import cell, matvec, sigmoid, tanh
from tinygrad_lstm.kernels.packing import Packing
from tinygrad_lstm.ops import register
from tinygrad_lstm.sequence_inputs import Steps
from tinygrad_lstm.tensor import Tensor, apply
from tinygrad_lstm.testing import strategies
from tinygrad_lstm.testing.properties import Disagreement, equal, examine

Patch = pytest.MonkeyPatch


def subject(operation: str = "tanh", cut: bool = False) -> Any:
    """A cell with an equation that no state reads, by an operation of the table."""

    @cell(
        state="h",
        parameters={"W": "hidden, inputs", "U": "hidden, hidden", "V": "hidden, hidden"},
        sequences={"gate": "hidden"},
        constants={"scale": "hidden"},
    )
    def planted(now: Any, prev: Any, x: Any, p: Any, gate: Any, scale: Any) -> None:
        now.a = matvec(p.W, x) + matvec(p.U, prev.h.detach() if cut else prev.h) * scale
        now.h = tanh(now.a) * sigmoid(gate)
        now.y = apply(operation, matvec(p.V, now.a))  # read by nothing

    return planted


def wrong_beyond_three(patch: Patch) -> Any:
    """A rule that is wrong where the operand is large, in an equation that no state reads."""
    register("planted", lambda x: x * x, (lambda g, y, x: g * x * (2.0 + 0.1 * (x * x > 9.0)),))
    return subject("planted")


def wrong_by_one_percent(patch: Patch) -> Any:
    """A rule that is one percent off."""
    register("planted", np.sin, (lambda g, y, x: 1.01 * g * apply("cos", x),))
    return subject("planted")


def right_as_numbers_alone(patch: Patch) -> Any:
    """A rule that is right on arrays and cuts the graph on Tensors."""
    register("planted", np.sin, (lambda g, y, x: g * apply("detach", apply("cos", x)),))
    return subject("planted")


def mixed_batch(patch: Patch) -> Any:
    """An operation that takes the mean over a batch, and whose rule does so, too."""

    def centre(x: Any) -> Any:
        return x - x.mean(axis=0, keepdims=True) if x.ndim > 1 and len(x) > 1 else x

    register("planted", centre, (lambda g, y, x: centre(g),))
    return subject("planted")


def late_steps(patch: Patch) -> Any:
    """From the fourth step on x is that of the third."""
    before = Steps.__call__
    patch.setattr(Steps, "__call__", lambda self, t: before(self, min(t, 2)))
    return subject()


def compiled_off(patch: Patch) -> Any:
    """Compiled code gives gradients of parameters that are one percent off."""
    before = Packing.unpack

    def off(self: Any, *args: Any) -> dict[str, Any]:
        return {name: 1.01 * g for name, g in before(self, *args).items()}

    patch.setattr(Packing, "unpack", off)
    return subject()


def symbols_off(patch: Patch) -> Any:
    """SymPy is told a wrong slope of σ."""
    clear_cache()  # SymPy remembers what it has derived
    patch.setattr(algebra.sigma, "slopes", staticmethod(lambda y, x: (y * (1 - y) * 1.01,)))
    return subject()


FAULTS: dict[str, list[Callable[[Patch], Any]]] = {
    "numeric gradients": [wrong_by_one_percent, wrong_beyond_three],
    "SymPy against engine": [symbols_off],
    "second derivatives": [right_as_numbers_alone],
    "batch against singles": [mixed_batch],
    "split against whole": [late_steps],
    "compiled against interpreter": [compiled_off],
}


def test_every_property_has_a_fault() -> None:
    assert set(FAULTS) == {what.name for what in EVERY_PROPERTY}


@pytest.mark.parametrize(
    ("name", "plant"),
    [(name, plant) for name, plants in FAULTS.items() for plant in plants],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_fault_is_seen_by_its_property_alone(
    name: str, plant: Callable[[Patch], Any], monkeypatch: Patch, table: Any
) -> None:
    planted = plant(monkeypatch)
    for what in EVERY_PROPERTY:
        outcome = examine(planted, what, examples=30)
        if plant is mixed_batch and what.name == "compiled against interpreter":
            continue  # compiled code batches otherwise, so it may see this, too
        if what.name == name:
            assert outcome.verdict is False, outcome
        else:
            assert outcome.verdict is not False, (what.name, outcome.text)
    clear_cache()


def test_a_gradient_wrong_in_a_batch_is_seen_where_values_agree(table: Any) -> None:
    """The batch property compares gradients, too."""
    register("planted", np.sin, (lambda g, y, x: g * apply("cos", x) * (1 + (np.ndim(g) > 1)),))
    (what,) = (p for p in EVERY_PROPERTY if p.name == "batch against singles")
    outcome = examine(subject("planted"), what, examples=20)
    assert outcome.verdict is False
    assert outcome.text.startswith("the gradient of ")


def test_a_gradient_lost_between_two_halves_is_seen(monkeypatch: Patch) -> None:
    """The split property compares gradients through the carried state, too."""
    from tinygrad_lstm import sequence_inputs

    before = sequence_inputs._initial

    def cut(cell: Any, program: Any, reading: Any, dtype: Any) -> Any:
        given = {
            name: Tensor.detach(v) if isinstance(v, Tensor) and v.inputs else v
            for name, v in reading.initial.items()
        }
        return before(cell, program, dataclasses.replace(reading, initial=given), dtype)

    monkeypatch.setattr(sequence_inputs, "_initial", cut)
    (what,) = (p for p in EVERY_PROPERTY if p.name == "split against whole")
    outcome = examine(subject(), what, examples=20)
    assert outcome.verdict is False
    assert outcome.text.startswith("the gradient of ")


def test_a_case_that_breaks_is_a_failure_with_its_case(table: Any) -> None:
    def broken(x: Any) -> Any:
        if np.size(x) > 1:
            raise KeyError("lost")
        return x

    register("planted", broken, (lambda g, y, x: g,))
    outcome = examine(subject("planted"), EVERY_PROPERTY[0], examples=20)
    assert outcome.verdict is False
    assert "KeyError: 'lost'" in outcome.text
    assert "cell 'planted': sizes hidden=2" in outcome.text


def test_arrays_reach_to_the_edges_of_their_domain() -> None:
    """Otherwise every check would look at the linear range alone."""
    import hypothesis

    largest = [0.0, 0.0]

    @hypothesis.settings(max_examples=50, database=None, deadline=None)
    @hypothesis.given(strategies.arrays((4,), (-2.0, 2.0)))
    def draw(found: Any) -> None:
        largest[0] = min(largest[0], float(found.min()))
        largest[1] = max(largest[1], float(found.max()))

    draw()
    assert largest[0] < -1.0 and largest[1] > 1.0


def test_cases_coincide_in_all_their_sizes() -> None:
    import hypothesis

    seen = set()
    planted = subject()

    @hypothesis.settings(max_examples=200, database=None, deadline=None)
    @hypothesis.given(strategies.cases(planted, batched=True))
    def draw(case: Any) -> None:
        sizes = {*case.sizes.values(), case.batch_shape[0], case.time}
        seen.add(("all equal", len(sizes) == 1 and sizes != {1}))
        for name, array in case.further.items():
            own = 1 + (name == "gate")
            seen.add((name, array.ndim > own))
        seen.add(("large", bool(np.max(np.abs(case.xs)) > 3.0)))

    draw()
    for what in ("all equal", "gate", "scale", "large"):
        assert {(what, True), (what, False)} <= seen


def test_what_is_not_finite_agrees_with_itself_alone() -> None:
    """A cell that divides by 0 does so compiled and in a batch, too; nan is no number besides."""
    inf, nan = np.inf, np.nan
    words = "here", "there"
    same = np.array([inf, -inf, nan, 2.0])
    assert equal("y", words, same, same.copy()) == 0.0
    for k, wrong in ((0, -inf), (0, nan), (1, 1.0), (2, 0.0), (2, inf), (3, nan), (3, 2.1)):
        other = same.copy()
        other[k] = wrong
        for one, two in ((same, other), (other, same)):
            with pytest.raises(Disagreement, match=rf"^y at \[{k}\] is .* here, .* there"):
                equal("y", words, one, two)

    @cell(state="h", parameters={"W": "hidden, inputs", "d": "hidden"})
    def divided(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = matvec(p.W, x) / p.d + 0.5 * prev.h

    for what in EVERY_PROPERTY:
        if what.name in ("batch against singles", "split against whole"):
            assert examine(divided, what, examples=20).verdict is not False
