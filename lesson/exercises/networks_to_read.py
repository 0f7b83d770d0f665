"""Exercises on networks as they run: read a heat map, find out why a network forgets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lesson.exercises.tasks import Answer, make_exercise
from lesson.exercises.words import Words
from tinygrad_lstm import cells
from tinygrad_lstm.running import Run, unroll
from tinygrad_lstm.tensor import Array

# --- a heat map -----------------------------------------------------------------------------------
_WORDS = ("if", "so", "we", "go", "on", "and", "the", "old", "cat", "ran", "up", "to", "us", "sea")
_SIGNS = "()# "  # the kinds of sign that a unit tells apart; letters are the fifth
UNITS = ("between", "counter", "latch", "letters")


def _line_of_text(random: np.random.Generator) -> str:
    """Eight words, of which some stand in brackets, and one number sign."""
    words = [str(w) for w in random.choice(_WORDS, 8)]
    first, second = int(random.integers(0, 2)), int(random.integers(4, 6))
    for start in (first, second):
        words[start] = f"({words[start]}"
        words[start + 1] += ")"
    place = int(random.integers(2, 4))
    words[place] += "#"
    return " ".join(words)


def _kinds(line: str) -> Array:
    """One-hot rows: which kind of sign each character is."""
    index = [_SIGNS.find(sign) if sign in _SIGNS else len(_SIGNS) for sign in line]
    return np.eye(len(_SIGNS) + 1)[index]


def reader(seed: int) -> tuple[str, list[str], Run]:
    """A line of text, what each unit of an LSTM is for, and the LSTM's run over the line.

    Its weights are set by hand: gates look at the sign that is read, and are open or shut.
    """
    random = np.random.default_rng(seed)
    line, order = _line_of_text(random), [str(u) for u in random.permutation(UNITS)]
    opens: Mapping[str, Mapping[str, str]] = {
        "between": {"i": "(", "forgets": ")"},
        "counter": {"i": "a", "forgets": " "},
        "latch": {"i": "#", "forgets": ""},
        "letters": {"i": "a", "forgets": "()# a"},
    }
    kinds, n = "()# a", len(UNITS)
    W = {gate: np.zeros((n, n + len(kinds))) for gate in ("f", "i", "C", "o")}
    b = {"f": np.full(n, 9.0), "i": np.full(n, -9.0), "C": np.zeros(n), "o": np.full(n, 9.0)}
    for unit, purpose in enumerate(order):
        for kind, sign in enumerate(kinds):
            W["i"][unit, n + kind] = 18.0 * (sign in opens[purpose]["i"])
            W["f"][unit, n + kind] = -18.0 * (sign in opens[purpose]["forgets"])
        b["C"][unit] = np.arctanh(0.2) if purpose == "counter" else 3.0
    p = {f"W_{gate}": W[gate] for gate in W} | {f"b_{gate}": b[gate] for gate in b}
    return line, order, unroll(cells.lstm, p, _kinds(line))


def _heat_map(seed: int) -> str:
    line, _, run = reader(seed)
    rows = [f"#         {line}"]
    for unit, values in enumerate(run["C"].numpy().T):
        digits = "".join("." if v < 0.05 else str(min(9, round(10 * v))) for v in values)
        rows.append(f"# unit {unit}  {digits}")
    return (
        "# {{map}}\n#\n" + "\n".join(rows) + "\n\n"
        "# {{between}}\nbetween = ...\n\n# {{counter}}\ncounter = ...\n\n"
        "# {{latch}}\nlatch = ...\n\n# {{when}}\nwritten_at = ...\n"
    )


def _map_facts(seed: int) -> Mapping[str, Words]:
    line, order, _ = reader(seed)
    units = {f"unit_{purpose}": str(unit) for unit, purpose in enumerate(order)}
    return {**units, "place": str(line.index("#"))}


def _expected(line: str) -> dict[str, Array]:
    """What a unit of each purpose would hold after each character."""
    inside, count, seen = 0.0, 0.0, 0.0
    found: dict[str, list[float]] = {"between": [], "counter": [], "latch": []}
    for sign in line:
        inside = 1.0 if sign == "(" else 0.0 if sign == ")" else inside
        count = 0.0 if sign == " " else count + 0.2 * (sign not in _SIGNS)
        seen = 1.0 if sign == "#" else seen
        for name, value in zip(found, (inside, count, seen), strict=True):
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


@make_exercise(4, "heat-map", _heat_map, _map_facts)
def heat_map(answer: Answer) -> None:
    """Units are known by what they hold along a line, and a gate by when it is open."""
    line, _, run = reader(answer.seed)
    C = run["C"].numpy()
    for name, wanted in _expected(line).items():
        unit = answer.choice(name, range(len(UNITS)))
        apart = np.abs(C[:, unit] - wanted) > 0.1
        if not apart.any():
            answer.right(answer.says[f"is_{name}"], unit=unit)
            continue
        place = int(np.argmax(apart))
        answer.wrong(
            answer.says[f"not_{name}"],
            unit=unit,
            place=place,
            sign=repr(line[place]),
            value=f"{C[place, unit]:.2f}",
        )
    place = answer.whole("written_at")
    i = run["i"].numpy()
    unit = int(np.argmin([np.abs(C[:, k] - _expected(line)["latch"]).max() for k in range(4)]))
    if 0 <= place < len(line) and i[place, unit] > 0.5:
        answer.right(answer.says["is_open"], place=place, value=f"{i[place, unit]:.2f}")
    elif 0 <= place < len(line):
        answer.wrong(
            answer.says["not_open"],
            place=place,
            sign=repr(line[place]),
            value=f"{i[place, unit]:.4f}",
        )
    else:
        answer.wrong(answer.says["no_place"], place=place, last=len(line) - 1)


# --- why does this network forget? ----------------------------------------------------------------
LENGTH = 30
_HEALTHY = {"b_f": 6.0, "b_i": -5.0, "b_o": 4.0}
_ILL = {"f": ("b_f", 1.5), "i": ("b_i", 1.0), "o": ("b_o", -4.5)}
_DIFFERENCE, _SHARE = 0.5, 0.95
CLOSE = 0.01  # of the share that is left: gates are printed with six decimals


def ill_gate(seed: int) -> str:
    """Which gate of the network is set wrong."""
    return str(np.random.default_rng(seed).choice(list(_ILL)))


def forgetful(seed: int, **fills: float) -> dict[str, Array]:
    """Parameters of an LSTM with one unit that should keep the first bit, and does not.

    Its inputs are a bit, 1 or -1, and a mark, 1 at the first step only. `fills` exchanges a bias.
    """
    gate = ill_gate(seed)
    biases = {**_HEALTHY, _ILL[gate][0]: _ILL[gate][1], "b_C": 0.0, **fills}
    slope = float(np.random.default_rng(seed + 1).uniform(1.5, 2.5))
    weights = {
        "W_f": [[0.0, 0.0, 0.0]],
        "W_i": [[0.0, 0.0, 10.0]],
        "W_C": [[0.0, slope, 0.0]],
        "W_o": [[0.0, 0.0, 0.0]],
    }
    p = {name: np.array(value) for name, value in weights.items()}
    return p | {name: np.array([value]) for name, value in biases.items()}


def bits(seed: int, count: int | None = None, length: int = LENGTH) -> Array:
    """Random sequences of bits, (length, count, 2), the first step marked; one if no count."""
    random = np.random.default_rng(seed)
    xs = np.zeros((length, count or 1, 2))
    xs[..., 0] = random.choice([-1.0, 1.0], xs.shape[:2])
    xs[0, :, 1] = 1.0
    return xs if count else xs[:, 0]


def memory(p: Mapping[str, Array], seed: int) -> tuple[float, float]:
    """How much the first bit moves the last h, and how often the sign of that h is the bit."""
    xs = bits(seed, 200)
    first = xs[0, :, 0].copy()
    last = unroll(cells.lstm, p, xs).final["h"].numpy()[:, 0]
    xs[0, :, 0] *= -1
    other = unroll(cells.lstm, p, xs).final["h"].numpy()[:, 0]
    return float(np.mean(np.abs(last - other))), float(np.mean(np.sign(last) == first))


def _forget_facts(seed: int) -> Mapping[str, Words]:
    gate = ill_gate(seed)
    name, ill = _ILL[gate]
    return {
        "gate": f'"{gate}"',
        "ill": f"{ill:g}",
        "why": why_it_forgets.words[f"why_{gate}"],
        "last": str(LENGTH - 1),
        "solution": f'{{"{name}": {_HEALTHY[name]:g}}}',
        "kept": f"{_kept(seed):.6g}",
        "file": f"exercise-{why_it_forgets.place}-{why_it_forgets.name}.py",
    }


def _kept(seed: int) -> float:
    """∂C at the last step / ∂C at the first: by backward through the run."""
    run = unroll(cells.lstm, cells.lstm.bind(forgetful(seed)), bits(seed))
    run.final["C"].sum().backward()
    gradient = run.steps[0]["C"].grad
    return float(gradient.item()) if gradient is not None else 0.0


@make_exercise(5, "why-it-forgets", facts=_forget_facts)
def why_it_forgets(answer: Answer) -> None:
    """The gate that is set wrong, what is left of the first bit, and a bias that mends it."""
    gate, seed = ill_gate(answer.seed), answer.seed
    guess = answer.choice("gate", _ILL)
    v = unroll(cells.lstm, forgetful(seed), bits(seed))
    mean = f"{np.mean(v[guess].numpy()[1:]):.3f}"
    (answer.right if guess == gate else answer.wrong)(
        answer.says[f"is_{guess}" if guess == gate else f"not_{guess}"], mean=mean
    )
    kept, found = _kept(seed), answer.number("kept")
    if abs(found - kept) <= CLOSE * kept:
        answer.right(answer.says["kept"], kept=f"{kept:.4g}")
    else:
        f = float(v["f"].numpy()[1, 0])
        key = "one_step" if abs(found - f) <= 0.01 * f else "not_kept"
        answer.wrong(answer.says[key], found=f"{found:.4g}", f=f"{f:.4f}", steps=LENGTH - 1)
    repair = answer.value("repair")
    biases = [name for name, _ in _ILL.values()]
    if not isinstance(repair, dict) or len(repair) != 1 or next(iter(repair)) not in biases:
        answer.stop(answer.says["no_repair"], value=repr(repair))
    ((name, value),) = repair.items()
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e3:
        answer.stop(answer.says["no_repair"], value=repr(repair))
    was, now = memory(forgetful(seed), 1), memory(forgetful(seed, **{name: float(value)}), 1)
    enough = now[0] >= _DIFFERENCE and now[1] >= _SHARE
    (answer.right if enough else answer.wrong)(
        answer.says["mended" if enough else "still_ill"],
        repair=repr(repair),
        was=f"{was[0]:.3f}",
        now=f"{now[0]:.3f}",
        share=f"{now[1]:.0%}",
        share_was=f"{was[1]:.0%}",
        wanted=f"{_DIFFERENCE:g}",
        wanted_share=f"{_SHARE:.0%}",
    )
