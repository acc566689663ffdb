"""The graph builder on a tiny encoder, against the same network written with numpy alone."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lyceum.models.graph import build, build_float, read_weights

pytest.importorskip("onnx", reason="the onnx package builds the graph: pip install 'lyceum[models]'")

Array = npt.NDArray[Any]
LAYERS, WIDTH, HEADS, VOCABULARY, INNER, POSITIONS = 2, 16, 2, 30, 32, 12
SEQUENCES = [[1], [1, 2, 3], [29, 0, 17, 5, 5, 8], [4, 9, 16, 25, 6, 7, 11, 2, 3, 28, 14, 21]]


def tensors() -> dict[str, Array]:
    """Return random weights of a BERT with names as in its published files."""
    random = np.random.default_rng(7)

    def made(*shape: int, scale: float = 0.3, around: float = 0.0) -> Array:
        return (around + scale * random.standard_normal(shape)).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": made(VOCABULARY, WIDTH, scale=1.0),
        "embeddings.position_embeddings.weight": made(POSITIONS, WIDTH, scale=0.5),
        "embeddings.token_type_embeddings.weight": made(2, WIDTH),
    }

    def dense(name: str, into: int, out: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = made(into, out), made(into)

    def norm(name: str) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = made(WIDTH, scale=0.1, around=1.0), made(WIDTH)

    norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        for part in ("query", "key", "value"):
            dense(f"{at}attention.self.{part}", WIDTH, WIDTH)
        dense(f"{at}attention.output.dense", WIDTH, WIDTH)
        dense(f"{at}intermediate.dense", INNER, WIDTH)
        dense(f"{at}output.dense", WIDTH, INNER)
        norm(f"{at}attention.output.LayerNorm")
        norm(f"{at}output.LayerNorm")
    return found


def write_safetensors(path: Path, held: dict[str, Array]) -> None:
    """Write the format by hand, with metadata and a tensor of integers that a reader has to pass over."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, value in {"embeddings.position_ids": np.arange(POSITIONS, dtype=np.int64), **held}.items():
        kind = {"float32": "F32", "int64": "I64"}[value.dtype.name]
        data = np.ascontiguousarray(value).tobytes()
        header[name] = {
            "dtype": kind,
            "shape": value.shape,
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def reference(held: dict[str, Array], tokens: list[int]) -> Array:
    """Return the unit vector of a sequence, in float64 and without any model library."""
    double = {name: value.astype(np.float64) for name, value in held.items()}

    def dense(name: str, value: Array) -> Array:
        return value @ double[f"{name}.weight"].T + double[f"{name}.bias"]

    def norm(name: str, value: Array) -> Array:
        centred = value - value.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return centred / spread * double[f"{name}.weight"] + double[f"{name}.bias"]

    def attention(at: str, value: Array) -> Array:
        size = WIDTH // HEADS
        query, key, content = (
            dense(f"{at}attention.self.{part}", value).reshape(len(value), HEADS, size).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        likeness = query @ key.swapaxes(1, 2) / math.sqrt(size)
        shares = np.exp(likeness - likeness.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return (shares @ content).swapaxes(0, 1).reshape(len(value), WIDTH)

    gelu = np.vectorize(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))))
    hidden = double["embeddings.word_embeddings.weight"][tokens]
    hidden = hidden + double["embeddings.position_embeddings.weight"][: len(tokens)]
    hidden = norm("embeddings.LayerNorm", hidden + double["embeddings.token_type_embeddings.weight"][0])
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        mixed = dense(f"{at}attention.output.dense", attention(at, hidden))
        hidden = norm(f"{at}attention.output.LayerNorm", hidden + mixed)
        wide = gelu(dense(f"{at}intermediate.dense", hidden))
        hidden = norm(f"{at}output.LayerNorm", hidden + dense(f"{at}output.dense", wide))
    mean = hidden.mean(0)
    return np.asarray(mean / np.linalg.norm(mean))


def encoded(model: Any, rows: list[list[int]], lengths: list[int] | None = None) -> Array:
    """Run a model on rows of one length; `lengths` says how much of each counts."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    mask = np.zeros((len(rows), len(rows[0])), np.int64)
    for row, length in enumerate(lengths or [len(row) for row in rows]):
        mask[row, :length] = 1
    (vectors,) = session.run(["vector"], {"input_ids": np.array(rows, np.int64), "attention_mask": mask})
    return np.asarray(vectors)


@pytest.fixture(scope="module")
def held() -> dict[str, Array]:
    return tensors()


@pytest.fixture(scope="module")
def file(held: dict[str, Array], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "model.safetensors"
    write_safetensors(path, held)
    return path


@pytest.fixture(scope="module")
def plain(file: Path) -> bytes:
    model: bytes = build_float(read_weights(file), HEADS).SerializeToString()
    return model


@pytest.fixture(scope="module")
def small(file: Path) -> Path:
    target = file.with_name("model.onnx")
    build(file, target, HEADS)
    return target


def test_weights_are_read_as_they_were_written(held: dict[str, Array], file: Path) -> None:
    found = read_weights(file)
    assert set(found) == set(held), "integers and metadata are passed over"
    for name, value in held.items():
        assert found[name].dtype == np.float32
        assert np.array_equal(found[name], value)


@pytest.mark.parametrize("tokens", SEQUENCES, ids=len)
def test_the_float_model_is_the_reference(held: dict[str, Array], plain: bytes, tokens: list[int]) -> None:
    (vector,) = encoded(plain, [tokens])
    assert vector.shape == (WIDTH,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector @ reference(held, tokens) > 0.9999
    assert np.abs(vector - reference(held, tokens)).max() < 1e-4


@pytest.mark.parametrize("tokens", SEQUENCES, ids=len)
def test_the_int8_model_is_close(held: dict[str, Array], small: Path, tokens: list[int]) -> None:
    (vector,) = encoded(str(small), [tokens])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector @ reference(held, tokens) > 0.95


def test_what_the_mask_leaves_out_does_not_count(plain: bytes) -> None:
    rows = [[*tokens, *[13] * (POSITIONS - len(tokens))] for tokens in SEQUENCES]
    vectors = encoded(plain, rows, [len(tokens) for tokens in SEQUENCES])
    for tokens, vector in zip(SEQUENCES, vectors, strict=True):
        assert np.abs(vector - encoded(plain, [tokens])[0]).max() < 1e-5


def test_order_and_every_head_matter(held: dict[str, Array], plain: bytes) -> None:
    """The comparison would see a builder that left out positions or mixed up the heads."""
    forward, backward = encoded(plain, [[1, 2, 3], [3, 2, 1]])
    assert forward @ backward < 0.999
    other = build_float(held, 1).SerializeToString()
    assert encoded(other, [[1, 2, 3]])[0] @ reference(held, [1, 2, 3]) < 0.9999


def test_int8_weights_are_all_that_is_left(small: Path) -> None:
    import onnx

    model = onnx.load(str(small))
    kinds = {one.name: one.data_type for one in model.graph.initializer}
    assert list(kinds.values()).count(onnx.TensorProto.INT8) >= LAYERS * 4
    assert {path.name for path in small.parent.iterdir()} == {"model.safetensors", "model.onnx"}
