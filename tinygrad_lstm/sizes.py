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
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from tinygrad_lstm.errors import CellError, ShapeError

# a sum of products: {("hidden",): 2, ("columns", "rows"): 1, (): 3} is 2 hidden + columns rows + 3
Axis = dict[tuple[str, ...], int]
_TERM = re.compile(r"\s*(?:(\d+)\s*\*?\s*)?([^\W\d]\w*(?:\s*\*\s*[^\W\d]\w*)*)?\s*$")
SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4  # how tightly a text binds


@functools.cache
def parse(words: str) -> tuple[Axis, ...]:
    """The axes of a shape: `"hidden, 2 * inputs"` is ({("hidden",): 1}, {("inputs",): 2})."""
    return tuple(_axis(axis, words) for axis in words.split(",") if axis.strip())


def _axis(axis: str, words: str) -> Axis:
    total: Axis = {}
    for term in axis.split("+"):
        match = _TERM.match(term)
        if not match or not term.strip():
            raise CellError(
                f"cannot read the dimension {axis.strip()!r} in {words!r}.\n"
                f"  Write sums of names and numbers: 'hidden, hidden + inputs', '3 * hidden'."
            )
        _add(total, tuple(sorted(re.findall(r"\w+", match[2] or ""))), int(match[1] or 1))
    return total


def _add(total: Axis, product: tuple[str, ...], count: int) -> None:
    total[product] = total.get(product, 0) + count


def names_in(axis: Axis) -> list[str]:
    """The sizes that an axis depends on."""
    return list(dict.fromkeys(name for product in axis for name in product))


def value(axis: Axis, sizes: Mapping[str, int]) -> int:
    """The length of an axis when the sizes in it are known."""
    return sum(n * math.prod(sizes[name] for name in product) for product, n in axis.items())


