"""`tinygrad-lstm step`: as plain text, on a screen, and in a real terminal."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lesson.commands import main
from lesson.commands.step import small_run
from lesson.terminal_stepper import View, act, help_screen, screen
from lesson.terminal_text import width_of, wrap
from tinygrad_lstm import Cell, cell, cells, matvec, tanh
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.stepper.trace import Trace, step_through
from tinygrad_lstm.tensor import Array

THREE_STATES = '''
from tinygrad_lstm import cell, concat, matvec, sigmoid, tanh

@cell(
    state="out fast slow",
    parameters={"W U": "hidden, hidden + inputs"},
    sequences={"noise": "hidden"}, constants={"rate": "hidden"},
)
def layered(now, prev, x, p, noise, rate):
    """A fast state, a slow one, and what is shown of them."""
    now.fast = tanh(matvec(p.W, concat(prev.slow, x)) + noise)
    now.slow = rate * prev.slow + (1 - rate) * now.fast
    now.out = sigmoid(matvec(p.U, concat(now.slow, x))) * prev.out + now.fast
'''


def make_view(name: str = "lstm") -> View:
    return View(step_through(small_run(cells.all()[name], 2, 0, {})[0]), name, styled=False)


def press(view: View, keys: str, answers: str = "") -> bool:
    """Press keys one after another; whether the reader is still there."""
    asked = iter(answers.split("|;|"))
    return all([act(view, key, lambda _: next(asked)) for key in keys])


# --- plain text ---------------------------------------------------------------------------------
def test_plain_text_when_output_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "lstm"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("lstm, 2 time steps, loss = ½ Σ (h_2 − target)²\n\ngiven\n  W_f = [[")
    assert "    f_1 = σ(v3)\n" in out and "    v̄3 += f̄_1" not in out
    assert "    v̄3 = f̄_1 ⊙ f_1 ⊙ (1 - f_1)\n" in out
    assert "loss = 0.5 × sum(error ⊙ error)" not in out  # the sum is an operation of its own
    count = int(re.findall(r"\[\d+/(\d+)\]", out)[-1])
    assert len(re.findall(r"^\[\d+/", out, re.MULTILINE)) == count


def test_to_and_watch_in_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "gru", "--to", "h@1", "--watch", "h", "W_z", "--plain"]) == 0
    out = capsys.readouterr().out
    assert out.rstrip().splitlines()[-3].strip().startswith("h_1 = [")
    assert re.search(r"watch h_1 = \[.*\]   h̄_1 = ·\n    watch W_z = .* W̄_z = ·\n$", out)
    assert "watch h_1 = ·   h̄_1 = ·" in out


@pytest.mark.parametrize("name", cells.all())
def test_every_cell(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    own = cells.all()[name].sizes
    sizes = [f"--{size}={n}" for size, n in (("hidden", 1), ("inputs", 2)) if size in own]
    assert main(["step", name, "--steps", "1", *sizes]) == 0
    assert "loss" in capsys.readouterr().out


def test_a_cell_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(THREE_STATES, encoding="utf-8")
    assert main(["step", f"{path}:layered", "--steps", "3", "--watch", "slow"]) == 0
    out = capsys.readouterr().out
    assert "layered, 3 time steps, loss = ½ Σ (out_3 − target)²" in out
    assert "slow_2 = " in out and "  rate = [" in out and "\n  noise_1 = [" in out
    assert all(f"{name}_3 = " in out for name in ("fast", "slow", "out"))


@cell(
    state="h",
    parameters={"U": "hidden, inputs", "V": "slots, hidden", "b v_a": "slots"},
    sequences={"goal": "slots"},
    constants={"M": "slots, hidden"},
)
def reader(now, prev, x, p, goal, M):
    """An output that is no state, a loss of its own, sizes besides inputs and hidden."""
    now.h = tanh(matvec(p.U, x) + prev.h)
    now.y = p.v_a * (matvec(p.V, now.h) + matvec(M, now.h)) + p.b
    now.cost = ((now.y - goal) * (now.y - goal)).sum()


def arrays_of(trace: Trace) -> dict[str, Array]:
    return {trace.labels[n]: n.data for n in trace.given}


def test_the_loss_is_of_the_cells_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "output", "y")
    loss, words = small_run(reader, 2, 3, {"slots": 3})
    assert words == "loss = ½ Σ (y_2 − target)²"
    found = step_through(loss)
    g = arrays_of(found)
    h = np.tanh(g["U"] @ g["x_2"] + np.tanh(g["U"] @ g["x_1"]))
    y = g["v_a"] * (g["V"] @ h + g["M"] @ h) + g["b"]
    assert loss.item() == pytest.approx(0.5 * ((y - [0.5, -0.5, 0.5]) ** 2).sum(), rel=1e-12)
    assert [e.rule for e in found if e.name == "error"] == ["error = y_2 - target"]


def test_the_loss_that_a_cell_declares_is_summed_over_the_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "loss", "cost", raising=False)
    loss, words = small_run(reader, 2, 3, {})
    assert words == "loss = Σ_t cost_t"
    found = step_through(loss)
    g, total, h = arrays_of(found), 0.0, np.zeros(2)
    for t in ("1", "2"):
        h = np.tanh(g["U"] @ g[f"x_{t}"] + h)
        y = g["v_a"] * (g["V"] @ h + g["M"] @ h) + g["b"]
        total += ((y - g[f"goal_{t}"]) ** 2).sum()
    assert loss.item() == pytest.approx(total, rel=1e-12)
    assert [e.rule for e in found if e.name == "loss"] == ["loss = cost_1 + cost_2"]


@pytest.mark.parametrize("chosen", [*cells.all().values(), reader], ids=lambda c: c.name)
def test_gradients_flow_through_every_parameter(
    chosen: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "output", "y")
    found = step_through(small_run(chosen, 3, 0, {})[0])
    for name in chosen.parameters:
        grown = found.gradient_at(found.lookup(name)[0], len(found))
        assert grown is not None and grown[1].any(), name


def test_sizes_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        """
from tinygrad_lstm import cell, matvec, tanh

