"""ONNX: each cell a Scan over its step, or the standard operator where the cell is one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.exporting.onnx_operators import Operators, Unwritten, Value
from tinygrad_lstm.exporting.subject import ExportError, Layer, Subject
from tinygrad_lstm.tensor import Array, Tensor, ancestors, fold
from tinygrad_lstm.text import UNICODE
from tinygrad_lstm.version import __version__
from tinygrad_lstm.weights import gates
from tinygrad_lstm.weights.recognition import Recognised, recognise

OPSET, IR = 18, 8
NEEDED = "the package onnx is needed: pip install 'tinygrad-lstm[export]'"


def onnx_model(subject: Subject) -> bytes:
    """A serialised model, checked by `onnx.checker`."""
    try:
        import onnx
    except ImportError as error:
        raise ExportError(f"export to ONNX: {NEEDED}") from error
    model = _Graph(onnx, subject).model()
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Graph:
    """The graph of a network."""

    def __init__(self, onnx: Any, subject: Subject) -> None:
        self.onnx, self.subject = onnx, subject
        self.types = onnx.helper.np_dtype_to_tensor_dtype
        self.kind = self.types(subject.dtype)
        self.nodes: list[Any] = []  # those of the graph, or of the body that is being written
        self.constants: dict[str, Array] = {}
        self._known: dict[tuple[Any, ...], str] = {}
        self._made = 0
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.values: dict[tuple[str, str], str] = {}  # an equation of a layer at all steps

    # --- nodes ------------------------------------------------------------------------------------
    def add(self, op: str, inputs: Sequence[str], name: str = "", **attributes: Any) -> str:
        """A node; the name of what it makes."""
        if isinstance(attributes.get("to"), np.dtype):
            attributes["to"] = self.types(attributes["to"])
        made = name or self._fresh(op.lower())
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [made], **attributes))
        return made

    def _fresh(self, word: str) -> str:
        self._made += 1
        return f"{word}_{self._made}"

    def constant(self, data: Array) -> str:
        """The name of a constant; equal ones are one."""
        key = (data.dtype.str, data.shape, data.tobytes())
        if key not in self._known:
            name = self._known[key] = self._fresh("constant")
            self.constants[name] = data
        return self._known[key]

    def _info(self, name: str, shape: Sequence[Any], kind: Any = None) -> Any:
        kind = self.kind if kind is None else kind
        return self.onnx.helper.make_tensor_value_info(name, kind, list(shape))

    # --- the graph --------------------------------------------------------------------------------
    def model(self) -> Any:
        """The whole."""
        subject, helper = self.subject, self.onnx.helper
        x = self._read()
        for layer in subject.layers:
            self._layer(layer, x)
        ends = [self.values[end, subject.layer(end).cell.output] for end in subject.ends]
        joined = ends[0] if len(ends) == 1 else self.add("Concat", ends, axis=-1)
        self._answer(joined)
        for layer, n in subject.final:
            shape = layer.program.inputs[f"prev.{n}"].shape
            self.outputs.append(self._info(f"final_{layer.prefix}{n}", ("batch", *shape)))
        tensors = [self.onnx.numpy_helper.from_array(v, n) for n, v in self.constants.items()]
        graph = helper.make_graph(
            self.nodes, subject.name, self.inputs, self.outputs, tensors, doc_string=self._about()
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR,
            producer_name="tinygrad-lstm",
            producer_version=__version__,
        )
        helper.set_model_props(model, self._metadata())
        return model

    def _read(self) -> str:
        """The input, and how long the batch is."""
        subject, reader = self.subject, self.subject.reader
        own = subject.layers[0].program.inputs["x"].shape
        if reader is None:
            self.inputs.append(self._info("xs", ("time", "batch", *own)))
            x = "xs"
        else:
            self.inputs.append(self._info("ids", ("time", "batch"), self.types(np.dtype(np.int64))))
            table = reader.embedding
            rows = np.eye(len(reader.symbols), dtype=subject.dtype) if table is None else table
            self.constants["E"] = rows
            x = self.add("Gather", ["E", "ids"], axis=0)
        self.batch = self.add("Shape", [self.inputs[0].name], start=1, end=2)
        return x

    def _answer(self, joined: str) -> None:
        """The output."""
        subject, reader = self.subject, self.subject.reader
        if reader is None:
            width = [subject.layer(end).output.shape for end in subject.ends]
            shape = width[0] if len(width) == 1 else (sum(w[-1] for w in width),)
            self.add("Identity", [joined], "outputs")
            self.outputs.append(self._info("outputs", ("time", "batch", *shape)))
            return
        self.constants |= {"W_y": reader.W_y, "b_y": reader.b_y}
        product = self.add("MatMul", [joined, self.add("Transpose", ["W_y"], perm=[1, 0])])
        self.add("Add", [product, "b_y"], "scores")
        self.outputs.append(self._info("scores", ("time", "batch", len(reader.symbols))))

    def _layer(self, layer: Layer, x: str) -> None:
        """A cell over the sequence, forward or backward."""
        reads = [self.values[r, self.subject.layer(r).cell.output] for r in layer.reads]
        if reads:
            x = reads[0] if len(reads) == 1 else self.add("Concat", reads, axis=-1)
        starts = {}
        for n, data in self.subject.initial(layer).items():
            name = f"initial_{layer.prefix}{n}"
            self.constants[name] = data[None]  # what it is where nobody gives one
            self.inputs.append(self._info(name, (f"one_or_batch_{layer.prefix}{n}", *data.shape)))
            full = [self.batch, *(self.constant(np.array([k], np.int64)) for k in data.shape)]
            shape = full[0] if len(full) == 1 else self.add("Concat", full, axis=0)
            starts[n] = self.add("Expand", [name, shape])
        given = {}
        for n in layer.cell.extra_inputs:
            if n in layer.below:
                parts = [self.values[pair] for pair in layer.below[n]]
                given[n] = parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=-1)
                continue
            lead = ("time", "batch") if n in layer.cell.sequences else ("batch",)
            name = layer.prefix + n
            self.inputs.append(self._info(name, (*lead, *layer.program.inputs[n].shape)))
            given[n] = name
        if self.subject.dtype == np.dtype(np.float32) and not self.subject.kept(layer):
            found = recognise(layer.cell, "onnx", layer.program)
            if found is not None:
                self._operator(layer, x, starts, found)
                return
        self._scan(layer, x, starts, given)

    # --- a Scan -----------------------------------------------------------------------------------
    def _scan(
        self, layer: Layer, x: str, starts: Mapping[str, str], given: Mapping[str, str]
    ) -> None:
        cell, program, prefix = layer.cell, layer.program, layer.prefix
        outside, self.nodes = self.nodes, []
        leaves: dict[Tensor, Value] = {}
        for n, data in self.subject.own(layer).items():
            self.constants[prefix + n] = data
            leaves[program.inputs[n]] = Value(prefix + n, data.ndim, False)
        takes, inputs = [], {}
        sequences = [n for n in cell.extra_inputs if n in cell.sequences]
        for n in [*(f"prev.{state}" for state in cell.state), "x", *sequences]:
            node, name = program.inputs[n], self._fresh(f"{prefix}{n}")
            leaves[node] = Value(name, node.ndim + 1, True)
            inputs[n] = name
            takes.append(self._info(name, ("batch", *node.shape)))
        for n in cell.constants:
            leaves[program.inputs[n]] = Value(given[n], program.inputs[n].ndim + 1, True)
        operators = Operators(self.add, self.constant, self.subject.dtype, self.batch)
        wanted = [*cell.state, cell.output, *self.subject.kept(layer)]
        roots = [program.equations[n] for n in wanted]
        names = {node: n for n, node in program.equations.items()}
        needed = ancestors(roots)
        place = {node: self._within(needed, node, names) for node in needed}

        def make(node: Tensor, operands: list[Value]) -> Value:
            try:
                return operators.node(node, operands)
            except Unwritten as error:
                raise ExportError(
                    f"{cell}: equation {place[node]} has the operation {error}, which ONNX does "
                    f"not have.\n  Write it by other operations: @composite."
                ) from error

        values = fold(roots, leaves, make)
        gives, results = [], []
        for n, node in zip(wanted, roots, strict=True):
            whole = operators.whole(values[node], node.shape)
            results.append(self.add("Identity", [whole.name], self._fresh(f"{prefix}{n}")))
            gives.append(self._info(results[-1], ("batch", *node.shape)))
        graph = self.onnx.helper.make_graph(self.nodes, f"{prefix}step", takes, gives)
        self.nodes = outside
        finals = [f"final_{prefix}{n}" for n in cell.state]
        stacked = [self._fresh(f"{prefix}{n}s") for n in wanted[len(cell.state) :]]
        way = int(layer.reverse)
        self.nodes.append(
            self.onnx.helper.make_node(
                "Scan",
                [*starts.values(), x, *(given[n] for n in sequences)],
                [*finals, *stacked],
                name=f"{prefix}{cell.name}",
                body=graph,
                num_scan_inputs=1 + len(sequences),
                scan_input_directions=[way] * (1 + len(sequences)),
                scan_output_directions=[way] * len(stacked),
            )
        )
        for n, name in zip(wanted[len(cell.state) :], stacked, strict=True):
            self.values[layer.name, n] = name

    @staticmethod
    def _within(nodes: list[Tensor], node: Tensor, names: Mapping[Tensor, str]) -> str:
        """The equation that a node is part of."""
        below = {node}
        for other in nodes:
            if other not in below and any(i in below for i in other.inputs):
                below.add(other)
            if other in below and other in names:
                return names[other]
        return "?"

    # --- a standard operator ----------------------------------------------------------------------
    def _operator(self, layer: Layer, x: str, starts: Mapping[str, str], found: Recognised) -> None:
        """RNN, LSTM or GRU, which the cell was found to be."""
        like, states = found.like, found.states
        layout, prefix = gates.LAYOUTS["onnx"][like], layer.prefix
        own = found.parameters(self.subject.own(layer))
        arrays = gates.from_parameters(like, layout, own)
        hidden = arrays["R"].shape[1]
        packed = {
            "W": arrays["W"],
            "R": arrays["R"],
            "B": np.concatenate([arrays["b"], arrays["r"]]),
            **({"P": arrays["p"]} if "p" in arrays else {}),
        }
        for role, value in packed.items():
            self.constants[f"{prefix}{role}"] = np.asarray(value[None], self.subject.dtype)
        order = [like.output, *(n for n in like.state if n != like.output)]
        zero = self.constant(np.zeros(1, np.int64))
        first = [self.add("Unsqueeze", [starts[states[n]], zero]) for n in order]
        peepholes = [f"{prefix}P"] if "p" in arrays else []
        inputs = [x, f"{prefix}W", f"{prefix}R", f"{prefix}B", "", *first]
        finals = [self._fresh(f"{prefix}Y") for _ in order]
        whole = self._fresh(f"{prefix}Y")
        self.nodes.append(
            self.onnx.helper.make_node(
                layout.kind,
                [*inputs, *peepholes],
                [whole, *finals],
                name=f"{prefix}{layer.cell.name}",
                hidden_size=hidden,
                direction="reverse" if layer.reverse else "forward",
                **layout.options,
            )
        )
        one = self.constant(np.ones(1, np.int64))
        for n, name in zip(order, finals, strict=True):
            self.add("Squeeze", [name, zero], f"final_{prefix}{states[n]}")
        self.values[layer.name, layer.cell.output] = self.add("Squeeze", [whole, one])

    # --- words and numbers beside the graph -------------------------------------------------------
    def _about(self) -> str:
        lines = [
            f"{self.subject.name}, made by tinygrad-lstm {__version__}.",
            "Axes begin (time, batch); initial_… are optional, (batch, …) or (1, …).",
        ]
        for layer in self.subject.layers:
            place = f" at {layer.name}" if layer.name else ""
            lines += ["", f"{layer.cell.name}{place}:"]
            lines += [f"  {layer.program.text(n, UNICODE)}" for n in layer.program.equations]
        return "\n".join(lines)

    def _metadata(self) -> dict[str, str]:
        answers, reader = self.subject.answers, self.subject.reader
        first = "ids" if reader else "xs"
        inputs = {first: answers.xs.tolist()}
        inputs |= {n: v.tolist() for n, v in answers.further.items()}
        right = {"scores" if reader else "outputs": answers.outputs.tolist()}
        right |= {f"final_{n}": v.tolist() for n, v in answers.final.items()}
        test = {"inputs": inputs, "outputs": right, "tolerance": answers.tolerance}
        found = {"self-test": json.dumps(test)}
        if reader:
            found["symbols"] = json.dumps(reader.symbols, ensure_ascii=False)
        return found


def onnx_test(data: bytes) -> tuple[float, float]:
    """The largest relative difference of a model's numbers from those it carries; the tolerance."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ExportError(
            "the test of an ONNX model: the packages onnx and onnxruntime are needed: "
            "pip install 'tinygrad-lstm[export]'"
        ) from error
    model = onnx.load_model_from_string(data)
    test = json.loads({p.key: p.value for p in model.metadata_props}["self-test"])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # that a first state can be given is no warning
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    kinds = {i.name: i.type for i in session.get_inputs()}
    numpy_kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64}
    feeds = {
        n: np.array(v, numpy_kinds.get(kinds[n], np.int64))
        for n, v in test["inputs"].items()
        if n in kinds
    }
    names = list(test["outputs"])
    found = session.run(names, feeds)
    return max(_apart(found, test["outputs"].values())), float(test["tolerance"])


def _apart(found: Sequence[Any], right: Any) -> Iterator[float]:
    for one, other in zip(found, map(np.asarray, right), strict=True):
        yield float(np.max(np.abs(one - other)) / max(1.0, float(np.max(np.abs(other)))))
