"""What the page is put together from: its frame, and folders that bring their own files.

A chapter and a part of the page are each a folder in `lesson/chapters` or `lesson/parts`, found by
its existence: a module, and beside it a template, scripts and a style that bear the folder's name.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib import resources
from types import ModuleType
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from lesson import formulas, numbers, prose
from tinygrad_lstm import notation


def folders(package: ModuleType) -> dict[str, ModuleType]:
    """The modules of a package that are folders, by name."""
    found = (module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg)
    return {name: importlib.import_module(f"{package.__name__}.{name}") for name in found}


def asset(place: str, name: str) -> str:
    """The text of a file in a module's folder, `asset("lesson.page", "base.js")`; "" if missing."""
    file = resources.files(place).joinpath(name)
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _template(path: str) -> str | None:
    """A template by its module and its file, `lesson.parts.growth/growth.html`, or the page's."""
    place, _, name = path.rpartition("/")
    return asset(place or __name__, name) or None


ENVIRONMENT = Environment(
    loader=FunctionLoader(_template),
    autoescape=lambda name: name is None or name.endswith(".html"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals |= {
    "translate_html": prose.translate_html,
    "inline": prose.inline,
    "data": prose.data,
    "packed": prose.packed,
    "equations": formulas.formula,
    "percent": numbers.percent,
    "power": numbers.power,
    "titled": numbers.titled,
    "visible": notation.visible,
}


def render(place: str, template: str = "", /, **context: Any) -> Markup:
    """A template of a module's folder filled in, `NAME.html` by the folder's name if not told.

    A module writes `render(__name__, …)`.
    """
    name = template or f"{place.rpartition('.')[2]}.html"
    return Markup(ENVIRONMENT.get_template(f"{place}/{name}").render(**context))
