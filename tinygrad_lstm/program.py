"""A Program: named equations over named inputs, which can be run, printed and differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.errors import ShapeError, UnknownNameError
from tinygrad_lstm.notation import name_plain
from tinygrad_lstm.notebook_html import bundle, table
from tinygrad_lstm.sizes import ATOM as _ATOM
from tinygrad_lstm.sizes import PRODUCT as _PRODUCT
from tinygrad_lstm.sizes import SUM as _SUM
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, apply, fold, pullback


class Values(Mapping[str, Array]):
    """What a run of a Program computed: outputs by name, then every named equation."""

    def __init__(self, outputs: Mapping[str, Array], equations: Mapping[str, Array]) -> None:
        self._all = {**equations, **outputs}

    def __getitem__(self, name: str) -> Array:
        if name not in self._all:
            raise UnknownNameError(f"no value {name!r}; there are: {', '.join(self._all)}.")
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return "\n".join(f"{k} = {v!r}" for k, v in self._all.items())


class Program:
    """Inputs, named equations in their author's order, and outputs.

    `inputs`, `equations` and `outputs` map names to traced Tensors; an equation's Tensor carries
    its name, and what lies between two named Tensors is the equation's right-hand side. A dot in
    a name marks a namespace: `prev.C` is the state before the step, `bar.f` the adjoint of f,
    `seed.h` the adjoint of h that is given from outside. `dimensions` tells an
    input's shape in words, as in {"W_f": "hidden, hidden + inputs"}, and `sizes` their values.
    """

    def __init__(
        self,
        name: str,
        inputs: Mapping[str, Tensor],
        equations: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
        dimensions: Mapping[str, str] | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self.inputs = dict(inputs)
        self.equations = dict(equations)
        self.outputs = dict(outputs)
        self.dimensions = dict(dimensions or {})
        self.sizes = dict(sizes or {})

    @classmethod
    def trace(cls, function: Callable[..., Any], /, **shapes: tuple[int, ...]) -> Program:
        """The Program of a function of Tensors, whose parameters are named with their shapes.

        The function returns one Tensor, which becomes the output `y`, or a mapping of names.
        """
        inputs = {name: Tensor.input(name, shape) for name, shape in shapes.items()}
        result = function(**inputs)
        found = result if isinstance(result, Mapping) else {"y": result}
        equations = {name: named(node, name) for name, node in found.items()}
        return cls(getattr(function, "__name__", "program"), inputs, equations, equations)

    def nodes(self) -> list[Tensor]:
        """Every node the equations and outputs depend on, in the order in which to compute it."""
        return ancestors([*self.equations.values(), *self.outputs.values()])

    def run(self, **arrays: Any) -> Values:
        """Compute every equation from arrays for the inputs.

        The inputs of a namespace may come as one mapping: `run(x=x, prev={"h": h, "C": C}, …)`.
        Axes in front of an input's own are those of a batch, the same for all inputs that have
        any; inputs without are shared by all samples. A result has the axes of the batch, and of
        a Program of gradients each sample gets its own.
        """
        given = dict(_flat(arrays))
        for name in given:
            if name not in self.inputs:
                raise UnknownNameError(
                    f"{self.name} has no input {name!r}; it takes {', '.join(self.inputs)}."
                )
        lead: tuple[int, ...] = ()
        batched: dict[str, tuple[int, ...]] = {}
        for name in given:
            array = given[name] = np.asarray(given[name])
            node = self.inputs[name]
            front = array.shape[: max(array.ndim - node.ndim, 0)]
            if array.shape[len(front) :] != node.shape:
                raise ShapeError(
                    f"{self.name}: input {name} has shape {array.shape}, "
                    f"but {self.shape_text(node)} was declared."
                )
            if front:
                batched[name] = lead = front
        if len(set(batched.values())) > 1:
            found = ", ".join(f"{name} {front}" for name, front in batched.items())
            raise ShapeError(f"{self.name}: the axes in front, of the batch, differ: {found}.")
        roots = {**self.equations, **{f"output {n}": t for n, t in self.outputs.items()}}
        leaves = {n: t for n, t in self.inputs.items() if n in given}
        missing = [
            n.name or "?"
            for n in ancestors(roots.values())
            if not n.inputs and n.traced and n not in set(leaves.values())
        ]
        if missing:
            raise UnknownNameError(f"{self.name} needs values for {', '.join(missing)}.")
        dtype = np.result_type(*(v.dtype for v in given.values())) if given else None
        lifted = Lifted(roots, leaves, lead, batched, dtype)
        values = lifted.arrays([given[name] for name in leaves])
        return Values(
            {name: values[f"output {name}"] for name in self.outputs},
            {name: values[name] for name in self.equations},
        )

    def on(self, leaves: Mapping[str, Tensor], names: Callable[[str], str]) -> dict[str, Tensor]:
        """The equations once more, under other names, with other nodes for the inputs."""
        known = {self.inputs[name]: node for name, node in leaves.items()}
        owners = {node: name for name, node in self.equations.items()}

        def make(node: Tensor, operands: list[Tensor]) -> Tensor:
            if not node.inputs:
                return node
            made: Tensor = apply(node.op or "", *operands, **node.attributes)
            return named(made, names(owners[node])) if node in owners else made

        found = fold(self.equations.values(), known, make)
        return {name: found[node] for name, node in self.equations.items()}

    def gradient(
        self, wrt: str | Iterable[str] | None = None, of: str | Iterable[str] | None = None
    ) -> Program:
        """The Program of the adjoints: reverse-mode differentiation, as equations.

        `of` names outputs or equations to start from (default: all outputs); the adjoint each is
        given from outside is the input `seed.NAME`, as in `run(seed={"h": ones}, …)`. `wrt`
        names inputs or equations whose gradients are wanted (default: all inputs); they are the
        result's outputs, under the same names. Its equations are this Program's, then one for
        the adjoint of each named value, `bar.NAME`.
        """
        # in a Program of gradients, W_f is an input, and the output that is its gradient
        targets = {
            name: self._named(name, self.inputs, self.equations, self.outputs)
            for name in _names(wrt, self.inputs)
        }
        starts = {
            name: self._named(name, self.outputs, self.equations, self.inputs)
            for name in _names(of, self.outputs)
        }
        inputs = dict(self.inputs)
        dimensions = dict(self.dimensions)
        seeds: dict[Tensor, Any] = {}
        for name, node in starts.items():
            seed = f"seed.{name}"
            while seed in inputs:
                seed = f"seed.{seed}"
            inputs[seed] = seeds[node] = Tensor.input(seed, node.shape, node.dtype)
            if words := dimensions.get(f"prev.{name}", dimensions.get(name)):
                dimensions[seed] = words
        equations = dict(self.equations)
        known = {node: name for name, node in {**self.inputs, **self.equations}.items()}

        def name_adjoint(node: Tensor, adjoint: Tensor) -> Tensor:
            if node not in known:
                return adjoint
            name = f"bar.{known[node]}"
            while name in equations or name in inputs:
                name = f"bar.{name}"
            equations[name] = named(adjoint, name)
            return equations[name]

        adjoints = pullback(seeds, numeric=False, named=name_adjoint)
        outputs = {}
        for name, node in targets.items():
            if node not in adjoints:
                zero = apply("multiply", node, 0.0)  # the outputs do not depend on it
                adjoints[node] = equations[f"bar.{name}"] = named(zero, f"bar.{name}")
            outputs[name] = adjoints[node]
        label = f"gradient of {self.name}"
        return Program(label, inputs, equations, outputs, dimensions, self.sizes)

    def _named(self, name: str, *places: Mapping[str, Tensor]) -> Tensor:
        for place in places:
            if name in place:
                return place[name]
        known = ", ".join([*self.inputs, *self.equations])
        raise UnknownNameError(f"{self.name} has no {name!r}; it has {known}.")

    def text(self, name: str) -> str:
        """One equation as a line of text: `f = sigmoid(W_f · [h_{t-1}, x_t] + b_f)`."""
        return f"{name_plain(name)} = {right_hand_side(self.equations[name])}"

    def shape_text(self, node: Tensor) -> str:
        """A shape with its axes in words where they are declared: `(hidden=4, inputs=3)`."""
        words = self.dimensions.get(node.name or "", "")
        parts = [w.strip() for w in words.split(",")] if words else []
        if len(parts) != len(node.shape):
            return str(node.shape)
        axes = zip(parts, map(str, node.shape), strict=True)
        return f"({', '.join(n if w == n else f'{w}={n}' for w, n in axes)})"

    def __str__(self) -> str:
        inputs = ", ".join(f"{name_plain(n)} {self.shape_text(t)}" for n, t in self.inputs.items())
        lines = [f"{self.name}: inputs {inputs}", *(f"  {self.text(n)}" for n in self.equations)]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        inputs = [("input", name_plain(n), self.shape_text(t)) for n, t in self.inputs.items()]
        equations = [
            ("equation", name_plain(n), f"= {right_hand_side(t)}")
            for n, t in self.equations.items()
        ]
        return bundle(str(self), table([*inputs, *equations]))


def named(node: Tensor, name: str, time: int | None = None) -> Tensor:
    """`node` under a name: itself if it is fresh, else an identity node, so names stay unique."""
    if node.name is not None or not node.inputs:
        node = apply("identity", node)
    node.name, node.time = name, time
    return node


def _names(given: str | Iterable[str] | None, default: Iterable[str]) -> list[str]:
    return list(default if given is None else given.split() if isinstance(given, str) else given)


def _flat(arrays: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in arrays.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


# --- plain text ----------------------------------------------------------------------------------
def right_hand_side(root: Tensor) -> str:
    """The expression that computes `root`, down to the next named Tensors, on one line."""
    leaves = {
        n: _leaf_text(n)
        for n in ancestors([root])
        if n is not root and (n.name is not None or not n.inputs)
    }
    return str(fold([root], leaves, _operation_text)[root][0])


def _leaf_text(node: Tensor) -> tuple[str, int]:
    if node.name is not None:
        return name_plain(node.name), _ATOM
    if "words" in node.attributes:
        return node.attributes["words"], node.attributes["level"]
    data = node.data
    if data.ndim == 2 and len(data) > 1 and np.array_equal(data, np.eye(*data.shape)):
        return "I", _ATOM
    same = data.size and (data == data.flat[0]).all()
    text = f"{data.flat[0]:g}" if same else np.array2string(data, threshold=4)
    return text, _SUM if text.startswith("-") else _ATOM


def _operation_text(node: Tensor, parts: list[tuple[str, int]]) -> tuple[str, int]:
    op = node.op or ""
    if not parts:
        return _leaf_text(node)
    infix = TABLE[op].infix
    if infix is not None:
        template, own, needs = infix
        fitted = [
            f"({text})" if level < need else text
            for (text, level), need in zip(parts, needs, strict=True)
        ]
        return template.format(*fitted), own
    texts = [text for text, _ in parts]
    if op == "concat" and node.attributes["axis"] in (-1, -2):  # beside, below one another
        between = ", " if node.attributes["axis"] == -1 else "; "
        return f"[{between.join(texts)}]", _ATOM
    if op == "einsum":
        return _indexed(node.attributes["subscripts"], texts), _PRODUCT
    if op == "identity":
        return parts[0]
    atom = texts[0] if parts[0][1] == _ATOM else f"({texts[0]})"
    if op in ("swapaxes", "transpose") and node.ndim == 2 and node.attributes.get("axes") != (0, 1):
        return f"{atom}ᵀ", _ATOM
    if op == "getitem":
        return f"{atom}[{_index_text(node.attributes['index'])}]", _ATOM
    shown = [
        f"{k}=" + (f"({_index_text(v)})" if isinstance(v, tuple) else _index_text(v))
        for k, v in node.attributes.items()
        if v is not None and v is not False
    ]
    return f"{op}({', '.join(texts + shown)})", _ATOM


def _indexed(subscripts: str, texts: Sequence[str]) -> str:
    """A sum of products with its letters: `Σ_j [W]_ij [x]_j`."""
    before, after = subscripts.replace("...", "").split("->")
    summed = "".join(dict.fromkeys(c for c in before if c.isalpha() and c not in after))
    factors = (f"[{t}]_{k}" for t, k in zip(texts, before.split(","), strict=True))
    return (f"Σ_{summed} " if summed else "") + " ".join(factors)


def _index_text(index: Any) -> str:
    if isinstance(index, tuple):
        return ", ".join(map(_index_text, index))
    if isinstance(index, slice):
        start, stop = ("" if e is None else _index_text(e) for e in (index.start, index.stop))
        return f"{start}:{stop}" + (f":{index.step}" if index.step is not None else "")
    return str(getattr(index, "words", index))
