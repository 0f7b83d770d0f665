"""What the engine says of a cell that does not run, in the student's language."""

from __future__ import annotations

import re

from lesson.exercises.words import say, table

# the key of the text in `exercises.toml`, and the engine's message with the parts that fill it
_PLACE = r"in cell '(?P<cell>\w+)', .*? line (?P<place>\d+): (?P<line>.*)\n  "
_CELL = r"cell '(?P<cell>\w+)'"
_MESSAGES = {
    "shapes": _PLACE + r"(?P<op>\w+)\b.*?got shapes (?P<shapes>.*?)(?:: .*)?(?:\n|$)",
    "line": _PLACE + r"(?P<error>.*)",
    "early": _CELL + r": now\.(?P<name>\w+) is read before .*?so far: (?P<known>.*)\.\n",
    "parameter": _CELL + r" has no parameter '(?P<name>\w+)'; it declares (?P<known>.*)\.",
    "state": _CELL + r": '(?P<name>\w+)' is not a state.*the states are (?P<known>.*)\.\n",
    "twice": _CELL + r": equation (?P<name>\w+) is written twice",
    "unwritten": _CELL
    + r": the state (?P<name>\w+) is never written; .* defines (?P<known>.*)\.\n",
}


def told(message: str, language: str) -> str:
    """A message of the engine's in a language; as it is, where it is none of the common ones."""
    words = table("engine")
    for key, pattern in _MESSAGES.items():
        if found := re.match(pattern, message):
            parts = found.groupdict()
            if undefined := re.match(r"NameError: name '(\w+)' is", parts.get("error") or ""):
                parts["error"] = say(words["undefined"], language, name=undefined[1])
            return say(words[key], language, **parts)
    return message
