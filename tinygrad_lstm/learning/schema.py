"""JSON read as dataclasses: every field is there, of its type, and no other.

What a field means that came with a later version is its default where it is not written; with that
value it is not written either, so that a file has nothing that its content does not need.
"""

from __future__ import annotations

import dataclasses
import reprlib
import sys
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tinygrad_lstm.errors import TinygradError

_WORDS = {
    int: "a whole number of at least 0",
    float: "a finite number",
    str: "a text",
    bool: "true or false",
    NoneType: "null",
    tuple: "a list",
    dict: "a mapping",
}


LATER = {"later": True}  # the metadata of a field that older files do not have


class SchemaError(TinygradError, ValueError):
    """A value that is missing, or not of the type that its place has."""


class UnknownFieldError(SchemaError):
    """A field that the type at its place does not have."""


def read(kind: Any, value: Any, place: str = "") -> Any:
    """What `json.loads` gave, as the type `kind`: SchemaError names the place that is unlike it.

    It may be int (not negative), float (finite), str, tuple[kind, …], dict[str, kind], a dataclass,
    a union of these, and a union of dataclasses, of which the field "name" says which.
    """
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is UnionType and all(map(dataclasses.is_dataclass, inner)):
        fields, named = _mapping(value, place), {each.__name__: each for each in inner}
        which = fields.pop("name", None)
        if not isinstance(which, str) or which not in named:
            raise _unlike(f"{place}.name", " or ".join(named), which)
        return _dataclass(named[which], fields, place)
    if origin is UnionType:
        for each in inner:
            try:
                return read(each, value, place)
            except SchemaError:
                continue
        raise _unlike(place, " or ".join(_WORDS[each] for each in inner), value)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, _mapping(value, place), place)
    if origin is tuple and isinstance(value, list):
        return tuple(read(inner[0], each, f"{place}[{k}]") for k, each in enumerate(value))
    if origin is dict:
        own = _mapping(value, place)
        return {name: read(inner[1], each, f"{place}.{name}") for name, each in own.items()}
    if kind is float and type(value) in (int, float) and abs(value) <= sys.float_info.max:
        return float(value)
    if kind is not float and type(value) is kind and (kind is not int or 0 <= value < 2**63):
        return value
    raise _unlike(place, _WORDS[origin], value)


def _dataclass(kind: Any, given: dict[str, Any], place: str) -> Any:
    hints, start = get_type_hints(kind), f"{place}." * bool(place)
    types = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    later = _later(kind)
    for name in given:
        if name not in types:
            raise UnknownFieldError(f"{start}{name}")
    for name in types:
        if name not in given and name not in later:
            raise SchemaError(f"{start}{name} is missing")
    return kind(**{name: read(types[name], each, start + name) for name, each in given.items()})


def _later(kind: Any) -> dict[str, Any]:
    """The defaults of the fields that older files do not have."""
    return {f.name: f.default for f in dataclasses.fields(kind) if f.metadata.get("later")}


def written(value: Any) -> Any:
    """A dataclass as `json.dumps` takes it, for `read` to read again."""
    if not dataclasses.is_dataclass(value):
        return value
    found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    for name, default in _later(value).items():
        if found[name] == default:
            del found[name]
    made, hints = {name: _each(each) for name, each in found.items()}, get_type_hints(type(value))
    for name, each in found.items():
        if dataclasses.is_dataclass(each) and get_origin(hints[name]) is UnionType:
            made[name]["name"] = type(each).__name__
    return made


def _each(value: Any) -> Any:
    return [written(each) for each in value] if isinstance(value, tuple) else written(value)


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unlike(place, _WORDS[dict], value)
    return dict(value)


def _unlike(place: str, words: str, value: Any) -> SchemaError:
    return SchemaError(f"{place} must be {words}, but is {reprlib.repr(value)}")
