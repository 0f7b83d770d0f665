"""Networks: parts with wires between them, with a cell's interface.

    storn = system(q=recogniser, p=generator,
                   wires={"q.x": "x", "p.x": before("x"), "p.z": "q.z", "p.target": "x"})

`system(parts, wires)` is the general one; `stack([a, b])` feeds each layer's output to the next,
`bidirectional(a)` reads forward and backward and joins the outputs. All have `init`, `bind` and
`program`, are run by `unroll`, and are parts of one another. The names of a part's parameters,
states and equations carry the part's name: `q.W_h`, `1.W_f` (layers count from 1, upwards),
`backward.h`, `2.forward.C`. What wires can carry stands in `wires.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, overload

from tinygrad_lstm import functions
from tinygrad_lstm.declarations import check_name
from tinygrad_lstm.errors import CellError, unknown
from tinygrad_lstm.part_sizes import width as width
from tinygrad_lstm.step import Cell
from tinygrad_lstm.system_of_parts import Part as Part
from tinygrad_lstm.system_of_parts import System as System
from tinygrad_lstm.system_of_parts import equation_names as equation_names
from tinygrad_lstm.system_of_parts import fillable as fillable
from tinygrad_lstm.tensor import Tensor, TensorLike
from tinygrad_lstm.wires import Source
from tinygrad_lstm.wiring import output_of as output_of


class Stack(System):
    """Layers: x enters the first, each further layer reads the output of the one below."""

    chained = True

    def __init__(self, parts: Sequence[Part], tied: str | Sequence[str] = ()) -> None:
        if not parts:
            raise CellError("a stack needs at least one layer: stack([cells.lstm, cells.lstm]).")
        name = "stack_of_" + "_and_".join(getattr(part, "name", repr(part)) for part in parts)
        layers = {str(k): part for k, part in enumerate(parts, 1)}
        wires: dict[str, Source] = {"1.x": "x"}
        for k, part in enumerate(parts[1:], 2):
            wires[f"{k}.x"] = f"{k - 1}."
            for own in getattr(part, "sequences", {}):
                if own.endswith("_below") and "." not in own:
                    wires[f"{k}.{own}"] = f"{k - 1}.{own.removesuffix('_below')}"
        last = len(parts)
        joined = [f"{last}.{output_of(parts[-1])}"] if isinstance(parts[-1], Cell | System) else []
        super().__init__(name, layers, wires, joined=joined, output="h", tied=tied)


class Bidirectional(System):
    """Two parts, one reading forward and one backward; their outputs are joined."""

    def __init__(self, forward: Part, backward: Part) -> None:
        name = f"bidirectional_{getattr(forward, 'name', forward)}"
        _side_by_side(self, name, {"forward": forward, "backward": backward})


class Backward(System):
    """One part that reads backward: the second half of a `Bidirectional`, alone."""

    def __init__(self, part: Part) -> None:
        _side_by_side(self, f"backward_{getattr(part, 'name', part)}", {"backward": part})


def _side_by_side(made: System, name: str, parts: Mapping[str, Part]) -> None:
    """Parts that read the same, that called `backward` from the last step to the first."""
    wires: dict[str, Source] = {f"{part}.x": "x" for part in parts}
    known = {n: part for n, part in parts.items() if isinstance(part, Cell | System)}
    joined = [f"{n}.{output_of(part)}" for n, part in known.items()]
    System.__init__(made, name, parts, wires, joined=joined, output="h", turned=["backward"])


def system(
    parts: Mapping[str, Part] | None = None,
    wires: Mapping[str, Source] | None = None,
    *,
    output: str | None = None,
    reverse: Collection[str] = (),
    tied: str | Sequence[str] = (),
    name: str | None = None,
    **further: Part,
) -> System:
    """Parts and the wires between them, as one network.

        net = system(encoder=bidirectional(cells.gru), decoder=attention,
                     wires={"encoder.x": "source", "decoder.x": before("target"),
                            "decoder.H": whole("encoder.h")})
        run = unroll(net, p, source=xs, target=ys)
        run["encoder.h"], run["decoder.s"]

    parts: cells, layers and networks by name, in a mapping or as keyword arguments. wires: for each
    input of a part where it comes from. What is wired to is `part.x`, a further input `part.NAME`,
    or a first state `part.initial.NAME`. It comes from an equation of a part, `"q.z"`, from an
    input of the system, which is any name without a dot, or from several, joined, in a list;
    `before`, `whole`, `final` and `mask` say what is carried when it is not the value at each step.
    Further inputs that nothing is wired to are given to `unroll` by `part.NAME`, or by their name.

    output: the equation that a layer above reads, that of the last part unless told. reverse: the
    parts that read from the last step to the first. tied: parts that share one set of parameters,
    under the first one's name: "encoder decoder". The loss is the sum of the losses that parts
    declare. CellError, UnknownNameError or ShapeError name a wire that cannot be.
    """
    for what, mapping in {"parts": parts, "wires": wires}.items():
        if not isinstance(mapping or {}, Mapping):
            raise CellError(f"{what} of a system are a mapping of names, got {mapping!r}.")
    for what, names in {"reverse": reverse, "tied": tied, "output": output or ""}.items():
        several = [names] if isinstance(names, str) or what == "output" else names
        if not isinstance(several, Collection) or not all(isinstance(n, str) for n in several):
            raise CellError(f"{what} of a system is given by names, got {names!r}.")
    every: dict[str, Part] = {**(parts or {}), **further}
    if not every:
        raise CellError("a system needs parts: system(encoder=cells.gru, …, wires={…}).")
    for own in every:
        if not own.isdigit():
            check_name(own)
        if own in ("prev", "initial", "input", "bar", "seed", "loss"):
            raise CellError(f"a part cannot be called {own!r}; choose another name.")
    turned = reverse.split() if isinstance(reverse, str) else reverse
    for own in turned:
        if own not in every:
            raise unknown(f"reverse names {own!r}, which is no part", "the parts are", every)
    called = name or "system_of_" + "_and_".join(every)
    return System(called, every, wires or {}, output=output, turned=turned, tied=tied)


@overload
def stack(parts: Sequence[Part], axis: int = 0, *, tied: str | Sequence[str] = ()) -> Stack: ...
@overload
def stack(parts: Sequence[TensorLike], axis: int = 0) -> Tensor: ...
def stack(parts: Sequence[Any], axis: int = 0, *, tied: str | Sequence[str] = ()) -> Stack | Tensor:
    """Layers of cells or networks, the first is the one that reads x: a `Stack`.

    A further input of a cell that is called NAME_below receives the equation NAME of the layer
    below. tied: layers that share one set of parameters, under the name of the first of them:
    "2.." is the second and all above it, "2..4" three of them, "1 3" two. Of Tensors or arrays it
    is the operation of that name, side by side along a new axis.
    """
    if all(isinstance(part, Cell | System) for part in parts):
        return Stack(parts, tied)
    return functions.stack(parts, axis)


def bidirectional(forward: Part, backward: Part | None = None) -> Bidirectional:
    """A cell that reads in both directions, or two cells, one for each.

    The output at step t is [forward.h, backward.h]: what is known from x_1 … x_t, and from x_T …
    x_t. The final state `backward.h` is the one after x_1.
    """
    return Bidirectional(forward, forward if backward is None else backward)
