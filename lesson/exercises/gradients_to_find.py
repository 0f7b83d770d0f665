"""Exercises on the backward pass: derive o's adjoint, find the wrong line, add at a fork."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import equations
from lesson.exercises.comparisons import alike, complex_step
from lesson.exercises.tasks import Answer, make_exercise
from lesson.exercises.words import SAYS, Words, told
from tinygrad_lstm import cells
from tinygrad_lstm.diagnosis.derivations import Derivations
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.testing.inputs import random_arrays

Formula = Callable[..., Any]


def _numbers(seed: int, hidden: int = 4) -> dict[str, Array]:
    """Values of one step of an LSTM, the adjoint of h, and what C receives from the next step."""
    random = np.random.default_rng(seed)
    program = cells.lstm.program(inputs=3, hidden=hidden)
    arrays = random_arrays(program, seed)
    run = program.run(**arrays)
    found = {name: run[name] for name in ("f", "i", "C_tilde", "C", "o")}
    given = {name: random.normal(size=hidden) for name in ("bar_h", "later")}
    return {**found, "C_before": arrays["prev.C"], **given}


def _line(name: str) -> str:
    return str(equations.backward(cells.lstm)[name].unicode())


# --- derive o's adjoint ---------------------------------------------------------------------------
_ADJOINTS: Mapping[str, Mapping[str, Formula]] = {
    "bar_o": {
        "not_squashed": lambda bar_h, o, C: bar_h * C,
        "state_not_output": lambda bar_h, o, C: bar_h * o * (1 - np.tanh(C) ** 2),
        "nothing_from_h": lambda bar_h, o, C: np.tanh(C),
        "too_far": lambda bar_h, o, C: bar_h * np.tanh(C) * o * (1 - o),
    },
    "delta_o": {
        "gate_not_left": lambda bar_h, o, C: bar_h * np.tanh(C),
        "tanh_slope": lambda bar_h, o, C: bar_h * np.tanh(C) * (1 - o**2),
        "sigmoid_twice": lambda bar_h, o, C: bar_h * np.tanh(C) * _sigmoid(o) * (1 - _sigmoid(o)),
        "only_slope": lambda bar_h, o, C: bar_h * o * (1 - o),
    },
}


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(x / 2))


def _adjoint_facts(seed: int) -> Mapping[str, Words]:
    return {"derived_bar": _line("bar.o"), "derived_delta": _line("delta.o")}


@make_exercise(7, "adjoint-of-o", facts=_adjoint_facts)
def adjoint_of_o(answer: Answer) -> None:
    """Functions for the adjoints of o and of what its sigmoid was applied to."""
    v = _numbers(answer.seed)
    seed, C = v["bar_h"], v["C"]
    z = np.log(v["o"] / (1 - v["o"]))  # what the sigmoid was applied to
    measured = {
        "bar_o": complex_step(lambda o: seed * (o * np.tanh(C)), {"o": v["o"]}, "o"),
        "delta_o": complex_step(lambda z: seed * (_sigmoid(z) * np.tanh(C)), {"z": z}, "z"),
    }
    for name, wanted in measured.items():
        own = answer.function(name)(seed, v["o"], C)
        if own.shape != wanted.shape:
            answer.wrong(answer.says["shape"], name=name, found=own.shape, wanted=wanted.shape)
        elif alike(own, wanted):
            answer.right(answer.says["agrees"], name=name, count=wanted.size)
        else:
            for key, formula in _ADJOINTS[name].items():
                if alike(own, formula(seed, v["o"], C)):
                    answer.wrong(answer.says[key], name=name)
                    break
            else:
                answer.wrong(
                    answer.says["differs"],
                    name=name,
                    bar_h=f"{seed[0]:.4f}",
                    o=f"{v['o'][0]:.4f}",
                    C=f"{C[0]:.4f}",
                    found=f"{own[0]:.6g}",
                    wanted=f"{wanted[0]:.6g}",
                )
                explain(answer, name.replace("_", ".", 1), answer.values[name])


# --- find the wrong line --------------------------------------------------------------------------
BACKWARD: Mapping[str, str] = {
    "bar_o": "bar_h * np.tanh(C)",
    "bar_C": "bar_h * o * (1 - np.tanh(C) ** 2) + later",
    "bar_f": "bar_C * C_before",
    "bar_i": "bar_C * C_tilde",
    "bar_C_tilde": "bar_C * i",
    "bar_C_before": "bar_C * f",
    "delta_o": "bar_o * o * (1 - o)",
    "delta_f": "bar_f * f * (1 - f)",
    "delta_i": "bar_i * i * (1 - i)",
    "delta_C_tilde": "bar_C_tilde * (1 - C_tilde ** 2)",
}
_PLANTED: list[tuple[str, str]] = [
    ("bar_C", "bar_h * o * (1 - C ** 2) + later"),
    ("bar_C", "bar_h * o * (1 - np.tanh(C) ** 2)"),
    ("bar_f", "bar_C * C"),
    ("bar_i", "bar_C * i"),
    ("bar_C_before", "bar_C * C_before"),
    ("delta_o", "bar_o * (1 - o ** 2)"),
    ("delta_i", "bar_i * i"),
    ("delta_C_tilde", "bar_C_tilde * C_tilde * (1 - C_tilde)"),
    ("delta_f", "bar_f * f * (1 + f)"),
]
_ARGUMENTS = "f, i, C_tilde, C, o, C_before, bar_h, later"


def _planted(seed: int) -> tuple[str, str]:
    return _PLANTED[int(np.random.default_rng(seed).integers(len(_PLANTED)))]


def _with_error(seed: int) -> str:
    wrong, formula = _planted(seed)
    lines = {**BACKWARD, wrong: formula}
    body = "".join(f"    {name} = {rule}\n" for name, rule in lines.items())
    several = ",\n".join(f'        "{name}": {name}' for name in lines)
    return (
        "import numpy as np\n\nwrong_line = ...  # {{which}}\n\n\n"
        f"def backward({_ARGUMENTS}):\n{body}    return {{\n{several},\n    }}\n"
    )


def measured_backward(v: Mapping[str, Array]) -> dict[str, Array]:
    """Every adjoint of the step by the complex step: what the lines ought to give."""
    seed, later = v["bar_h"], v["later"]
    states = {name: v[name] for name in ("f", "i", "C_tilde", "o", "C_before")}

    def loss(C: Any, o: Any = v["o"]) -> Any:
        return seed * (o * np.tanh(C)) + later * C

    def step(f: Any, i: Any, C_tilde: Any, o: Any, C_before: Any) -> Any:
        return loss(f * C_before + i * C_tilde, o)

    found = {f"bar_{name}": complex_step(step, states, name) for name in states}
    found["bar_C"] = complex_step(loss, {"C": v["C"]}, "C")
    for gate in ("f", "i", "o", "C_tilde"):
        squash: Formula = np.tanh if gate == "C_tilde" else _sigmoid
        value = v[gate]
        z = np.arctanh(value) if gate == "C_tilde" else np.log(value / (1 - value))

        def through(z: Any, gate: str = gate, squash: Formula = squash) -> Any:
            return step(**{**states, gate: squash(z)})

        found[f"delta_{gate}"] = complex_step(through, {"z": z}, "z")
    return {name: found[name] for name in BACKWARD}


def _wrong_facts(seed: int) -> Mapping[str, Words]:
    """What the hints need: the derived line in which something is wrong."""
    wrong, _ = _planted(seed)
    space, _, name = wrong.partition("_")
    return {
        "wrong": wrong,
        "derived": _line(f"{space}.{name.removesuffix('_before')}"),
        "solution": f"{wrong} = {BACKWARD[wrong]}",
        "half": ", ".join(_half(wrong)),
    }


def _half(wrong: str) -> list[str]:
    names = list(BACKWARD)
    return names[:5] if wrong in names[:5] else names[5:]


def _numeric(array: Array) -> bool:
    return array.dtype.kind in "fiu"


def _explain_line(answer: Answer, name: str, backward: Callable[..., Mapping[str, Array]]) -> None:
    """Say by rule what is wrong with a line, where there is an adjoint of its name."""

    def line(
        f: Array, i: Array, C_tilde: Array, C: Array, o: Array, C_before: Array,
        bar_h: Array, bar_C_next: Array, f_next: Array,
    ) -> Array:  # fmt: skip
        later = bar_C_next * f_next
        return np.asarray(backward(f, i, C_tilde, C, o, C_before, bar_h, later)[name])

    explain(answer, f"{name.replace('_', '.', 1)}", line)


def explain(answer: Answer, label: str, function: Callable[..., Array]) -> None:
    """Note the mistake in an adjoint of the LSTM's, if the rules of `diagnose` know it."""
    sheet = Derivations(cells.lstm)
    if label not in sheet.adjoints():
        return
    found = sheet.grade_function(label, function)
    if not found.right and found.kind != "unexplained":
        answer.wrong(told(found, answer.language)[0])