def shape(words: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape that a declaration means for given sizes; each length knows its name.

    A size that knows another name of its own, as a part's do, keeps it.
    """
    lengths = ((value(axis, sizes), axis) for axis in parse(words))
    return tuple(n if isinstance(n, Size) else _sized(n, axis) for n, axis in lengths)


def names(declarations: Mapping[str, str]) -> list[str]:
    """The names of the sizes in several declarations, in the order in which they first occur."""
    every = [axis for words in declarations.values() for axis in parse(words)]
    return list(dict.fromkeys(name for axis in every for name in names_in(axis)))


# --- sizes from shapes ----------------------------------------------------------------------------
def infer(
    declarations: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    owner: str,
    derived: Mapping[str, str] | None = None,
    given: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """The sizes that make declared shapes equal actual ones; `given` are for what those leave open.

    An axis with one size not yet known gives that size; every other axis must agree, and where one
    array alone does not, it is named. `derived` are sizes that others determine, as in
    {"glimpse": "2 * patch * patch"}.
    """
    words = {**(derived or {}), **declarations}
    for name, actual in shapes.items():
        axes = parse(words[name])
        if len(axes) != len(actual):
            raise ShapeError(
                f"{owner}: {name} is ({words[name]}), which has {len(axes)} "
                f"{'axis' if len(axes) == 1 else 'axes'}, but the array given has shape {actual}."
            )

    def of(shapes: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, int], str]:
        return _infer(words, shapes, owner, derived or {}, given or {})

    try:
        return of(shapes)[0]
    except ShapeError:
        suspects = []
        for name in shapes:
            try:
                sizes, known = of({n: actual for n, actual in shapes.items() if n != name})
                expected = tuple(value(axis, sizes) for axis in parse(words[name]))
            except (ShapeError, KeyError):  # the others disagree, or do not tell its shape
                continue
            suspects.append(_misfit(owner, name, words[name], known, shapes[name], expected))
        if len(suspects) == 1:
            raise suspects[0] from None
        raise


def _infer(
    words: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    owner: str,
    derived: Mapping[str, str],
    given: Mapping[str, int],
) -> tuple[dict[str, int], str]:
    """The sizes, and in words which array told each of them."""
    sizes: dict[str, int] = {}
    source: dict[str, str] = {}
    todo = []
    for name, actual in shapes.items():
        todo += [(name, axis, n) for axis, n in zip(parse(words[name]), actual, strict=True)]
    # a derived size is an equation more: formula - size = 0
    todo += [(n, {**_axis(words[n], words[n]), (n,): -1}, 0) for n in derived]

    def known() -> str:
        return "".join(f", {size}={n} by {source[size]}" for size, n in sizes.items())

    def unknown(axis: Axis) -> list[str]:
        return [name for name in names_in(axis) if name not in sizes]

    settled = False
    while not settled:
        settled = True
        for name, axis, n in todo:
            if len(left := unknown(axis)) == 1:
                size = solved(axis, n, left[0], sizes)
                if size is None:
                    raise ShapeError(
                        f"{owner}: {name} is ({words[name]}), but the array given has shape "
                        f"{shapes.get(name, (sizes.get(name),))}{known()}, which leaves no "
                        f"{left[0]}."
                    )
                sizes[left[0]], source[left[0]], settled = size, name, False
        open_ = {name for _, axis, _ in todo for name in unknown(axis)}
        if settled and (told := next((s for s in given if s in open_), None)) is not None:
            # heads * key alone tells neither
            sizes[told], source[told], settled = given[told], "what was given", False
    for name, axis, n in todo:
        left = unknown(axis)
        if left and name in shapes:
            raise ShapeError(
                f"{owner}: the shapes given do not determine {left[0]}.\n"
                f"  Make the parameters with init, or with bind(arrays, {left[0]}=…)."
            )
        if not left and value(axis, sizes) != n:
            expected = tuple(value(a, sizes) for a in parse(words[name]))
            actual = shapes[name] if name in shapes else (sizes[name],)
            raise _misfit(owner, name, words[name], known(), actual, expected)
    return sizes, known()


def _misfit(
    owner: str, name: str, words: str, known: str, actual: tuple[Any, ...], expected: Any
) -> ShapeError:
    return ShapeError(
        f"{owner}: {name} is ({words}) = {expected}{known}, but the array given has shape {actual}."
    )


def learn(known: dict[str, int], words: str, shape: tuple[int, ...]) -> None:
    """Add to `known` the sizes that the last axes of a shape tell."""
    axes = parse(words)
    if len(shape) < len(axes):
        return
    for axis, n in zip(axes, shape[len(shape) - len(axes) :], strict=True):
        unknown = [name for name in names_in(axis) if name not in known]
        if len(unknown) == 1 and (size := solved(axis, n, unknown[0], known)):
            known[unknown[0]] = size


def solved(axis: Axis, n: int, name: str, sizes: Mapping[str, int]) -> int | None:
    """The whole number of at least 1 that `name` must be for the axis to have length n."""

    def length(k: int) -> int:
        return value(axis, {**sizes, name: k})

    if all(product.count(name) < 2 for product in axis):
        rest = length(0)
        size, left = divmod(n - rest, length(1) - rest)
        return size if not left and size >= 1 else None
    return next((k for k in range(1, 4096) if length(k) == n), None)


# --- what is declared of a size -------------------------------------------------------------------
def bound(words: str) -> int | None:
    """The number in `"at least 2"`; None for any other text."""
    match = re.fullmatch(r"\s*at least (\d+)\s*", words)
    return int(match[1]) if match else None


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
def _infix(sign: str, swapped: bool = False) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return _combined(sign, other, self) if swapped else _combined(sign, self, other)

    return method


class _Named:
    """Arithmetic with numbers that have `words`, and a `level`: how tightly the words bind."""

    __add__, __radd__ = _infix("+"), _infix("+", swapped=True)
    __sub__, __rsub__ = _infix("-"), _infix("-", swapped=True)
    __mul__, __rmul__ = _infix("*"), _infix("*", swapped=True)
    __truediv__, __rtruediv__ = _infix("/"), _infix("/", swapped=True)
    __pow__: Any = _infix("**")

    def __neg__(self) -> Any:
        return _combined("-", 0, self)


class Size(_Named, int):
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
            factor = [] if product and abs(count) == 1 else [f"{abs(count)}"]
            term = " * ".join((*factor, *product))
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
        numbers = len(inputs) == 2 and all(isinstance(v, int | float) for v in inputs)
        if numbers and ufunc.__name__ in ("maximum", "minimum") and not options:
            short = ufunc.__name__[:3]
            words = f"{short}({', '.join(_bracketed(v, SUM) for v in inputs)})"
            return Ratio(float(ufunc(*plain)), words, ATOM)
        return getattr(ufunc, method)(*plain, **options)

    def __floordiv__(self, other: Any) -> Any:
        exact = _divided(self.axis, _terms(other)) if other else None
        return int(self) // other if exact is None else _sized(int(self) // int(other), exact)


class Ratio(_Named, float):
    """A number made of sizes that is not a length: `words` is "(width + 1) / 2"."""

    words: str
    level: int

    def __new__(cls, number: float, words: str, level: int) -> Ratio:  # noqa: D102
        self = super().__new__(cls, number)
        self.words, self.level = words, level
        return self

    def __getnewargs__(self) -> Any:
        return float(self), self.words, self.level


def _sized(number: int, axis: Axis) -> int:
    left = {product: count for product, count in axis.items() if count}
    return Size(number, left) if any(left) else number


def _terms(number: Any) -> Axis | None:
    if isinstance(number, Size):
        return number.axis
    return {(): number} if type(number) is int else None


def times(a: Axis, b: Axis) -> Axis:
    """The product of two sums of products."""
    total: Axis = {}
    for left, m in a.items():
        for right, n in b.items():
            _add(total, tuple(sorted((*left, *right))), m * n)
    return total


def _divided(a: Axis, b: Axis | None) -> Axis | None:
    """a / b where b is one product that every term of a has in it, else None."""
    if b is None or len(b) != 1:
        return None
    ((below, m),) = b.items()
    quotient: Axis = {}
    for product, n in a.items():
        left = list(product)
        for name in below:
            if name not in left:
                return None
            left.remove(name)
        if n % m:
            return None
        quotient[tuple(left)] = n // m
    return quotient


# the sign: what it does to numbers, and how tightly it and what stands beside it must bind
_SIGNS: dict[str, tuple[Callable[[Any, Any], Any], int, int, int]] = {
    "+": (operator.add, SUM, SUM, SUM),
    "-": (operator.sub, SUM, SUM, PRODUCT),
    "*": (operator.mul, PRODUCT, PRODUCT, PRODUCT),
    "/": (operator.truediv, PRODUCT, PRODUCT, POWER),
    "**": (lambda a, b: float(a) ** float(b), POWER, ATOM, ATOM),
}


def _combined(sign: str, a: Any, b: Any) -> Any:
    """a sign b: a Size where it is a sum of products, else a Ratio with words."""
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b)):
        return NotImplemented
    compute, own, left, right = _SIGNS[sign]
    one, other = _terms(a), _terms(b)
    plain = [float(v) if isinstance(v, float) else int(v) for v in (a, b)]
    if one is not None and other is not None:
        exact: Axis | None = None
        if sign in "+-":
            exact = dict(one)
            for product, count in other.items():
                _add(exact, product, count if sign == "+" else -count)
        elif sign == "*":
            exact = times(one, other)
        elif sign == "/" and isinstance(a, Size) and isinstance(b, Size):
            exact = _divided(one, other)
        elif sign == "**" and type(b) is int and b >= 0:
            exact = functools.reduce(times, [one] * b, cast(Axis, {(): 1}))
        if exact is not None:
            return _sized(int(compute(*plain)), exact)
    words = f"{_bracketed(a, left)} {sign} {_bracketed(b, right)}"
    return Ratio(compute(*plain), words, own)


def _bracketed(number: Any, need: int) -> str:
    words = getattr(number, "words", None)
    if words is None:
        return f"{number:g}" if number >= 0 else f"({number:g})"
    return words if number.level >= need else f"({words})"
