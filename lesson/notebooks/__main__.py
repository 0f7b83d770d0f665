"""`python -m lesson.notebooks`: run every notebook again and store what it shows."""

from lesson.notebooks import executed, paths, text

for path in paths():
    print(path.name, flush=True)
    path.write_text(text(executed(path)), encoding="utf-8")
