"""An exported Dify application (YAML) to lyceum.toml, and in words what could not be carried over.

It reads what both have: the model, the prompt, how knowledge is retrieved. Documents, keys and the graph of a
workflow are not in such a file or have no counterpart; each thing left behind is named. Shape: Dify DSL 0.x, as
its applications export it (`kind: app`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lyceum.app import show
from lyceum.app.settings import Settings
from lyceum.core.errors import ConfigError, InvalidInput

Row = Mapping[str, Any]
# Where a provider of Dify listens in OpenAI's shape; others are asked for.
ENDPOINTS = {
    "openai": "https://api.openai.com/v1", "ollama": "http://127.0.0.1:11434/v1",
    "deepseek": "https://api.deepseek.com/v1", "tongyi": "https://dashscope.aliyuncs.com/compatible-mode/v1",
    "moonshot": "https://api.moonshot.cn/v1", "openrouter": "https://openrouter.ai/api/v1",
}  # fmt: skip
CARRIED = ("start", "knowledge-retrieval", "llm", "answer", "end")
CHUNK = 500  # tokens of a piece of Dify's, as its knowledge settings propose
FILL_IN = "FILL-IN"


async def run_dify(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print or write the configuration that an exported application comes to, and what it leaves behind."""
    text = await asyncio.to_thread(Path(arguments.file).read_text, encoding="utf-8", errors="replace")
    table, notes = converted(text)
    if arguments.out:
        await asyncio.to_thread(_written, Path(arguments.out), table)
    show.result(
        arguments, {"toml": table, "notes": notes}, "\n".join(notes) if arguments.out else table.rstrip()
    )
    return 0


def _written(file: Path, text: str) -> None:
    """Write a file that must not be there yet."""
    try:
        with file.open("x", encoding="utf-8") as opened_file:
            opened_file.write(text)
    except FileExistsError as problem:
        raise InvalidInput(
            f"{file} is there already.", hint="Choose another name.", code="exists"
        ) from problem


def converted(text: str) -> tuple[str, list[str]]:
    """Return lyceum.toml, the notes as comments at its head, and the notes; raises InvalidInput for other files."""
    told = _read(text)
    mode = str(_row(told, "app").get("mode", ""))
    if _row(told, "workflow"):
        nodes = [_row(node, "data") for node in _rows(_row(_row(told, "workflow"), "graph"), "nodes")]
        models = [node for node in nodes if node.get("type") == "llm"]
        searches = [node for node in nodes if node.get("type") == "knowledge-retrieval"]
        model, search = _first(models), _row(_first(searches), "multiple_retrieval_config")
        prompt = "\n".join(
            str(part.get("text", ""))
            for part in _rows(model, "prompt_template")
            if part.get("role") == "system"
        )
        held = [str(one) for node in searches for one in node.get("dataset_ids") or ()]
        notes = [*_left(nodes), *_more("model", models), *_more("search", searches)]
        features = _row(_row(told, "workflow"), "features")
    else:
        model, features = _row(told, "model_config"), _row(told, "model_config")
        search, prompt = _row(model, "dataset_configs"), str(model.get("pre_prompt") or "")
        sets = _rows(_row(search, "datasets"), "datasets")
        held, notes = [str(_row(one, "dataset").get("id", "")) for one in sets], []
    if mode == "agent-chat":
        notes.append("Tools of an agent are not carried over; the documents are.")
    notes += [*_prompt_notes(prompt), *_search_notes(search, held), *_feature_notes(features)]
    named = _row(model, "model")
    tables = [
        *_chat(named, notes),
        "",
        *_retriever(search, notes),
        "",
        *_answerer(prompt, search, bool(named)),
    ]
    return "\n".join([*(f"# {note}" for note in notes), "", *tables]) + "\n", notes


def _read(text: str) -> Row:
    try:
        import yaml
    except ImportError as problem:
        raise ConfigError("YAML cannot be read.", hint="Run: pip install 'lyceum[dify]'") from problem
    try:
        told = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise InvalidInput(f"This is no YAML: {problem}.", hint="Export the application again.") from problem
    if not isinstance(told, Mapping) or told.get("kind") != "app" or not _row(told, "app"):
        raise InvalidInput(
            "This is no exported Dify application.",
            hint="In Dify: the application's menu, Export DSL.",
            code="dify",
        )
    return told


