"""RAGAS and DeepEval as judges, for those who must compare with them: each an extra of its own, imported when used.

They ask the same Chat and encoder as everything else and send nothing home. What they cannot read is a failed score.
"""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Callable
from typing import Any

from lyceum.core.errors import ConfigError, InvalidInput, LyceumError
from lyceum.core.protocols import Chat, Embedder, Judge
from lyceum.core.replies import replied
from lyceum.core.types import Answer, Example, Message, Score
from lyceum.evals.judge import objects

SECONDS = 120.0
RAGAS = {
    "ragas-faithfulness": "Faithfulness", "ragas-answer-relevancy": "AnswerRelevancy",
    "ragas-context-precision": "ContextPrecision", "ragas-context-recall": "ContextRecall",
}  # fmt: skip
DEEPEVAL = {
    "deepeval-faithfulness": "FaithfulnessMetric", "deepeval-answer-relevancy": "AnswerRelevancyMetric",
    "deepeval-context-precision": "ContextualPrecisionMetric", "deepeval-context-recall": "ContextualRecallMetric",
}  # fmt: skip


def ragas(name: str, chat: Chat, embedder: Embedder | None = None) -> Judge:
    """Return a metric of RAGAS (0.4); answer relevancy needs an encoder."""
    os.environ.setdefault("RAGAS_DO_NOT_TRACK", "true")
    metrics = _extra("ragas", "ragas.metrics.collections")
    asked = type("Asked", (_extra("ragas", "ragas.llms").InstructorBaseRagasLLM,), {
        "generate": _not_here,
        "agenerate": lambda self, prompt, response_model: _filled(chat, prompt, response_model),
    })  # fmt: skip
    parts: dict[str, Any] = {"llm": asked()}
    if RAGAS[name] == "AnswerRelevancy":
        if embedder is None:
            raise ConfigError(f"{name} needs an encoder.", hint="lyceum models add minilm")
        encoder = embedder

        async def encode(self: Any, text: str, **more: Any) -> list[float]:
            return [float(one) for one in (await encoder([text]))[0]]

        base = _extra("ragas", "ragas.embeddings.base").BaseRagasEmbedding
        parts["embeddings"] = type("Vectors", (base,), {"embed_text": _not_here, "aembed_text": encode})()
    metric = getattr(metrics, RAGAS[name])(**parts)

    async def measure(told: dict[str, Any]) -> float:
        names = metric.ascore.__func__.__code__.co_varnames[1 : metric.ascore.__func__.__code__.co_argcount]
        return float((await metric.ascore(**{one: told[one] for one in names})).value)

    return _judge(measure)


def deepeval(name: str, chat: Chat, embedder: Embedder | None = None) -> Judge:
    """Return a metric of DeepEval (4)."""
    os.environ.setdefault("DEEPEVAL_TELEMETRY_OPT_OUT", "YES")
    metrics, models = _extra("deepeval", "deepeval.metrics"), _extra("deepeval", "deepeval.models")
    case = _extra("deepeval", "deepeval.test_case").LLMTestCase
    asked = type("Asked", (models.DeepEvalBaseLLM,), {
        "load_model": lambda self: self, "get_model_name": lambda self: chat.name, "generate": _not_here,
        "a_generate": lambda self, prompt, schema=None: _filled(chat, prompt, schema),
    })  # fmt: skip

    async def measure(told: dict[str, Any]) -> float:
        metric = getattr(metrics, DEEPEVAL[name])(model=asked(), include_reason=False)
        return float(await metric.a_measure(
            case(input=told["user_input"], actual_output=told["response"], expected_output=told["reference"],
                 retrieval_context=told["retrieved_contexts"]), _show_indicator=False,
        ))  # fmt: skip

    return _judge(measure)


def _judge(measure: Callable[[dict[str, Any]], Any]) -> Judge:
    async def judge(example: Example, answer: Answer) -> Score:
        texts = [hit.chunk.text for hit in answer.hits]
        if answer.abstained or not texts or not example.answers:
            return Score(reason="nothing is stated, found or expected")
        reference = "; ".join(part[0] for part in example.answers)
        told = {"user_input": example.question, "response": answer.text, "retrieved_contexts": texts}
        try:
            value = await measure({**told, "reference": reference})
        except LyceumError as problem:
            return Score(reason=f"{problem.code}: {problem.message}", failed=True)
        return Score(reason="it gave nan", failed=True) if math.isnan(value) else Score(value=value)

    return judge


async def _filled(chat: Chat, prompt: str, model: Any) -> Any:
    """Return the model (of pydantic) that a reply fills, or the reply itself where none is wanted."""
    if model is None:
        return await replied(chat, [Message(role="user", content=prompt)], SECONDS)
    wanted = f"{prompt}\n\nReply with JSON alone, after this schema: {json.dumps(model.model_json_schema())}"
    reply = await replied(chat, [Message(role="user", content=wanted)], SECONDS)
    for told in objects(reply):
        try:
            return model.model_validate(told)
        except ValueError:
            continue
    raise InvalidInput(
        f"The judge's reply does not fit: {reply[:80]!r}", hint="Try a larger model.", code="judge"
    )


def _not_here(*given: Any, **more: Any) -> Any:
    raise ConfigError("Lyceum asks models asynchronously.", hint="Use the asynchronous call.")


def _extra(extra: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise ConfigError(
            f"{extra} is not installed or does not import: {problem}.", hint=f"pip install 'lyceum[{extra}]'"
        ) from problem
