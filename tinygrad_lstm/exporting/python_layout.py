"""Python as a formatter leaves it: what fits on a line stands on it, else a part a line."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

import numpy as np

from tinygrad_lstm.tensor import Array

WIDTH = 88  # columns, as formatters have them
_MANY = 60  # numbers of an array from which on it is written in base64


def docstring(first: str, intro: str, lines: Sequence[str], indent: int) -> Iterator[str]:
    """A docstring whose lines are notes, or indented below an introduction."""
    space = " " * indent
    first, *rest = folded(first, WIDTH - indent - 6)
    yield f'{space}"""{first}'
    yield from (space + line for line in rest)
    yield ""
    if intro:
        yield space + intro
        yield ""
    for line in lines:
        for k, part in enumerate(folded(line, WIDTH - indent - 8)):
            yield f"{space}{'    ' * (bool(intro) + (k > 0))}{part}"
    yield f'{space}"""'


def folded(text: str, width: int) -> list[str]:
    """Text in lines, broken at blanks."""
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def spread(start: str, parts: Sequence[str], end: str, indent: int) -> Iterator[str]:
    """On one line, or a part a line."""
    space, one = " " * indent, f"{start}{', '.join(parts)}{end}"
    if len(one) + indent <= WIDTH and "\n" not in one:
        yield space + one
        return
    yield space + start
    for part in parts:
        yield from (f"{space}    {line}" for line in f"{part},".split("\n"))
    yield space + end


def spread_call(text: str, indent: int) -> Iterator[str]:
    """A call, its arguments on a line of their own if need be."""
    if len(text) + indent <= WIDTH:
        yield " " * indent + text
        return
    start, _, rest = text.partition("(")
    yield f"{' ' * indent}{start}("
    yield f"{' ' * indent}    {rest[:-1]}"
    yield f"{' ' * indent})"


def numbers(data: Array) -> str:
    """Numbers as nested lists."""
    if data.ndim:
        return f"[{', '.join(map(numbers, data))}]"
    text = str(np.asarray(data).item() if data.dtype.kind == "b" else data)
    return {"inf": "math.inf", "-inf": "-math.inf", "nan": "math.nan"}.get(text, text)


def laid_out(data: Array, before: str, after: str, indent: int) -> Iterator[str]:
    """A list of numbers, broken as a formatter breaks it."""
    one = f"{before}{numbers(data)}{after}"
    if len(one) + indent <= WIDTH or not data.ndim:
        yield " " * indent + one
        return
    yield f"{' ' * indent}{before}["
    for row in data:
        yield from laid_out(row, "", ",", indent + 4)
    yield f"{' ' * indent}]{after}"


def call_with(before: str, data: Array, indent: int) -> Iterator[str]:
    """A call with an array as nested lists."""
    one = f"{before}{numbers(data)})"
    if len(one) + indent <= WIDTH:
        yield " " * indent + one
        return
    yield " " * indent + before
    yield from laid_out(data, "", "", indent + 4)
    yield f"{' ' * indent})"


def entry(before: str, data: Array, indent: int, kind: str, after: str = ",") -> Iterator[str]:
    """An array as an expression."""
    if data.size <= _MANY:
        one = f"{before}torch.tensor({numbers(data)}, dtype={kind}){after}"
        if len(one) + indent <= WIDTH:
            yield " " * indent + one
            return
        yield f"{' ' * indent}{before}torch.tensor("
        yield from laid_out(data, "", ",", indent + 4)
        yield f"{' ' * (indent + 4)}dtype={kind},"
        yield f"{' ' * indent}){after}"
        return
    code = base64.b64encode(np.asarray(data, data.dtype.newbyteorder("<")).tobytes()).decode()
    space = " " * (indent + 4)
    yield f"{' ' * indent}{before}decode("
    yield f'{space}"""'
    width = WIDTH - 4
    yield from (code[k : k + width] for k in range(0, len(code), width))
    yield f'{space}""",'
    for n in data.shape:
        yield f"{space}{n},"
    if kind != "torch.float64":
        yield f"{space}dtype={kind},"
    yield f"{' ' * indent}){after}"


def assigned(name: str, data: Array, indent: int) -> Iterator[str]:
    """An array under a name."""
    yield from entry(f"{name} = ", data, indent, "torch.float64", "")


def string(name: str, text: str) -> Iterator[str]:
    """A long text in parts."""
    pieces = [quoted(text[k : k + 60]) for k in range(0, len(text), 60)]
    if len(pieces) == 1 and len(pieces[0]) + len(name) < WIDTH - 3:
        yield f"{name} = {pieces[0]}"
        return
    yield f"{name} = ("
    for piece in pieces:
        yield f"    {piece}"
    yield ")"


def quoted(text: str) -> str:
    """A text as Python writes it, with the quotes that need least."""
    inside = "".join(
        {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(
            c, c if c.isprintable() else repr(c)[1:-1]
        )
        for c in text
    )
    if '\\"' in inside and "'" not in inside:
        return "'" + inside.replace('\\"', '"') + "'"
    return f'"{inside}"'
