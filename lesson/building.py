"""Building the lesson: train, measure, draw, and put it into one HTML file."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from lesson import figures, languages, measurements, page, preview
from lesson.chapters import appendices, contents, following, glossary, places
from lesson.meaning import plainest, search
from lesson.models import Trained, check_suited, train
from lesson.page_models import described, joined, plan, rounded
from lesson.parts import parts, scripts, style
from lesson.prose import Texts
from lesson.stages import stages
from lesson.subject import Subject
from tinygrad_lstm.cells import gru, lstm, rnn
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.learning import Progress, Text, shakespeare
from tinygrad_lstm.step import Cell
from viz.rendering import ready

FONT = resources.files("lesson.assets").joinpath("STIXTwoMath-subset.woff2")
FIRST = 0.55  # of the time of training, about, is the first's; then others learn as many letters
Report = Callable[[str, Progress], Any]


class BuildError(TinygradError):
    """A lesson that cannot be written."""


def build(
    path: Path,
    seconds: float = 75.0,
    text: Text | None = None,
    folder: Path | None = None,
    report: Report | None = None,
    cell: Cell = lstm,
    language: str = languages.DEFAULT,
    start: Mapping[str, Any] | None = None,
    address: str | None = None,
) -> Path:
    """Write the lesson to `path`, one HTML file that needs nothing else, and return the path.

    seconds: of training in all. folder: where checkpoints and figures are kept between builds.
    report: told the cell's name and the progress of every step. cell: what the lesson is about;
    any other than the LSTM is shown beside it. language: the one in which the page opens. start:
    start values of the cell's parameters, as `cell.init` takes them. address: where on the web the
    page will stand; then a picture for previews is written beside it.
    """
    check_writable(path)
    place = preview.read_address(address, path) if address else None
    languages.check_language(language)
    check_suited(cell)
    ready()
    text = text or shakespeare()
    models: dict[Cell, Trained] = {}
    for each in trained_beside(cell):  # the others learn as many letters as the first
        tell = (lambda p, name=each.name: report(name, p)) if report else None
        if not models:
            models[each] = train(each, text, FIRST * seconds, folder, tell, start)
            steps = models[each].training.state.step
        else:
            models[each] = train(each, text, None, folder, tell, steps=steps)
    beside = {c.name: m for c, m in models.items() if c is not cell}
    draw = figures.Drawer(folder / "figures" if folder else None)
    page = render(subject(models[cell], text, beside, draw), language, place)
    try:
        path.write_text(page, encoding="utf-8")
        if place:
            preview.picture_file(path).write_bytes(preview.picture(cell))
    except OSError as error:
        raise BuildError(f"cannot write {path}: {error.strerror}.") from error
    return path


def trained_beside(cell: Cell) -> tuple[Cell, ...]:
    """The cell and those that are trained as it is, to be compared with it."""
    others = (gru, rnn) if cell is lstm else (lstm, rnn)
    return (cell, *(each for each in others if each is not cell))


def check_writable(path: Path) -> None:
    """Find out before the training whether the page can be written after it."""
    there = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
        if not there:
            path.unlink()
    except FileExistsError as error:
        raise BuildError(f"cannot write {path}: {path.parent} is not a folder.") from error
    except OSError as error:
        raise BuildError(f"cannot write {path}: {error.strerror}.") from error


def subject(
    trained: Trained, text: Text, beside: Mapping[str, Trained], draw: figures.Drawer | None = None
) -> Subject:
    """A trained model on a line that it has not seen, and the unit to be followed on it."""
    trained = carried(trained)
    beside = {name: carried(other) for name, other in beside.items()}
    model = trained.model
    held_out = text.characters[-len(trained.training.validation_ids) :]
    line = measurements.read_line(model, measurements.choose_line(held_out))
    held = search(model, held_out)
    if held:
        opening = measurements.with_speaker(held_out, line.text)
        unit = plainest(model, opening, held).unit
    else:
        shown = stages(model.cell)
        first = next((stage for stage in shown if stage.kind == "gate"), shown[0])
        unit = measurements.telling_unit(line, first.names[0])
    return Subject(trained, text, line, unit, beside, draw or figures.Drawer())


def carried(trained: Trained) -> Trained:
    """The model with the weights that the page carries: it is what the page tells of."""
    return Trained(rounded(trained.model), trained.training)


def plans(about: Subject) -> str:
    """The compiled plans of the page's models, as one script."""
    models = [one.model for one in about.models.values()]
    return joined(plan(m.readout, m.sizes) for m in models)


def render(
    about: Subject, language: str = languages.DEFAULT, address: preview.Address | None = None
) -> str:
    """The page's HTML, in every language; it opens in the one named."""
    shown, own = contents(about), parts()
    tags = sorted(languages.languages(), key=lambda tag: tag != language)
    numbers = places()
    facts = {name: fact for c in shown.values() for name, fact in c.facts.items()}
    facts |= {f"chapter_{name}": place for name, place in numbers.items()}
    made = page.render(
        "lesson.page",
        t=Texts("page", facts),
        live=Texts("live"),
        sharing=Texts("sharing", {"cell": about.cell.name}),
        languages={tag: languages.language(tag).name for tag in tags},
        locales={tag: languages.language(tag).locale or tag for tag in tags},
        address=address,
        early=page.asset("lesson.page", "early.js"),
        icon=page.asset("lesson.page", "icon.svg").strip(),
        onward=following(),
        places=numbers,
        appendices=appendices(),
        subject=about,
        css=f"{figures.colours()}\n{style(*own)}",
        scripts=[plans(about), *scripts(*own)],
        networks={name: described(one.model) for name, one in about.models.items()},
        font=base64.b64encode(FONT.read_bytes()).decode(),
        part=lambda name, *more: own[name].markup(about, *more),
        exercises=Texts("exercises"),
        listing=inspect.getsource(about.cell.step).rstrip(),
        figures={
            name: about.draw(name, figure)
            for chapter in shown.values()
            for name, figure in chapter.figures.items()
        },
        **{name: chapter.more for name, chapter in shown.items()},
    )
    return glossary.linked(str(made))
