"""How names, numbers and blanks are written: `C_tilde` is C̃_t, `bar.prev.h` is h̄_{t-1}, − is no -.

A Python name is read by the conventions of the literature: `_` begins a subscript, or an accent if
one of `ACCENTS` follows; trailing digits are a subscript; Greek letters are spelled out. A word
that is no letter stays a word, with its subscripts: `gate_read`. A dot in a name marks a namespace,
as in a Program, or a part of a network: `2.C` is C of layer 2, `backward.h` is h of the direction
that reads backward. A namespace needs its dot: a parameter may be called delta, bar or seed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

# accent: (LaTeX, the character that Unicode puts over the one before it)
ACCENTS = {
    "tilde": (r"\tilde", "\u0303"),
    "hat": (r"\hat", "\u0302"),
    "bar": (r"\bar", "\u0304"),
    "dot": (r"\dot", "\u0307"),
    "check": (r"\check", "\u030c"),
    "vec": (r"\vec", "\u20d7"),
}
# a direction of a network puts its arrow over what belongs to it
DIRECTIONS = {"forward": (r"\overrightarrow", "\u20d7"), "backward": (r"\overleftarrow", "\u20d6")}
_MARKS = ACCENTS | DIRECTIONS
SUFFIXES = {"prime": (r"\prime", "′"), "star": (r"\ast", "*")}
GREEK = {  # "GREEK SMALL LETTER ALPHA"
    unicodedata.name(letter).split()[-1].lower().replace("lamda", "lambda"): letter
    for letter in "αβγδεζηθικλμνξοπρστυφχψω"
}
GREEK |= {name.capitalize(): letter.upper() for name, letter in GREEK.items()} | {"ell": "ℓ"}
_NAMES = {letter: name for name, letter in GREEK.items()}
GREEK["eps"] = "ε"  # as code spells it
# W_xi is the weight from x to the input gate i, in every paper
_GREEK_BELOW = {name: letter for name, letter in GREEK.items() if name != "xi"}
# Greek letters that look like Latin ones have no command of their own
_PLAIN = dict(zip("οΑΒΕΖΗΙΚΜΝΟΡΤΧ", "oABEZHIKMNOPTX", strict=True))
_PARAMETER = re.compile(r"(W|U|V|R|b)(\d+|_.*)?$")

# what may stand before the dot: `input.x` is what a step takes where it also computes an x
SPACES = ("prev", "bar", "seed", "pre", "delta", "input")

Style = Literal["plain", "unicode", "latex"]  # plain: as a person types it
Time = str | None
Apart = frozenset[str]
_NONE: Apart = frozenset()


@dataclass(frozen=True)
class Symbol:
    """A name taken apart: its letter or word, accents, subscripts, and marks such as a prime.

    `layers` and `directions` say to which part of a network it belongs.
    """

    base: str
    accents: tuple[str, ...] = ()
    subscripts: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        """What stands over it, innermost first."""
        return (*self.accents, *self.directions)


def space_of(label: str) -> tuple[str, str]:
    """A namespace and the name in it: `bar.f` is ("bar", "f"), and `bar` is ("", "bar")."""
    space, _, rest = label.partition(".")
    return (space, rest) if rest and space in SPACES else ("", label)


def look_alikes(names: Iterable[str]) -> Apart:
    """What must be written in its second way for every sign to mean one thing: see `name_latex`."""
    seen: dict[str, str] = {}
    apart = set()
    for name in sorted(dict.fromkeys(names), key=len):
        own = name_unicode(name, None)
        if seen.setdefault(own, name) != name:
            apart.add(name)
    return frozenset(apart | {f"{space}." for space, sign in _SIGNS.items() if sign[0][0] in seen})


def parts_of(name: str) -> tuple[tuple[str, ...], str]:
    """The parts of a network or a cell that a name goes through, and its own name there.

    `2.forward.h` is (("2", "forward"), "h"), `phi_x.W` is (("phi_x",), "W"). A number that ends a
    name is none: `f.1`.
    """
    *parts, own = name.split(".")
    if own.isdigit() and parts:
        own = f"{parts.pop()}.{own}"
    return tuple(parts), own


def step_before(name: str) -> int:
    """How far from t the state lies that a step reads: -1, or +1 where its part reads backward."""
    return 1 if parts_of(name)[0].count("backward") % 2 else -1


def parse(name: str, apart: Apart = _NONE) -> Symbol:
    """Take a name without a namespace apart."""
    space, name = space_of(name)
    parts, name = parts_of(name)
    own = Symbol(name) if name in apart else _parsed(name.partition(".")[0])
    parts = (*parts, "in") if space == "input" else parts
    return replace(
        own,
        layers=tuple(p for p in parts if p not in DIRECTIONS),
        directions=tuple(p for p in reversed(parts) if p in DIRECTIONS),
    )


def _parsed(name: str) -> Symbol:
    first, *rest = [token for token in name.split("_") if token] or ["_"]
    accents, suffixes, subscripts = [], [], []
    for token in rest:
        if token in ACCENTS:
            accents.append(token)
        elif token in SUFFIXES:
            suffixes.append(token)
        else:
            subscripts.append(token)
    letter = re.fullmatch(r"(\D+?)(\d+)", first)
    base, number = (letter[1], letter[2]) if letter else (first, "")
    decomposed = unicodedata.normalize("NFD", base)
    for key, (_, mark) in ACCENTS.items():
        if len(decomposed) == 2 and decomposed[1] == mark:
            base = decomposed[0]
            accents.insert(0, key)
    if base not in GREEK and len(base) > 1:  # a word
        return Symbol(first, tuple(accents), tuple(subscripts), tuple(suffixes))
    if number:
        subscripts.insert(0, number)
    return Symbol(GREEK.get(base, base), tuple(accents), tuple(subscripts), tuple(suffixes))


def index_of(name: str, time: Time = "t") -> Time:
    """The time index that a name shows when nothing else is known about it.

    A weight matrix (W U V R) or bias (b), alone or with a subscript, carries none.
    """
    own = name
    while (found := space_of(own))[0]:
        own = found[1]
    own = parts_of(own)[1]
    return None if _PARAMETER.match(own) and not name.startswith("prev.") else time


def at_place(time: Time, letters: Iterable[str]) -> Time:
    """The index of one place: t and the letter j are "t,j", the letter alone ",j"."""
    return ",".join([time or "", *letters]) if letters else time


def _shown(time: str) -> str:
    return time.removeprefix(",")


def _previous(name: str, time: Time) -> Time:
    """The index of a state that a step reads, see `step_before`."""
    way = step_before(name)
    if time is not None and "," in time:
        first, _, letters = time.partition(",")
        return f"{_previous(name, first)},{letters}"
    if time is None or time == "t":
        return f"t{way:+d}"
    if re.fullmatch(r"\d+", time):
        return str(int(time) + way)
    if found := re.fullmatch(r"t([+-]\d+)", time):
        offset = int(found[1]) + way
        return f"t{offset:+d}" if offset else "t"
    return f"{time}{way:+d}"


def _numbered(name: str) -> tuple[str, str]:
    """An equation's name, and which of its nonlinear functions is meant if it has several."""
    own, _, number = name.rpartition(".")
    return (own, number) if own and number.isdigit() else (name, "")


