"""Files of weights."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from tinygrad_lstm import (
    __version__,
    bidirectional,
    cell,
    cells,
    errors,
    matvec,
    stack,
    tanh,
    unroll,
    weights,
)
from tinygrad_lstm.networks import Backward

RANDOM = np.random.default_rng(21)
XS = RANDOM.normal(size=(5, 2, 3))


def filled(network: Any, dtype: Any = np.float64) -> Any:
    p = network.init(inputs=3, hidden=2, dtype=dtype)
    return p.replace({n: RANDOM.normal(size=t.shape).astype(dtype) for n, t in p.items()})


def message(case: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(errors.TinygradError) as said:
        case()
    assert isinstance(said.value, kind)
    return str(said.value)


def same(found: Any, expected: Any) -> None:
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name].data, expected[name].data)
        assert found[name].dtype == expected[name].dtype


@cell(state="h", parameters={"W": "hidden, hidden", "U": "hidden, inputs"})
def mine(now: Any, prev: Any, x: Any, p: Any) -> None:
    """A cell of the user's."""
    now.h = tanh(matvec(p.W, prev.h) + matvec(p.U, x))


def another_mine() -> Any:
    @cell(state="h", parameters={"W": "hidden, hidden", "U": "hidden, inputs"})
    def mine(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = tanh(matvec(p.W, prev.h) - matvec(p.U, x))

    return mine


@pytest.mark.parametrize(
    "network",
    [
        cells.lstm,
        bidirectional(cells.gru),
        Backward(cells.rnn),
        stack([bidirectional(stack([cells.rnn, mine]), cells.lstm), Backward(mine)]),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_file_gives_back_what_was_saved(network: Any, dtype: Any, tmp_path: Path) -> None:
    file, p = tmp_path / "weights.safetensors", filled(network, dtype)
    weights.save(file, network, p)
    again, q = weights.load(str(file), cells={"mine": mine})
    assert str(again) == str(network)
    same(q, {n: p[n] for n in q})
    assert set(q) == set(p)
    np.testing.assert_array_equal(unroll(again, q, XS)["h"].data, unroll(network, p, XS)["h"].data)
    assert [f.name for f in tmp_path.iterdir()] == ["weights.safetensors"]


def test_the_metadata_say_what_the_file_is_for(tmp_path: Path) -> None:
    file, network = tmp_path / "a", stack([bidirectional(cells.rnn), cells.rnn])
    weights.save(file, network, filled(network))
    with safe_open(file, framework="numpy") as opened:
        found = opened.metadata()
    assert sorted(found) == ["equations", "format", "network", "sizes", "version"]
    assert found["format"] == "tinygrad-lstm weights 1"
    assert json.loads(found["network"]) == {"stack": [{"bidirectional": ["rnn", "rnn"]}, "rnn"]}
    assert json.loads(found["sizes"]) == {
        "1.forward.": {"hidden": 2, "inputs": 3},
        "1.backward.": {"hidden": 2, "inputs": 3},
        "2.": {"hidden": 2, "inputs": 4},
    }
    assert json.loads(found["equations"]) == {"rnn": ["h = tanh(W · [h_{t-1}, x_t] + b)"]}


def written(path: Path, tensors: dict[str, Any], **changes: Any) -> Path:
    """A file of an rnn with hidden=2, inputs=3, with some of its metadata and tensors changed."""
    from safetensors.numpy import save_file

    metadata = {
        "format": "tinygrad-lstm weights 1",
        "version": "0.1.0",
        "network": '"rnn"',
        "sizes": '{"": {"hidden": 2, "inputs": 3}}',
        "equations": json.dumps({"rnn": ["h = tanh(W · [h_{t-1}, x_t] + b)"]}),
    }
    save_file(tensors, path, {**metadata, **changes})
    return path


RNN = {"W": np.ones((2, 5)), "b": np.ones(2)}


@pytest.mark.parametrize(
    ("tensors", "changes", "kind", "expected"),
    [
        (
            {**RNN, "W": np.ones((2, 6))},
            {},
            errors.ShapeError,
            "cell 'rnn': the arrays give inputs=4, not 3.",
        ),
        (
            {**RNN, "b": np.ones((2, 1))},
            {},
            errors.ShapeError,
            "cell 'rnn': b is (hidden), which has 1 axis, but the array given has shape (2, 1).",
        ),
        ({"W": RNN["W"]}, {}, KeyError, "cell 'rnn': b is missing; the parameters are W, b."),
        (
            {**RNN, "c": np.ones(2)},
            {},
            KeyError,
            "cell 'rnn': no parameter is called c; the parameters are W, b.",
        ),
        (
            RNN,
            {"sizes": '{"": {"hidden": "a"}}'},
            errors.ShapeError,
            "cell 'rnn': the arrays give hidden=2, not a.",
        ),
        (
            RNN,
            {"network": '"keeper"'},
            KeyError,
            "there is no cell 'keeper' here.\n  If it is your own, pass it: load(path, "
            "cells={'keeper': keeper}).",
        ),
    ],
)
def test_a_file_that_does_not_fit(
    tensors: Any, changes: Any, kind: type[Exception], expected: str, tmp_path: Path
) -> None:
    file = written(tmp_path / "a", tensors, **changes)
    assert message(lambda: weights.load(file), kind) == f"weights file {file}: {expected}"


def test_a_tensor_that_does_not_fit_is_named_with_its_part(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    file, network = tmp_path / "a", stack([cells.rnn, cells.rnn])
    weights.save(file, network, filled(network))
    with safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
    save_file({**load_file(file), "2.b": np.ones(3)}, file, metadata)
    assert message(lambda: weights.load(file), errors.ShapeError) == (
        f"weights file {file}: part 2, cell 'rnn': b is (hidden) = (2,), hidden=2 by W, inputs=2 "
        "by W, but the array given has shape (3,)."
    )


def test_a_cell_with_other_equations(tmp_path: Path) -> None:
    file = tmp_path / "a"
    weights.save(file, mine, filled(mine))
    assert message(
        lambda: weights.load(file, cells={"mine": another_mine()}), weights.WeightsError
    ) == (
        f"weights file {file} is of cell 'mine' with other equations; it had\n"
        "    h = tanh(W · h_{t-1} + U · x_t)\n"
        "  Pass the cell as it was: load(path, cells={name: cell})."
    )
    network = stack([mine, another_mine()])
    assert message(
        lambda: weights.save(file, network, network.init(inputs=2, hidden=2)), weights.WeightsError
    ) == (f"weights file {file}: two different cells are called mine.")


DAMAGED = "is not a safetensors file of this package, or only a part of one.\n  Restore it from a"
DAMAGED += " copy, or save the weights again."


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "{"},
        {"network": "3"},
        {"network": '{"tower": ["rnn"]}'},
        {"sizes": "{}"},
        {"network": '{"stack": 3}'},
        {"equations": "[]"},
        {"network": "[" * 100_000},
        {"network": '{"bidirectional": ["rnn", "rnn", "rnn"]}'},
        {"network": "{}"},
    ],
)
def test_metadata_that_make_no_sense(changes: Any, tmp_path: Path) -> None:
    file = written(tmp_path / "a", RNN, **changes)
    assert message(lambda: weights.load(file), weights.WeightsError) == (
        f"weights file {file} {DAMAGED}"
    )


def test_truncated_and_foreign_files(tmp_path: Path) -> None:
    file = tmp_path / "a"
    weights.save(file, cells.rnn, filled(cells.rnn))
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        assert message(lambda: weights.load(file), weights.WeightsError) == (
            f"weights file {file} {DAMAGED}"
        )
    from safetensors.numpy import save_file

    save_file(RNN, file)
    assert message(lambda: weights.load(file), weights.WeightsError) == (
        f"weights file {file} does not say which network it is for: weights.save did not write "
        "it.\n  Read its arrays with safetensors.numpy.load_file(path) and give them to "
        "network.bind."
    )
    for prefix, more in {"": "", "encoder.rnn.": " with prefix='encoder.rnn'"}.items():
        names = {f"{prefix}{kind}_l0": np.ones(2) for kind in ("weight_ih", "weight_hh")}
        save_file({**names, "other": np.ones(2)}, file)
        assert message(lambda: weights.load(file), weights.WeightsError).endswith(
            "\n  Read its arrays with safetensors.numpy.load_file(path) and give them to "
            f"weights.from_pytorch{more}."
        )
    written(file, RNN, format="tinygrad-lstm weights 2")
    assert message(lambda: weights.load(file), weights.WeightsError) == (
        f"weights file {file} has the format 'tinygrad-lstm weights 2', and this version, "
        f"{__version__}, reads 'tinygrad-lstm weights 1'.\n  Use a newer version."
    )


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("a.pt", "of PyTorch, give the state_dict, torch.load(path), to weights.from_pytorch."),
        ("a.pth", "of PyTorch, give the state_dict, torch.load(path), to weights.from_pytorch."),
        ("a.keras", "of Keras, give the weights of each layer to weights.from_keras."),
        ("a.onnx", "of ONNX, give the node and its arrays to weights.from_onnx."),
        ("a.npz", "a checkpoint of a training, read it by learning.load(path, cell)."),
    ],
)
def test_files_of_others(name: str, fix: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 and so on")
    said = message(lambda: weights.load(tmp_path / name), weights.WeightsError)
    assert said.splitlines()[1] == f"  If it is {fix}"


def test_numbers_that_a_file_does_not_have(tmp_path: Path) -> None:
    file, p = tmp_path / "a", filled(cells.rnn)
    for dtype in (complex, np.longdouble):
        other = {n: t.data.astype(dtype) for n, t in p.items()}
        assert message(lambda p=other: weights.save(file, cells.rnn, p), errors.DTypeError) == (  # type: ignore[misc]
            f"weights file {file}: parameter W holds {np.dtype(dtype)}; a safetensors file holds "
            "float16, float32, float64.\n  Convert it first."
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["BF16", "I64", "F8_E4M3"])
def test_numbers_that_are_not_read(kind: str, tmp_path: Path) -> None:
    file, size = tmp_path / "a", {"BF16": 2, "I64": 8, "F8_E4M3": 1}[kind]
    about = {"W": {"dtype": kind, "shape": [3], "data_offsets": [0, 3 * size]}}
    header = json.dumps(about).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(3 * size))
    assert message(lambda: weights.load(file), errors.DTypeError) == (
        f"weights file {file}: tensor W holds {kind}, but F16, F32 or F64 is needed.\n"
        "  Save it anew as such; in PyTorch by tensor.float()."
    )


