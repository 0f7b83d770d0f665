"""A step that reads another value: of the step before or after, of another gate, another weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from tinygrad_lstm.diagnosis.expressions import Sites
from tinygrad_lstm.diagnosis.rewrites import At, Change, Rewrite
from tinygrad_lstm.tensor import Tensor, apply, remade


def other_reads(sites: Sites, node: Tensor) -> Iterator[Rewrite]:
    """Every other value of the same shape that an operand may be."""
    for k, operand in enumerate(node.inputs):
        if operand.op == "concat" and operand not in sites.known:
            for j, part in enumerate(operand.inputs):  # of the joined vector that this node reads
                for other, kind, message, rank in _others(sites, part):
                    change = partial(_part_read, node, k, j, other)
                    yield _read(sites, node, part, other, kind, message, rank + 0.05, change)
            if len(operand.inputs) == 2:
                words = {"theirs": _turned_text(sites, operand), "term": sites.text(operand)}
                turned: Change = partial(_turned, node, k)
                yield sites.one(node, "order", "order of the parts", turned, 1.05, words=words)
        for other, kind, message, rank in _others(sites, operand):
            change = partial(_value_read, node, k, other)
            yield _read(sites, node, operand, other, kind, message, rank, change)
        if operand.op == "sigmoid" and node.op != "subtract":
            complement: Change = partial(_complement, node, k)
            words = {"operand": sites.text(operand)}
            yield sites.one(node, "exchange", "complement", complement, 1.15, words=words)


def _read(
    sites: Sites,
    node: Tensor,
    operand: Tensor,
    other: Tensor,
    kind: str,
    message: str,
    rank: float,
    change: Change,
) -> Rewrite:
    words: dict[str, Any] = {"operand": sites.text(operand), "other": sites.text(other)}
    needs = () if not other.inputs else (other,)
    return sites.one(node, kind, message, change, rank, needs, words=words)


def _others(sites: Sites, operand: Tensor) -> Iterator[tuple[Tensor, str, str, float]]:
    """Other values, with the kind of mistake that each is."""
    program, name = sites.program, sites.known.get(operand)
    if name is None:
        return
    if sites.is_parameter(operand):
        for other in program.inputs.values():
            if other is not operand and sites.is_parameter(other) and other.shape == operand.shape:
                yield other, "exchange", "other parameter", 1.3
        return
    state = sites.state_of(operand)
    for own, other in [*program.inputs.items(), *program.equations.items()]:
        if other is operand or other.shape != operand.shape or sites.is_parameter(other):
            continue
        if state is not None and sites.state_of(other) == state:
            yield other, "step", "new for old" if other.inputs else "old for new", 1.0
        elif own in program.equations and name in program.equations:
            yield other, "exchange", "other read", 1.2
        else:
            yield other, "value", "other read", 1.3


def _value_read(node: Tensor, k: int, other: Tensor, operands: Sequence[Tensor], at: At) -> Tensor:
    found = list(operands)
    found[k] = at(other) if other.inputs else other
    return remade(node, found)


def _part_read(
    node: Tensor, k: int, j: int, other: Tensor, operands: Sequence[Tensor], at: At
) -> Tensor:
    found, parts = list(operands), list(operands[k].inputs)
    parts[j] = at(other) if other.inputs else other
    found[k] = apply("concat", *parts, axis=-1)
    return remade(node, found)


def _complement(node: Tensor, k: int, operands: Sequence[Tensor], at: At) -> Tensor:
    found = list(operands)
    found[k] = 1.0 - found[k]
    return remade(node, found)


def _turned(node: Tensor, k: int, operands: Sequence[Tensor], at: At) -> Tensor:
    found = list(operands)
    found[k] = apply("concat", *operands[k].inputs[::-1], axis=-1)
    return remade(node, found)


def _turned_text(sites: Sites, joined: Tensor) -> str:
    return f"[{', '.join(sites.text(i) for i in joined.inputs[::-1])}]"
