"""What a step is given by name, where it is taken for one value."""

from __future__ import annotations

from typing import Any

import pytest

from tinygrad_lstm import cell, cells
from tinygrad_lstm.errors import DTypeError


def test_a_part_taken_for_a_value_is_told_what_to_name() -> None:
    def mine(now: Any, prev: Any, x: Any, p: Any, part: Any) -> None:
        part.k(x=x)
        now.h = now.k * prev.h

    with pytest.raises(DTypeError) as caught:
        cell(parts={"k": cells.gru}, state="h", parameters={"W": "hidden, inputs"})(mine)
    said = str(caught.value)
    assert said.startswith("in cell 'mine', test_names.py line 16: now.h = now.k * prev.h\n")
    assert said.endswith(
        "got object in all values of part k of cell 'mine' together (z, r, h_tilde, h); "
        "name one of them, as in k.z."
    )


def test_all_parameters_taken_for_a_value_are_told() -> None:
    def mine(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = prev.h * p

    with pytest.raises(DTypeError, match=r"all values of cell 'mine' together \(W, b\); name one"):
        cell(state="h", parameters={"W": "hidden, inputs", "b": "hidden"})(mine).program()


def test_names_that_are_none_yet() -> None:
    def mine(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = prev.h * now

    with pytest.raises(DTypeError, match="names of cell 'mine', of which there are none yet"):
        cell(state="h", parameters={"W": "hidden, inputs"})(mine).program()
