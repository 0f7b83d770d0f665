"""A gate before or after a product with a matrix, with or without the bias beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial, reduce

from tinygrad_lstm.diagnosis.expressions import Sites
from tinygrad_lstm.diagnosis.rewrites import At, Rewrite
from tinygrad_lstm.ops import add, matvec
from tinygrad_lstm.tensor import Tensor, apply


def other_resets(sites: Sites, node: Tensor) -> Iterator[Rewrite]:
    """U·(r ⊙ h) for r ⊙ (U·h), and the other way round."""
    if node.op == "matvec" and node.inputs[0].ndim == 2:
        for place, gate in _scaled(sites, node):
            words = {"gate": sites.text(gate), "term": sites.formula(node)}
            rank = 1.0 if gate.op == "sigmoid" else 1.2
            yield sites.one(
                node, "order", "reset after", partial(_after, *place), rank, words=words
            )
    if node.op == "multiply" and node.ndim == 1:
        for side in (0, 1):
            terms = _terms(node.inputs[1 - side])
            products = [k for k, t in enumerate(terms) if t.op == "matvec"]
            words = {"gate": sites.text(node.inputs[side]), "term": sites.formula(node)}
            if any(terms[k].inputs[1].shape == node.inputs[side].shape for k in products):
                for inside in (False, True) if len(terms) > len(products) else (False,):
                    change = partial(_before, side, inside)
                    yield sites.one(node, "order", "reset before", change, 1.0, words=words)
            if products and len(terms) > 1:
                for k, term in enumerate(terms):
                    if k not in products:
                        own = {**words, "operand": sites.text(term)}
                        yield sites.one(
                            node, "order", "outside", partial(_outside, side, k), 1.0, words=own
                        )
    if node.op == "add" and node.ndim == 1:
        terms = _terms(node)
        for k, term in enumerate(terms):
            for n, product in enumerate(terms):
                for place, gate in _scaled(sites, product) if sites.is_parameter(term) else ():
                    words = {"gate": sites.text(gate), "term": sites.formula(node)}
                    words["operand"] = sites.text(term)
                    with_it = partial(_after_with, k, n, *place)
                    yield sites.one(node, "order", "reset after with", with_it, 1.05, words=words)
        for k, term in enumerate(terms):
            for j, product in enumerate(terms):
                if sites.is_parameter(term) and product.op == "multiply" and _scales(product):
                    words = {"operand": sites.text(term), "term": sites.text(product)}
                    change = partial(_inside, k, j)
                    yield sites.one(node, "order", "inside", change, 1.1, words=words)


def _scaled(sites: Sites, node: Tensor) -> Iterator[tuple[tuple[bool, int, int], Tensor]]:
    """Of a product U·(g ⊙ h), where what may be g stands, and g."""
    if node.op != "matvec" or node.inputs[0].ndim != 2 or node in sites.known:
        return
    v = node.inputs[1]
    joined = v.op == "concat" and v not in sites.known
    for j, part in enumerate(v.inputs if joined else (v,)):
        if part.op == "multiply" and part.ndim == 1 and part not in sites.known:
            for gate in (0, 1):
                if part.inputs[gate].shape == node.shape:
                    yield (joined, j, gate), part.inputs[gate]


def _terms(node: Tensor) -> list[Tensor]:
    """The terms of a sum that stands within an equation."""
    if node.op != "add":
        return [node]
    return [t for i in node.inputs for t in ([i] if i.name else _terms(i))]


def _scales(product: Tensor) -> bool:
    return any(i.op == "matvec" or i.op == "add" for i in product.inputs)


def _sum(terms: Sequence[Tensor]) -> Tensor:
    return reduce(add, terms)


def _after(joined: bool, j: int, gate: int, operands: Sequence[Tensor], at: At) -> Tensor:
    """g ⊙ (U·h) for U·(g ⊙ h); of a joined vector only that part is scaled."""
    W, v = operands
    g, product, rest = _apart(W, v, joined, j, gate)
    return g * product if rest is None else g * product + rest


def _after_with(
    k: int, n: int, joined: bool, j: int, gate: int, operands: Sequence[Tensor], at: At
) -> Tensor:
    """g ⊙ (U·h + b) for U·(g ⊙ h) + b: of a sum's terms the k-th and the n-th."""
    terms = [t for o in operands for t in ([o] if o.name else _terms(o))]
    W, v = terms[n].inputs
    g, product, rest = _apart(W, v, joined, j, gate)
    others = [t for m, t in enumerate(terms) if m not in (k, n)]
    return _sum([*others, *([] if rest is None else [rest]), g * (product + terms[k])])


def _apart(
    W: Tensor, v: Tensor, joined: bool, j: int, gate: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Of W·v whose vector is g ⊙ h, or has it as its j-th part: g, U·h, and the product's rest."""
    if not joined:
        return v.inputs[gate], matvec(W, v.inputs[1 - gate]), None
    widths = [i.shape[0] for i in v.inputs]
    start = sum(widths[:j])
    part = v.inputs[j]
    own = matvec(W[:, start : start + widths[j]], part.inputs[1 - gate])
    rest = [i for k, i in enumerate(v.inputs) if k != j]
    columns = [W[:, :start]] * (start > 0) + [W[:, start + widths[j] :]] * (j < len(widths) - 1)
    others = columns[0] if len(columns) == 1 else apply("concat", *columns, axis=-1)
    vector = rest[0] if len(rest) == 1 else apply("concat", *rest, axis=-1)
    return part.inputs[gate], own, matvec(others, vector)


def _before(gate: int, inside: bool, operands: Sequence[Tensor], at: At) -> Tensor:
    """U·(g ⊙ h) for g ⊙ (U·h); what stands beside the product is scaled too, or not."""
    g = operands[gate]
    made = []
    for term in _terms(operands[1 - gate]):
        if term.op == "matvec" and term.inputs[1].shape == g.shape:
            made.append(matvec(term.inputs[0], g * term.inputs[1]))
        else:
            made.append(g * term if inside else term)
    return _sum(made)


def _outside(gate: int, k: int, operands: Sequence[Tensor], at: At) -> Tensor:
    """g ⊙ a + b for g ⊙ (a + b)."""
    terms = _terms(operands[1 - gate])
    scaled = operands[gate] * _sum([t for j, t in enumerate(terms) if j != k])
    return scaled + terms[k]


def _inside(k: int, j: int, operands: Sequence[Tensor], at: At) -> Tensor:
    """g ⊙ (a + b) for g ⊙ a + b."""
    terms = [t for o in operands for t in ([o] if o.name else _terms(o))]
    product = terms[j]
    which = next(n for n, i in enumerate(product.inputs) if i.op in ("matvec", "add"))
    terms[j] = product.inputs[1 - which] * (product.inputs[which] + terms[k])
    return _sum([t for n, t in enumerate(terms) if n != k])