@make_exercise(8, "wrong-gradient", _with_error, _wrong_facts)
def wrong_gradient(answer: Answer) -> None:
    """The planted line is found and mended."""
    v = _numbers(answer.seed)
    measured = measured_backward(v)
    guess = answer.choice("wrong_line", BACKWARD)
    wrong, _ = _planted(answer.seed)
    backward = answer.value("backward")
    result = backward(**v) if callable(backward) else None
    if not isinstance(result, Mapping) or set(result) != set(BACKWARD):
        answer.stop(answer.says["names"], names=", ".join(BACKWARD))
    lines = {name: np.asarray(result[name]) for name in BACKWARD}
    if guess != wrong:  # what differs further on would give the wrong line away
        every = all(alike(lines[n], wanted) for n, wanted in measured.items() if _numeric(lines[n]))
        mended = every and all(map(_numeric, lines.values()))
        answer.stop(answer.says["mended_other" if mended else "not_there"], name=guess)
    answer.right(answer.says["found"], name=guess)
    for name, wanted in measured.items():
        own = lines[name]
        if not _numeric(own):
            answer.stop(SAYS["not_numbers"], name=f"backward: {name}", value=repr(result[name]))
        if not alike(own, wanted):
            first = f"{own.flat[0]:.6g}" if own.size else "[]"
            answer.wrong(
                answer.says["still_wrong"], name=name, found=first, wanted=f"{wanted[0]:.6g}"
            )
            _explain_line(answer, name, backward)
            return
    answer.right(answer.says["repaired"], count=len(measured))


