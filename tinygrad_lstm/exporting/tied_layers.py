"""Layers that share parameters, with parameters of their own: a program holds each layer's."""

from __future__ import annotations

from typing import Any

from tinygrad_lstm.networks import Bidirectional, Stack, System


def every_parameter(part: Any, name: str = "") -> list[str]:
    """The names of parameters, those of tied layers under each of them."""
    if not isinstance(part, System):
        return [f"{name}{own}" for own in part.parameters]
    inner = part.parts.items()
    return [n for own, inside in inner for n in every_parameter(inside, f"{name}{own}.")]


def home_of(part: Any, name: str) -> str:
    """What a parameter is called where it is shared."""
    if not isinstance(part, System):
        return name
    own, _, rest = name.partition(".")
    return f"{part.home[own]}.{home_of(part.parts[own], rest)}"


def untied(part: Any) -> Any:
    """The same layers with parameters of their own: a program holds each layer's."""
    if isinstance(part, Stack):
        return Stack([untied(inner) for inner in part.parts.values()])
    if isinstance(part, Bidirectional):
        return Bidirectional(*(untied(inner) for inner in part.parts.values()))
    return part