def _row(told: Row, name: str) -> Row:
    found = told.get(name)
    return found if isinstance(found, Mapping) else {}


def _rows(told: Row, name: str) -> list[Row]:
    found = told.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _first(rows: list[Row]) -> Row:
    return rows[0] if rows else {}


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _chat(named: Row, notes: list[str]) -> Iterator[str]:
    provider = str(named.get("provider", "")).rsplit("/", 1)[-1]
    if not named.get("name"):
        notes.append("The application names no model: answers are quoted from the documents.")
        return
    address = ENDPOINTS.get(provider, FILL_IN)
    if address == FILL_IN:
        notes.append(f"Where {provider or 'the provider'} listens is not in the file: fill in base_url.")
    if settings := _row(named, "completion_params"):
        notes.append(
            f"Not carried over: {', '.join(map(str, settings))} of the model; its server's defaults hold."
        )
    notes.append("Put the key into the environment: LYCEUM_CHAT_KEY.")
    yield from ("[chat]", 'kind = "models.openai"', f"base_url = {_text(address)}")
    yield f"model = {_text(str(named['name']))}"


def _retriever(search: Row, notes: list[str]) -> Iterator[str]:
    weight = _row(_row(search, "weights"), "vector_setting").get("vector_weight")
    reranking = _row(search, "reranking_model")
    named = str(reranking.get("model") or reranking.get("reranking_model_name") or "")
    if named and search.get("reranking_enable", True) and search.get("reranking_mode") != "weighted_score":
        notes.append(
            f"Reranking by {named}: give its address under [retriever.reranker], see the guide on rerankers."
        )
    if (
        isinstance(weight, int | float)
        and 0 <= weight <= 1
        and search.get("reranking_mode") == "weighted_score"
    ):
        yield from ("[retriever]", 'kind = "search.hybrid"', f"weight = {float(weight)}")
    else:
        yield "# [retriever] stays as shipped: words and meaning, fused"


def _answerer(prompt: str, search: Row, writes: bool) -> Iterator[str]:
    if not writes:
        return
    yield from ("[answerer]", 'kind = "answer.generative"')
    top = search.get("top_k")
    if isinstance(top, int) and 0 < top <= 100:
        yield f"budget = {top * CHUNK}  # {top} pieces of {CHUNK} tokens; here pieces are smaller and more"
    if prompt.strip():
        yield f"instructions = {_text(prompt.strip())}"


def _prompt_notes(prompt: str) -> Iterator[str]:
    if "{{" in prompt:
        yield "The prompt holds {{variables}}: write plain words instead; passages and question are added anyway."


def _search_notes(search: Row, held: list[str]) -> Iterator[str]:
    if search.get("score_threshold_enabled") or search.get("score_threshold"):
        yield "Dify's score threshold has another scale: [answerer] threshold is a confidence, .3 as shipped."
    if held:
        yield f"{len(held)} knowledge base(s) are not in the file: lyceum ingest the documents themselves."


def _feature_notes(features: Row) -> Iterator[str]:
    for name, said in (
        ("opening_statement", "the opening statement"), ("suggested_questions", "suggested questions"),
        ("sensitive_word_avoidance", "the word filter"), ("external_data_tools", "external data tools"),
    ):  # fmt: skip
        found = features.get(name)
        if found and not (isinstance(found, Mapping) and not found.get("enabled")):
            yield f"Not carried over: {said}."


def _left(nodes: list[Row]) -> Iterator[str]:
    kinds = sorted({str(node.get("type")) for node in nodes} - set(CARRIED))
    if kinds:
        yield f"Not carried over: steps of kind {', '.join(kinds)}."


def _more(what: str, rows: list[Row]) -> Iterator[str]:
    if len(rows) > 1:
        yield f"Of {len(rows)} {what} steps the first counts."
