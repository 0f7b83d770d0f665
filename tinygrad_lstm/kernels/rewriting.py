"""Rewriting a step so that its matrix products are few: split, pack, hoist.

    before   f = sigmoid(W_f · [h, x] + b_f),  i = sigmoid(W_i · [h, x] + b_i),  …
    after    z = [W_f; W_i; …]ₕ · h + [W_f; W_i; …]ₓ · x
             f = sigmoid(z[:4] + b[:4]),  i = sigmoid(z[4:8] + b[4:8]),  …

A product with a concatenation is *split* into one for each part; products with the same second
factor are *packed* into one; what reads no state is *hoisted* out of the loop over time; what
reads parameters alone is computed *once*. The rules look at the graph, never at a cell's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinygrad_lstm.kernels.builder import Builder
from tinygrad_lstm.kernels.patterns import WEIGHT, state_of
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.tensor import Tensor, ancestors

CONSTANT, ONCE, AHEAD, STEP = range(4)  # what a value depends on: nothing, weights, inputs, states


@dataclass(frozen=True)
class Rewritten:
    """A step in two Programs: `once` makes the weights that `step` takes as inputs `W.…`."""

    once: Program
    step: Program


def rewrite(program: Program, once: Iterable[str]) -> Rewritten:
    """The step with packed products. `once` names the inputs that are the same at every step."""
    return _Rewriter(program, set(once)).result()


def levels(program: Program, once: set[str]) -> dict[Tensor, int]:
    """What each node depends on: CONSTANT, ONCE, AHEAD or STEP."""
    found: dict[Tensor, int] = {}
    for name, node in program.inputs.items():
        found[node] = ONCE if name in once else STEP if state_of(name) else AHEAD
    for node in program.nodes():
        if node not in found:
            found[node] = max((found[i] for i in node.inputs), default=CONSTANT)
    return found


class _Rewriter:
    def __init__(self, program: Program, once: set[str]) -> None:
        self.old, self.once = program, once
        self.level = levels(program, once)
        self.names = {node: name for name, node in program.equations.items()}
        self.users: dict[Tensor, list[Tensor]] = {}
        for node in program.nodes():
            for i in node.inputs:
                self.users.setdefault(i, []).append(node)
        self.build = Builder()
        self.inputs = {
            name: Tensor.input(name, node.shape)
            for name, node in program.inputs.items()
            if name not in once
        }
        self.new: dict[Tensor, Tensor] = {
            node: self.inputs[name] for name, node in program.inputs.items() if name not in once
        }
        self.weights: dict[Tensor, Tensor] = {}  # a node of `once` -> the input of `step`
        self.inside: set[Tensor] = set()  # what is only a part of a sum of products
        self.sums = self._find_sums()
        self.rows: dict[Tensor, list[Tensor]] = {}  # a second factor -> the sums it enters
        for root, total in self.sums.items():
            for v in total.products:
                self.rows.setdefault(v, []).append(root)
        for roots in self.rows.values():
            roots.sort(key=self._order)
        for v, roots in self.rows.items():
            if self.level[v] == AHEAD:
                self._group(roots)
        self.joined = self._join()
        self.packed: dict[Tensor, Tensor] = {}
        self.biased = self._biases()

    # --- sums of products -----------------------------------------------------------------------
    def _product(self, node: Tensor) -> bool:
        return (
            node.op == "matvec"
            and self.level[node.inputs[0]] <= ONCE < self.level[node.inputs[1]]
            and node.inputs[0].ndim == 2
            and node.inputs[1].ndim == 1
        )

    def _find_sums(self) -> dict[Tensor, _Sum]:
        found: dict[Tensor, _Sum] = {}
        for node in self.old.nodes():
            if not self._product(node):
                continue
            root = node
            while root not in self.names and len(self.users.get(root, [])) == 1:
                (user,) = self.users[root]
                same = all(i.shape == root.shape for i in user.inputs)
                if user.op != "add" or not same or user.inputs[0] is user.inputs[1]:
                    break
                root = user
            if root not in found:
                found[root] = self._sum(root)
        return dict(sorted(found.items(), key=lambda item: item[0].order))

    def _sum(self, root: Tensor) -> _Sum:
        total = _Sum({}, [], [])
        stack = [root]
        while stack:
            node = stack.pop()
            inner = node is root or (node not in self.names and len(self.users[node]) == 1)
            if node.op == "add" and inner and all(i.shape == node.shape for i in node.inputs):
                stack += reversed(node.inputs)
                self.inside.add(node)
            elif self._product(node) and inner:
                self.inside.add(node)
                for v, W in self._split(*node.inputs):
                    known = total.products.get(v)
                    total.products[v] = W if known is None else self.build.make("add", known, W)
            elif self.level[node] == ONCE:
                total.biases.append(node)
            else:
                total.others.append(node)
        self.inside.discard(root)
        return total

    def _split(self, W: Tensor, v: Tensor) -> list[tuple[Tensor, Tensor]]:
        """W · [a, b] as the terms W_a · a and W_b · b."""
        if v.op != "concat" or v in self.names:
            return [(v, W)]
        terms, start = [], 0
        for part in v.inputs:
            stop = start + part.shape[0]
            columns = (slice(None), slice(start, stop))
            terms += self._split(self.build.make("getitem", W, index=columns), part)
            start = stop
        return terms

    def _order(self, root: Tensor) -> tuple[str, int]:
        """Rows with the same activation stand together, and else in the author's order."""
        users = self.users.get(root, [])
        return (users[0].op or "" if len(users) == 1 else "", root.order)

    def _group(self, roots: list[Tensor]) -> None:
        """Put together the rows that the largest product of the loop will be added to."""
        inside = set(roots)
        loops = [own for v, own in self.rows.items() if self.level[v] == STEP]
        most = max((own for own in loops if inside >= set(own)), key=len, default=[])
        first = set(most)
        roots[:] = [*most, *(root for root in roots if root not in first)]

    def _join(self) -> dict[Tensor, tuple[Tensor, int]]:
        """For a product in the loop: the hoisted one it is added to, and from which sum on."""
        found: dict[Tensor, tuple[Tensor, int]] = {}
        taken: set[tuple[Tensor, Tensor]] = set()
        ahead = [v for v in self.rows if self.level[v] == AHEAD]
        loops = [v for v in self.rows if self.level[v] == STEP]
        for v in sorted(loops, key=lambda v: -len(self.rows[v])):
            own = self.rows[v]
            for u in ahead:
                place = _within(own, self.rows[u])
                if place is not None and not any((root, u) in taken for root in own):
                    taken |= {(root, u) for root in own}
                    found[v] = (u, place)
                    break
        return found

    def _biases(self) -> dict[Tensor, tuple[Tensor, int]]:
        """Where the bias of a sum lies in a packed one."""
        found: dict[Tensor, tuple[Tensor, int]] = {}
        for roots in sorted(self.rows.values(), key=lambda roots: -len(roots)):
            if any(root in found or not self.sums[root].biases for root in roots):
                continue
            if any(b.shape != root.shape for root in roots for b in self.sums[root].biases[:1]):
                continue
            biases = [self.sums[root].biases[0] for root in roots]
            whole = self._rows_of(biases)
            start = 0
            for root, bias in zip(roots, biases, strict=True):
                found[root] = (whole, start)
                start += bias.shape[0]
        return found

    def _rows_of(self, parts: list[Tensor]) -> Tensor:
        return parts[0] if len(parts) == 1 else self.build.make("concat", *parts, axis=0)

    # --- the new step ---------------------------------------------------------------------------
    def weight(self, node: Tensor) -> Tensor:
        """A value that is computed once, as an input of the new step."""
        if node not in self.weights:
            name = f"{WEIGHT}{node.name}"  # an equation may be called like a parameter
            if node.name is None or name in {leaf.name for leaf in self.weights.values()}:
                name = f"{WEIGHT}{len(self.weights) + 1}"
            self.weights[node] = Tensor.input(name, node.shape)
        return self.weights[node]

    def pack(self, v: Tensor) -> Tensor:
        """All products with v, row under row, and the hoisted rows they are added to."""
        if v not in self.packed:
            matrix = self._rows_of([self.sums[root].products[v] for root in self.rows[v]])
            product = self.build.make("matvec", self.weight(matrix), self._new(v))
            if v in self.joined:
                u, place = self.joined[v]
                start = sum(root.shape[0] for root in self.rows[u][:place])
                hoisted = self.build.slice(self.pack(u), start, start + product.shape[0])
                product = self.build.make("add", product, hoisted)
            self.packed[v] = product
        return self.packed[v]

    def _translate(self, node: Tensor) -> None:
        """Make the new node of an old one, whose inputs are there; one within a sum needs none."""
        if node not in self.inside and node not in self.new and self.level[node] > ONCE:
            if node in self.sums:
                made = self.total(node)
            else:
                operands = map(self._new, node.inputs)
                made = self.build.make(node.op or "", *operands, **node.attributes)
            self.new[node] = self._own(made, node)

    def _new(self, node: Tensor) -> Tensor:
        """The new node of an old one; what is made of parameters is an input."""
        if node not in self.new:
            number = self.level[node] == CONSTANT and node.size == 1 and not node.inputs
            self.new[node] = node if number else self._own(self.weight(node), node)
        return self.new[node]

    def _own(self, node: Tensor, old: Tensor) -> Tensor:
        """A node under the name that the old one has as an equation."""
        return named(node, self.names[old]) if old in self.names else node

    def total(self, root: Tensor) -> Tensor:
        """A sum of products from rows of the packed ones."""
        own = self.sums[root]
        within = {self.joined[v][0] for v in own.products if v in self.joined}
        terms = []
        for v in own.products:
            if v not in within:
                start = self._start(v, root)
                terms.append(self.build.slice(self.pack(v), start, start + root.shape[0]))
        biases = list(own.biases)
        if root in self.biased:
            whole, start = self.biased[root]
            weight = self.weight(whole)
            terms.append(self.build.slice(weight, start, start + root.shape[0]))
            del biases[0]
        terms += [self.weight(bias) for bias in biases]
        terms += [self._new(term) for term in own.others]
        total = terms[0]
        for term in terms[1:]:
            total = self.build.make("add", total, term)
        return total

    def _start(self, v: Tensor, root: Tensor) -> int:
        """The first of a sum's rows in the packed product with v."""
        start = 0
        for other in self.rows[v]:
            if other is root:
                break
            start += other.shape[0]
        return start

    def result(self) -> Rewritten:
        """The Programs of the weights and of the step."""
        for node in self.old.nodes():
            self._translate(node)
        new = {name: self._new(node) for name, node in self.old.equations.items()}
        used = set(ancestors(new.values()))
        leaves = {leaf.name or "": leaf for leaf in self.weights.values() if leaf in used}
        made = {leaf.name or "": node for node, leaf in self.weights.items() if leaf in used}
        parameters = {name: t for name, t in self.old.inputs.items() if name in self.once}
        once = Program(f"weights of {self.old.name}", parameters, {}, made)
        outputs = {name: new[name] for name in self.old.outputs}
        return Rewritten(once, Program(self.old.name, {**self.inputs, **leaves}, new, outputs))


@dataclass
class _Sum:
    products: dict[Tensor, Tensor]  # second factor -> matrix
    biases: list[Tensor]
    others: list[Tensor]


def _within(part: list[Tensor], whole: list[Tensor]) -> int | None:
    for start in range(len(whole) - len(part) + 1):
        if all(a is b for a, b in zip(part, whole[start:], strict=False)):
            return start
    return None
