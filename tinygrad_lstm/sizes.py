"""Sizes by name: shapes in words, their values, their inference, and numbers that know their name.

    "hidden, hidden + inputs"     a shape in words: two axes
    "at least 2"                  a bound of a size
    "2 * patch * patch"           a size that others determine

A length that a cell's author reads off a shape is a `Size`: an int that knows that it is `hidden`,
so that what is sliced with it or divided by it is printed by that name.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

from tinygrad_lstm.errors import CellError, ShapeError

Axis = dict[str, int]  # {"hidden": 2, "rows * columns": 1}: a sum of products; "" is the constant
_TERM = re.compile(r"\s*(?:(\d+)\s*\*?\s*)?([^\W\d]\w*(?:\s*\*\s*[^\W\d]\w*)*)?\s*$")
SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4  # how tightly a text binds


@functools.cache
def parse(words: str) -> tuple[Axis, ...]:
    """The axes of a shape: `"hidden, hidden + inputs"` is ({hidden: 1}, {hidden: 1, inputs: 1})."""
    return tuple(_axis(axis, words) for axis in words.split(",") if axis.strip())


def _axis(axis: str, words: str) -> Axis:
    total: Axis = {}
    for term in axis.split("+"):
        found = _TERM.match(term)
        if not found or not term.strip():
            raise CellError(
                f"cannot read the dimension {axis.strip()!r} in {words!r}.\n"
                f"  Write sums of names and numbers: 'hidden, hidden + inputs', '3 * hidden'."
            )
        name = " * ".join(sorted(re.findall(r"\w+", found[2] or "")))
        total[name] = total.get(name, 0) + int(found[1] or 1)
    return total


def names_in(axis: Axis) -> list[str]:
    """The sizes that an axis depends on."""
    return list(dict.fromkeys(name for product in axis if product for name in product.split(" * ")))


def value(axis: Axis, sizes: Mapping[str, int]) -> int:
    """The length of an axis when the sizes in it are known."""
    return sum(
        count * math.prod(sizes[name] for name in product.split(" * ") if name)
        for product, count in axis.items()
    )


def shape(words: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape that a declaration means for given sizes; each length knows its name."""
    return tuple(_sized(value(axis, sizes), axis) for axis in parse(words))


def names(declarations: Mapping[str, str]) -> list[str]:
    """The names of the sizes in several declarations, in the order in which they first occur."""
    every = [axis for words in declarations.values() for axis in parse(words)]
    return list(dict.fromkeys(name for axis in every for name in names_in(axis)))


