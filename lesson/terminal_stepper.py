"""The stepper in a terminal: one screen an event, single keys to move."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lesson.terminal_keys import END, RESIZED, keys
from lesson.terminal_text import columns, cut, width_of, wrap
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.stepper.breakpoints import FORMS
from tinygrad_lstm.stepper.trace import Event, Trace

HELP = f"""\
n →  next operation            b ←  back one operation
e    to the end of this or     E    back to the end of the
     the next equation              equation before
t    the same by time step     T    back by time step
p    the other pass, at the same operation
g    run on to a breakpoint    w    watch a value; again: stop watching
↑ ↓  scroll long numbers       ?    this help               q    quit

f̄ is the gradient of the loss in f; · is not computed yet; += adds to a
gradient that has terms from elsewhere already.

A breakpoint is one of
{FORMS}"""
KEYS = "n next  b back  e/E equation  t/T time  p pass  g go to  w watch  ? help  q quit"
_BOLD, _REVERSE, _DIM, _OFF = "\x1b[1m", "\x1b[7m", "\x1b[2m", "\x1b[0m"


@dataclass
class View:
    """What is looked at: a place in a trace, the names watched, a note for the reader."""

    trace: Trace
    title: str
    index: int = 0
    watches: list[str] = field(default_factory=list)
    note: str = ""
    scroll: int = 0
    styled: bool = True


def screen(view: View, width: int, height: int) -> list[str]:
    """The lines of one screen, none longer than `width`, `height` in all."""
    trace, event = view.trace, view.trace[view.index]
    state = trace.state_at(view.index)
    style = (lambda code, text: f"{code}{text}{_OFF}") if view.styled else (lambda _, text: text)

    when = "" if event.time is None else f" · time step {event.time}"
    left = f" {view.title} · {event.direction}{when} · {event.equation}"
    right = f"{view.index + 1} of {len(trace)} "
    left = cut(left, width - len(right) - 1)
    top = [style(_REVERSE, left + " " * (width - width_of(left) - len(right)) + right)]
    current = trace.labels.owner(event.node)
    listed = [n for n in trace.named if trace.labels.time(n) == event.time]
    room = max(min(len(listed), height - 16), 1)
    here = next(k for k, node in enumerate(listed) if node is current)
    start = min(max(here - room // 2, 0), len(listed) - room)
    for node in listed[start : start + room]:
        text = state.equation(node)
        if event.direction == "backward":
            text = text.rpartition(" = ")[0] + f"   {state.adjoint(node)}"
        marked = node is current
        line = cut(f"{'▸' if marked else ' '} {text}", width)
        top.append(style(_BOLD, line) if marked else line)
    top.append(style(_DIM, "─" * width))

    bottom = [style(_DIM, "─" * width)]
    for name in view.watches:
        bottom += wrap(f"watch  {state.watch(name)}", width, " " * 7)
    del bottom[1 + max(height // 5, 1) :]
    bottom.append(cut(view.note, width) if view.note else style(_DIM, cut(KEYS, width)))

    upper = [*wrap(event.sentence, width)]
    upper += [style(_BOLD, line) for line in wrap(f"  {event.rule}", width, " " * 6)]
    lower = [style(_BOLD, line) for line in wrap(f"  {event.value_text}", width, " " * 6)]
    body = [f"    {line}" for line in _body(event, width - 4)]
    space = max(height - len(top) - len(bottom) - len(upper) - len(lower), 1)
    if len(body) > space:
        view.scroll = min(max(view.scroll, 0), len(body) - space + 1)
        more = len(body) - view.scroll - space + 1
        shown = body[view.scroll : view.scroll + space - 1]
        body = [*shown, style(_DIM, f"    ↑ ↓  {more} more lines" if more else "    ↑ ↓  the end")]
    middle = [*upper, *body, *lower]
    blank = height - len(top) - len(middle) - len(bottom)
    return [*top, *middle, *[""] * blank, *bottom][:height]


def _body(event: Event, width: int) -> list[str]:
    """An event's details, with the lines of entries set in columns."""
    lines: list[str] = []
    entries = {*event.numbers, *event.sum_numbers}
    group: list[str] = []
    for line in event.details():
        if line in entries:
            group.append(line)
            continue
        lines += [*columns(group, width), *wrap(line, width)]
        group = []
    return lines + columns(group, width)


def help_screen(width: int, height: int) -> list[str]:
    """The keys and the forms of breakpoints."""
    lines = [cut(line, width) for line in HELP.splitlines()][: height - 1]
    return [*lines, *[""] * (height - 1 - len(lines)), cut("any key goes back", width)]


def act(view: View, key: str, ask: Callable[[str], str]) -> bool:
    """Do what a key asks for; False when that is to quit. `ask` reads a line from the reader."""
    trace, before = view.trace, view.index
    view.note = ""
    if key in ("q", END):
        return False
    if key in ("n", "right", " ", "enter"):
        view.index = trace.next(view.index)
    elif key in ("b", "left"):
        view.index = trace.back(view.index)
    elif key in ("e", "t"):
        view.index = trace.next(view.index, "equation" if key == "e" else "time")
    elif key in ("E", "T"):
        view.index = trace.back(view.index, "equation" if key == "E" else "time")
    elif key == "p":
        view.index = trace.across(view.index)
    elif key in ("up", "down"):
        view.scroll += 1 if key == "down" else -1
    elif key == "g":
        go(view, ask("run to (a name, C@1, t=2, |grad|<1e-3, |C|>2, nan): "))
    elif key == "w":
        watch(view, ask("watch (a name such as C, C@1, W_f): "))
    elif key not in ("escape", RESIZED, ""):
        view.note = f"{key} is no key here; ? shows the keys."
    if view.index != before:
        view.scroll = 0
    elif key in ("n", "right", "e", "t"):
        view.note = "This is the end of the trace; b goes back, q quits."
    return True


def go(view: View, condition: str) -> None:
    """Run on to a breakpoint; a note says why, if that is not possible."""
    if not condition.strip():
        return
    try:
        found = view.trace.find(condition, view.index)
    except TinygradError as error:
        view.note = str(error).splitlines()[0].replace("; the forms are", "; ? shows the forms.")
        return
    if found is None:
        view.note = f"nothing after this event is at {condition.strip()}; T and E go back."
    else:
        view.index = found


def watch(view: View, name: str) -> None:
    """Watch a name, or stop watching it."""
    name = name.strip()
    if not name:
        return
    if name in view.watches:
        view.watches.remove(name)
        return
    try:
        view.trace.lookup(name)
    except TinygradError as error:
        view.note = str(error)
        return
    view.watches.append(name)


def walk(view: View) -> None:
    """Show a trace and move about in it until the reader quits. Needs a terminal."""
    view.styled = not os.environ.get("NO_COLOR")
    with keys() as read:

        def draw(lines: Sequence[str]) -> None:
            sys.stdout.write("\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")
            sys.stdout.flush()

        def ask(question: str) -> str:
            answer = ""
            while True:
                width, height = shutil.get_terminal_size()
                lines = screen(view, width, height)
                tail = answer[-max(width - len(question) - 2, 8) :]
                draw([*lines[:-1], cut(f"{question}{tail}_", width)])
                key = read()
                if key == "enter":
                    return answer
                if key in ("escape", END):
                    return ""
                answer = answer[:-1] if key == "backspace" else answer + key * (len(key) == 1)

        while True:
            width, height = shutil.get_terminal_size()
            draw(screen(view, width, height))
            key = read()
            if key == "?":
                draw(help_screen(width, height))
                if read() == END:
                    return
            elif not act(view, key, ask):
                return
