"""Parameters by name, and what they start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np

from tinygrad_lstm.errors import DataError, DTypeError, unknown
from tinygrad_lstm.notebook_html import bundle, table
from tinygrad_lstm.tensor import Array, Tensor


def under(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values whose names begin with a prefix, under their names without it."""
    return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}


class Parameters(Mapping[str, Tensor]):
    """The weights of a cell: a mapping of names to Tensors, which are attributes too (`p.W_f`)."""

    def __init__(
        self, tensors: Mapping[str, Tensor], owner: str, sizes: Mapping[str, int] | None = None
    ) -> None:
        self._tensors = dict(tensors)
        self._owner = owner
        self._sizes = dict(sizes or {})

    def __getattr__(self, name: str) -> Tensor:  # or the Parameters of a part
        if name.startswith("__"):
            raise AttributeError(name)
        own = self.__dict__.get("_tensors", {})
        if name not in own and (inside := under(f"{name}.", own)):  # those of a part
            return cast(Any, Parameters(inside, f"{self._owner}, {name}"))  # type: ignore[no-any-return]
        return self[name]

    def __getitem__(self, name: str) -> Tensor:
        tensors: dict[str, Tensor] = self.__dict__.get("_tensors", {})
        if name not in tensors:
            raise unknown(f"{self._owner} has no parameter {name!r}", "it declares", tensors)
        return tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{k} {t.shape}" for k, t in self._tensors.items())
        return f"Parameters of {self._owner}: {shapes}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        rows = [(name, str(t.shape), t.size) for name, t in self.items()]
        rows.append(("together", "", self.count))
        return bundle(repr(self), table(rows, ("parameter", "shape", "numbers")))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_tensors", "_owner", "_sizes"):
            object.__setattr__(self, name, value)
            return
        raise AttributeError(
            f"{self._owner}: parameters are not changed in place, so p.{name} = … does nothing to "
            f"what was computed.\n  Write p = p.replace({{{name!r}: value}})."
        )

    __setitem__ = __setattr__

    def replace(self, tensors: Mapping[str, Any]) -> Parameters:
        """The same parameters with some of them exchanged, as leaves of a graph of their own.

        One step of gradient descent: `p = p.replace({n: p[n] - rate * p[n].grad for n in p})`. The
        values are kept and not how they were computed, so the graph does not grow from step to
        step. To go on through a Tensor's own graph give it to `bind` or `unroll` in a mapping.
        """
        for name in tensors:
            self[name]  # noqa: B018 - an unknown name is an error
        new = {k: Tensor(v, k) for k, v in tensors.items()}
        return Parameters({**self._tensors, **new}, self._owner, self._sizes)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """A dictionary of them, of one's own."""
        return self._tensors.copy()

    @property
    def sizes(self) -> Mapping[str, int]:
        """The sizes that they were made for."""
        return self._sizes

    def on(self, tensors: Mapping[str, Tensor]) -> Parameters:
        """The same parameters with these nodes for some of them."""
        return Parameters({**self._tensors, **tensors}, self._owner, self._sizes)

    @property
    def count(self) -> int:
        """How many numbers there are in all."""
        return sum(t.size for t in self._tensors.values())


Random = np.random.Generator


def _uniform(random: Random, shape: tuple[int, ...]) -> Array:
    return np.asarray(random.uniform(-1.0, 1.0, shape) * (*shape, 1)[-2 if shape else -1] ** -0.5)


def _glorot(random: Random, shape: tuple[int, ...]) -> Array:
    return np.asarray(random.uniform(-1.0, 1.0, shape) * (6.0 / sum(shape[-2:])) ** 0.5)


def _identity(random: Random, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(np.eye(shape[-2], shape[-1]), shape)


def _orthogonal(random: Random, shape: tuple[int, ...]) -> Array:
    """Rows or columns that are orthogonal, whichever are fewer; of a random rotation."""
    rows, columns = (*(1,) * (2 - len(shape)), *shape)[-2:]
    drawn = random.standard_normal((*shape[:-2], max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    return np.reshape(q if rows >= columns else np.swapaxes(q, -1, -2), shape)


# what a parameter or a state may start from, by name
FILLS: dict[str, Callable[[Random, tuple[int, ...]], Array]] = {
    "zero": lambda random, shape: np.zeros(shape),
    "one": lambda random, shape: np.ones(shape),
    "uniform": _uniform,
    "glorot": _glorot,
    "orthogonal": _orthogonal,
    "identity": _identity,
}


def generator(owner: str, seed: Any, dtype: Any) -> np.random.Generator:
    """What parameters of a dtype are drawn with; an error where it is no seed, or no such dtype."""
    try:
        random, kind = np.random.default_rng(seed), np.dtype(dtype)
    except ValueError as error:
        raise DataError(f"{owner}: seed must be at least 0, got {seed!r}.") from error
    except TypeError as error:
        what = f"{owner}: a seed is a whole number, a dtype NumPy's: {error}."
        raise DTypeError(what) from error
    if kind.kind != "f":
        raise DTypeError(f"{owner}: parameters are floating-point, got dtype {kind}.")
    return random


def check_finite(what: str, tensor: Tensor) -> None:
    """DataError where a value is nan or infinite; it names `what`, and the first such entry."""
    if tensor.traced:
        return
    finite = np.isfinite(tensor._data)  # type: ignore[arg-type]
    if not finite.all():
        place = tuple(int(k) for k in np.argwhere(~finite)[0])
        raise DataError(
            f"{what} holds {tensor.data[place]} at index {list(place)}; "
            f"{np.count_nonzero(~finite)} of {finite.size} entries are not finite."
        )
