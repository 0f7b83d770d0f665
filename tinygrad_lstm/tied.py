"""Parts of a network that share one set of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_lstm.errors import CellError, unknown


def groups_of(owner: str, parts: Mapping[str, Any], tied: str | Sequence[str]) -> dict[str, str]:
    """For each part the one whose parameters it has, the first of those that share them.

    tied: one group or several, each a text: "encoder decoder", "2..4", or "2.." up to the last.
    """
    home = {name: name for name in parts}
    for group in [tied] if isinstance(tied, str) else tied:
        if not isinstance(group, str):
            raise CellError(
                f"{owner}: tied is a text that names parts, as in '2..' or 'a b', got {group!r}."
            )
        names = _names(owner, [*parts], group)
        for name in names:
            if (
                home[name] != name
                or name in names[:1]
                and name in home.values()
                and ([*home.values()].count(name) > 1)
            ):
                raise CellError(f"{owner}: {name} is tied twice; name all that share in one group.")
            if parts[name] is not parts[names[0]]:
                raise CellError(
                    f"{owner}: {name} is {parts[name]}, {names[0]} is {parts[names[0]]}; parts "
                    f"that share their parameters are of one cell."
                )
        home |= dict.fromkeys(names, names[0]) if names else {}
    return home


def _names(owner: str, known: Sequence[str], group: str) -> list[str]:
    found: list[str] = []
    for word in group.split():
        first, dots, last = word.partition("..")
        for name in filter(None, (first, last)):
            if name not in known:
                raise unknown(f"{owner}: tied names {name!r}, which is no part", "it has", known)
        start = known.index(first) if first else 0
        stop = known.index(last) if last else len(known) - 1
        found += known[start : stop + 1] if dots else [first]
    return list(dict.fromkeys(found))
