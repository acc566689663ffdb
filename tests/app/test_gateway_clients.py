"""Real clients against a real server whose gateway has targets of every kind: what programs see of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.app.served import Server, command, library, served
from tests.gateway.openai_wire import vendor
from tests.gateway.upstream import Played, playing

MODELS = """
[[model]]
name = "chat"
targets = [{{url = "{url}/v1", model = "real"}}]
[[model]]
name = "claude"
targets = [{{url = "{url}/v1", kind = "anthropic"}}]
[[model]]
name = "llama"
targets = [{{url = "{url}", kind = "ollama"}}]
[[model]]
name = "library"
targets = [{{url = "lyceum:", kind = "lyceum"}}]
[alias]
gpt = "chat"
"""
SAYS = [{"role": "user", "content": "What is the weather in Oslo?"}]
TOOLS = [
    {"type": "function", "function": {
        "name": "weather", "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }}
]  # fmt: skip
KINDS = ("chat", "claude", "llama")


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module")
def upstream() -> Iterator[Played]:
    with playing(vendor) as made:
        yield made


@pytest.fixture(scope="module")
def server(upstream: Played, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("clients")
    home, files = folder / "home", library(folder / "files")
    given = {"LYCEUM_MODELS": str(folder / "none")}
    assert command(["ingest", "--home", str(home), str(files)], **given).returncode == 0
    secret = folder / "secret.txt"
    secret.write_text("The vault of the Kestrel warehouse opens with the word heron.", encoding="utf-8")
    assert (
        command(["ingest", "--home", str(home), "--readers", "board", str(secret)], **given).returncode == 0
    )
    (home / "gateway.toml").write_text(MODELS.format(url=upstream.url), encoding="utf-8")
    with served(home, **given) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key="x", max_retries=0, timeout=20, http_client=http
    ) as made:
        yield made


@pytest.mark.parametrize("model", [*KINDS, "gpt"])
def test_openai_chat(client: openai.OpenAI, model: str) -> None:
    made: Any = client.chat.completions.create(model=model, messages=SAYS, tools=TOOLS)  # type: ignore[call-overload]
    message = made.choices[0].message
    assert (message.content, made.choices[0].finish_reason) == ("Let me look.", "tool_calls")
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Oslo"}
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (12, 7)


@pytest.mark.parametrize("model", KINDS)
def test_openai_chat_streamed(client: openai.OpenAI, model: str) -> None:
    options: Any = {"stream_options": {"include_usage": True}}
    with client.chat.completions.stream(model=model, messages=SAYS, tools=TOOLS, **options) as stream:  # type: ignore[arg-type]
        made = stream.get_final_completion()
    assert made.choices[0].message.content == "Let me look."
    call = made.choices[0].message.tool_calls
    assert call
    assert json.loads(call[0].function.arguments) == {"city": "Oslo"}
    assert made.usage
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (12, 7)


def test_openai_structured_output(client: openai.OpenAI, upstream: Played) -> None:
    made = client.chat.completions.parse(model="chat", messages=SAYS, response_format=Person)  # type: ignore[arg-type]
    assert made.choices[0].message.parsed == Person(name="Ann", age=7)
    told = json.loads(upstream.requests[-1].partition(b"\r\n\r\n")[2])
    assert told["response_format"]["json_schema"]["schema"]["required"] == ["name", "age"]


def test_openai_other_endpoints(client: openai.OpenAI) -> None:
    assert client.completions.create(model="chat", prompt="Where?").choices[0].text == "Oslo"
    pieces = client.completions.create(model="chat", prompt="Where?", stream=True)
    assert "".join(one.choices[0].text for one in pieces) == "Oslo"
    assert client.embeddings.create(model="chat", input="a").data[0].embedding == [0.5, -1.0]
    assert client.embeddings.create(model="llama", input="a").data[0].embedding == [0.5, -1.0]
    ranked: Any = client.post(
        "/rerank", cast_to=object, body={"model": "chat", "query": "a", "documents": ["b", "c"]}
    )
    assert ranked["results"][0]["index"] == 1


@pytest.mark.parametrize("model", KINDS)
def test_openai_responses(client: openai.OpenAI, model: str) -> None:
    asked: Any = {"model": model, "input": "Weather?", "max_output_tokens": 50}
    if model != "chat":
        asked["tools"] = [{"type": "function", **TOOLS[0]["function"]}]  # type: ignore[dict-item]
    with client.responses.stream(**asked) as stream:
        streamed: Any = stream.get_final_response()
    for made in (client.responses.create(**asked), streamed):
        assert (made.output_text, made.status) == ("Let me look.", "completed")
        assert (made.usage.input_tokens, made.usage.output_tokens) == (12, 7)
        if model != "chat":
            call = made.output[1]
            assert (call.type, call.name, json.loads(call.arguments)) == (
                "function_call",
                "weather",
                {"city": "Oslo"},
            )


def test_openai_models(client: openai.OpenAI) -> None:
    assert {*KINDS, "library", "gpt", "lyceum"} == {one.id for one in client.models.list()}


@pytest.mark.parametrize("model", [*KINDS, "none"])
@pytest.mark.parametrize("stream", [False, True])
def test_openai_errors(client: openai.OpenAI, model: str, stream: bool) -> None:
    says: Any = [{"role": "user", "content": "fail"}]
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
        client.chat.completions.create(model=model, messages=says, stream=stream)
    assert ("No such luck." in str(caught.value)) is (model != "none")


def test_openai_asks_the_library(client: openai.OpenAI) -> None:
    says: Any = [{"role": "user", "content": "When does the Kestrel warehouse open?"}]
    for more in ({}, {"stream": True}):
        made: Any = client.chat.completions.create(model="library", messages=says, **more)
        text = (
            "".join(one.choices[0].delta.content or "" for one in made)
            if more
            else made.choices[0].message.content
        )
        assert "seven" in text
    assert "seven" in client.responses.create(model="library", input=says[0]["content"]).output_text


@pytest.mark.parametrize(("whose", "found"), [([], False), (["board"], True)])
def test_a_key_sees_what_its_readers_may(
    server: Server, client: openai.OpenAI, whose: list[str], found: bool
) -> None:
    """Whatever the body says: the key decides."""
    name = "board" if whose else "staff"
    body = {"id": name, "readers": whose}
    made: Any = client.post(f"{server.url}/admin/gateway/key", cast_to=object, body=body)
    says: Any = [{"role": "user", "content": "Which word opens the vault of the Kestrel warehouse?"}]
    mine = client.with_options(api_key=made["secret"])
    try:
        told = mine.chat.completions.create(model="library", messages=says, extra_body={"readers": ["board"]})
        assert ("heron" in (told.choices[0].message.content or "")) is found
    finally:
        mine.delete(f"{server.url}/admin/gateway/key/{name}", cast_to=object)


# --- Anthropic's client -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def claude(server: Server) -> Iterator[Any]:
    anthropic = pytest.importorskip("anthropic", reason="the extra anthropic is not installed")
    http = anthropic.DefaultHttpxClient(trust_env=False)
    with anthropic.Anthropic(
        base_url=server.url, api_key="x", max_retries=0, timeout=20, http_client=http
    ) as made:
        yield made


ASKED = {
    "max_tokens": 99, "messages": SAYS,
    "tools": [{"name": "weather", "input_schema": TOOLS[0]["function"]["parameters"]}],  # type: ignore[index]
}  # fmt: skip


@pytest.mark.parametrize("model", KINDS)
def test_anthropic_messages(claude: Any, model: str) -> None:
    with claude.messages.stream(model=model, **ASKED) as stream:
        streamed = stream.get_final_message()
    for made in (claude.messages.create(model=model, **ASKED), streamed):
        text, call = made.content
        assert (text.text, call.name, call.input) == ("Let me look.", "weather", {"city": "Oslo"})
        assert made.stop_reason == "tool_use"
        assert made.usage.output_tokens == 7
        assert made.usage.input_tokens + made.usage.cache_read_input_tokens in (10, 12)


def test_anthropic_asks_the_library(claude: Any) -> None:
    says = [{"role": "user", "content": "When does the Kestrel warehouse open?"}]
    assert "seven" in claude.messages.create(model="library", max_tokens=99, messages=says).content[0].text
    with claude.messages.stream(model="library", max_tokens=99, messages=says) as stream:
        assert "seven" in stream.get_final_text()


@pytest.mark.parametrize("model", [*KINDS, "none"])
def test_anthropic_errors(claude: Any, model: str) -> None:
    import anthropic

    with pytest.raises((anthropic.BadRequestError, anthropic.NotFoundError)) as caught:
        claude.messages.create(model=model, max_tokens=9, messages=[{"role": "user", "content": "fail"}])
    assert caught.value.body["error"]["message"]


# --- frameworks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", KINDS)
def test_langchain(server: Server, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pytest.importorskip("langchain_openai", reason="the extra langchain-openai is not installed")
    chat = made.ChatOpenAI(base_url=f"{server.url}/v1", api_key="x", model=model, max_retries=0)
    assert chat.invoke("Weather in Oslo?").content == "Let me look."
    found = chat.bind_tools(TOOLS).invoke("Weather in Oslo?")
    assert found.tool_calls[0]["args"] == {"city": "Oslo"}
    assert "".join(one.content for one in chat.stream("Weather in Oslo?")) == "Let me look."
    if model == "chat":
        assert chat.with_structured_output(Person).invoke("Who?") == Person(name="Ann", age=7)


@pytest.mark.parametrize("model", KINDS)
def test_llamaindex(server: Server, model: str) -> None:
    made = pytest.importorskip(
        "llama_index.llms.openai_like", reason="the extra llama-index-llms-openai-like is not installed"
    )
    chat = made.OpenAILike(
        api_base=f"{server.url}/v1", api_key="x", model=model, is_chat_model=True, max_retries=0
    )
    assert chat.complete("Weather in Oslo?").text == "Let me look."
    assert [one.text for one in chat.stream_complete("Weather in Oslo?")][-1] == "Let me look."