@cell(state={"s": "slots"}, parameters={"W": "slots, inputs"}, constants={"rate": "slots"})
def kept(now, prev, x, p, rate):
    now.s = tanh(matvec(p.W, x)) + rate * prev.s
""",
        encoding="utf-8",
    )
    words = ["step", f"{path}:kept"]
    assert main([*words, "--size", "slots=3", "--size", "inputs=2"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^  rate = \[\S+ \S+ \S+\]$", out, re.MULTILINE)
    assert re.search(r"^  x_1 = \[\S+ \S+\]$", out, re.MULTILINE)
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--size", "slots"])
    errors = capsys.readouterr().err
    assert "argument --size: write NAME=N, such as inputs=64, not 'slots'" in errors


GREEK = """
from tinygrad_lstm import cell, matvec, sigmoid, tanh

@cell(
    state="h",
    parameters={"W1": "hidden, hidden", "U": "hidden, inputs", "mu_k nu beta": "hidden"},
)
def greek(now, prev, x, p):
    '''Names of every kind.'''
    now.gate_a = sigmoid(matvec(p.W1, prev.h) + p.mu_k)
    now.C_tilde = tanh(p.nu * matvec(p.U, x) + p.beta)
    now.h = now.gate_a * now.C_tilde
"""


def test_names_are_spelled_as_in_the_equations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "greek.py"
    path.write_text(GREEK, encoding="utf-8")
    for name in ("C_tilde@2", "C_tilde_2", "C̃_2", "mu_k", "μ_k", "C̃"):
        assert main(["step", f"{path}:greek", "--to", name, "--watch", name]) == 0
        assert "gate_{a,1} = σ(v" in capsys.readouterr().out, name
    assert main(["step", f"{path}:greek"]) == 0
    out = capsys.readouterr().out
    for line in (
        "  μ_k = [",
        "  W_1 = [[",
        "with W_1 = ",
        "    h_1 = gate_{a,1} ⊙ C̃_1\n",
        "    μ̄_k = v̄",
        "    ν̄ = ",
        "    β̄ = ",
        "    W̄_1 = v̄",
        "    C̃̄_2 = h̄_2 ⊙ gate_{a,2}\n",
        "    bar(loss) = 1\n",
        "    bar(gate)_{a,2} = h̄_2 ⊙ C̃_2\n",
    ):
        assert line in out, line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "there is no cell 'nosuch'; built in are rnn, lstm,"),
        (["lstm", "--steps", "0"], "--steps must be at least 1, got 0."),
        (["lstm", "--hidden", "0"], "cell 'lstm': hidden must be a whole number of at least 1"),
        (["lstm", "--seed", "-1"], "--seed must be at least 0, got -1."),
        (["lstm", "--digits", "0"], "digits must be 1 to 17, which is all that a number has, got"),
        (["lstm", "--digits", "400"], "digits must be 1 to 17, which is all that a number has, go"),
        (["lstm", "--size", "slots=3"], "cell 'lstm' has no size 'slots'; its sizes are hidden, i"),
        (
            ["lstm", "--steps", "99999999999"],
            "99,999,999,999 steps of cell 'lstm' have 3,699,999,999,999 numbers; a run of more "
            "than 2,000,000 is too large to walk through.\n  Take at most --steps 54053, or small",
        ),
        (
            ["lstm", "--hidden", "99999999999999999999999"],
            "cell 'lstm' with hidden=99999999999999999999999, inputs=1 has 40,000,",
        ),
        (["rnn", "--hidden", "99999"], "cell 'rnn' with hidden=99999, inputs=1 has 10,000,099,998"),
        (["lstm", "--to", "f>>2"], "cannot read the breakpoint 'f>>2'; the forms are\n  f  "),
        (["lstm", "--to", "t=9"], "no event of this run is at t=9"),
        (["lstm", "--watch", "q"], "there is no value 'q' here; there are W_f, W_i,"),
    ],
)
def test_errors(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"tinygrad-lstm step: {message}")


# --- the screen ---------------------------------------------------------------------------------
@pytest.mark.parametrize(("width", "height"), [(80, 24), (132, 50), (40, 12), (20, 5)])
def test_the_screen_fits(width: int, height: int) -> None:
    view = make_view()
    view.watches = ["W_f", "C", "h@1"]
    for index in range(len(view.trace)):
        view.index = index
        lines = screen(view, width, height)
        assert len(lines) == height
        assert max(map(width_of, lines)) <= width
    assert len(help_screen(width, height)) == height


def test_nothing_is_left_out_at_80_by_24() -> None:
    view = make_view()
    for index in range(len(view.trace)):
        view.index = index
        event = view.trace[view.index]
        shown: list[str] = []
        for _ in range(len(event.details())):
            shown += screen(view, 80, 24)
            act(view, "down", input)
        text = re.sub(r"\s+", "", "".join(shown))
        for line in (event.rule, event.value_text, *event.numbers, *event.sum_numbers):
            assert re.sub(r"\s+", "", line) in text, line
        view.scroll = 0


def test_the_screen_says_where_one_is() -> None:
    view = make_view()
    press(view, "eee")
    lines = screen(view, 80, 24)
    assert " ".join(lines[0].split()) == "lstm · forward · time step 1 · C̃_1 10 of 100"
    assert lines[3].startswith("▸ C̃_1 = tanh(W_C·[h_0, x_1] + b_C) = [")
    assert lines[4] == "  C_1 = f_1 ⊙ C_0 + i_1 ⊙ C̃_1 = ·"
    view.index = view.trace.find("|grad C_1|>0") or 0
    lines = screen(view, 80, 24)
    assert "backward · time step 1 · h_1" in lines[0]
    assert lines[1].startswith("  f_1 = σ(W_f·[h_0, x_1] + b_f)   ") and lines[1].endswith(" = ·")
    assert re.match(r"  C_1 = f_1 ⊙ C_0 \+ i_1 ⊙ C̃_1   C̄_1 = \[−0.1224 0.1983\]$", lines[4])


def test_keys_move() -> None:
    view = make_view()
    trace = view.trace
    press(view, "nn")
    assert view.index == 2
    press(view, "b")
    assert view.index == 1
    press(view, "t")
    assert trace[view.index].name == "h_1"
    press(view, "t")
    assert trace[view.index].name == "h_2"
    press(view, "T")
    assert trace[view.index].name == "h_1"
    press(view, "p")
    assert trace[view.index].direction == "backward" and trace[view.index].equation == "h_1"
    assert not press(view, "q")


def test_run_to_and_watch() -> None:
    view = make_view()
    press(view, "g", "C@2")
    assert view.trace[view.index].name == "C_2"
    press(view, "gw", "|grad W_f|>0|;|C")
    assert view.trace[view.index].name == "W̄_f" and view.trace[view.index].finished
    assert view.watches == ["C"]
    assert any(line.startswith("watch  C_1 = [") for line in screen(view, 80, 24))
    press(view, "w", "C")
    assert view.watches == []
    place = view.index
    press(view, "g", "f=")
    assert view.note.startswith("cannot read the breakpoint 'f='") and view.index == place
    press(view, "g", "t=1")
    press(view, "g", "nan")
    assert view.note == "nothing after this event is at nan; T and E go back."
    press(view, "w", "nosuch")
    assert view.note.startswith("there is no value 'nosuch' here")
    press(view, "x")
    assert view.note == "x is no key here; ? shows the keys."


def test_wrapping_keeps_every_word() -> None:
    text = "    v̄1[0] = 0.1×0.2 + (−0.3)×0.4 + 0.5×0.6 = 0.2"
    lines = wrap(text, 24)
    assert all(width_of(line) <= 24 for line in lines) and len(lines) > 1
    assert " ".join(" ".join(lines).split()) == text.strip()
    assert wrap(text, 80) == [text]


# --- a real terminal ----------------------------------------------------------------------------
@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX terminal")
class TestTerminal:
    @staticmethod
    def session(keys: list[bytes], *words: str, **environment: str) -> tuple[int, str, bool]:
        """Run the command on a terminal of 80 x 24; its exit code, output, and echo afterwards."""
        import pty
        import termios

        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        program = "import sys; from lesson.commands import main; sys.exit(main())"
        with subprocess.Popen(
            [sys.executable, "-c", program, "step", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, **environment},
            cwd=Path(__file__).parents[2],
            preexec_fn=lambda: __import__("fcntl").ioctl(0, termios.TIOCSCTTY, 0),
        ) as process:
            out = b""

            def until(mark: bytes, seconds: float = 120.0) -> None:
                nonlocal out
                start, end = len(out), time.monotonic() + seconds
                while mark not in out[start:] and time.monotonic() < end:
                    if select.select([master], [], [], 0.1)[0]:
                        out += os.read(master, 65536)
                assert mark in out[start:], out.decode()

            until(b"\x1b[J")  # the end of a screen
            for key in keys:
                os.write(master, key)
                until(b"\x1b[?1049l" if key in (b"q", b"\x03") else b"\x1b[J")
            code = process.wait(timeout=120)
        echo = bool(termios.tcgetattr(slave)[3] & termios.ECHO & 0xFFFFFFFF)
        canonical = bool(termios.tcgetattr(slave)[3] & termios.ICANON)
        os.close(master)
        os.close(slave)
        return code, out.decode(), echo and canonical

    def test_walking_and_quitting(self) -> None:
        keys = [b"n", b"\x1b[C", b"\x1b[D", b"e", b"?", b" ", b"g", b"C", b"@", b"2", b"\r", b"q"]
        code, out, restored = self.session(keys, "lstm", "--watch", "C")
        assert (code, restored) == (0, True)
        assert "2 of 100" in out and "3 of 100" in out
        assert "|grad|<1e-3" in out  # the help
        last = out.split("\x1b[H")[-1]
        assert "lstm · forward · time step 2 · C_2" in last and "watch  C_2 = [" in last
        assert "\x1b[7m" in out
        assert out.endswith("\x1b[?25h\x1b[?1049l")

    def test_interrupting_restores_the_terminal(self) -> None:
        code, out, restored = self.session([b"n", b"\x03"], "rnn")
        assert (code, restored) == (130, True)
        assert "Traceback" not in out

    def test_no_color_is_honoured(self) -> None:
        _, out, _ = self.session([b"q"], "rnn", "--to", "loss", NO_COLOR="1")
        assert "\x1b[7m" not in out and "\x1b[1m" not in out
        assert "rnn · forward · loss" in out


def test_the_small_run_has_round_numbers() -> None:
    trace = step_through(small_run(find("lstm"), 2, 0, {})[0])
    for node in trace.given:
        assert (node.data == node.data.round(2)).all()
