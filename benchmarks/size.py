"""Lines of code, room by room, without blanks, comments and docstrings: `make size`."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("tinygrad_lstm", "equations", "viz", "lesson")
REST = ("tests", "benchmarks", "docs")
LAYOUT = {
    getattr(tokenize, kind)
    for kind in ("COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER", "ENCODING")
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(file: Path) -> int:
    """How many lines of a Python file hold code."""
    source = file.read_text(encoding="utf-8")
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False):
            text = node.body[0]
            lines.difference_update(range(text.lineno, (text.end_lineno or 0) + 1))
    return len(lines)


def rooms(package: str) -> dict[str, list[Path]]:
    """A package's own files, then each folder in it with what is below."""
    top = ROOT / package
    found = {package: sorted(top.glob("*.py"))}
    for folder in sorted(path for path in top.iterdir() if path.is_dir()):
        files = sorted(folder.rglob("*.py"))
        if files:
            found[f"{package}/{folder.name}"] = files
    return found


def main() -> None:
    """Print the table."""
    product = 0
    for package in (*PRODUCT, *REST):
        for room, files in rooms(package).items():
            counts = [code_lines(file) for file in files]
            longest = max(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
            print(f"{room:28} {len(files):4} files {sum(counts):7,} lines; longest file {longest}")
            product += sum(counts) * (package in PRODUCT)
        if package == PRODUCT[-1]:
            print(f"{'the four packages':28} {'':10} {product:7,} lines\n")


if __name__ == "__main__":
    main()
