"""A Program: named equations over named inputs, which can be run, printed and differentiated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lstm.batching import Lifted, without_letters
from tinygrad_lstm.errors import ShapeError, UnknownNameError
from tinygrad_lstm.letters import at_each_place
from tinygrad_lstm.notation import Apart, at_place, look_alikes, space_of
from tinygrad_lstm.notebook_html import bundle, table
from tinygrad_lstm.parts import Call
from tinygrad_lstm.tensor import Array, Tensor, ancestors, apply, fold, pullback, remade
from tinygrad_lstm.text import PLAIN, UNICODE, Plain, at_one_place, expression, row_of


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
    `static` are the inputs that are the same at every step, None where there are no steps.
    `written` are the equations as they are read, where `each` and `total` wrote with letters; in
    `equations` every place of a letter is computed.
    """

    def __init__(
        self,
        name: str,
        inputs: Mapping[str, Tensor],
        equations: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
        dimensions: Mapping[str, str] | None = None,
        sizes: Mapping[str, int] | None = None,
        static: Collection[str] | None = None,
        calls: Sequence[Call] = (),
        written: tuple[Mapping[str, Tensor], Mapping[str, Tensor]] | None = None,
    ) -> None:
        self.name = name
        self.inputs = dict(inputs)
        self.written, self._ends = map(dict, written or (equations, outputs))
        computed = without_letters([*equations.values(), *outputs.values()])
        self.equations = {n: computed[node] for n, node in equations.items()}
        self.outputs = {n: computed[node] for n, node in outputs.items()}
        self.dimensions = dict(dimensions or {})
        self.sizes = dict(sizes or {})
        self.static = None if static is None else frozenset(static)
        self.calls = tuple(calls)

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
        given = dict(flatten(arrays))
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
        owners = {node: name for name, node in self.written.items()}

        def make(node: Tensor, operands: list[Tensor]) -> Tensor:
            made = remade(node, operands)
            made.name = None if node.inputs else made.name
            return named(made, names(owners[node])) if node in owners else made

        found = fold(self.written.values(), known, make)
        return {name: found[node] for name, node in self.written.items()}

    def folded(self) -> Program:
        """The Program with each part as one operation, `φ_x(x_t)`: to be read, and not to be run.

        A part of one result is written by its name, of several by its name and theirs: `prior_μ`.
        """
        calls = [call for call in self.calls if "." not in call.name]
        known = {node: node for node in self.inputs.values()}
        equations = {}

        def remake(node: Tensor) -> Tensor:
            known.update(fold([node], known, remade))
            return known[node]

        pending = {call.prefix: call for call in calls}
        for name, node in self.written.items():
            around = [call for call in calls if name.startswith(call.prefix)]
            inside = max(around, key=lambda call: len(call.prefix), default=None)
            if inside is None:
                equations[name] = remake(node)
                continue
            call = pending.pop(inside.prefix, None)
            if call is None:
                continue
            operands = [remake(operand) for operand in call.operands.values()]
            for result in call.results:
                own = f"{call.prefix}{result}"
                which = {"result": result} if len(call.results) > 1 else {}
                made = Tensor.opaque(self.written[own], "part", operands, of=call.name, **which)
                known[self.written[own]] = made
                if own in self.outputs:
                    equations[own] = known[self.written[own]] = named(made, own)
        outputs = {n: equations[n] for n in self.outputs}
        words = {n: w for n, w in self.dimensions.items() if n in self.inputs}
        return Program(self.name, self.inputs, equations, outputs, words, self.sizes, self.static)

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
        places = self.outputs, self.equations, self.inputs
        starts = [(name, self._named(name, *places)) for name in _names(of, self.outputs)]
        inputs, dimensions = dict(self.inputs), dict(self.dimensions)
        seeds: dict[str, Tensor] = {}
        for name, node in starts:
            seed = f"seed.{name}"
            while seed in inputs:
                seed = f"seed.{seed}"
            inputs[seed] = seeds[name] = Tensor.input(seed, node.shape, node.dtype)
            if words := dimensions.get(f"prev.{name}", dimensions.get(name)):
                dimensions[seed] = words
        targets = _names(wrt, self.inputs)
        equations, outputs = self._adjoints(self.equations, self.outputs, inputs, seeds, targets)
        written = None
        lettered = any(node is not self.equations[name] for name, node in self.written.items())
        if lettered and not any(name.startswith("bar.") for name in self.written):
            written = self._adjoints(self.written, self._ends, inputs, seeds, targets)
        label, told = f"gradient of {self.name}", (dimensions, self.sizes, self.static)
        return Program(label, inputs, equations, outputs, *told, written=written)

    def _adjoints(
        self,
        equations: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
        inputs: Mapping[str, Tensor],
        seeds: Mapping[str, Tensor],
        targets: Iterable[str],
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """These equations with the adjoints of what they name, and the adjoints of the targets."""
        found = dict(equations)
        known = {node: name for name, node in {**self.inputs, **equations}.items()}

        def name_adjoint(node: Tensor, adjoint: Tensor) -> Tensor:
            if node not in known:
                return adjoint
            name = f"bar.{known[node]}"
            while name in found or name in inputs:
                name = f"bar.{name}"
            found[name] = named(at_each_place(adjoint), name)
            return found[name]

        starts = {self._named(n, outputs, equations, self.inputs): s for n, s in seeds.items()}
        adjoints = pullback(starts, numeric=False, named=name_adjoint)
        gradients = {}
        for name in targets:
            # in a Program of gradients, W_f is an input, and the output that is its gradient
            node = self._named(name, self.inputs, equations, outputs)
            if node not in adjoints:
                zero = apply("multiply", node, 0.0)  # the outputs do not depend on it
                adjoints[node] = found[f"bar.{name}"] = named(zero, f"bar.{name}")
            gradients[name] = adjoints[node]
        return found, gradients

    def _named(self, name: str, *places: Mapping[str, Tensor]) -> Tensor:
        for place in places:
            if name in place:
                return place[name]
        known = ", ".join([*self.inputs, *self.equations])
        raise UnknownNameError(f"{self.name} has no {name!r}; it has {known}.")

    def text(self, name: str, style: Plain = PLAIN) -> str:
        """One equation as a line of text: `f = sigmoid(W_f · [h_{t-1}, x_t] + b_f)`."""
        inputs = {node: own for own, node in self.inputs.items()}
        owners = {node: own for own, node in self.written.items()}
        names = {node: self.label(own, style, True) for node, own in inputs.items()}
        names |= {node: self.label(own, style) for node, own in owners.items()}
        root, letters = at_one_place(self.written[name])
        for node in ancestors([root]):
            if node.op == "row":
                base, places = row_of(node)
                if base in inputs or base in owners:
                    own = owners.get(base) or inputs[base]
                    names[node] = self.label(own, style, base not in owners, places)
        return f"{self.label(name, style, False, letters)} = {expression(root, style, names)}"

    def label(
        self, name: str, style: Plain = PLAIN, is_input: bool = False, letters: Sequence[str] = ()
    ) -> str:
        """How a named value is written, with its step where it has one for each: W_f, f_t.

        letters: those of one place of it, e_{t,j}.
        """
        space, own = space_of(name)
        while space in ("bar", "seed"):
            space, own = space_of(own)
        is_equation = name in self.equations and not is_input
        steady = self.static is None or own in self.static and (own != name or not is_equation)
        shared = is_input and name in self.equations
        time = None if steady and space != "prev" else "t"
        own = f"input.{name}" if shared else name
        return style.name(own, at_place(time, letters), self._apart)

    @cached_property
    def _apart(self) -> Apart:
        return look_alikes(space_of(name)[1] for name in (*self.inputs, *self.equations))

    def shape_text(self, node: Tensor) -> str:
        """A shape with its axes in words where they are declared: `(hidden=4, inputs=3)`."""
        words = self.dimensions.get(node.name or "", "")
        parts = [w.strip() for w in words.split(",")] if words else []
        if len(parts) != len(node.shape):
            return str(node.shape)
        axes = zip(parts, map(str, node.shape), strict=True)
        return f"({', '.join(n if w == n else f'{w}={n}' for w, n in axes)})"

    def __str__(self) -> str:
        inputs = [f"{self.label(n)} {self.shape_text(t)}" for n, t in self.inputs.items()]
        lines = [
            f"{self.name}: inputs {', '.join(inputs)}",
            *(f"  {self.text(n)}" for n in self.equations),
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        shapes = {name: self.shape_text(node) for name, node in self.inputs.items()}
        rows = [("input", self.label(name, UNICODE, True), shape) for name, shape in shapes.items()]
        for name in self.equations:
            left, equals, right = self.text(name, UNICODE).partition(" = ")
            rows.append(("equation", left, equals.lstrip() + right))
        return bundle(str(self), table(rows))


def named(node: Tensor, name: str, time: int | None = None) -> Tensor:
    """`node` under a name: itself if it is fresh, else an identity node, so names stay unique."""
    if node.name is not None or not node.inputs:
        node = apply("identity", node)
    node.name, node.time = name, time
    return node


def _names(given: str | Iterable[str] | None, default: Iterable[str]) -> list[str]:
    return list(default if given is None else given.split() if isinstance(given, str) else given)


def flatten(arrays: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays of nested mappings by their dotted names: {"prev": {"h": h}} is prev.h."""
    for name, value in arrays.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
