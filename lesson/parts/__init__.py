"""The interactive parts of the page: each a folder, found by its existence.

`lesson/parts/NAME/` is a module with a function `markup(subject)` that returns its place in the
page, most often its template `NAME.html` filled in. `NAME.js` and `NAME.css` beside it follow the
page's own; of several scripts `SCRIPTS` names the order. Its texts are `NAME.toml` of each
language. A chapter's template says where it stands, with `{{ part("NAME") }}`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from lesson import languages
from lesson.page import asset, folders


def parts() -> dict[str, ModuleType]:
    """The module of every part by name."""
    return folders(sys.modules[__name__])


def style(*names: str) -> str:
    """The rules of the page, of every language, and of some parts."""
    own = [asset(f"{__name__}.{name}", f"{name}.css") for name in names]
    page = [asset("lesson.page", f"{name}.css") for name in ("style", "reading", "sharing")]
    return "\n".join([languages.style(), *page, *own])


def scripts(*names: str) -> list[str]:
    """The script of the page and those of some parts, in order."""
    first = ("base", "later", "address", "sharing", "network", "line", "contents", "glossary")
    found = [asset("lesson.page", f"{name}.js") for name in first]
    for name in names:
        module = importlib.import_module(f"{__name__}.{name}")
        own = getattr(module, "SCRIPTS", (name,))
        found += filter(None, (asset(module.__name__, f"{script}.js") for script in own))
    return found
