"""A plan in words: what is computed when, in the author's names, and how much memory it takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.plan import Deferred, Pass, Plan, Product, Stage
from tinygrad_lstm.notation import name_plain, parse
from tinygrad_lstm.tensor import Tensor, ancestors, fold
from tinygrad_lstm.text import PLAIN, Piece, expression

SECTIONS = {
    "once": "weights packed",
    "ahead": "for all steps together",
    "forward": "at each step",
    "backward": "at each step, from the last to the first",
    "after": "for all steps together",
}


@dataclass
class Block:
    """A product, a pass over the units or another operation: its lines, what it reads and writes.

    Names are those of the lines. `factors` are a product's, `outer` tells W · v from g ⊗ v, and
    `shape` is that of its matrix.
    """

    kind: str
    lines: list[str]
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    factors: tuple[str, ...] = ()
    outer: bool = False


def described(plan: Plan) -> dict[str, list[Block]]:
    """The blocks of each section, `once`, `ahead`, `forward`, `backward` and `after`."""
    return _Describer(plan).sections()


def memory(plan: Plan) -> dict[str, dict[str, int]]:
    """Numbers kept for each step and sample, by name: in the forward run, and further ones back."""
    names = _Describer(plan).places()
    found: dict[str, dict[str, int]] = {"forward": {}, "backward": {}}
    for name, buffer in plan.buffers.items():
        if buffer.kind == "time" and not buffer.given and name not in plan.shares:
            part = "backward" if name in plan.backward_buffers else "forward"
            found[part][names.get(name, _name(name))] = buffer.width
    return found


def per_step(plan: Plan, dtype: Any = np.float32) -> int:
    """Bytes for each step and sample, what the backward pass adds included."""
    found = memory(plan)
    return int(np.dtype(dtype).itemsize) * sum(sum(part.values()) for part in found.values())


def text(plan: Plan) -> str:
    """The whole plan as text."""
    counts = ", ".join(f"{n} {kind}" for kind, n in plan.products.items() if n)
    lines = [f"{plan.name}: products {counts}"]
    for name, blocks in described(plan).items():
        lines += ["", f"{name}: {SECTIONS[name]}"]
        if name == "backward":
            state, seed = plan.states[0], plan.seeds[0]
            lines.append(f"  (carry.{state} comes from step t+1, given.{seed} from the loss)")
        for block in blocks:
            shape = " × ".join(map(str, block.shape))
            if block.kind == "pass":
                lines.append(f"  a pass over {shape or 1} unit{'s' * (shape not in ('', '1'))}")
            inside = "    " if block.kind == "pass" else "  "
            first, *rest = block.lines
            note = f"   ({shape})" if shape and block.kind != "pass" else ""
            lines += [f"{inside}{first}{note}", *(inside + line for line in rest)]
        if not blocks:
            lines.append("  nothing")
    return "\n".join([*lines, "", *_memory_text(plan)])


def _memory_text(plan: Plan) -> list[str]:
    found = memory(plan)
    again = _Describer(plan).again()
    total = sum(sum(part.values()) for part in found.values())
    lines = ["memory for each step and sample"]
    for part, widths in found.items():
        own = ", ".join(f"{name} {width}" for name, width in widths.items())
        lines.append(f"  {part}: {own or 'nothing'}")
    lines.append(f"  {total} numbers: {4 * total} bytes in float32, {8 * total} in float64")
    names = _Describer(plan).places()
    lines += [f"  {names[new]} lies where {names[old]} lay" for new, old in plan.shares.items()]
    if again:
        lines.append(f"  computed again going back: {', '.join(again)}")
    return lines


class _Describer:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.labels: dict[Tensor, str] = {}
        self.onto: dict[Tensor, Tensor] = {}  # the sum of a product and rows -> the rows
        self._label()

    # --- names ----------------------------------------------------------------------------------
    def _label(self) -> None:
        """Names for equations, and u1, u2, … for what several lines read."""
        plan = self.plan
        own: set[Tensor] = set()
        for section in ([*plan.ahead, *plan.forward], plan.backward):
            users: dict[Tensor, int] = {}
            for stage in section:
                for i in (i for node in _made(stage) for i in node.inputs):
                    users[i] = users.get(i, 0) + 1
                if isinstance(stage, Pass):
                    own |= {n for n, _ in stage.copies if n.inputs}
                else:
                    own |= set(_made(stage))
            own |= {n for n, count in users.items() if count > 1}
        for d in (*plan.weight_products, *plan.input_products):
            own |= {n for n in (d.left, d.right) if n.inputs}
        count = 0
        for stage in (*plan.ahead, *plan.forward, *plan.backward):
            for node in _made(stage):
                if node in self.labels:
                    continue  # computed again
                if node.name and not node.name.startswith("bar.W."):
                    self.labels[node] = _name(node.name)
                elif isinstance(stage, Product) and stage.onto:
                    self.onto[node] = node.inputs[1]
                    self.labels[node] = self.expression(node.inputs[1])
                elif node in own or node in plan.stores:
                    count += 1
                    self.labels[node] = f"u{count}"

    def expression(self, root: Tensor, top: bool = False) -> str:
        """A value down to the next ones that have a name here."""
        leaves = {node: Piece(label) for node, label in self.labels.items()}
        if top:
            leaves.pop(root, None)

        def make(node: Tensor, parts: list[Piece]) -> Piece:
            if node.name and not node.inputs:
                return Piece(_name(node.name))
            made = PLAIN.node(node, parts)
            return made._replace(text=re.sub(_FROM_0, "[", re.sub(_TWICE, _once, made.text)))

        return str(fold([root], leaves, make)[root].text)

    def names(self, roots: Iterable[Tensor]) -> list[str]:
        """What values are made of: the names of this plan that occur in them."""
        found: dict[str, None] = {}
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node in self.labels and node not in self.onto:
                found[self.labels[node]] = None
            elif node.inputs:
                stack += node.inputs[1:] if node in self.onto else node.inputs
            elif node.name:
                found[_name(node.name)] = None
        return list(found)

    # --- sections -------------------------------------------------------------------------------
    def sections(self) -> dict[str, list[Block]]:
        """The blocks of each section."""
        plan = self.plan
        after = [
            *(self.deferred(d, weight=True) for d in plan.weight_products),
            *(self.deferred(d, weight=False) for d in plan.input_products),
        ]
        written: set[str] = set()
        for block in after:
            if not written.isdisjoint(block.writes):
                block.lines[0] = block.lines[0].replace(" = ", " += ", 1)
            written.update(block.writes)
        return {
            "once": [
                Block("pack", [f"{_name(n)} = {_packed(v)}"], _leaves(v), [_name(n)], v.shape)
                for n, v in plan.once.outputs.items()
                if _name(n) != v.name
            ],
            **{
                section: [block for stage in stages if (block := self.block(stage)).lines]
                for section, stages in (
                    ("ahead", plan.ahead),
                    ("forward", plan.forward),
                    ("backward", plan.backward),
                )
            },
            "after": after,
        }

    def block(self, stage: Stage) -> Block:
        """One stage."""
        if isinstance(stage, Product):
            weight = _name(stage.weight.name or "")
            label, sign = self.labels[stage.result], "+=" if stage.onto else "="
            factors = f"{weight}{'ᵀ' * stage.transposed}", self.expression(stage.operand)
            rows = [stage.result.inputs[1]] if stage.onto else []
            return Block(
                "product",
                [f"{label} {sign} {' · '.join(factors)}"],
                self.names([stage.weight, stage.operand, *rows]),
                [*self.names(rows), label] if rows else [label],
                stage.weight.shape,
                factors,
            )
        if not isinstance(stage, Pass):
            node = stage.node
            line = f"{self.labels[node]} = {self.expression(node, top=True)}"
            return Block("single", [line], self.names(node.inputs), [self.labels[node]])
        lines, writes = [], []
        for node in stage.nodes:
            if node in self.labels:
                writes.append(self.labels[node])
                lines.append(f"{self.labels[node]} = {self.expression(node, top=True)}")
        for node, place in stage.copies:
            target = _name(place.buffer.name.replace("out.", "bar.prev."))
            if node not in self.labels or self.labels[node] != target:
                writes.append(target)
                lines.append(f"{target} = {self.expression(node)}")
        for node, place in stage.totals:
            target = _name(place.buffer.name)
            part = f"[{place.start}:{place.start + node.size}]" * (node.size != place.buffer.width)
            writes.append(target)
            lines.append(f"{target}{part} += {self.expression(node)}")
        read = self.names(
            i for n in (*stage.nodes, *(n for n, _ in stage.copies)) for i in (*n.inputs, n)
        )
        reads = [name for name in read if name not in writes]
        return Block("pass", lines, reads, list(dict.fromkeys(writes)), shape=stage.shape)

    def deferred(self, d: Deferred, weight: bool) -> Block:
        """A product over all steps."""
        left, right = self.expression(d.left), self.expression(d.right)
        target = _name(f"bar.{d.target}")
        if weight:
            shape = self.plan.step.inputs[d.target].shape
            line = f"{target} = Σ_t {left} ⊗ {right}"
            reads = self.names([d.left, d.right])
            return Block("product", [line], reads, [target], shape, (left, right), True)
        reads, factors = self.names([d.right, d.left]), (f"{right}ᵀ", left)
        line = f"{target} = {' · '.join(factors)}"
        return Block("product", [line], reads, [target], d.right.shape, factors)

    # --- memory ---------------------------------------------------------------------------------
    def places(self) -> dict[str, str]:
        """What lies in each buffer, in the names of the lines."""
        found: dict[str, list[str]] = {}
        whole: dict[str, str] = {}
        for node, places in self.plan.stores.items():
            if node in self.labels and node not in self.onto:
                for buffer in (place.buffer for place in places):
                    found.setdefault(buffer.name, []).append(self.labels[node])
                    if node.size == buffer.width:
                        whole[buffer.name] = self.labels[node]
        return {n: whole.get(n, " ".join(several)) for n, several in found.items()}

    def again(self) -> list[str]:
        """Forward values that the loop back computes again."""
        nodes = [n for n in self.plan._backward_nodes if n in self.plan._known]
        inside = {i for n in nodes for i in n.inputs}
        return [self.expression(n, top=True) for n in nodes if n not in inside]


_FROM_0 = re.compile(r"\[0:[^][,:]*\]\[(?=[^][,]*:)")  # [0:n][a:b] is [a:b]
_TWICE = re.compile(r"\[(\d+):\d+\]\[(\d+):(\d+)\]")


def _once(found: re.Match[str]) -> str:
    """Rows of rows: [6:12][0:3] is [6:9]."""
    first, start, stop = map(int, found.groups())
    return f"[{first + start}:{first + stop}]"


def _made(stage: Stage) -> list[Tensor]:
    if isinstance(stage, Pass):
        return list(stage.nodes)
    return [stage.result if isinstance(stage, Product) else stage.node]


def _name(name: str) -> str:
    """A name as it stands in the text: `bar.prev.C` is C̄_{t-1}, a packed weight `W.1` is W1."""
    bars = 0
    while name.startswith("bar."):
        name, bars = name[4:], bars + 1
    name = name.removeprefix("in.")
    if name.startswith("W."):
        name = name[2:] if not name[2:].isdigit() else f"W{name[2:]}"
    shown, symbol = name_plain(name), parse(name.removeprefix("prev."))
    letter = len(symbol.base) == 1 and not symbol.marks  # C̄_tilde would be a relative of C̄
    for _ in range(bars):
        shown = f"{shown[:1]}\u0304{shown[1:]}" if letter else f"bar({shown})"
    return unicodedata.normalize("NFC", shown)


def _packed(node: Tensor) -> str:
    """Rows under rows: [W_f; W_i][:, 0:3]."""
    if node.op != "concat" or node.attributes["axis"] != 0:
        return _plain(node)
    parts = [_plain(i) for i in node.inputs]
    heads, tails = zip(*(_cut(part) for part in parts), strict=True)
    if len(set(tails)) == 1:
        return f"[{'; '.join(heads)}]{tails[0]}"
    return f"[{'; '.join(parts)}]"


def _leaves(node: Tensor) -> list[str]:
    return [name_plain(n.name) for n in ancestors([node]) if n.name and not n.inputs]


def _plain(node: Tensor) -> str:
    return name_plain(node.name) if node.name else expression(node)


def _cut(part: str) -> tuple[str, str]:
    head, bracket, tail = part.partition("[")
    return (head, bracket + tail) if head.isidentifier() else (part, "")
