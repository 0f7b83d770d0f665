"""Every place within what a JSON file holds, for tests that put something else there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Place = tuple[str | int, ...]


def places(value: Any, most: int, place: Place = ()) -> Iterator[Place]:
    """Every place within a JSON value; of a list its first `most` entries."""
    if place:
        yield place
    inner: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inner = list(enumerate(value))[:most]
    for name, each in inner:
        yield from places(each, most, (*place, name))


def at(value: Any, place: Place) -> Any:
    """What stands at a place."""
    for name in place:
        value = value[name]
    return value
