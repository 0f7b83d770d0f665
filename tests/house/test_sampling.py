"""The rows of a large table that are run: few, the same each time, and every value among them."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from sampling import Seen, in_sample, sample

AXES: dict[str, list[Any]] = {
    "name": list("abcdefg"),
    "how": [{"k": 1}, {}, None],
    "code": ["c", "js"],
}


def kept(every: int, axes: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """The rows of all combinations that are run."""
    mark, seen, found = SimpleNamespace(args=(every,)), Seen(dict), []
    for k, values in enumerate(itertools.product(*axes.values())):
        params = dict(zip(axes, values, strict=True))
        item: Any = SimpleNamespace(
            nodeid=f"test_x.py::test_y[{k}]",
            callspec=SimpleNamespace(params=params),
            get_closest_marker=lambda name: mark,
        )
        if in_sample(item, seen):
            found.append(params)
    return found


@pytest.mark.parametrize("every", [2, 3, 4])
def test_every_value_of_every_parameter_is_met(every: int) -> None:
    rows = kept(every, AXES)
    assert abs(len(rows) - 7 * 3 * 2 / every) <= 1
    for name, values in AXES.items():
        assert all(any(row[name] is value for row in rows) for value in values)


def test_two_parameters_are_met_on_diagonals() -> None:
    rows = kept(3, {"name": list("abcdef"), "how": [1, 2, 3]})
    assert [(row["name"], row["how"]) for row in rows] == [
        ("a", 1), ("b", 3), ("c", 2), ("d", 1), ("e", 3), ("f", 2),
    ]  # fmt: skip


def test_rows_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sampling.WHOLE", False)
    assert [sample(range(7), 3, start) for start in (0, 1, 5)] == [[0, 3, 6], [1, 4], [2, 5]]
    monkeypatch.setattr("sampling.WHOLE", True)
    assert sample("abc", 3, 1) == ["a", "b", "c"]
