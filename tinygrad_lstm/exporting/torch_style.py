"""How an operation is written in PyTorch: a style of `text.Plain`, for one sample or a batch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.forwards import axes_of
from tinygrad_lstm.plain_style import Attributes, Piece, Plain
from tinygrad_lstm.sizes import ATOM, POWER, PRODUCT, SUM
from tinygrad_lstm.tensor import TABLE, Array

RELATIONS = ("greater", "greater_equal", "equal", "not_equal")
TRUTH = -1  # how tightly a relation binds: less than anything


class Torch(Plain):
    """Expressions of PyTorch; `sizes` are what names of lengths are written as."""

    signs = {"matmul": "{} @ {}"}

    def __init__(self, sizes: dict[str, str]) -> None:
        super().__init__(digits=17)
        self.sizes = sizes

    def knows(self, op: str) -> bool:
        """Whether there is a spelling of an operation."""
        infix = ("add", "subtract", "divide")
        face = TABLE[op].js or ""  # what JavaScript calls so is torch.NAME as well
        same = face == f"Math.{op}({{0}})" or op in ("erf", "relu", "sigmoid")
        return same or op in (*infix, *RELATIONS) or hasattr(self, f"write_{op}")

    # --- names and numbers ------------------------------------------------------------------------
    def length(self, words: str) -> str:
        """Sizes are attributes of the module: self.hidden."""
        words = re.sub(r"\bsqrt\(", "math.sqrt(", words)
        return re.sub(
            r"(?<![.\w])[^\W\d]\w*", lambda found: self.sizes.get(found[0], found[0]), words
        ).replace(" ** ", "**")

    def number(self, value: Any) -> Piece:
        """All digits that tell a number from any other; whole ones without a point."""
        value = np.asarray(value).item()
        if isinstance(value, bool):
            return Piece(str(value), kind="number")
        text = f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else repr(value)
        text = {"inf": "math.inf", "-inf": "-math.inf", "nan": "math.nan"}.get(text, text)
        return Piece(text, SUM if text.startswith("-") else ATOM, "number")

    def constant(self, data: Array) -> Piece:
        """The entries of an array."""
        if not data.ndim:
            return self.number(data)
        return Piece(f"torch.tensor({self.entries(data)})")

    def entries(self, data: Array) -> str:
        """Entries as nested lists."""
        if not data.ndim:
            value = np.asarray(data).item()
            return {np.inf: "math.inf", -np.inf: "-math.inf"}.get(value, repr(value))
        return f"[{', '.join(map(self.entries, data))}]"

    def index(self, value: object) -> str:
        """An index: 1:3, None, a list of places."""
        if isinstance(value, np.ndarray):
            return str(value.tolist())
        if isinstance(value, slice):
            ends = [
                "" if e is None else getattr(e, "words", None) and self.index(e) or str(e)
                for e in (value.start, value.stop)
            ]
            simple = all(re.fullmatch(r"-?\w*", e) for e in ends)
            start, stop = ends
            colon = ":" if simple else f"{' ' * bool(start)}:{' ' * bool(stop)}"
            step = "" if value.step in (None, 1) else f"{colon.rstrip()}{value.step}"
            return f"{start}{colon}{stop}{step}"
        return super().index(value)

    def raised(self, text: str, upper: str) -> str:
        """The transposed matrix."""
        return f"{text}.T" if upper == self.top else super().raised(text, upper)

    # --- operations -------------------------------------------------------------------------------
    def function_name(self, op: str) -> str:  # noqa: D102
        return f"torch.{op}"

    def settings(self, attributes: Attributes) -> list[tuple[str, object, str]]:
        """Functions of entries take nothing else."""
        return []

    def method(self, part: Piece, name: str, *arguments: str) -> Piece:
        """x.name(…)."""
        return Piece(f"{self.fitted(part, ATOM)}.{name}({', '.join(arguments)})")

    def operation(self, op: str, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """One operation; a truth is bracketed wherever it meets another operation."""
        found = super().operation(op, parts, attributes)
        return found._replace(level=TRUTH) if op in RELATIONS else found

    def write_multiply(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """a * b; @ binds as * does, from the left."""
        a, b = parts
        right = self.fitted(b, POWER if b.kind == "matrix" else PRODUCT)
        return Piece(f"{self.fitted(a, PRODUCT)} * {right}", PRODUCT)

    def write_power(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x**2."""
        base, exponent = (self.fitted(part, ATOM) for part in parts)
        simple = all(re.fullmatch(r"[\w.]+", text) for text in (base, exponent))
        return Piece(f"{base}**{exponent}" if simple else f"{base} ** {exponent}", POWER)

    def write_matmul(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """A @ B."""
        a, b = self.fitted(parts[0], PRODUCT), self.fitted(parts[1], POWER)
        return Piece(f"{a} @ {b}", PRODUCT, "matrix")

    def write_negative(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """-x."""
        return Piece(f"-{self.fitted(parts[0], ATOM)}", PRODUCT)

    def write_matvec(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x @ W.T for rows x, W @ x for one vector, and a product for each sample's own W."""
        W, x = parts
        flat, rows = attributes["ranks"]
        if flat == 2 and rows == 1:
            return Piece(f"{self.fitted(W, PRODUCT)} @ {self.fitted(x, POWER)}", PRODUCT, "matrix")
        if flat == 2:
            W_T = W.text.removesuffix(".T") if W.text.endswith(".T") else ""
            W_T = W_T or f"{self.fitted(W, ATOM)}.T"
            return Piece(f"{self.fitted(x, PRODUCT)} @ {W_T}", PRODUCT, "matrix")
        column = f"{self.fitted(x, ATOM)}[..., None]"
        return Piece(f"({self.fitted(W, PRODUCT)} @ {column})[..., 0]")

    def write_vecdot(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """(a * b).sum(-1)."""
        a, b = (self.fitted(p, PRODUCT if k == 0 else POWER) for k, p in enumerate(parts))
        return Piece(f"({a} * {b}).sum(-1)")

    def write_outer(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """a_i b_j."""
        a, b = (self.fitted(p, ATOM) for p in parts)
        return Piece(f"{a}[..., :, None] * {b}[..., None, :]", PRODUCT)

    def write_einsum(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """A sum of products with its letters."""
        return self.call("torch.einsum", f'"{attributes["subscripts"]}"', *(p.text for p in parts))

    def write_concat(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """Parts one after another."""
        joined = f"[{', '.join(p.text for p in parts)}]"
        return self.call("torch.cat", joined, f"dim={attributes['axis']}")

    def write_stack(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """Parts side by side."""
        joined = f"[{', '.join(p.text for p in parts)}]"
        return self.call("torch.stack", joined, f"dim={attributes['axis']}")

    def write_getitem(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x[:, 1:3]; what is read backward is flipped first, for PyTorch has no such slices."""
        index, x = attributes["index"], self.fitted(parts[0], ATOM)
        index = index if isinstance(index, tuple) else (index,)
        shown, turned, axis = [], [], 0
        for part in index:
            if isinstance(part, slice) and (part.step or 1) < 0:
                n = int(attributes["shape"][axis])
                turned.append(axis)
                start, stop, step = part.indices(n)
                part = slice(n - 1 - start, None if stop < 0 else n - 1 - stop, -step)
                if part.start == 0 and part.step == 1:
                    part = slice(None, part.stop)
            shown.append(part)
            axis += part is not None
        if turned:
            x = f"{x}.flip({', '.join(map(str, turned))})"
        if all(part == slice(None) for part in shown):
            return Piece(x)
        return Piece(f"{x}[{self.index(tuple(shown))}]")

    def write_swapaxes(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x.T of a matrix, else two axes exchanged."""
        if attributes["ranks"] == (2,):
            return Piece(f"{self.fitted(parts[0], ATOM)}.T")
        a, b = sorted((attributes["a"], attributes["b"]))
        return self.method(parts[0], "transpose", str(a), str(b))

    def write_transpose(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """Axes in another order."""
        axes = attributes["axes"]
        if tuple(axes) == (1, 0):
            return Piece(f"{self.fitted(parts[0], ATOM)}.T")
        if tuple(axes) == (0, 2, 1):
            return self.method(parts[0], "transpose", "-2", "-1")
        return self.method(parts[0], "permute", *map(str, axes))

    def write_reshape(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x[:, None] where an axis of one is put in, else another shape."""
        if (new := attributes.get("new")) is not None:
            index = ", ".join([":", *["None"] * new])
            return Piece(f"{self.fitted(parts[0], ATOM)}[{index}]")
        return self.method(parts[0], "reshape", *map(self.index, attributes["shape"]))

    def write_broadcast_to(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x repeated."""
        return self.method(parts[0], "expand", *map(self.index, attributes["shape"]))

    def _reduced(self, op: str, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        n = attributes["ndim"]
        axes = [a - n for a in axes_of(attributes["axis"], n)]
        keep = ["keepdim=True"] * bool(attributes["keepdims"])
        if op == "prod" and len(axes) > 1:  # PyTorch takes one axis at a time
            found = parts[0]
            for a in sorted(axes):
                a = a if keep else max(axes) - (len(axes) - 1 - sorted(axes).index(a))
                found = self.method(found, op, f"dim={a}", *keep)
            return found
        if not axes:
            return parts[0]
        dim = str(axes[0]) if len(axes) == 1 else str(tuple(axes))
        return self.method(parts[0], op, f"dim={dim}", *keep)

    def write_sum(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x.sum(dim=-1)."""
        return self._reduced("sum", parts, attributes)

    def write_mean(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x.mean(dim=-1)."""
        return self._reduced("mean", parts, attributes)

    def write_max(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x.amax(dim=-1): equal entries share the derivative."""
        return self._reduced("amax", parts, attributes)

    def write_prod(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x.prod(dim=-1)."""
        return self._reduced("prod", parts, attributes)

    def write_logsumexp(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x.logsumexp(dim=-1)."""
        return self._reduced("logsumexp", parts, attributes)

    def _along(self, name: str, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        return self.call(name, parts[0].text, f"dim={attributes['axis']}")

    def write_softmax(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """torch.softmax(x, dim=-1)."""
        return self._along("torch.softmax", parts, attributes)

    def write_log_softmax(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """torch.log_softmax(x, dim=-1)."""
        return self._along("torch.log_softmax", parts, attributes)

    def write_cumsum(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """torch.cumsum(x, dim=-1)."""
        return self._along("torch.cumsum", parts, attributes)

    def write_softplus(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """log(1 + e^x); PyTorch takes x itself above 20, unless told."""
        return self.call("nn.functional.softplus", parts[0].text, "threshold=40")

    def write_silu(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x σ(x)."""
        return self.call("nn.functional.silu", parts[0].text)

    def write_gelu(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x Φ(x)."""
        return self.call("nn.functional.gelu", parts[0].text)

    def write_softsign(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x / (1 + |x|)."""
        return self.call("nn.functional.softsign", parts[0].text)

    def write_mod(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """a - b ⌊a / b⌋."""
        return self.call("torch.remainder", *(p.text for p in parts))

    def write_maximum(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """The larger of two; a number is a limit."""
        return self._limited("maximum", "min", parts)

    def write_minimum(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """The smaller of two; a number is a limit."""
        return self._limited("minimum", "max", parts)

    def _limited(self, op: str, edge: str, parts: Sequence[Piece]) -> Piece:
        plain = [part.kind in ("number", "length") for part in parts]
        if any(plain):
            limit, other = (parts[0], parts[1]) if plain[0] else (parts[1], parts[0])
            return self.method(other, "clamp", f"{edge}={limit.text}")
        return self.call(f"torch.{op}", *(p.text for p in parts))

    def write_clip(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x.clamp(-1, 1)."""
        names = {"low": "min", "high": "max"}
        edges = [
            f"{names[end]}={self.number(v).text}"
            for end, v in attributes.items()
            if end in names and v is not None
        ]
        return self.method(parts[0], "clamp", *edges) if edges else parts[0]

    def write_where(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """One of two, entry by entry."""
        c, a, b = parts
        if all(p.kind in ("number", "length") for p in (a, b)):  # else it is of 32 bits
            a = Piece(f"{attributes['like']}.new_tensor({a.text})")
        return self.call("torch.where", c.text, a.text, b.text)

    def write_detach(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x, through which no gradient flows."""
        return self.method(parts[0], "detach")
