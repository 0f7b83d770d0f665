"""Numerical derivatives: the complex step, and central differences that see kinks."""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm.differentiate import rebuilt
from tinygrad_lstm.errors import DataError, DTypeError
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, constant, pullback

EPS = float(np.finfo(np.float64).eps)
TINY = 1e-30  # the complex step: its square vanishes beside any value, so it costs no digits
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
REAL_STEP = EPS ** (1 / 3)  # where the rounding error of central differences meets their truncation


# --- the function and its arguments -------------------------------------------------------------
class Problem:
    """f on flat lists of arrays: one for each argument, or for each entry of a mapping."""

    def __init__(self, f: Callable[..., Any], given: Sequence[Any]) -> None:
        self.f, self.given = f, given
        self.labels: list[str] = []
        self.values: list[Array] = []
        for label, value in zip(_labels(f, len(given)), given, strict=True):
            if isinstance(value, Mapping):
                for name, entry in value.items():
                    self._add(str(name), entry)
            else:
                self._add(getattr(value, "name", None) or label, value)

    def _add(self, label: str, value: Any) -> None:
        array = value.data if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype.kind != "f":
            raise DTypeError(
                f"check_gradients: {label} holds {array.dtype}, but derivatives need real "
                f"floating-point numbers.\n  Write {label}.astype(float), or close f over it."
            )
        finite = np.isfinite(array)
        if not finite.all():
            place = first_of(~finite)
            raise DataError(f"check_gradients: {entry_of(label, place)} is {array[place]}.")
        self.labels.append(label)
        self.values.append(array.astype(np.float64))

    def __call__(self, values: Sequence[Array]) -> tuple[list[Tensor], Tensor]:
        """Leaves made of the values, and f of them."""
        leaves = [Tensor(v, label) for v, label in zip(values, self.labels, strict=True)]
        rest = iter(leaves)
        args: list[Any] = []
        for value in self.given:
            many = isinstance(value, Mapping)
            args.append(rebuilt(value, {n: next(rest) for n in value}) if many else next(rest))
        y = self.f(*args)
        if not isinstance(y, Tensor):
            raise DTypeError(
                f"check_gradients: f must return a Tensor, got {type(y).__name__}.\n"
                f"  Compute it from f's arguments with operations on Tensors."
            )
        return leaves, y


def _labels(f: Callable[..., Any], count: int) -> list[str]:
    names: list[str] = []
    with contextlib.suppress(TypeError, ValueError):  # it has no signature
        given = (p for p in inspect.signature(f).parameters.values() if p.kind in _POSITIONAL)
        names = [p.name for p in given][:count]
    return names + [f"argument {k}" for k in range(len(names), count)]


# --- what is differentiated ---------------------------------------------------------------------
class Value(NamedTuple):
    """The number that is differentiated."""

    number: Any
    size: float  # Σ |terms|: what rounding errors are relative to
    root: Tensor  # f itself: its graph tells where the kinks are


class Gradient(NamedTuple):
    """Its derivatives in every argument, by the engine."""

    arrays: list[Array]
    steepest: float  # the largest adjoint on the way
    root: Tensor


class First:
    """L = Σ w ⊙ f, and its gradient by the engine."""

    order = "derivative"

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        _, y = problem(problem.values)
        _, again = problem(problem.values)
        if not np.array_equal(y.data, again.data, equal_nan=True):
            raise DataError(
                "check_gradients: f is random, two calls with the same arguments differ.\n"
                "  Draw the noise outside and pass it to f as an argument."
            )
        if not np.isfinite(y.data).all():
            place = first_of(~np.isfinite(y.data))
            raise DataError(f"check_gradients: {entry_of('f', place)} is {y.data[place]}.")
        self.weights = _away_from_zero(np.random.default_rng(seed), y.shape)

    def value(self, values: Sequence[Array]) -> Value:
        """The number, from the forward pass alone."""
        _, y = self.problem(values)
        terms = self.weights * y.data
        return Value(np.sum(terms), float(np.sum(np.abs(terms))), y)

    def gradient(self, values: Sequence[Array]) -> Gradient:
        """The engine's derivatives of the number."""
        leaves, y = self.problem(values)
        return _read(pullback({y: self.weights}, numeric=True), leaves, y)