UNSET = "?"
# the loss, what stands inside a function and its adjoint: a letter and, where the cell has a value
# of that name, another, in Unicode and in LaTeX
_SIGNS = {
    "seed": (("L", "ℒ"), ("L", r"\mathcal{L}")),
    "pre": (("a", "net"), ("a", r"\mathrm{net}")),
    "delta": (("δ", "∂"), (r"\delta", r"\partial")),
}


def name_plain(name: str, time: Time = None) -> str:
    """A name as its author typed it, with its step: `prev.C` is C_{t-1}, and x is x_t.

    At one place of it the step is shown of every name that has one: e_{t,j}.
    """
    before = name.startswith("prev.")
    if time is not None and "," in time:
        index = _previous(name, time) if before else time
        return f"{name.removeprefix('prev.')}_{_wrapped(_shown(index or ''))}"
    if before:
        return f"{name[5:]}_{{t-1}}"
    return "x_t" if name == "x" else name


def name_latex(name: str, time: Time = UNSET, apart: Apart = _NONE) -> str:
    r"""LaTeX of a name: `C_tilde` is \tilde{C}_t, `bar.W_f` is \bar{W}_f, `prev.C` is C_{t-1}.

    time: the index to show, such as "t+1" or "3", or None for none. Unless told it is t, and none
    for the names of weights and biases (W U V R b with any subscript).

    Namespaces: `prev.` one step earlier, `bar.` the derivative of the loss, `seed.` the loss's own
    derivative, `pre.` what stands inside an equation's nonlinear function, `delta.` its derivative,
    `input.` what a step takes where an equation has the same name.
    Parts of a network: `2.C` is C^{(2)}_t, `forward.h` \overrightarrow{h}_t, and `prev.backward.h`
    \overleftarrow{h}_{t+1}: whoever reads backward comes from there.

    apart: what `look_alikes` finds: names to be written as they are (`x_` beside x), and
    namespaces to be written with another letter (`seed.`: \mathcal{L} in a cell that has an L).
    """
    return _name(name, time, apart, latex=True)


def name_unicode(name: str, time: Time = UNSET, apart: Apart = _NONE) -> str:
    """A name as one reads it in a terminal: C̃_t, h_{t-1}, W̄_f. See `name_latex`."""
    return _name(name, time, apart, latex=False)