def infer(
    declarations: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    owner: str,
    derived: Mapping[str, str] | None = None,
    given: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """The sizes that make declared shapes equal actual ones; `given` are for what those leave open.

    An axis with one size not yet known gives that size; every other axis must agree. `derived`
    are sizes that others determine, as in {"glimpse": "2 * patch * patch"}.
    """
    sizes: dict[str, int] = {}
    source: dict[str, str] = {}
    todo = []
    for name, actual in shapes.items():
        axes = parse(declarations[name])
        if len(axes) != len(actual):
            raise ShapeError(
                f"{owner}: {name} is ({declarations[name]}), which has {len(axes)} "
                f"{'axis' if len(axes) == 1 else 'axes'}, but the array given has shape {actual}."
            )
        todo += [(name, axis, n) for axis, n in zip(axes, actual, strict=True)]
    # a derived size is an equation more: formula - size = 0
    todo += [(n, {**_axis(words, words), n: -1}, 0) for n, words in (derived or {}).items()]
    progress = True
    while progress:
        progress = False
        for name, axis, n in todo:
            unknown = [s for s in names_in(axis) if s not in sizes]
            if len(unknown) != 1:
                continue
            found = solved(axis, n, unknown[0], sizes)
            if found is None:
                raise ShapeError(
                    f"{owner}: {name} is ({declarations.get(name, (derived or {}).get(name))}), "
                    f"but the array given has shape {shapes.get(name, (sizes.get(name),))}"
                    f"{_known(sizes, source)}, which leaves no {unknown[0]}."
                )
            sizes[unknown[0]], source[unknown[0]], progress = found, name, True
        if not progress:  # heads * key alone tells neither
            left = {s for _, axis, _ in todo for s in names_in(axis)} - set(sizes)
            told = next((s for s in given or {} if s in left), None)
            if told is not None:
                sizes[told], source[told], progress = (given or {})[told], "what was given", True
    for name, axis, n in todo:
        missing = [s for s in names_in(axis) if s not in sizes]
        if missing and name in shapes:
            raise ShapeError(
                f"{owner}: the shapes given do not determine {missing[0]}.\n"
                f"  Make the parameters with init, or with bind(arrays, {missing[0]}=…)."
            )
        if not missing and value(axis, sizes) != n:
            words = declarations.get(name, (derived or {}).get(name, ""))
            expected = tuple(value(a, sizes) for a in parse(words))
            raise ShapeError(
                f"{owner}: {name} is ({words}) = {expected}{_known(sizes, source)}, "
                f"but the array given has shape {shapes.get(name, (sizes.get(name),))}."
            )
    return sizes


def solved(axis: Axis, n: int, name: str, sizes: Mapping[str, int]) -> int | None:
    """The whole number of at least 1 that `name` must be for the axis to have length n."""

    def length(k: int) -> int:
        return value(axis, {**sizes, name: k})

    if all(product.split(" * ").count(name) < 2 for product in axis):
        rest = length(0)
        found, left = divmod(n - rest, length(1) - rest)
        return found if not left and found >= 1 else None
    return next((k for k in range(1, 4096) if length(k) == n), None)


def _known(sizes: Mapping[str, int], source: Mapping[str, str]) -> str:
    return "".join(f", {size}={n} by {source[size]}" for size, n in sizes.items())


def bound(words: str) -> int | None:
    """The number in `"at least 2"`; None for any other text."""
    found = re.fullmatch(r"\s*at least (\d+)\s*", words)
    return int(found[1]) if found else None


def is_size(words: str) -> bool:
    """Whether a text bounds a size by 1 or more, or determines it."""
    least = bound(words)
    if least is not None:
        return least > 0
    terms = [_TERM.match(term) for term in words.split("+")]
    return all(terms) and any(term and term[2] for term in terms)


def declared(parameters: Mapping[str, str], line: str) -> str:
    """The parameters that a line of code reads as p.NAME with their shapes' words, and the fix."""
    read = [f"{n} ({words})" for n, words in parameters.items() if re.search(rf"p\.{n}\b", line)]
    if not read:
        return ""
    return f"\n  Declared: {', '.join(read)}. Change the declaration, or what it meets here."


# --- numbers that know their name -----------------------------------------------------------------
class Size(int):
    """A length with the sizes it is made of: `words` is "hidden" or "2 * hidden + 1".

    Sums, differences and products of whole numbers stay Sizes; a quotient is a `Ratio`.
    """

    axis: Axis

    def __new__(cls, number: int, axis: Axis) -> Size:  # noqa: D102
        self = super().__new__(cls, number)
        self.axis = axis
        return self

    def __getnewargs__(self) -> Any:
        return int(self), self.axis

    @property
    def words(self) -> str:
        """The length in words."""
        text = ""
        for product, count in self.axis.items():
            factor = "" if product and abs(count) == 1 else f"{abs(count)}"
            term = " * ".join(part for part in (factor, product) if part)
            sign = "-" if count < 0 else "+"
            text += f" {sign} {term}" if text else f"-{term}" if count < 0 else term
        return text

    @property
    def level(self) -> int:
        """How tightly the words bind."""
        if len(self.axis) > 1 or self.words.startswith("-"):
            return SUM
        return PRODUCT if "*" in self.words else ATOM

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc.__name__ == "sqrt" and len(inputs) == 1 and not options:
            return Ratio(math.sqrt(int(self)), f"sqrt({self.words})", ATOM)
        plain = [int(v) if isinstance(v, Size) else v for v in inputs]
        return getattr(ufunc, method)(*plain, **options)

    def __add__(self, other: Any) -> Any:
        return _sum(self, other, 1)

    def __radd__(self, other: Any) -> Any:
        return _sum(other, self, 1)

    def __sub__(self, other: Any) -> Any:
        return _sum(self, other, -1)

    def __rsub__(self, other: Any) -> Any:
        return _sum(other, self, -1)

    def __mul__(self, other: Any) -> Any:
        return _product(self, other)

    def __rmul__(self, other: Any) -> Any:
        return _product(other, self)

    def __neg__(self) -> Any:
        return _product(-1, self)

    def __truediv__(self, other: Any) -> Any:
        return _quotient(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _quotient(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _halved(self, other)

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        return _power(self, other)


class Ratio(float):
    """A number made of sizes that is not a length: `words` is "(width + 1) / 2"."""

    words: str
    level: int

    def __new__(cls, number: float, words: str, level: int) -> Ratio:  # noqa: D102
        self = super().__new__(cls, number)
        self.words, self.level = words, level
        return self

    def __getnewargs__(self) -> Any:
        return float(self), self.words, self.level

    def __add__(self, other: Any) -> Any:
        return _joined("+", self, other)

    def __radd__(self, other: Any) -> Any:
        return _joined("+", other, self)

    def __sub__(self, other: Any) -> Any:
        return _joined("-", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _joined("-", other, self)

    def __mul__(self, other: Any) -> Any:
        return _joined("*", self, other)

    def __rmul__(self, other: Any) -> Any:
        return _joined("*", other, self)

    def __truediv__(self, other: Any) -> Any:
        return _joined("/", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _joined("/", other, self)

    def __neg__(self) -> Any:
        return _joined("-", 0.0, self)

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        return _power(self, other)


def _sized(number: int, axis: Axis) -> int:
    left = {product: count for product, count in axis.items() if count}
    return Size(number, left) if any(left) else number


def _terms(number: Any) -> Axis | None:
    if isinstance(number, Size):
        return number.axis
    return {"": number} if type(number) is int else None


def _sum(a: Any, b: Any, sign: int) -> Any:
    one, other = _terms(a), _terms(b)
    if one is None or other is None:
        return _joined("+" if sign > 0 else "-", a, b)
    total = dict(one)
    for product, count in other.items():
        total[product] = total.get(product, 0) + sign * count
    return _sized(int(a) + sign * int(b), total)


def _product(a: Any, b: Any) -> Any:
    one, other = _terms(a), _terms(b)
    if one is None or other is None:
        return _joined("*", a, b)
    total: Axis = {}
    for left, m in one.items():
        for right, n in other.items():
            every = [*left.split(" * "), *right.split(" * ")]
            name = " * ".join(sorted(part for part in every if part))
            total[name] = total.get(name, 0) + m * n
    return _sized(int(a) * int(b), total)


def _quotient(a: Any, b: Any) -> Any:
    """a / b, with factors that both have taken out."""
    if isinstance(a, Size) and isinstance(b, Size) and len(b.axis) == 1:
        ((below, m),) = b.axis.items()
        left = {}
        for product, n in a.axis.items():
            above = product.split(" * ")
            for name in below.split(" * "):
                if name not in above or n % m:
                    return _joined("/", a, b)
                above.remove(name)
            left[" * ".join(above)] = n // m
        return _sized(int(a) // int(b), left)
    return _joined("/", a, b)


def _halved(a: Size, b: Any) -> Any:
    if type(b) is int and b and all(count % b == 0 for count in a.axis.values()):
        return _sized(int(a) // b, {product: count // b for product, count in a.axis.items()})
    exact = _quotient(a, b) if isinstance(b, Size) else None
    return exact if isinstance(exact, int) else int(a) // b


def _joined(sign: str, a: Any, b: Any) -> Any:
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b)):
        return NotImplemented
    plain = [float(v) if isinstance(v, float) else int(v) for v in (a, b)]
    number = {
        "+": lambda m, n: m + n,
        "-": lambda m, n: m - n,
        "*": lambda m, n: m * n,
        "/": lambda m, n: m / n,
    }[sign](*plain)
    own = SUM if sign in "+-" else PRODUCT
    left = _bracketed(a, own)
    right = _bracketed(b, own + (sign in "-/"))
    return Ratio(number, f"{left} {sign} {right}", own)


def _power(a: Any, b: Any) -> Any:
    if not isinstance(b, int | float) or isinstance(b, bool):
        return NotImplemented
    if type(b) is int and b >= 0 and isinstance(a, Size):
        return functools.reduce(_product, [a] * b, 1)
    base = float(a) if isinstance(a, float) else int(a)
    return Ratio(float(base) ** float(b), f"{_bracketed(a, ATOM)} ** {_bracketed(b, ATOM)}", POWER)


def _bracketed(number: Any, need: int) -> str:
    words = getattr(number, "words", None)
    if words is None:
        return f"{number:g}" if number >= 0 else f"({number:g})"
    return words if number.level >= need else f"({words})"
