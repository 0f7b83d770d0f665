"""One event of a trace: an operation carried out, or one contribution to a gradient."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np

from tinygrad_lstm.notation import number
from tinygrad_lstm.stepper.passes import Passes
from tinygrad_lstm.stepper.written import (
    MORE,
    Entries,
    array,
    compute_shown,
    count_missing_digits,
    leaf,
    round_shown,
    write_rule,
)
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, apply, unbroadcast
from tinygrad_lstm.text import Piece

ENTRIES = 24  # of a value are written out one by one
TERMS = 8  # of a sum over time are written out one by one
_MORE_TERMS = " more … + "  # in a sum whose middle is left out


@dataclass(frozen=True)
class NamedValue:
    """A value by its name; `expression` is what it stands for where the name was made up."""

    name: str
    value: Array
    expression: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The quantity as JSON knows it."""
        return {
            "name": self.name,
            "shape": list(self.value.shape),
            "value": plain(self.value),
            "expression": self.expression,
        }


class Event:
    """One step of a trace. `print(event)` says everything; `as_dict()` is the same for programs.

    `index`; `direction` ("forward" or "backward"); `time` (step, from 1; None outside the
    sequence); `equation` (the label of the named value that the operation helps to compute);
    `operation` (its name in the table; "seed" where the backward pass starts); `node` (the
    operation's Tensor); `subject` (the Tensor whose value, or whose adjoint, is computed);
    `operand` (backward: which input of the operation that is, -1 at the seed; None forward).
    Forward, `value` is the result; backward, the adjoint's sum so far.
    """

    def __init__(self, trace: Passes, index: int) -> None:
        self.trace, self.index = trace, index
        node, k = self.node, self._k = trace.place(index)
        self.operand = k
        self.direction = "forward" if k is None else "backward"
        self.operation = "seed" if k == -1 else node.op or ""
        self.subject = node if k is None or k < 0 else node.inputs[k]

    @property
    def time(self) -> int | None:
        """The time step of the operation's equation."""
        return self.trace.labels.time(self.node)

    @property
    def equation(self) -> str:
        """The label of the equation that the operation belongs to."""
        return self.trace.equation_at(self.index)

    @property
    def name(self) -> str:
        """The label of what is computed: f_1, or its adjoint f̄_1."""
        labels = self.trace.labels
        return labels[self.subject] if self._k is None else labels.bar(self.subject)

    # --- values ----------------------------------------------------------------------------------
    @cached_property
    def value(self) -> Array:
        """The result: a value, or the sum of the contributions to an adjoint so far."""
        if self._k is None:
            return self.node.data
        return self.trace.total(self.subject, self.term)

    @cached_property
    def contribution(self) -> Array | None:
        """Backward: what this operation adds to the adjoint of its input."""
        return None if self._k is None else self.trace.contribution(self.index)

    @property
    def term(self) -> int:
        """Backward: this is the term-th contribution to the adjoint; 0 in the forward pass."""
        return 0 if self._k is None else bisect_right(self.trace.terms[self.subject], self.index)

    @property
    def of_terms(self) -> int:
        """Backward: how many contributions the adjoint has in all."""
        return 0 if self._k is None else len(self.trace.terms[self.subject])

    @property
    def finished(self) -> bool:
        """Whether the value, or the adjoint, is complete after this event."""
        return self.term == self.of_terms

    @property
    def upstream(self) -> NamedValue | None:
        """Backward: the adjoint of the operation's result, which the rule starts from."""
        if self._k is None or self._k < 0:
            return None
        label = self.trace.labels.bar(self.node)
        return NamedValue(label, np.asarray(self.trace.adjoints[self.node]))

    # --- the rule --------------------------------------------------------------------------------
    def restate(self, leaves: Mapping[Tensor, Tensor], g: Tensor | None) -> Tensor:
        """The operation, or its derivative rule, on other leaves; g is the result's adjoint."""
        made: Tensor
        if self._k is None:
            operands = (leaves[i] for i in self.node.inputs)
            made = apply(self.node.op or "", *operands, **self.node.attributes)
        elif g is None:
            made = leaf(self.contribution, None)
        else:
            made = unbroadcast(self.derive(leaves, g), self.subject.shape)
        return made

    def derive(self, leaves: Mapping[Tensor, Tensor], g: Tensor) -> Tensor:
        """The derivative rule on other leaves, of an adjoint g, before broadcasting is undone."""
        node = self.node
        rule = TABLE[node.op or ""].rule(self._k or 0)
        assert rule is not None, "edges without a rule are no events"
        operands = (leaves[i] for i in node.inputs)
        made: Tensor = rule(g, leaves[node], *operands, **node.attributes)
        return made

    @cached_property
    def _restated(self) -> Tensor:
        """The operation, or its derivative rule, on named leaves."""
        upstream = self.upstream
        g = None if upstream is None else leaf(upstream.value, upstream.name)
        return self.restate(self.trace.leaves(self.node), g)

    @property
    def _sign(self) -> str:
        return "+=" if self.term > 1 else "="

    @cached_property
    def rule(self) -> str:
        """The rule in symbols; += where an earlier operation has contributed already."""
        return f"{self.name} {self._sign} {write_rule(self._restated, self.trace.digits)}"

    @cached_property
    def local(self) -> tuple[str, Array | None] | None:
        """Backward: the operation's own derivative, in symbols and, entry by entry, as a value.

        Where an entry of the result depends on many entries of the input there is no such value,
        and the text shows the linear map from g, the upstream gradient.
        """
        if self._k is None or self._k < 0:
            return None
        node, digits = self.node, self.trace.digits
        quotient = f"∂{self.trace.labels[node]}/∂{self.trace.labels[self.subject]}"
        leaves = self.trace.leaves(node)
        if TABLE[node.op or ""].signature == "elementwise":
            found = self.derive(leaves, leaf(np.ones((), node.dtype), None))
            symbols = f" = {write_rule(found, digits)}" if found.inputs else ""
            return f"{quotient}{symbols}", np.broadcast_to(found.data, node.shape)
        found = self.derive(leaves, leaf(self.trace.adjoints[node], "g"))
        return f"{quotient}: g ↦ {write_rule(found, digits)}", None

    @property
    def operands(self) -> list[NamedValue]:
        """The values that the rule reads, besides the upstream gradient."""
        used = set(ancestors([self._restated]))
        labels, leaves = self.trace.labels, self.trace.leaves(self.node)
        nodes = dict.fromkeys(
            (*self.node.inputs, self.node) if self._k is not None else self.node.inputs
        )
        return [
            NamedValue(labels[n], n.data, labels.expression(n) if n.name is None else "")
            for n in nodes
            if leaves[n] in used and leaves[n].name is not None
        ]

    # --- the numbers put in ----------------------------------------------------------------------
    @cached_property
    def closing(self) -> list[int | None]:
        """How many more digits the lines of `numbers` need, so that their results are theirs."""
        value, digits = self._computed, self.trace.digits
        places = _first(value.shape)
        entries = Entries(digits)
        found = count_missing_digits(
            lambda d: compute_shown(self._restated, d), value, places, digits
        )
        left_out = [_MORE_TERMS in entries.entry(self._restated, at).text for at in places]
        return [0 if some else more for some, more in zip(left_out, found, strict=True)]

    @cached_property
    def sum_closing(self) -> list[int | None]:
        """The same for the lines of `sum_numbers`."""
        parts, digits = self._terms, self.trace.digits
        if not parts:
            return []

        def added(digits: int) -> Array:
            return reduce(np.add, (round_shown(part, digits) for part in parts))

        return count_missing_digits(added, self.value, _first(self.value.shape), digits)

    @property
    def _computed(self) -> Array:
        return self.value if self.contribution is None else self.contribution

    @cached_property
    def _terms(self) -> list[Array]:
        """The terms of the running sum: all, or what came before and this one."""
        if self.contribution is None or self.term < 2:
            return []
        trace, count = self.trace, self.term
        if count <= TERMS:
            return [trace.contribution(at) for at in trace.terms[self.subject][:count]]
        return [trace.total(self.subject, count - 1), self.contribution]

    @cached_property
    def numbers(self) -> list[str]:
        """The rule with the numbers put in, a line an entry: `f_1[0] = σ(−0.1423) = 0.4645`.

        The numbers have as many digits as it takes that a reader who computes with them finds the
        result that is shown; where MORE further ones do not do, there is ≈.
        """
        return self._lines(
            self._computed,
            self.closing,
            self._sign,
            lambda entries, at: entries.entry(self._restated, at),
        )

    @cached_property
    def sum_numbers(self) -> list[str]:
        """Backward: the running sum, term by term, where this is not the first contribution."""
        if not self._terms:
            return []
        return self._lines(
            self.value,
            self.sum_closing,
            "=",
            lambda entries, at: entries.sum(entries.number(part[at]) for part in self._terms),
        )

    def _lines(
        self,
        value: Array,
        more: list[int | None],
        sign: str,
        write: Callable[[Entries, tuple[int, ...]], Piece],
    ) -> list[str]:
        digits, lines = self.trace.digits, []
        for at, extra in zip(_first(value.shape), more, strict=True):
            text = write(Entries(digits + (MORE if extra is None else extra)), at).text
            result = number(value[at], digits)
            middle = "" if text == result else f"{text} {'≈' if extra is None else '='} "
            lines.append(f"{self.name}{_place(at)} {sign} {middle}{result}")
        return lines + _rest(value)

    # --- text ------------------------------------------------------------------------------------
    @property
    def value_text(self) -> str:
        """The result on one line."""
        return f"{self.name} = {array(self.value, self.trace.digits)}"

    @property
    def sentence(self) -> str:
        """What happens, in words."""
        labels = self.trace.labels
        result, subject = labels[self.node], labels[self.subject]
        if self._k is None:
            way = "" if result == self.equation else f", on the way to {self.equation}"
            return f"{self.operation} gives {result}{way}."
        if self._k < 0:
            return f"The backward pass starts from the adjoint of {subject}, which is given."
        text = f"The gradient of {result} goes back through {self.operation} to {subject}"
        if self.of_terms > 1:
            text += f": term {self.term} of {self.of_terms}"
        return text + "."

    @property
    def terms_text(self) -> str:
        """Where the terms of the running sum come from: `from o_2, C_tilde_2`."""
        at = self.trace.terms[self.subject][: self.term][-TERMS:]
        return "from " + ", ".join(map(self.trace.equation_at, at))

    def details(self) -> list[str]:
        """What lies between the rule and the result, as lines of text."""
        digits = self.trace.digits
        lines = []
        if upstream := self.upstream:
            lines.append(f"upstream {upstream.name} = {array(upstream.value, digits)}")
        if self.local:
            text, value = self.local
            put_in = "" if value is None else f" = {array(value, digits)}"
            lines.append(f"local {text}{put_in}")
        for operand in self.operands:
            meaning = f"   ({operand.expression})" if operand.expression else ""
            lines.append(f"with {operand.name} = {array(operand.value, digits)}{meaning}")
        lines += self.numbers
        if self.sum_numbers:
            lines += [f"sum of {self.term} terms, {self.terms_text}", *self.sum_numbers]
        return lines

    def __str__(self) -> str:
        when = f", time step {self.time}" if self.time is not None else ""
        head = f"[{self.index + 1}/{len(self.trace)}] {self.direction}{when}, {self.equation}"
        lines = [f"{head}: {self.sentence}", f"    {self.rule}"]
        return "\n".join(
            [*lines, *(f"      {d}" for d in self.details()), f"    {self.value_text}"]
        )

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """The event as JSON knows it; numbers keep full precision.

        Keys: index, pass, time, equation, operation, sentence, rule, numbers, operands, result;
        upstream, local, contribution and sum are null in the forward pass.
        """
        found: dict[str, Any] = {
            "index": self.index,
            "pass": self.direction,
            "time": self.time,
            "equation": self.equation,
            "operation": self.operation,
            "sentence": self.sentence,
            "rule": self.rule,
            "numbers": self.numbers,
            "operands": [q.as_dict() for q in self.operands],
            "result": NamedValue(
                self.name,
                self.value,
                self.trace.labels.expression(self.node) if self._k is None else "",
            ).as_dict(),
            "upstream": self.upstream.as_dict() if self.upstream else None,
            "local": None,
            "contribution": None,
            "sum": None,
        }
        if self.local:
            text, value = self.local
            found["local"] = {"rule": text, "value": None if value is None else plain(value)}
        if self.contribution is not None:
            found["contribution"] = plain(self.contribution)
            before = self.trace.total(self.subject, self.term - 1) if self.term > 1 else None
            found["sum"] = {
                "of": self.trace.labels[self.subject],
                "term": self.term,
                "terms": self.of_terms,
                "before": None if before is None else plain(before),
                "numbers": self.sum_numbers,
            }
        return found


def plain(value: Array) -> Any:
    """An array as nested lists; what JSON has no number for becomes text."""
    if value.dtype.kind == "f" and np.isfinite(value).all() or value.dtype.kind in "ib":
        return value.tolist()
    return _plain(value.tolist())


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value if isinstance(value, float) and np.isfinite(value) else str(value)


def _place(at: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, at))}]" if at else ""


def _first(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [at for at, _ in zip(np.ndindex(shape), range(ENTRIES), strict=False)]


def _rest(value: Array) -> list[str]:
    return [f"… and {value.size - ENTRIES} more entries"] if value.size > ENTRIES else []
