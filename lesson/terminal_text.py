"""Text in a terminal: how wide it is, and lines that fit."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_CLOSING = "，。、；：？！）」』】》”’％"  # never at the beginning of a line
_OPENING = "（「『【《“‘"  # never at the end of one


def width_of(text: str) -> int:
    """How many columns a text takes: combining bars take none, wide characters two."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def cut(text: str, width: int) -> str:
    """A text in at most `width` columns, with … where something was cut off."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - 1:
        text = text[:-1]
    return text + "…"


def wrap(text: str, width: int, indent: str = "  ") -> list[str]:
    """A text in lines of at most `width` columns, the further ones with an indent."""
    first = text.lstrip()
    lines = _broken(first, width, text[: len(text) - len(first)], indent)
    return [cut(line, width) for line in lines or [""]]


def columns(lines: Sequence[str], width: int) -> list[str]:
    """Short lines side by side, read downwards; long ones wrapped."""
    if not lines:
        return []
    widest = max(map(width_of, lines)) + 3
    count = min(max(width // widest, 1), 3)
    if count < 2 or len(lines) < 3:
        return [piece for line in lines for piece in wrap(line, width)]
    rows = -(-len(lines) // count)
    return [
        "".join(line + " " * (widest - width_of(line)) for line in lines[r::rows]).rstrip()
        for r in range(rows)
    ]


def wrap_paragraphs(text: str, width: int, indent: str = "") -> str:
    """Paragraphs in lines of at most `width` columns; lines that begin with a space stay apart.

    Words stay whole; Chinese breaks between any two characters, but not before a closing sign.
    """
    lines: list[str] = []
    for paragraph in text.strip("\n").split("\n\n"):
        running = ""
        for line in paragraph.split("\n"):
            if line.startswith((" ", "- ")):
                margin = indent + line[: len(line) - len(line.lstrip())]
                lines += _broken(running, width, indent, indent)
                lines += _broken(line.lstrip(), width, margin, f"{margin}  ")
                running = ""
            else:
                running = _joined(running, line)
        lines += [*_broken(running, width, indent, indent), ""]
    return "\n".join(lines[:-1])


def _joined(before: str, after: str) -> str:
    if not before or (_breaks(before[-1]) and _breaks(after[:1])):
        return before + after
    return f"{before} {after}"


def _breaks(sign: str) -> bool:
    """Whether a line may break beside this sign without a space: Chinese, not Korean."""
    wide = bool(sign) and unicodedata.east_asian_width(sign) in "WF"
    return wide and not unicodedata.name(sign, "").startswith("HANGUL")


def _pieces(text: str) -> list[str]:
    """The text cut where a line may end."""
    pieces: list[str] = []
    for sign in text:
        last = pieces[-1] if pieces else ""
        ends = last.endswith(" ") or (_breaks(last[-1:]) or _breaks(sign))
        glued = sign == " " or sign in _CLOSING or last[-1:] in _OPENING
        if last and (glued or not ends):
            pieces[-1] += sign
        else:
            pieces.append(sign)
    return pieces


def _broken(text: str, width: int, first: str, further: str) -> list[str]:
    """Lines, of which the first and the further ones begin as told."""
    lines, line = [], first
    for piece in _pieces(text):
        if line.strip() and width_of((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = further
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines
