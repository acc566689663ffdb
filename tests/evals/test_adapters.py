"""RAGAS and DeepEval over a scripted chat, each where it is installed; a missing one says how to install it."""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from collections.abc import Callable, Sequence

import pytest

from lyceum.core.errors import ConfigError
from lyceum.core.types import Answer, Chunk, Document, Example, Hit, Message
from lyceum.evals import adapters
from lyceum.models.scripted import ScriptedChat
from tests.toys import ToyEncoder, run

ASKED = Example(id="1", question="How long is the warranty?", answers=(("24 months",),))
TEXTS = ("The warranty is 24 months.", "Tea is hot.")
DOCUMENT = Document(id="d", source="d", version="1")
HITS = tuple(Hit(chunk=Chunk(id=one, doc_id="d", text=one), document=DOCUMENT, score=1.0) for one in TEXTS)
ANSWER = Answer(text="It is 24 months. It is free.", hits=HITS)


def filled(schema: dict[str, object], whole: dict[str, object], number: list[int]) -> object:
    """Return a value of a JSON schema: verdicts are yes and no in turn, lists have two entries."""
    if "$ref" in schema:
        return filled(whole["$defs"][str(schema["$ref"]).rpartition("/")[2]], whole, number)  # type: ignore[index]
    if "anyOf" in schema:
        return filled(schema["anyOf"][0], whole, number)  # type: ignore[index]
    kind = schema.get("type")
    if kind == "object":
        return {name: filled(one, whole, number) for name, one in schema["properties"].items()}  # type: ignore[attr-defined]
    if kind == "array":
        return [filled(schema["items"], whole, number) for _ in range(2)]  # type: ignore[arg-type]
    number[0] += 1
    if "enum" in schema:
        return schema["enum"][number[0] % 2]  # type: ignore[index]
    return (
        number[0] % 2
        if kind in ("integer", "number")
        else bool(number[0] % 2)
        if kind == "boolean"
        else "It is so."
    )


def model(messages: Sequence[Message]) -> str:
    schema = json.loads(messages[-1].content.rpartition("after this schema: ")[2])
    return "Here: " + json.dumps(filled(schema, schema, [0]))


@pytest.mark.parametrize(
    ("maker", "names"), [(adapters.ragas, adapters.RAGAS), (adapters.deepeval, adapters.DEEPEVAL)]
)
def test_each_measures_and_junk_is_a_failure(maker: Callable[..., object], names: dict[str, str]) -> None:
    extra = maker.__name__
    if importlib.util.find_spec(extra) is None:
        pytest.skip(f"the extra {extra} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            chat = ScriptedChat(model)
            score = run(maker(name, chat, ToyEncoder())(ASKED, ANSWER))  # type: ignore[operator]
            assert chat.heard, name
            assert score.value is not None, (name, score)
            assert 0 <= score.value <= 1, (name, score)
        score = run(maker(next(iter(names)), ScriptedChat(["I cannot."]))(ASKED, ANSWER))  # type: ignore[operator]
        assert (score.value, score.failed) == (None, True)
        silent = run(maker(next(iter(names)), ScriptedChat([""]))(ASKED, Answer(text="")))  # type: ignore[operator]
        assert silent.value is None
        assert not silent.failed


@pytest.mark.parametrize(
    ("maker", "name"), [(adapters.ragas, "ragas-faithfulness"), (adapters.deepeval, "deepeval-faithfulness")]
)
def test_a_missing_extra_says_how_to_install_it(
    maker: Callable[..., object], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("", ".metrics", ".metrics.collections"):
        monkeypatch.setitem(sys.modules, maker.__name__ + module, None)
    with pytest.raises(ConfigError, match=r"pip install 'lyceum\[(ragas|deepeval)\]'"):
        maker(name, ScriptedChat())
