"""In people's own tests a wrong backward pass fails with what is wrong in it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from by_hand import lstm

from tinygrad_lstm import cells, check_gradients
from tinygrad_lstm.errors import DataError, GradientError


def test_check_gradients_of_a_cell_and_a_backward_pass() -> None:
    agreement = check_gradients(cells.lstm, lstm)
    assert agreement.entries == 9 and agreement.worst < 1e-12
    with pytest.raises(GradientError) as caught:
        check_gradients(cells.lstm, partial(lstm, wrong="constant error carousel cut"))
    assert "C̄_{t+1} ⊙ f_{t+1}" in str(caught.value)
    with pytest.raises(DataError, match=r"check_gradients\(lstm, my_backward\)"):
        check_gradients(cells.lstm, np.ones(3))


def test_the_fixture_carries_the_diagnosis(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import numpy as np
        from tinygrad_lstm import cells

        def back(p, x, prev, now, bar):
            d = bar["h"] * (1 - now["h"])
            return {"b": d.sum(0), "W": d.T @ np.concatenate([prev["h"], x], 1)}

        def right(p, x, prev, now, bar):
            d = bar["h"] * (1 - now["h"] ** 2)
            return {"b": d.sum(0), "W": d.T @ np.concatenate([prev["h"], x], 1)}

        def test_mine(gradcheck):
            gradcheck(cells.rnn, back)

        def test_right(gradcheck):
            gradcheck(cells.rnn, right)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    told = result.stdout.str()
    assert "cell 'rnn': back is wrong" in told
    assert "one minus the value of tanh" in told and "h̄_t ⊙ (1 - h_t²)" in told
