"""Any cross-encoder folder: a small one made here counts the words that question and passage share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from lyceum import wire
from lyceum.core.errors import ConfigError, ProviderError
from lyceum.core.trace import tracing
from lyceum.core.types import Query, Span
from lyceum.models.cross_encoder import CrossEncoder
from lyceum.search.reranked import Reranked
from tests.search.hits_made import hit, made, numbers
from tests.toys import ToyEncoder, run

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "pump", "pressure", "valve", "red", "motor")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def graph(*ends: Any, inputs: Sequence[str] = INPUTS, kind: int = TensorProto.INT64) -> onnx.ModelProto:
    """Return a graph whose logit is the number of words that both texts hold, less one half; `ends` go on from there.

    A word is one-hot; marks and unknown words count nothing. Mask and segment of a token decide where it counts.
    """
    table = np.eye(len(WORDS), dtype=np.float32)
    table[:4] = 0
    make = helper.make_node
    nodes = [
        make("Cast", [name], [f"{name}_"], to=TensorProto.INT64) if name == "input_ids" else
        make("Cast", [name], [f"{name}_"], to=TensorProto.FLOAT) for name in INPUTS
    ]  # fmt: skip
    nodes += [
        make("Gather", ["table", "input_ids_"], ["hot"]),
        make("Unsqueeze", ["attention_mask_", "last"], ["mask"]),
        make("Unsqueeze", ["token_type_ids_", "last"], ["second"]),
        make("Mul", ["hot", "mask"], ["seen"]),
        make("Mul", ["seen", "second"], ["passage"]),
        make("Sub", ["seen", "passage"], ["question"]),
        make("ReduceMax", ["passage"], ["words_b"], axes=[1], keepdims=0),
        make("ReduceMax", ["question"], ["words_a"], axes=[1], keepdims=0),
        make("Mul", ["words_a", "words_b"], ["both"]),
        make("ReduceSum", ["both", "last1"], ["count"], keepdims=1),
        make("Sub", ["count", "half"], ["one"]),
        *ends,
    ]
    given = [helper.make_tensor_value_info(name, kind, ["batch", "length"]) for name in inputs]
    constants = {"table": table, "last": np.array([2]), "last1": np.array([1]), "half": np.float32(0.5)}
    out = ends[-1].output[0] if ends else "one"
    made = helper.make_graph(
        nodes, "pairs", given, [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def folder(path: Path, model: onnx.ModelProto | bytes, inside: str = "model.onnx") -> Path:
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=128)  # as exported files often say; it would cost on every pair
    (path / inside).parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path / "tokenizer.json"))
    (path / inside).write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


TEXTS = ("valve red", "pump", "a pump under pressure with a red valve and much else to say", "nothing")
QUESTION = Query(text="pump pressure red")
SHARES = {1: sigmoid(0.5), 2: sigmoid(0.5), 3: sigmoid(2.5), 4: sigmoid(-0.5)}
TWO = (
    helper.make_node("Mul", ["one", "zero"], ["none"]),
    helper.make_node("Concat", ["none", "one"], ["logits"], axis=1),
)


def with_constant(model: onnx.ModelProto, name: str, value: float) -> onnx.ModelProto:
    model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    return model


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_shares_whatever_the_batch(tmp_path: Path, batch: int) -> None:
    ranker = CrossEncoder(folder(tmp_path, graph()), batch=batch)
    found = run(ranker(QUESTION, made(*TEXTS)))
    assert numbers(found)[0] == 3
    assert {one.chunk.number: one.score for one in found} == pytest.approx(SHARES, abs=1e-6)
    assert run(ranker(QUESTION, [])) == []
    assert ranker.cut == 0


def test_two_classes_and_small_integers_and_the_hubs_layout(tmp_path: Path) -> None:
    two = with_constant(graph(*TWO, kind=TensorProto.INT32), "zero", 0.0)
    found = run(
        CrossEncoder(folder(tmp_path, two, "onnx/model_int8.onnx"), file="model_int8.onnx")(
            QUESTION, made(*TEXTS)
        )
    )
    assert {one.chunk.number: one.score for one in found} == pytest.approx(SHARES, abs=1e-6)


def test_long_pairs_are_cut_and_counted(tmp_path: Path) -> None:
    ranker = CrossEncoder(folder(tmp_path, graph()), tokens=16)
    hits = made("red " * 500 + "pump pressure", "pump pressure")
    found = run(ranker(Query(text="pump pressure " + "valve " * 500), hits))
    assert numbers(found) == [2, 1]
    assert ranker.cut == 2


def test_letters_that_no_tokenizer_takes(tmp_path: Path) -> None:
    found = run(CrossEncoder(folder(tmp_path, graph()))(Query(text="pump \ud800"), made("\udfff pump", "")))
    assert numbers(found) == [1, 2]


@pytest.mark.parametrize("missing", ["tokenizer.json", "model.onnx"])
def test_a_folder_that_lacks_a_file_stops_the_start(tmp_path: Path, missing: str) -> None:
    (folder(tmp_path, graph()) / missing).unlink()
    with pytest.raises(ConfigError, match=f"lacks {missing}"):
        CrossEncoder(tmp_path)


def strange() -> onnx.ModelProto:
    model = graph(inputs=[*INPUTS, "pixel_values"])
    model.graph.node.append(helper.make_node("Identity", ["pixel_values"], ["unused"]))
    return model


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (b"no graph", "cannot be opened"),
        (strange(), "wants pixel_values"),
        (graph(helper.make_node("Concat", ["one", "one", "one"], ["logits"], axis=1)), "3 values a pair"),
    ],
)
def test_a_graph_that_is_no_cross_encoder(tmp_path: Path, model: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run(CrossEncoder(folder(tmp_path, model))(QUESTION, made(*TEXTS)))


@pytest.mark.parametrize("text", ["", "[]", '{"model": {}}', "\ufffd"])
def test_a_tokenizer_that_is_none(tmp_path: Path, text: str) -> None:
    (folder(tmp_path, graph()) / "tokenizer.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"tokenizer\.json cannot be read"):
        run(CrossEncoder(tmp_path)(QUESTION, made(*TEXTS)))


def test_no_number_and_a_failing_graph_leave_the_retrievers_order(tmp_path: Path) -> None:
    """The first takes a root of a negative number, the second an index that its table lacks."""
    root = graph(helper.make_node("Sqrt", ["one"], ["logits"]))
    away = graph(
        helper.make_node("Cast", ["one"], ["far"], to=TensorProto.INT64),
        helper.make_node("Add", ["far", "many"], ["place"]),
        helper.make_node("Gather", ["half1", "place"], ["logits"]),
    )
    away.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([99]), "many"),
            numpy_helper.from_array(np.ones(2, np.float32), "half1"),
        ]
    )

    async def retriever(query: Query) -> Any:
        return made(*TEXTS)

    for name, model, code in (("root", root, "no_number"), ("away", away, "model")):
        ranker = CrossEncoder(folder(tmp_path / name, model))
        with pytest.raises(ProviderError) as problem:
            run(ranker(QUESTION, made(*TEXTS)))
        assert problem.value.code == code
        spans: list[Span] = []
        with tracing(spans.append):
            assert run(Reranked(retriever, ranker)(QUESTION)) == made(*TEXTS)
        assert spans[-1].facts["warning"] == f"not reranked: {code}"


def test_a_configuration_names_it(tmp_path: Path) -> None:
    ranker = {"kind": "models.cross_encoder", "model": str(folder(tmp_path / "m", graph())), "tokens": 64}
    tables = {
        "retriever": {
            "kind": "search.reranked", "retriever": {"kind": "search.lexical"},
            "reranker": {"kind": "search.mixed", "weight": 0.5, "reranker": ranker},
        }
    }  # fmt: skip
    platform = wire.build(tables, tmp_path, replace={"encoder": ToyEncoder(), "spans": None})
    assert run(platform.retriever(Query(text="anything"))) == []
    run(platform.close())


def test_the_title_is_read_with_the_passage(tmp_path: Path) -> None:
    from dataclasses import replace

    one = hit(1, "about it", 1.0)
    titled = replace(one, chunk=replace(one.chunk, title="pump pressure"))
    assert run(CrossEncoder(folder(tmp_path, graph()))(QUESTION, [titled]))[0].score == pytest.approx(
        sigmoid(1.5)
    )
