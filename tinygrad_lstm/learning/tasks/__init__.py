"""Tasks to learn, each found by its name: those of the papers, and data from packages.

    from tinygrad_lstm.learning import tasks
    task = tasks.find("adding", lag=100)
    learning.Training(task, cells.lstm, hidden=32).run(steps=2000, until="solved")
    tasks.all()["adding"].summary

A family of tasks is a file here: functions marked `@task(NAME)` that return a `Task`. Their keyword
arguments are the task's options; what is random in held-out data does not hang on a seed.
"""

from __future__ import annotations

from tinygrad_lstm.learning.tasks.registry import Kind, all, find

__all__ = ["Kind", "all", "find"]