def _name(name: str, time: Time, apart: Apart, latex: bool) -> str:
    if time == UNSET:
        time = index_of(name)
    space, rest = space_of(name)
    if space == "prev":
        return _name(rest, _previous(rest, time), apart, latex)
    if space in _SIGNS:
        letter = _SIGNS[space][latex][f"{space}." in apart]
        if space == "seed":
            of = _name(rest, time, apart, latex)
            return rf"\frac{{\partial {letter}}}{{\partial {of}}}" if latex else f"∂{letter}/∂{of}"
        own, count = _numbered(rest)
        upper = _name(own, None, apart, latex) + (f",{count}" if count else "")
        short = not latex and len(unicodedata.normalize("NFC", upper)) <= 2
        index = "" if time is None else f"_{(_braced if latex else _wrapped)(_shown(time))}"
        return f"{letter}^{upper if short else f'{{{upper}}}'}{index}"
    over = []
    while space == "bar":
        over.append("bar")
        name = rest
        space, rest = space_of(name)
    if space in _SIGNS:
        inner = _name(name, time, apart, latex)
        return rf"\overline{{{inner}}}" if latex else f"bar({inner})"
    if space == "prev":
        name, time = rest, _previous(rest, time)
    return (_latex if latex else _unicode)(parse(name, apart), over, time)


def _parts(symbol: Symbol, latex: bool) -> str:
    """The parts that a symbol belongs to, as they stand above it: (2), (φ_x)."""
    names = ",".join(p if p == "in" else _name(p, None, _NONE, latex) for p in symbol.layers)
    return f"({names})" if names else ""


def _latex(symbol: Symbol, over: list[str], time: Time) -> str:
    text = _latex_base(symbol.base)
    wide = len(symbol.base) > 1
    for accent in (*symbol.marks, *over):
        command = _MARKS[accent][0]
        if wide:
            command = {r"\bar": r"\overline", r"\tilde": r"\widetilde", r"\hat": r"\widehat"}.get(
                command, command
            )
        text = f"{command}{{{text}}}"
    below = [_latex_subscript(s) for s in symbol.subscripts]
    below += [] if time is None else [_shown(time)]
    above = "".join(SUFFIXES[s][0] for s in symbol.suffixes)
    above += _parts(symbol, latex=True)
    if above:
        text += f"^{{{above}}}"
    return text + (f"_{_braced(', '.join(below))}" if below else "")


def _latex_base(base: str) -> str:
    if len(base) == 1:
        if base in _PLAIN:
            return base if base == "ο" else rf"\mathrm{{{_PLAIN[base]}}}"
        if base in _NAMES:
            return f"\\{_NAMES[base]}"
        return base if base.isascii() and base != "_" else rf"\text{{{_escaped(base)}}}"
    word = _escaped(base)
    return rf"\mathrm{{{word}}}" if base.isascii() else rf"\text{{{word}}}"


def _escaped(word: str) -> str:
    return word.replace("_", r"\_")


def _latex_subscript(token: str) -> str:
    if token in _GREEK_BELOW:
        return _latex_base(GREEK[token])
    if len(token) == 1:
        return _latex_base(token)
    if not token.isascii():
        return rf"\text{{{token}}}"
    short = len(token) == 2 or token.isdigit()
    return token if short else rf"\mathrm{{{token}}}"


def _braced(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"


def _unicode(symbol: Symbol, over: list[str], time: Time) -> str:
    text = symbol.base
    for accent in (*symbol.marks, *over):
        mark = _MARKS[accent][1]
        if len(symbol.base) == 1:
            text += mark
        else:  # a terminal sets no stroke over a whole word
            text = f"{accent}({text})"
    text += "".join(SUFFIXES[s][1] for s in symbol.suffixes)
    text += f"^{_parts(symbol, latex=False)}" if symbol.layers else ""
    below = [_GREEK_BELOW.get(s, s) for s in symbol.subscripts]
    below += [] if time is None else [_shown(time)]
    text = unicodedata.normalize("NFC", text)
    return text + (f"_{_wrapped(','.join(below))}" if below else "")


def _wrapped(text: str) -> str:
    return text if text.isalnum() else f"{{{text}}}"


# --- numbers and signs ----------------------------------------------------------------------------
_BLANKS = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"})


def visible(text: str) -> str:
    """Text whose blanks are seen: ␣ for a space, ⏎ for the end of a line, ⇥ for a tab."""
    return text.translate(_BLANKS)


def number(value: Any, digits: int = 4, style: Style = "unicode") -> str:
    r"""A number with so many significant digits: -0.1235, −0.1235 or, in LaTeX, 2 \cdot 10^{-6}.

    A whole number (an int or a bool) has all of its own. There is no negative zero.
    """
    value = np.asarray(value).item()
    if isinstance(value, bool | int):
        text = str(int(value))
    elif isinstance(value, complex):
        text = str(np.round(value, digits))
    else:
        text = f"{value + 0.0:.{digits}g}"
    if style == "latex":
        mantissa, power, exponent = text.partition("e")
        if power:
            times = "" if mantissa in ("1", "-1") else r" \cdot "
            return f"{mantissa if times else mantissa[:-1]}{times}10^{{{int(exponent)}}}"
        return text.replace("nan", r"\text{nan}").replace("inf", r"\infty")
    return text.replace("-", "−") if style == "unicode" else text
