"""English sentences that know how they were made, so that they can be said in another language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Said(str):
    """A text made of a template and its fields: `Said("{left} is {right}", left="h", right="c")`.

    It is the English text. `translated(words)` is the same in the language of a catalogue, which
    maps templates to templates; what is not in it stays as it is. Fields may be Said themselves.
    """

    template: str
    fields: Mapping[str, str]

    def __new__(cls, template: str, **fields: str) -> Said:
        """The template with its fields filled in."""
        made = super().__new__(cls, template.format(**fields) if fields else template)
        made.template, made.fields = template, fields
        return made

    def translated(self, words: Mapping[str, str]) -> str:
        """The text in the language of a catalogue of templates."""
        template = words.get(self.template, self.template)
        if not self.fields:
            return template
        return template.format(**{k: translated(v, words) for k, v in self.fields.items()})

    def templates(self) -> set[str]:
        """Every template that it is made of."""
        inner = [v.templates() for v in self.fields.values() if isinstance(v, Said)]
        return {self.template}.union(*inner)


def translated(text: str, words: Mapping[str, str]) -> str:
    """A text in the language of a catalogue; a plain string is a name, the same in all."""
    return text.translated(words) if isinstance(text, Said) else text


def joined(texts: Iterable[str], template: str = "{first} {rest}") -> str:
    """Several texts as one, joined two by two from the right."""
    several = list(texts)
    whole = several.pop() if several else ""
    while several:
        whole = Said(template, first=several.pop(), rest=whole)
    return whole
