"""Names as LaTeX and as plain text, at a time: `prev.C` is C_{t-1}."""

from __future__ import annotations

import re

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
)
ACCENTS = {"tilde": "\u0303", "hat": "\u0302", "bar": "\u0304", "dot": "\u0307", "prime": "\u2032"}


def latex_name(name: str, time: str = "t") -> str:
    """`C_tilde` is \\tilde{C}_t, `prev.h` is h_{t-1}, `W_f` with time="" is W_f."""
    if name.startswith("prev."):
        name, time = name[5:], _before(time)
    base, *rest = name.split("_")
    body = _letter(base)
    below = []
    for word in rest:
        if word in ("tilde", "hat", "bar", "dot"):
            body = f"\\{word}{{{body}}}"
        elif word == "prime":
            body = f"{body}'"
        elif word:
            below.append(_letter(word))
    if time:
        below.append(time)
    return body + (f"_{{{','.join(below)}}}" if below else "")


def plain_name(name: str, time: str = "t") -> str:
    """The same for readers of text: C̃_t, h_{t-1}."""
    text = latex_name(name, time)
    for word, mark in ACCENTS.items():
        text = re.sub(rf"\\{word}\{{([^{{}}]*)\}}", rf"\1{mark}", text)
    text = re.sub(r"_\{(.)\}", r"_\1", text)
    return re.sub(r"\\(?:mathrm)?", "", text).replace("{t-1}", "t-1").replace("{", "").replace("}", "")


def _letter(word: str) -> str:
    if word in GREEK:
        return f"\\{word}"
    return word if len(word) == 1 or word.isdigit() else f"\\mathrm{{{word}}}"


def _before(time: str) -> str:
    return str(int(time) - 1) if time.lstrip("-").isdigit() else f"{time}-1"