class Second(First):
    """Σ v ⊙ ∇L for a fixed random v, and its gradient by the engine."""

    order = "second derivative"

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        random = np.random.default_rng((seed, 2))
        self.direction = [_away_from_zero(random, v.shape) for v in problem.values]

    def value(self, values: Sequence[Array]) -> Value:
        """The number, from one backward pass."""
        leaves, y = self.problem(values)
        adjoints = pullback({y: self.weights}, numeric=True, wrt=set(leaves))
        pairs = zip(self.direction, leaves, strict=True)
        terms = [v * adjoints[leaf] for v, leaf in pairs if leaf in adjoints]
        number = sum((np.sum(t) for t in terms), np.zeros((), y.dtype))
        return Value(number, float(sum(np.sum(np.abs(t)) for t in terms)), y)

    def gradient(self, values: Sequence[Array]) -> Gradient:
        """The engine's derivatives of the number: a backward pass through a backward pass."""
        leaves, y = self.problem(values)
        adjoints = pullback({y: constant(self.weights)}, numeric=False, wrt=set(leaves))
        total: Any = constant(np.zeros(()))
        for v, leaf in zip(self.direction, leaves, strict=True):
            if leaf in adjoints:
                total = total + (adjoints[leaf] * v).sum()
        return _read(pullback({total: np.ones(())}, numeric=True), leaves, total)


def _read(adjoints: Mapping[Tensor, Any], leaves: Sequence[Tensor], root: Tensor) -> Gradient:
    arrays = [np.asarray(adjoints.get(leaf, np.zeros(leaf.shape))) for leaf in leaves]
    return Gradient(arrays, max(largest(a) for a in adjoints.values()), root)


# --- the same derivatives, numerically ----------------------------------------------------------
class Numbers(NamedTuple):
    """Its derivatives in every argument, by a numerical method."""

    method: str
    arrays: list[Array]
    errors: list[Array]  # how far off the method itself may be


def derivatives(target: First) -> Numbers:
    """Every derivative of target.value, with the error that the method may have."""
    _, y = target.problem(target.problem.values)
    # central differences know nothing of a derivative that somebody gave in another's place
    surrogate = any(n.op and TABLE[n.op].slopes for n in ancestors([y]))
    if surrogate or not _kinks(y):
        found = _complex_steps(target)
        if found is not None:
            return found
    return central_differences(target)


def complex_slope(f: Callable[[Any], Any], at: Any) -> Array:
    """Im f(at + ih) / h, all entries moved at once: exact to rounding where f is analytic."""
    return np.asarray(np.imag(f(np.asarray(at) + TINY * 1j)) / TINY)


def complex_step(f: Callable[[Any], Any], at: Any) -> Array:
    """The derivative of Σ f in every entry of an array, by a complex step in each."""
    derivative = np.zeros(np.shape(at))
    for index in np.ndindex(derivative.shape):
        moved = np.array(at, complex)
        moved[index] += TINY * 1j
        derivative[index] = np.sum(np.imag(f(moved))) / TINY
    return derivative


def _complex_steps(target: First) -> Numbers | None:
    """None where f does not take complex numbers."""
    values: list[Any] = [v.astype(complex) for v in target.problem.values]

    def number(k: int, moved: Array) -> Any:
        result = target.value([*values[:k], moved, *values[k + 1 :]]).number
        if result.dtype.kind != "c":
            raise TypeError
        return result

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            roots = [target.value(values).root]
            if any(map(_loses_imaginary_part, ancestors(roots, requires_grad=True))):
                return None
            arrays = [
                complex_step(functools.partial(number, k), v)
                for k, v in enumerate(target.problem.values)
            ]
    except (TypeError, np.exceptions.ComplexWarning):
        return None
    return Numbers("complex step", arrays, [np.zeros(a.shape) for a in arrays])


def _loses_imaginary_part(node: Tensor) -> bool:
    """Whether an operation makes a real number of complex operands, as abs does."""
    if node.op is None or node.dtype.kind == "c":
        return False
    rules = (TABLE[node.op].rule(k) for k, i in enumerate(node.inputs) if i.requires_grad)
    return any(rule is not None for rule in rules)


def one_sided(target: First, k: int, index: tuple[int, ...]) -> tuple[float, float]:
    """The slope ahead of an entry and the slope behind it."""
    ahead, here, behind = (float(_moved(target, k, index, h).number) for h in (1e-7, 0.0, -1e-7))
    return (ahead - here) / 1e-7, (here - behind) / 1e-7


