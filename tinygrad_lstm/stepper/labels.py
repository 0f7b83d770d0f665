"""What the values of a computation are called when a person reads it.

A named Tensor of a sequence is f_1, C̃_1, μ_{k,1}, as `notation` writes it; the states before the
first step are h_0 and C_0; what lies between two named values is v1, v2, … and belongs to the
equation that it helps to compute.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.notation import name_unicode
from tinygrad_lstm.stepper.written import Symbols, array
from tinygrad_lstm.tensor import Tensor, fold
from tinygrad_lstm.text import Piece

_LONGEST = 64  # characters of an expression that stands inside another one


class Labels:
    """The label, the equation and the expression of every node of a graph, in topological order.

    `of_step`: the graph is one step of a cell, whose earlier states are written C_{t-1}.
    """

    def __init__(self, nodes: Sequence[Tensor], roots: Collection[Tensor], of_step: bool) -> None:
        self._timed = any(n.time is not None for n in nodes)
        self._of_step = of_step
        self._labels: dict[Tensor, str] = {}
        self._bars: dict[Tensor, str] = {}
        self._names: dict[Tensor, str] = {}
        self._by_label: dict[str, Tensor] = {}
        self._by_name: dict[str, list[Tensor]] = {}
        self._also: dict[str, list[Tensor]] = {}  # other ways to write a name
        self._time: dict[Tensor, int | None] = {}
        for node in nodes:
            if node.name is not None:
                self._name(node)
        values = leaves = 0
        for node in nodes:
            if node.name is not None:
                continue
            if node.inputs:
                values += 1
                label = "y" if node in roots and "y" not in self._by_label else f"v{values}"
            elif node.size > 1 or node.requires_grad:
                leaves += 1
                label = f"k{leaves}"
            else:
                label = array(node.data)  # a number needs no other name
                self._labels[node] = label
                continue
            self._register(node, label, name_unicode(f"bar.{label[0]}", None) + label[1:])
            if label == "y":
                self._by_name.setdefault("y", []).append(node)
        self._owners = self._find_owners(nodes, roots)

    def _name(self, node: Tensor) -> None:
        name, time = node.name or "", None if node.time is None else node.time + 1
        bare = name.replace("bar.", "")
        if bare.startswith("prev.") and not self._of_step and self._timed:
            name, time = name.replace("prev.", "", 1), 0
        shown = None if time is None else str(time)
        if shown is None and (bare.startswith("prev.") or (self._of_step and bare == "x")):
            shown = "t"
        self._time[node] = time
        self._by_name.setdefault(name, []).append(node)
        for other in (name_unicode(name, None), *([] if time is None else [f"{name}_{time}"])):
            self._also.setdefault(other, []).append(node)
        self._register(node, name_unicode(name, shown), name_unicode(f"bar.{name}", shown))
        self._names[node] = name

    def _register(self, node: Tensor, label: str, bar: str) -> None:
        while label in self._by_label:  # two values of one name: the later one gets a prime
            label, bar = f"{label}′", f"{bar}′"
        self._labels[node] = label
        self._bars[node] = bar
        self._by_label[label] = node

    @staticmethod
    def _find_owners(nodes: Sequence[Tensor], roots: Collection[Tensor]) -> dict[Tensor, Tensor]:
        owners: dict[Tensor, Tensor] = {}
        for node in reversed(nodes):
            if node.name is not None or node in roots:
                owners[node] = node
            for i in node.inputs:
                if i.name is None and i not in roots and i.inputs:
                    before = owners.get(i, owners[node])
                    owners[i] = min(before, owners[node], key=lambda n: n.order)
        return owners

    def __getitem__(self, node: Tensor) -> str:
        return self._labels[node]

    def bar(self, node: Tensor) -> str:
        """The label of a value's adjoint: that of f_1 is f̄_1."""
        return self._bars[node]

    def name(self, node: Tensor) -> str:
        """What the author called a value, without its time step; its label where nobody did."""
        return self._names.get(node, self._labels[node])

    def names(self) -> list[str]:
        """Every name that stands for values, whatever their time step."""
        return list(self._by_name)

    def owner(self, node: Tensor) -> Tensor:
        """The named value that `node` helps to compute: the first one, where there are several."""
        return self._owners.get(node, node)

    def time(self, node: Tensor) -> int | None:
        """The time step of a node's equation, counted from 1; 0 is before the first."""
        owner = self.owner(node)
        if owner in self._time:
            return self._time[owner]
        return None if owner.time is None else owner.time + 1

    def lookup(self, name: str) -> list[Tensor]:
        """The values called `name`: C_tilde, C_tilde@1 or C_tilde_1, or as it is read, C̃_1."""
        base, at, when = name.partition("@")
        if not at and base in self._by_label:
            return [self._by_label[base]]
        found = self._by_name.get(base) or self._also.get(base, [])
        if not found:
            raise UnknownNameError(
                f"there is no value {base!r} here; there are {', '.join(self._by_name)}."
            )
        if not at:
            return found
        times = [t for n in found if (t := self._time.get(n)) is not None]
        chosen = [n for n in found if when.isdecimal() and self._time.get(n) == int(when)]
        if not chosen:
            known = f"at time steps {min(times)} to {max(times)}" if times else "without a time"
            raise UnknownNameError(f"there is no {name}: {base} is here {known}.")
        return chosen

    def expression(self, node: Tensor) -> str:
        """The right-hand side of a value, down to named values: `σ(W_f·[h_0, x_1] + b_f)`.

        Parts that would be long are written by their own label.
        """
        return self._expressions[node][0]

    @cached_property
    def _expressions(self) -> dict[Tensor, tuple[str, Piece]]:
        """Each value's right-hand side, and how it stands in that of another."""
        style = Symbols()

        def make(node: Tensor, parts: list[tuple[str, Piece]]) -> tuple[str, Piece]:
            if not node.inputs:
                return "", self._label(node)
            whole = style.node(node, [part for _, part in parts])
            short = node.name is None and len(whole.text) <= _LONGEST
            return whole.text, whole if short else self._label(node)

        return fold(self._labels, {}, make)

    def _label(self, node: Tensor) -> Piece:
        return Piece(self._labels[node]) if node in self._bars else Symbols().number(node.data)
