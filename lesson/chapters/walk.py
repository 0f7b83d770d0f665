"""The stepper, which is a part of the page."""

from __future__ import annotations

from lesson.chapters import Content
from lesson.subject import Subject


def content(subject: Subject) -> Content:
    """Nothing besides the part."""
    return Content()
