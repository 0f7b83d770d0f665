"""The fixture `gradcheck` and the strategies, as the tests of a user's own cell use them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_lstm import cell, cells, concat, matvec, sin, tanh, unroll
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.testing import strategies
from tinygrad_lstm.testing.properties import PROPERTIES, Disagreement, examine, gradcheck

CELLS = '''
import numpy as np
from tinygrad_lstm import cell, concat, matvec, tanh

@cell(state="h", parameters={"W": "hidden, hidden + inputs", "b": "hidden"})
def good(now, prev, x, p):
    now.h = tanh(matvec(p.W, concat(prev.h, x)) + p.b)

@cell(state="h", parameters={"W": "hidden, hidden + inputs", "b": "hidden"})
def cut(now, prev, x, p):
    """No gradient flows back in time."""
    now.h = tanh(matvec(p.W, concat(prev.h.detach(), x)) + p.b)
'''


def test_a_passing_test_of_a_user(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        my_cells=CELLS,
        test_mine="""
            import numpy as np
            from tinygrad_lstm import tanh
            from my_cells import good

            def test_function(gradcheck):
                agreement = gradcheck(lambda x: tanh(x) * x, np.ones(3), second_order=True)
                assert agreement.entries == 6

            def test_cell(gradcheck):
                outcomes = gradcheck(good, examples=5)
                assert [o.verdict for o in outcomes] == [True] * 5
                assert all(o.examples == 5 for o in outcomes)
        """,
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_a_failing_test_of_a_user_shows_the_whole_message(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        my_cells=CELLS,
        test_mine="""
            from my_cells import cut

            def test_cell(gradcheck):
                gradcheck(cut, examples=10)
        """,
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*Disagreement: cell 'cut' fails numeric gradients:",
            "E*the derivative with respect to *",
            "E*cell 'cut': sizes hidden=1, inputs=1",
            "E*  W = [[][[]*]]",
            "E*  b = [[]*]",
            "E*  xs = [[][[]*]]",
            "E*  initial h = [[]*]",
        ]
    )


def test_a_failing_function_of_a_user(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import numpy as np

        def test_function(gradcheck):
            gradcheck(lambda x: x * x.detach(), np.array([1.0]))
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E*GradientError: the derivative with respect to x[[]0[]] is wrong: *, the complex *"]
    )


def test_the_fixture_tells_what_it_does(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--fixtures", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        ["gradcheck -- *plugin.py:*", "    Check a function's derivatives at arrays, or all *"]
    )


# --- the search -----------------------------------------------------------------------------------
@cell(state="h", parameters={"W": "hidden, hidden + inputs"})
def forgetful(now: Any, prev: Any, x: Any, p: Any) -> None:
    """Its state is cut from the graph: gradients do not flow back in time."""
    now.h = tanh(matvec(p.W, concat(prev.h.detach(), x)))


def test_the_same_seed_gives_the_same_outcome() -> None:
    a, b = (examine(forgetful, PROPERTIES[0], examples=10, seed=4) for _ in range(2))
    assert a == b
    assert a.verdict is False


def test_gradients_cut_in_time_are_found_and_shrunk() -> None:
    with pytest.raises(Disagreement) as caught:
        gradcheck(forgetful, examples=10)
    text = str(caught.value)
    assert "cell 'forgetful' fails numeric gradients:\nthe derivative with respect to " in text
    assert "by detach()" in text
    assert "cell 'forgetful': sizes hidden=1, inputs=1\n" in text


def test_a_cell_that_is_on_a_kink_everywhere_gets_no_verdict() -> None:
    def edgy(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = abs(sin(1024 * np.pi * p.b))  # 0 at all multiples of 1/1024, which are drawn

    made = cell(state="h", parameters={"b": "hidden"}, x="hidden")(edgy)
    outcome = examine(made, PROPERTIES[0], examples=5)
    assert (outcome.verdict, outcome.examples) == (None, 0)
    assert "operation abs has a kink" in outcome.text


# --- strategies -----------------------------------------------------------------------------------
@given(strategies.shapes("(m,n),(n)->(m)"))
def test_shapes_of_a_signature(found: Any) -> None:
    W, x = (np.ones(shape) for shape in found)
    assert np.matvec(W, x).shape[-1] == W.shape[-2]


@given(strategies.shapes("elementwise", operands=3))
def test_shapes_that_broadcast(found: Any) -> None:
    assert len(found) == 3
    np.broadcast_shapes(*found)


@given(strategies.arrays((2, 3), (0.2, 0.9), np.float32))
def test_arrays_stay_in_their_domain(found: Any) -> None:
    assert (found.shape, found.dtype) == ((2, 3), np.float32)
    assert np.all((found >= 0.2) & (found <= 0.9))


@given(strategies.apart(((2, 3), ()), (-1.0, 1.0)))
def test_arrays_apart(found: Any) -> None:
    flat = np.concatenate([np.ravel(a) for a in found])
    assert [a.shape for a in found] == [(2, 3), ()]
    assert np.min(np.abs(np.subtract.outer(flat, flat)) + np.eye(7)) >= 1 / 64
    assert np.min(np.abs(flat)) >= 1 / 128


@cell(
    state={"h": "hidden", "M": "slots, hidden"},
    parameters={"W": "hidden, hidden + inputs"},
    sequences={"noise": "hidden"},
    constants={"mask": "slots"},
)
def memory(now: Any, prev: Any, x: Any, p: Any, noise: Any, mask: Any) -> None:
    """Further inputs and a state of two axes."""
    now.h = tanh(matvec(p.W, concat(prev.h, x))) + noise
    now.M = prev.M * mask.reshape(-1, 1) + now.h.reshape(*now.h.shape[:-1], 1, now.h.shape[-1])


@pytest.mark.sample(3)
@given(data=st.data())
@pytest.mark.parametrize("subject", [*cells.all().values(), memory], ids=lambda c: c.name)
def test_cases_are_what_unroll_takes(subject: Any, data: st.DataObject) -> None:
    case = data.draw(strategies.cases(subject, dtype=np.float32))
    run = unroll(subject, case.parameters, case.xs, case.initial, **case.further)
    assert len(run) == case.time
    for name, words in subject.state.items():
        assert run.final[name].dtype == np.float32
        assert run.final[name].shape[case.xs.ndim - 2 :] == dimensions.shape(words, case.sizes)


def test_a_cell_with_further_inputs_and_other_states_is_checked_whole() -> None:
    assert [o.verdict for o in gradcheck(memory, examples=5)] == [True] * len(PROPERTIES)


@given(strategies.cases(cells.rnn, batched=False))
def test_a_case_is_read_like_what_it_holds(case: Any) -> None:
    first, *rest = repr(case).splitlines()
    sizes = case.sizes
    assert first == f"cell 'rnn': sizes hidden={sizes['hidden']}, inputs={sizes['inputs']}"
    assert rest[0].startswith("  W = [[")
    assert any(line.startswith("  initial h = [") for line in rest)
