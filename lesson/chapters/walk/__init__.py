"""The stepper, which is a part of the page."""

ORDER = 80
