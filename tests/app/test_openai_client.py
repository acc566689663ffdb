"""OpenAI's own client against a real server: what a program that knows nothing of Lyceum sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.app.served import Server, command, library, served

QUESTIONS = [
    ("When does the Kestrel warehouse open?", "seven", "harbour.txt"),
    ("冷库的温度必须保持在多少度？", "零下二十度", "cold-store.md"),
    ("What is the price of the valve V7?", "42 EUR", "prices.csv"),
]
NAMES = ["english", "chinese", "table"]
UNANSWERABLE = "Who painted the Sistine Chapel?"


@pytest.fixture(scope="module", params=["installed models", "no models"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("openai")
    given = {}
    if request.param == "no models":
        (folder / "models").mkdir()
        given = {"LYCEUM_MODELS": str(folder / "models")}
    files, home = library(folder / "files"), folder / "home"
    done = command(["ingest", "--home", str(home), str(files)], **given)
    assert done.returncode == 0, done.stderr
    assert ("No encoder" in done.stderr) or request.param != "no models"
    with served(home, **given) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=20,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as made:  # fmt: skip
        yield made


def asked(client: openai.OpenAI, question: str) -> dict[str, Any]:
    messages: Any = [{"role": "user", "content": question}]
    return client.chat.completions.create(model="lyceum", messages=messages).model_dump()


def streamed(client: openai.OpenAI, question: str) -> list[dict[str, Any]]:
    messages: Any = [{"role": "user", "content": question}]
    with client.chat.completions.create(model="lyceum", messages=messages, stream=True) as pieces:
        return [piece.model_dump() for piece in pieces]


def test_models(client: openai.OpenAI, request: pytest.FixtureRequest) -> None:
    served = ["lyceum"] if "no models" in request.node.name else ["lyceum", "minilm"]
    assert [(one.id, one.object) for one in client.models.list()] == [(name, "model") for name in served]


@pytest.mark.parametrize(("question", "wanted", "source"), QUESTIONS, ids=NAMES)
def test_answer_with_annotations_and_citations(
    client: openai.OpenAI, server: Server, question: str, wanted: str, source: str
) -> None:
    reply = asked(client, question)
    (choice,) = reply["choices"]
    message = choice["message"]
    assert (choice["finish_reason"], message["role"], message["refusal"]) == ("stop", "assistant", None)
    assert wanted in message["content"]
    assert reply["abstained"] is False
    first = reply["citations"][0]
    assert first["source"].endswith(source)
    assert wanted in first["quote"]
    assert first.get("row") == (2 if source.endswith("csv") else None)
    by_number = {cited["number"]: cited for cited in reply["citations"]}
    assert message["annotations"], "an answer marks what it cites"
    for annotation in message["annotations"]:
        assert annotation["type"] == "url_citation"
        marked = annotation["url_citation"]
        mark = message["content"][marked["start_index"] : marked["end_index"]]
        assert re.fullmatch(r"\[\d+\]", mark)
        cited = by_number[int(mark[1:-1])]
        assert marked["title"] == cited["title"]
        document = httpx.get(server.url + marked["url"], trust_env=False).json()
        assert document["source"] == cited["source"]
        assert any(cited["quote"] in chunk["text"] for chunk in document["chunks"])


def test_the_last_of_a_conversation_is_the_question(client: openai.OpenAI) -> None:
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the price of the pump P3?"},
        {"role": "assistant", "content": "310 EUR."},
        {"role": "user", "content": [{"type": "text", "text": "When does the Kestrel warehouse open?"}]},
    ]
    reply = client.chat.completions.create(model="lyceum", messages=messages, temperature=0, max_tokens=50)
    assert "seven" in (reply.choices[0].message.content or "")


@pytest.mark.parametrize(("question", "wanted", "source"), QUESTIONS, ids=NAMES)
def test_stream(client: openai.OpenAI, question: str, wanted: str, source: str) -> None:
    chunks = streamed(client, question)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"]["role"] == "assistant"
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert {(chunk["object"], chunk["model"]) for chunk in chunks} == {("chat.completion.chunk", "lyceum")}
    assert len({chunk["id"] for chunk in chunks}) == 1
    text = "".join(choice["delta"]["content"] or "" for choice in choices)
    assert wanted in text
    whole, last = asked(client, question), chunks[-1]
    assert text.strip() == whole["choices"][0]["message"]["content"].strip()
    assert last["citations"] == whole["citations"]
    assert last["citations"][0]["source"].endswith(source)
    assert last["abstained"] is False
    for annotation in choices[-1]["delta"]["annotations"]:
        marked = annotation["url_citation"]
        assert re.fullmatch(r"\[\d+\]", text[marked["start_index"] : marked["end_index"]])


def test_filters_in_the_extra_body(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": QUESTIONS[2][0]}]

    def answered(**filters: str) -> Any:
        body = {"filters": filters}
        return client.chat.completions.create(model="lyceum", messages=messages, extra_body=body).model_dump()

    assert QUESTIONS[2][1] in answered(type="csv")["choices"][0]["message"]["content"]
    assert (
        answered(type="txt")["abstained"]
        or "42 EUR" not in answered(type="txt")["choices"][0]["message"]["content"]
    )
    with pytest.raises(openai.BadRequestError, match="is no date"):
        answered(since="last week")


def test_a_stream_can_be_left_early(client: openai.OpenAI, server: Server) -> None:
    messages: Any = [{"role": "user", "content": QUESTIONS[0][0]}]
    before = len(server.printed())
    with client.chat.completions.create(model="lyceum", messages=messages, stream=True) as pieces:
        next(iter(pieces))
    assert asked(client, QUESTIONS[0][0])["abstained"] is False
    assert "Traceback" not in server.printed()[before:]


def test_refusal(client: openai.OpenAI) -> None:
    reply = asked(client, UNANSWERABLE)
    message = reply["choices"][0]["message"]
    assert (reply["abstained"], reply["citations"], message["annotations"]) == (True, [], [])
    assert message["content"], "the reason"


def test_refusal_as_stream(client: openai.OpenAI) -> None:
    chunks = streamed(client, UNANSWERABLE)
    assert "".join(chunk["choices"][0]["delta"]["content"] or "" for chunk in chunks).strip()
    last = chunks[-1]
    assert (last["abstained"], last["citations"]) == (True, [])
    assert last["choices"][0]["finish_reason"] == "stop"


def test_errors_are_the_clients_own(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Anything?"}]
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-unknown", messages=messages)
    assert unknown.value.code == "not_found"
    assert "'lyceum'" in unknown.value.body["hint"]  # type: ignore[index, call-overload]
    with pytest.raises(openai.BadRequestError) as empty:
        client.chat.completions.create(
            model="lyceum", messages=[{"role": "user", "content": " "}], stream=True
        )
    assert empty.value.code == "empty_query"


def test_a_token_is_the_api_key(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "models").mkdir()
    with (
        served(home, LYCEUM_TOKEN="sesame", LYCEUM_MODELS=str(tmp_path / "models")) as running,
        httpx.Client(trust_env=False) as plain,
        openai.OpenAI(
            base_url=f"{running.url}/v1", api_key="sesame", max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        ) as right,
    ):  # fmt: skip
        assert plain.get(f"{running.url}/v1/models").status_code == 401
        assert [one.id for one in right.models.list()] == ["lyceum"]
        wrong = right.with_options(api_key="guess")
        with pytest.raises(openai.AuthenticationError) as refused:
            wrong.models.list()
        assert refused.value.code == "forbidden"


def test_embeddings(client: openai.OpenAI, request: pytest.FixtureRequest) -> None:
    texts = ["The warehouse opens at seven.", "Opening hours of the store", "word " * 400]
    if "no models" in request.node.name:
        with pytest.raises(openai.NotFoundError) as absent:
            client.embeddings.create(model="minilm", input=texts)
        assert absent.value.code == "no_encoder"
        return
    given = client.embeddings.create(model="minilm", input=texts)  # the client asks for base64 by itself
    floats = client.embeddings.create(model="minilm", input=texts, encoding_format="float")
    assert [one.index for one in given.data] == [0, 1, 2]
    for one, other in zip(given.data, floats.data, strict=True):
        assert len(one.embedding) == 384
        assert one.embedding == pytest.approx(other.embedding)
        assert sum(value * value for value in one.embedding) == pytest.approx(1, abs=1e-3)
    alone = client.embeddings.create(model="minilm", input=texts[0])
    assert alone.data[0].embedding == given.data[0].embedding
    assert alone.usage.prompt_tokens == alone.usage.total_tokens == 8
    assert given.usage.total_tokens == 8 + 7 + 256
    assert given.model_dump()["truncated"] == 1
    assert client.embeddings.create(model="minilm", input="x", dimensions=384).data
    for more, code in (
        ({"dimensions": 64}, "dimensions"),
        ({"input": [[1, 2]]}, "invalid"),
        ({"input": []}, "invalid"),
    ):
        asked: dict[str, Any] = {"model": "minilm", "input": "x", **more}
        with pytest.raises(openai.BadRequestError) as refused:
            client.embeddings.create(**asked)
        assert refused.value.code == code
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="text-embedding-3-small", input="x")


@pytest.mark.parametrize(("question", "wanted", "source"), QUESTIONS, ids=NAMES)
def test_response(client: openai.OpenAI, question: str, wanted: str, source: str) -> None:
    reply = client.responses.create(model="lyceum", input=question, instructions="Be brief.", temperature=0)
    assert wanted in reply.output_text
    assert (reply.status, reply.error, reply.instructions) == ("completed", None, "Be brief.")
    (message,) = reply.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    assert part.annotations
    for annotation in part.annotations:
        assert annotation.type == "url_citation"
        assert re.fullmatch(r"\[\d+\]", part.text[annotation.start_index : annotation.end_index])
    assert reply.model_dump()["citations"][0]["source"].endswith(source)
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens


@pytest.mark.parametrize("question", [QUESTIONS[0][0], UNANSWERABLE])
def test_response_as_stream(client: openai.OpenAI, question: str) -> None:
    with client.responses.create(model="lyceum", input=question, stream=True) as pieces:
        events = list(pieces)
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        f"response.{name}" for name in ("created", "in_progress", "output_item.added", "content_part.added")
    ]
    assert kinds[-4:] == [
        f"response.{name}"
        for name in ("output_text.done", "content_part.done", "output_item.done", "completed")
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.completed"
    assert text.strip() == last.response.output_text.strip()
    assert text.strip() == client.responses.create(model="lyceum", input=question).output_text
    added = [event for event in events if event.type == "response.output_text.annotation.added"]
    assert bool(added) == (question != UNANSWERABLE)
    with client.responses.stream(model="lyceum", input=question) as stream:
        stream.until_done()
        assert stream.get_final_response().output_text.strip() == text.strip()


def test_response_to_a_conversation(client: openai.OpenAI) -> None:
    turns: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "What is the price of the pump P3?"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "310 EUR."}]},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "When does the Kestrel warehouse open?"}],
        },
    ]
    reply = client.responses.create(model="lyceum", input=turns, metadata={"chat": "7"})
    assert "seven" in reply.output_text
    assert reply.metadata == {"chat": "7"}


@pytest.mark.parametrize(
    ("more", "code"),
    [({"previous_response_id": "resp_1"}, "not_stored"), ({"input": " "}, "empty_query"), ({"input": []}, "invalid"),
     ({"background": True}, "invalid"), ({"tools": [{"type": "web_search"}]}, "invalid"),
     ({"extra_body": {"colour": 1}}, "invalid")],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_responses_that_are_refused(
    client: openai.OpenAI, more: dict[str, Any], code: str, stream: bool
) -> None:
    asked: dict[str, Any] = {"model": "lyceum", "input": "When?", "stream": stream, **more}
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**asked)
    assert refused.value.code == code


def test_an_unknown_field_is_no_question(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": QUESTIONS[0][0]}]
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="lyceum", messages=messages, extra_body={"reader": ["captain"]})
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="lyceum", messages=messages, n=2)
    assert client.chat.completions.create(model="lyceum", messages=messages, n=1, seed=1, user="u").choices
