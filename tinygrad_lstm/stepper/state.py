"""What is known at a point of a trace: values computed and gradients summed up so far."""

from __future__ import annotations

from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.stepper.passes import Passes
from tinygrad_lstm.stepper.written import array
from tinygrad_lstm.tensor import Array, Tensor

UNKNOWN = "·"


class State:
    """What is known after an event: values computed and gradients summed up so far."""

    def __init__(self, trace: Passes, index: int) -> None:
        self.trace, self.index = trace, index

    def _one(self, name: str) -> Tensor:
        found = self.trace.lookup(name)
        if len(found) > 1:
            known = ", ".join(self.trace.labels[n] for n in found)
            raise UnknownNameError(f"{name} has a value at each time step; say which: {known}.")
        return found[0]

    def value(self, name: str) -> Array | None:
        """The value called `name` (f_1 or f@1), or None if it is not computed yet."""
        node = self._one(name)
        return node.data if self.trace.known_at(node, self.index) else None

    def gradient(self, name: str) -> Array | None:
        """The sum so far of a value's adjoint, or None if nothing has reached it yet."""
        found = self.trace.gradient_at(self._one(name), self.index)
        return None if found is None else found[1]

    def equation(self, node: Tensor) -> str:
        """An equation on one line with its value: `f_1 = σ(W_f · [h_0, x_1] + b_f) = [0.5 0.6]`."""
        labels = self.trace.labels
        return f"{labels[node]} = {labels.expression(node)} = {self._value_text(node)}"

    def adjoint(self, node: Tensor) -> str:
        """The adjoint of a value on one line: `f̄_1 = ·`, or the sum so far."""
        found = self.trace.gradient_at(node, self.index)
        label = self.trace.labels.bar(node)
        if found is None:
            return f"{label} = {UNKNOWN}"
        count, of = found[0], len(self.trace.terms[node])
        partial = f" ({count} of {of} terms)" if count < of else ""
        return f"{label} = {array(found[1], self.trace.digits)}{partial}"

    def line(self, node: Tensor) -> str:
        """A value and, where it gets one, its gradient; · stands for what is not known yet."""
        value = f"{self.trace.labels[node]} = {self._value_text(node)}"
        return f"{value}   {self.adjoint(node)}" if node in self.trace.terms else value

    def watch(self, name: str) -> str:
        """The line of a name: at the event's own time step, where there are several."""
        nodes = self.trace.lookup(name)
        when = self.trace.labels.time(self.trace.place(self.index)[0])
        now = [n for n in nodes if when is None or self.trace.labels.time(n) == when]
        return self.line((now or nodes)[-1])

    def _value_text(self, node: Tensor) -> str:
        known = self.trace.known_at(node, self.index)
        return array(node.data, self.trace.digits) if known else UNKNOWN

    def __str__(self) -> str:
        nodes = [n for name in self.trace.labels.names() for n in self.trace.lookup(name)]
        return "\n".join(self.line(n) for n in dict.fromkeys(nodes))
