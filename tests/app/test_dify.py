import json
import tomllib
from pathlib import Path

import pytest

from lyceum import wire
from lyceum.app.cli import main
from lyceum.app.dify import converted
from lyceum.core.errors import InvalidInput

CHAT = """
app: {mode: chat, name: Help desk}
kind: app
version: 0.3.1
model_config:
  pre_prompt: "You answer for the help desk of 恒达.\\nBe \\"brief\\", {{user_name}}."
  opening_statement: Hello!
  model: {provider: langgenius/ollama/ollama, name: "qwen3:4b", mode: chat, completion_params: {temperature: 0.2}}
  sensitive_word_avoidance: {enabled: false}
  dataset_configs:
    retrieval_model: multiple
    top_k: 4
    score_threshold_enabled: true
    score_threshold: 0.5
    reranking_mode: weighted_score
    reranking_enable: true
    weights: {vector_setting: {vector_weight: 0.7}, keyword_setting: {keyword_weight: 0.3}}
    datasets: {datasets: [{dataset: {enabled: true, id: 4f8a}}, {dataset: {enabled: true, id: 77aa}}]}
"""

FLOW = """
app: {mode: advanced-chat, name: Support}
kind: app
version: 0.1.5
workflow:
  features: {suggested_questions: ['What is new?']}
  graph:
    nodes:
    - {id: a, data: {type: start}}
    - id: b
      data:
        type: knowledge-retrieval
        dataset_ids: [x1]
        multiple_retrieval_config:
          {top_k: 6, reranking_mode: reranking_model, reranking_model: {provider: p, model: bge-reranker}}
    - id: c
      data:
        type: llm
        model: {provider: local_vllm, name: Llama-3-8B}
        prompt_template: [{role: system, text: Use the context.}, {role: user, text: "{{#sys.query#}}"}]
    - {id: d, data: {type: http-request}}
"""


def test_chat_application() -> None:
    text, notes = converted(CHAT)
    table = tomllib.loads(text)
    assert table["chat"] == {
        "kind": "models.openai", "base_url": "http://127.0.0.1:11434/v1", "model": "qwen3:4b",
    }  # fmt: skip
    assert table["retriever"] == {"kind": "search.hybrid", "weight": 0.7}
    assert table["answerer"]["budget"] == 2000
    assert table["answerer"]["instructions"].startswith('You answer for the help desk of 恒达.\nBe "brief"')
    said = " ".join(notes)
    for word in (
        "temperature",
        "threshold",
        "2 knowledge base",
        "variables",
        "opening statement",
        "LYCEUM_CHAT_KEY",
    ):
        assert word in said, word
    assert "word filter" not in said
    assert all(f"# {note}" in text for note in notes)


def test_what_it_writes_builds_a_platform(tmp_path: Path) -> None:
    platform = wire.build(tomllib.loads(converted(CHAT)[0]), tmp_path, tmp_path / "none")
    written = platform.answerer.answerer  # type: ignore[attr-defined]
    assert written.instructions.startswith("You answer")
    assert written.budget == 2000


def test_workflow() -> None:
    text, notes = converted(FLOW)
    table = tomllib.loads(text)
    assert table["chat"]["base_url"] == "FILL-IN"
    assert "retriever" not in table
    assert table["answerer"]["instructions"] == "Use the context."
    said = " ".join(notes)
    for word in (
        "http-request",
        "bge-reranker",
        "local_vllm listens",
        "suggested questions",
        "1 knowledge base",
    ):
        assert word in said, word


@pytest.mark.parametrize(
    "text", ["", "a: [", "kind: app", "kind: rag_pipeline\napp: {mode: chat}", "- 1", "kind: app\napp: 3"]
)
def test_what_is_no_application(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        converted(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["{}", "{model_config: 3}", "{workflow: {graph: {nodes: [1, {data: 2}]}}}"])
def test_odd_shapes_are_left_out(text: str) -> None:
    table, notes = converted(f"kind: app\napp: {{mode: chat}}\n{text[1:-1]}\n")
    assert "answerer" not in tomllib.loads(table)
    assert any("names no model" in note for note in notes)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app.yml").write_text(CHAT, encoding="utf-8")
    out = tmp_path / "lyceum.toml"
    assert main(["dify", str(tmp_path / "app.yml"), "--out", str(out)]) == 0
    assert tomllib.loads(out.read_text(encoding="utf-8"))["chat"]["model"] == "qwen3:4b"
    assert "LYCEUM_CHAT_KEY" in capsys.readouterr().out
    assert (
        main(["dify", "--json", str(tmp_path / "app.yml"), "--out", str(out)]) == 1
    )  # nothing is overwritten
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "exists"