def test_paths_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    p = filled(cells.rnn)
    missing = tmp_path / "nowhere" / "a"
    assert message(lambda: weights.save(missing, cells.rnn, p), weights.WeightsError) == (
        f"weights file {missing} cannot be written: No such file or directory.\n  Name a file in a "
        "folder that exists and can be written."
    )
    assert message(lambda: weights.load(missing), weights.WeightsError) == (
        f"weights file {missing} does not exist."
    )
    assert message(lambda: weights.load(tmp_path), weights.WeightsError) == (
        f"weights file {tmp_path} cannot be read: Is a directory."
    )
    os.mkfifo(tmp_path / "pipe")
    assert message(lambda: weights.load(tmp_path / "pipe"), weights.WeightsError) == (
        f"weights file {tmp_path}/pipe cannot be read: it is a device or a pipe, which may have no "
        "end."
    )
    assert message(lambda: weights.save(tmp_path, cells.rnn, p), weights.WeightsError) == (
        f"weights file {tmp_path} cannot be written: Is a directory.\n  Name a file in a folder "
        "that exists and can be written."
    )


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    weights.save(file, cells.rnn, filled(cells.rnn))
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert message(
        lambda: weights.save(file, cells.lstm, filled(cells.lstm)), weights.WeightsError
    ) == (
        f"weights file {file} cannot be written: No space left on device.\n  Name a file in a "
        "folder that exists and can be written."
    )
    assert file.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["a"]


def test_only_networks_can_be_saved(tmp_path: Path) -> None:
    assert message(lambda: weights.save(tmp_path / "a", "lstm", {}), weights.WeightsError) == (
        "weights.save: a cell or a network of cells is needed, got 'lstm'."
    )
