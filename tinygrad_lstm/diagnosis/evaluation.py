"""What a formula comes to at a point: its value for every step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygrad_lstm.diagnosis.formula import FormulaError, Part
from tinygrad_lstm.diagnosis.point import STEPS, Point, block_name
from tinygrad_lstm.diagnosis.signs import OWN
from tinygrad_lstm.operation import TABLE

Array = npt.NDArray[Any]


def evaluate(point: Point, part: Part, source: str, shape: tuple[int, ...] = ()) -> Array:
    """A formula's value for every t, (time, own axes), or (1, own axes) where t does not occur.

    shape: of what it is to be, which `pad[:n](v)` is made as long as. FormulaError: shapes that do
    not fit, and where.
    """
    with np.errstate(all="ignore"):
        return _Evaluation(point, source, shape).of(part)


class _Evaluation:
    def __init__(self, point: Point, source: str, shape: tuple[int, ...]) -> None:
        self.point, self.source, self.shape = point, source, shape

    def fail(self, key: str, part: Part, **words: object) -> FormulaError:
        return FormulaError(key, self.source, part.start, part.end, **words)

    def of(self, part: Part) -> Array:
        if part.op == "number":
            return np.full((1,), part.value)
        if part.op == "value":
            assert part.reference is not None
            return self.point.at(part.reference)
        inputs = [self.of(i) for i in part.inputs]
        special = getattr(self, f"_{part.op.replace(' ', '_')}", None)
        if special is not None:
            found: Array = special(part, *inputs)
            return found
        if part.op.startswith("slope "):
            return self.slope(part.op.removeprefix("slope "), inputs[0])
        function = OWN.get(part.op) or _FORWARD.get(part.op) or TABLE[part.op].forward
        return self.entrywise(part, function, *inputs)

    def entrywise(self, part: Part, function: Callable[..., Any], *arrays: Array) -> Array:
        most = max(a.ndim for a in arrays)
        wide = [a.reshape(a.shape[0], *(1,) * (most - a.ndim), *a.shape[1:]) for a in arrays]
        try:
            return np.asarray(function(*wide), dtype=float)
        except ValueError:
            shapes = " | ".join(str(a.shape[1:]) for a in arrays)
            raise self.fail("shapes", part, shapes=shapes) from None

    def slope(self, op: str, x: Array) -> Array:
        if op in OWN:
            return np.imag(OWN[op](x + 1e-30j)) / 1e-30
        rule = TABLE[op].rule(0)
        if rule is None:
            return np.zeros_like(x)
        found = rule(np.ones_like(x), TABLE[op].forward(x), x)
        return np.asarray(getattr(found, "data", found), dtype=float)

    def _group(self, part: Part, inner: Array) -> Array:
        return inner

    def _over_steps(self, part: Part, inner: Array) -> Array:
        if len(inner) == 1:
            inner = np.repeat(inner, STEPS, axis=0)
        return np.asarray(inner.sum(axis=0, keepdims=True))

    def _transposed(self, part: Part, inner: Array) -> Array:
        return inner if inner.ndim < 3 else np.swapaxes(inner, -1, -2)

    def _sum(self, part: Part, inner: Array) -> Array:
        return np.asarray(inner.sum(axis=tuple(range(1, inner.ndim))))

    def _mean(self, part: Part, inner: Array) -> Array:
        return np.asarray(inner.mean(axis=tuple(range(1, inner.ndim))))

    def _list(self, part: Part, *inputs: Array) -> Array:
        if len(inputs) == 1:
            return inputs[0]
        if any(a.ndim != 2 for a in inputs):
            raise self.fail("joined", part)
        long = max(map(len, inputs))
        return np.concatenate([np.repeat(a, long // len(a), axis=0) for a in inputs], axis=-1)

    def _dot(self, part: Part, a: Array, b: Array) -> Array:
        if a.ndim == 1 or b.ndim == 1:
            return self.entrywise(part, np.multiply, a, b)
        rules = {
            (2, 2): "ti,ti->t", (3, 2): "tij,tj->ti", (2, 3): "ti,tij->tj", (3, 3): "tij,tjk->tik"
        }  # fmt: skip
        rule = rules.get((a.ndim, b.ndim))
        if rule is None or a.shape[-1] != b.shape[-2 if b.ndim == 3 else -1]:
            key = "entrywise" if a.shape[1:] == b.shape[1:] else "product"
            raise self.fail(key, part, a=a.shape[1:], b=b.shape[1:])
        return self.einsum(rule, a, b)

    def _outer(self, part: Part, a: Array, b: Array) -> Array:
        if a.ndim != 2 or b.ndim != 2:
            raise self.fail("product", part, a=a.shape[1:], b=b.shape[1:])
        return self.einsum("ti,tj->tij", a, b)

    @staticmethod
    def einsum(rule: str, a: Array, b: Array) -> Array:
        long = max(len(a), len(b))
        pair = (np.broadcast_to(v, (long, *v.shape[1:])) for v in (a, b))
        return np.asarray(np.einsum(rule, *pair))

    def _pad(self, part: Part, inner: Array) -> Array:
        """Zeros around what belongs to some entries: pad[:hidden](v)."""
        made = np.zeros((len(inner), *self.shape))
        at = self.span(part, made[..., None]) if self.shape else None
        try:
            made[:, at] = inner
        except (ValueError, IndexError):
            raise self.fail("shapes", part, shapes=f"{self.shape} | {inner.shape[1:]}") from None
        return made

    def _block(self, part: Part, inner: Array) -> Array:
        if part.block.strip().isdecimal() and inner.ndim > 1:
            if int(part.block) >= inner.shape[1]:
                raise self.fail("block", part, name=part.block, known=f"0…{inner.shape[1] - 1}")
            return inner[:, int(part.block)]
        if (span := self.span(part, inner)) is None:
            known = {min(n, key=len) for j in self.point.joined for n in j.names if n}
            raise self.fail("block", part, name=part.block, known=", ".join(sorted(known)))
        return inner[..., span]

    def span(self, part: Part, inner: Array) -> slice | int | None:
        """Which entries of a vector, or columns of a matrix, a block is."""
        if part.op == "pad" and part.block.strip().isdecimal():
            return int(part.block)
        if inner.ndim < 2:
            return None
        if ":" in part.block:
            ends = [self.length(end, part) for end in part.block.split(":")]
            return slice(*ends) if len(ends) == 2 else None
        wanted = block_name(part.block)
        used = {p.reference.label for p in part.all() if p.reference is not None}
        ranked = sorted(self.point.joined, key=lambda j: not j.matrices & used)
        for joined in ranked:
            if sum(joined.widths) != inner.shape[-1]:
                continue
            for k, names in enumerate(joined.names):
                if wanted in names:
                    start = sum(joined.widths[:k])
                    return slice(start, start + joined.widths[k])
        return None

    def length(self, text: str, part: Part) -> int | None:
        """A place such as `hidden + 2 * inputs`, in sizes; None where nothing is written."""
        text = re.sub(r"\\mathrm\{(\w+)\}", r"\1", text).replace(" ", "").replace("·", "*")
        if not text:
            return None
        if not re.fullmatch(r"-?[\w*]+(?:[+-][\w*]+)*", text) or len(text) > 80:
            raise self.fail("block", part, name=part.block, known=", ".join(self.point.sizes))
        total = 0
        for sign, product in re.findall(r"([+-]?)([\w*]+)", text):
            number = 1
            for factor in product.split("*"):
                if not factor.isdecimal() and factor not in self.point.sizes:
                    known = ", ".join(self.point.sizes)
                    raise self.fail("block", part, name=part.block, known=known)
                number *= int(factor) if factor.isdecimal() else self.point.sizes[factor]
            total += -number if sign == "-" else number
        return total


_FORWARD: Mapping[str, Callable[..., Any]] = {"less": np.less, "less_equal": np.less_equal}
