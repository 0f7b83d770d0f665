"""Exercises with automatic checks: a student edits a file, the project's own readings check it.

An exercise is an `Exercise`; its check is given an `Answer`, the student's file once run. What
checks are made of: `same_cell` compares cells by number, `gradients_hold` a cell's
gradients with the complex step, `slope` says whether a value reads another, `complex_step`
measures a derivative. A teacher's file defines exercises with nothing but these names.
"""

from lesson.exercises.comparisons import alike, complex_step, gradients_hold, same_cell, slope
from lesson.exercises.tasks import Answer, Exercise, ExerciseError, Finding, Grade, Verdict, checked

__all__ = [
    "Answer",
    "Exercise",
    "ExerciseError",
    "Finding",
    "Grade",
    "Verdict",
    "alike",
    "checked",
    "complex_step",
    "gradients_hold",
    "same_cell",
    "slope",
]