def _moved(target: First, k: int, index: tuple[int, ...], step: float) -> Value:
    """The number where one entry of the k-th argument is changed."""
    values = list(target.problem.values)
    values[k] = values[k].copy()
    values[k][index] += step
    return target.value(values)


def central_differences(target: First) -> Numbers:
    """Steps of h and 2h to either side; DataError where a kink lies within them."""
    problem = target.problem
    here = target.value(problem.values)
    gauges = _kinks(here.root)
    arrays = [np.zeros(v.shape) for v in problem.values]
    errors = [np.zeros(v.shape) for v in problem.values]
    for k, v in enumerate(problem.values):
        for index in np.ndindex(v.shape):
            h = REAL_STEP * max(1.0, abs(v[index]))
            entry = entry_of(problem.labels[k], index)
            numbers = []
            for step in (h, -h, 2 * h, -2 * h):
                there = _moved(target, k, index, step)
                numbers.append(float(there.number))
                _refuse_kinks(gauges, _kinks(there.root), entry, abs(step), here.root)
            near, far = (numbers[0] - numbers[1]) / (2 * h), (numbers[2] - numbers[3]) / (4 * h)
            truncation, rounding = abs(far - near) / 3, EPS * here.size / h
            if truncation > 1e-3 * abs(near) + 100 * rounding:
                raise DataError(
                    f"check_gradients: f varies too sharply at {entry}: "
                    f"central differences give {near:.6g} with step {h:.2g},\n  but {far:.6g} with "
                    f"step {2 * h:.2g}. Check it at another point."
                )
            arrays[k][index], errors[k][index] = near, 10 * truncation + 100 * rounding
    return Numbers("central difference", arrays, errors)


def _kinks(root: Tensor) -> list[Tensor]:
    """The operations below `root` that are not smooth everywhere."""
    nodes = ancestors([root], requires_grad=True)
    return [n for n in nodes if n.op is not None and TABLE[n.op].distance is not None]


def _refuse_kinks(
    before: list[Tensor], after: list[Tensor], entry: str, step: float, root: Tensor
) -> None:
    """Raise where a step comes as near to a kink as the operands move: no verdict is possible."""
    if [n.op for n in before] != [n.op for n in after]:
        raise DataError(
            f"check_gradients: f computes something else when {entry} moves by {step:.2g}.\n"
            f"  Check it at a point that is farther from where f changes its course."
        )
    for node, moved in zip(before, after, strict=True):
        operation = TABLE[node.op or ""]
        assert operation.distance is not None
        distance = operation.distance(*(i.data for i in node.inputs), **node.attributes)
        shifts = [np.abs(b.data - a.data) for a, b in zip(node.inputs, moved.inputs, strict=True)]
        if operation.signature == "elementwise":
            reach: Any = np.broadcast_to(np.asarray(sum(shifts)), np.shape(distance))
        else:  # both of two competing entries may move
            reach = np.full(np.shape(distance), 2 * max(largest(s) for s in shifts))
        close = (reach > 0) & (distance <= reach)
        if np.any(close):
            place = first_of(close)
            raise DataError(
                f"check_gradients: no verdict on {entry}: {place_of(node, root)} has a kink "
                f"{float(np.asarray(distance)[place]):.2g} from its operands at {list(place)}, "
                f"within the step {step:.2g}.\n  Check it at a point farther from the kink."
            )


# --- shared --------------------------------------------------------------------------------------
def place_of(node: Tensor, root: Tensor) -> str:
    """`equation f, time step 2, operation sigmoid`; the first time step is 1, as in formulas."""
    for named in (n for n in ancestors([root]) if n.name is not None and n.inputs):
        if node in set(ancestors([named])):
            step = "" if named.time is None else f", time step {named.time + 1}"
            return f"equation {named.name}{step}, operation {node.op}"
    return f"operation {node.op}"


def _away_from_zero(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Weights of size 0.5 to 1.5 and either sign, so that none hides its term."""
    return np.asarray(random.uniform(0.5, 1.5, shape) * random.choice([-1.0, 1.0], shape))


def entry_of(label: str, place: tuple[int, ...]) -> str:
    """An entry by name: `W_f[0, 2]`, or `x` where there are no axes."""
    return f"{label}{list(place)}" if place else label


def largest(array: Any) -> float:
    """The largest magnitude; 0 of nothing."""
    return float(np.max(np.abs(array), initial=0.0))


def first_of(mask: Any) -> tuple[int, ...]:
    """The index of the first True."""
    return tuple(int(n) for n in np.argwhere(mask)[0])
