"""A BERT encoder's weights to an ONNX graph, written operator by operator, then quantised to int8.

Takes model.safetensors, gives one file for onnxruntime: token ids and mask in, unit vectors and the tokens' own
vectors out. It knows no tokenizer. Needs the `onnx` package, at set-up only; no torch. Layout: Devlin et al. 2019
(BERT) with mean pooling as in Reimers and Gurevych 2019; fused operators of onnxruntime's com.microsoft domain.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lyceum.core.errors import ConfigError

EPSILON = 1e-12
OPSET, IR = 17, 8
Weights = dict[str, npt.NDArray[np.float32]]


def read_weights(path: Path) -> Weights:
    """Read a safetensors file: 8 bytes of header length, a JSON header, then the tensors."""
    data = np.memmap(path, np.uint8, "r")
    (length,) = struct.unpack("<Q", data[:8].tobytes())
    header = json.loads(data[8 : 8 + length].tobytes())
    weights: Weights = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        weights[name] = np.frombuffer(data[start:end].tobytes(), np.float32).reshape(entry["shape"])
    return weights


class _Graph:
    """Nodes and initialisers while they are collected."""

    def __init__(self, weights: Weights) -> None:
        from onnx import helper, numpy_helper

        self.helper, self.tensor = helper, numpy_helper.from_array
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def weight(self, name: str, *, transposed: bool = False) -> str:
        """Add a weight of the file and return its name in the graph."""
        value = self.weights[name].T if transposed else self.weights[name]
        return self.constant(name + (".T" if transposed else ""), np.ascontiguousarray(value))

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """Add a constant once."""
        self.constants.setdefault(name, self.tensor(value, name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, domain: str = "", **more: Any) -> str:
        """Add a node with one output that is used."""
        outputs = more.pop("outputs", [output])
        self.nodes.append(self.helper.make_node(operator, inputs, outputs, domain=domain, **more))
        return output


def build_float(weights: Weights, heads: int) -> Any:
    """Return the float32 model.

    input_ids and attention_mask (1 x tokens, int64) to `vector` (1 x width) and `hidden` (1 x tokens x width).
    """
    from onnx import TensorProto, helper

    graph = _Graph(weights)
    hidden = _embed(graph)
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    for layer in range(layers):
        hidden = _layer(graph, f"encoder.layer.{layer}.", hidden, heads)
    graph.add("Identity", [hidden], "hidden")
    _pool(graph, hidden)
    sides = ["batch", "tokens"]
    made = helper.make_graph(
        graph.nodes,
        "encoder",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, sides)
            for name in ("input_ids", "attention_mask")
        ],
        [
            helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", _width(weights)]),
            helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [*sides, _width(weights)]),
        ],
        list(graph.constants.values()),
    )
    domains = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=domains, ir_version=IR)


def _width(weights: Weights) -> int:
    return int(weights["embeddings.word_embeddings.weight"].shape[1])


def _embed(graph: _Graph) -> str:
    """Sum word, position and segment embeddings and normalise; `mask_index` is what attention needs."""
    for name in ("input_ids", "attention_mask"):
        graph.add("Cast", [name], f"{name}_32", to=6)  # int32
    graph.add("Sub", ["input_ids_32", "input_ids_32"], "segments")
    names = ("word", "position", "token_type")
    inputs = [
        "input_ids_32",
        "segments",
        *(graph.weight(f"embeddings.{name}_embeddings.weight") for name in names),
    ]
    inputs += [graph.weight(f"embeddings.LayerNorm.{name}") for name in ("weight", "bias")]
    return graph.add(
        "EmbedLayerNormalization", [*inputs, "attention_mask_32"], "embedded", "com.microsoft",
        outputs=["embedded", "mask_index"], epsilon=EPSILON,
    )  # fmt: skip


def _layer(graph: _Graph, at: str, hidden: str, heads: int) -> str:
    """One transformer layer: attention and feed-forward, each added to its input and normalised."""
    parts = ("query", "key", "value")
    joined = np.concatenate([graph.weights[f"{at}attention.self.{part}.weight"].T for part in parts], axis=1)
    bias = np.concatenate([graph.weights[f"{at}attention.self.{part}.bias"] for part in parts])
    inputs = [hidden, graph.constant(f"{at}qkv", joined), graph.constant(f"{at}qkv.bias", bias), "mask_index"]
    seen = graph.add("Attention", inputs, f"{at}attended", "com.microsoft", num_heads=heads)
    seen = graph.add(
        "MatMul", [seen, graph.weight(f"{at}attention.output.dense.weight", transposed=True)], f"{at}mixed"
    )
    hidden = _skip(graph, f"{at}attention.output.", seen, hidden)
    wide = graph.add(
        "MatMul", [hidden, graph.weight(f"{at}intermediate.dense.weight", transposed=True)], f"{at}wide"
    )
    wide = graph.add(
        "BiasGelu", [wide, graph.weight(f"{at}intermediate.dense.bias")], f"{at}gelu", "com.microsoft"
    )
    narrow = graph.add(
        "MatMul", [wide, graph.weight(f"{at}output.dense.weight", transposed=True)], f"{at}narrow"
    )
    return _skip(graph, f"{at}output.", narrow, hidden)


def _skip(graph: _Graph, at: str, new: str, old: str) -> str:
    norms = [graph.weight(f"{at}LayerNorm.{name}") for name in ("weight", "bias")]
    inputs = [new, old, *norms, graph.weight(f"{at}dense.bias")]
    return graph.add("SkipLayerNormalization", inputs, f"{at}normed", "com.microsoft", epsilon=EPSILON)


def _pool(graph: _Graph, hidden: str) -> None:
    """Average the tokens that the mask keeps, then divide by the length."""
    axis = graph.constant("last_axis", np.array([-1], np.int64))
    tokens = graph.constant("token_axis", np.array([1], np.int64))
    graph.add("Cast", ["attention_mask"], "mask_float", to=1)
    graph.add("Unsqueeze", ["mask_float", axis], "mask_column")
    graph.add("Mul", [hidden, "mask_column"], "kept")
    graph.add("ReduceSum", ["kept", tokens], "summed", keepdims=0)
    graph.add("ReduceSum", ["mask_float", tokens], "length", keepdims=1)
    graph.add("Div", ["summed", "length"], "mean")
    graph.add("LpNormalization", ["mean"], "vector", axis=-1, p=2)


def build(weights: Path, target: Path, heads: int = 12) -> None:
    """Write the int8 model beside its float32 form's temporary file, which is removed again."""
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as problem:
        raise ConfigError(
            "Building the encoder needs the onnx package.", hint="Run: pip install 'lyceum[models]'"
        ) from problem
    plain = target.with_suffix(".float.onnx")
    onnx.save(build_float(read_weights(weights), heads), plain)
    try:
        quantize_dynamic(
            plain, target, per_channel=True, weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )  # fmt: skip
    finally:
        plain.unlink()