# --- a value used twice ---------------------------------------------------------------------------
def _fork(seed: int) -> tuple[float, float]:
    random = np.random.default_rng(seed)
    return float(random.integers(2, 6)), float(random.choice([-3, -2, 2, 3]))


def _fork_facts(seed: int) -> Mapping[str, Words]:
    a, w = _fork(seed)
    b, c = a * w, a * w + a
    bar_b = c + b
    return {
        "a": f"{a:g}",
        "w": f"{w:g}",
        "b": f"{b:g}",
        "c": f"{c:g}",
        "bar_b": f"{bar_b:g}",
        "bar_a": f"{bar_b * w + b:g}",
        "bar_w": f"{bar_b * a:g}",
    }


@make_exercise(6, "value-used-twice", facts=_fork_facts)
def value_used_twice(answer: Answer) -> None:
    """Adjoints add up at a fork, and the order in which they are complete."""
    a, w = _fork(answer.seed)
    b, c = a * w, a * w + a
    at = {name: np.asarray(x) for name, x in {"a": a, "b": b, "c": c, "w": w}.items()}
    graphs: Mapping[str, tuple[Formula, tuple[str, ...]]] = {
        "c": (lambda c: b * c, ("c",)),
        "b": (lambda b: b * (b + a), ("b",)),
        "a": (lambda a, w: (a * w) * (a * w + a), ("a", "w")),
        "w": (lambda a, w: (a * w) * (a * w + a), ("a", "w")),
    }
    one_path = {"b": {c, b}, "a": {(c + b) * w, b, c * w, c * w + b}, "w": {c * a, b * a}}
    for name, (f, needs) in graphs.items():
        wanted = float(complex_step(f, {n: at[n] for n in needs}, name))
        found = answer.number(f"bar_{name}")
        if alike(np.asarray(found), np.asarray(wanted)):
            answer.right(answer.says["right"], name=name, wanted=f"{wanted:g}")
        elif found in one_path.get(name, set()):
            answer.wrong(answer.says["one_path"], name=name, found=f"{found:g}")
        else:
            answer.wrong(answer.says["differs"], name=name, found=f"{found:g}")
    order = answer.value("order")
    if not isinstance(order, list | tuple) or sorted(map(str, order)) != ["a", "b", "c"]:
        answer.stop(answer.says["no_order"], value=repr(order))
    # a value is complete once all that reads it is: c is read by L, b by c and L, a by b and c
    readers = {"c": (), "b": ("c",), "a": ("b", "c")}
    for place, name in enumerate(order):
        if early := [r for r in readers[name] if r not in order[:place]]:
            answer.wrong(answer.says["too_early"], name=name, reader=early[0])
            return
    answer.right(answer.says["order"])
