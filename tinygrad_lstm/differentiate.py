"""Functions to their gradients: `grad` and `value_and_grad`, which nest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.errors import ShapeError
from tinygrad_lstm.tensor import Tensor, ancestors, apply, constant, pullback

Argument = Any  # a Tensor, an array, a number, or a mapping of names to such


def value_and_grad(f: Callable[..., Tensor], argnum: int = 0) -> Callable[..., tuple[Tensor, Any]]:
    """The function that returns f's value and its gradient in argument `argnum`.

    f must return one number. The argument may be an array, a Tensor, or a mapping of names to
    them (such as Parameters); the gradient has the same form, as Tensors. Calls nest: the
    gradient of a gradient is the second derivative.
    """

    def differentiated(*args: Argument, **options: Any) -> tuple[Tensor, Any]:
        place = range(len(args))[argnum]  # counted from the end where it is negative
        given = args[place]
        mapping = isinstance(given, Mapping)
        leaves = {k: _leaf(v) for k, v in (given.items() if mapping else [(None, given)])}
        lifted = rebuilt(given, leaves) if mapping else leaves[None]
        value = f(*args[:place], lifted, *args[place + 1 :], **options)
        if not isinstance(value, Tensor) or value.size != 1:
            got = f"a Tensor of shape {value.shape}" if isinstance(value, Tensor) else repr(value)
            raise ShapeError(f"grad needs a function that returns one number, got {got}.")
        ours = set(leaves.values())
        # arrays are enough unless something outside, which may be differentiated too, is below
        numeric = not any(leaf.inputs for leaf in ours) and all(
            n in ours or n.inputs for n in ancestors([value], requires_grad=True, stop=ours)
        )
        seed: Any = np.ones(value.shape, value.dtype)
        adjoints = pullback({value: seed if numeric else constant(seed)}, numeric, ours)
        grads = {}
        for k, leaf in leaves.items():  # zero where the value does not depend on an argument
            g = adjoints[leaf] if leaf in adjoints else np.zeros(leaf.shape, leaf.dtype)
            grads[k] = g if isinstance(g, Tensor) else constant(g)
        return value, grads if mapping else grads[None]

    return differentiated


def grad(f: Callable[..., Tensor], argnum: int = 0) -> Callable[..., Any]:
    """The function that returns the gradient of f in argument `argnum`; see `value_and_grad`."""
    both = value_and_grad(f, argnum)
    return lambda *args, **options: both(*args, **options)[1]


def _leaf(value: Any) -> Tensor:
    """A node of our own for a value: gradients in it, and through it in what it came from."""
    if not isinstance(value, Tensor):
        return Tensor(value)
    node = apply("identity", value)
    node.name, node.requires_grad = value.name, True
    return node


def rebuilt(mapping: Mapping[Any, Any], leaves: dict[Any, Tensor]) -> Any:
    """A mapping of the same kind, such as Parameters, with leaves for its values."""
    rebuild = getattr(mapping, "on", None)
    return rebuild(leaves) if rebuild else leaves
