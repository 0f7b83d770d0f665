"""What a type checker, and so an editor, knows of the engine's public names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_lstm

SEEN = {
    "sigmoid(x)": "tinygrad_lstm.tensor.Tensor",
    "1 + x * 2": "tinygrad_lstm.tensor.Tensor",
    "concat(x, x[0])": "tinygrad_lstm.tensor.Tensor",
    "x.sum(axis=0)": "tinygrad_lstm.tensor.Tensor",
    "softmax(x)": "tinygrad_lstm.tensor.Tensor",
    "silu(x)": "tinygrad_lstm.tensor.Tensor",
    "stack([x, x])": "tinygrad_lstm.tensor.Tensor",
    "stack([cells.lstm, cells.gru])": "tinygrad_lstm.networks.Stack",
    "unroll(cells.lstm, p, xs)": "tinygrad_lstm.running.Run",
    "network.init()": "tinygrad_lstm.parameters.Parameters",
    "network.program()": "tinygrad_lstm.program.Program",
    "p.W_f": "tinygrad_lstm.tensor.Tensor",
}
HEAD = """
from tinygrad_lstm import Array, Network, Parameters, Tensor, TensorLike, cells, unroll
from tinygrad_lstm import concat, sigmoid, silu, softmax, stack

def use(x: Tensor, xs: Array, network: Network, p: Parameters, like: TensorLike) -> None:
    sigmoid(like)
    use(x, xs, cells.lstm, p, x)
    use(x, xs, stack([cells.lstm]), p, 1.0)
"""


@pytest.mark.timeout(600)
def test_a_type_checker_knows_names_and_types(tmp_path: Path) -> None:
    file = tmp_path / "use.py"
    lines = "".join(f"    reveal_type({expression})\n" for expression in SEEN)
    wrong = "    sigmoid(x, x)\n    from tinygrad_lstm import no_such_name\n"
    file.write_text(HEAD + lines + wrong, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(file)],
        cwd=Path(tinygrad_lstm.__file__).parents[1],
        capture_output=True,
        encoding="utf-8",
    )
    found = re.findall(r'Revealed type is "(?:def )?(.*)"', done.stdout)
    assert dict(zip(SEEN, found, strict=True)) == SEEN, done.stdout + done.stderr
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 2, done.stdout
    assert "Too many arguments" in errors[0] and "no_such_name" in errors[1]
