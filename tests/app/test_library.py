import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lyceum.app.cli import main
from lyceum.app.library import Home
from lyceum.core.errors import ConfigError, InvalidInput

QUESTION = "How long is the notice period?"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("LYCEUM_MODELS", str(tmp_path / "none"))
    for name, readers in (("open", ""), ("secret", "board")):
        file = tmp_path / f"{name}.md"
        file.write_text(
            f"# Contracts {name}\n\nThe notice period is three months ({name}).\n", encoding="utf-8"
        )
        more = ["--readers", readers] if readers else []
        assert main(["ingest", "--json", "--home", str(tmp_path / "home"), str(file), *more]) == 0
    with Home(tmp_path / "home") as opened:
        yield opened


def test_plain_calls(home: Home) -> None:
    (hit,) = home.search(QUESTION)
    assert "three months" in hit.chunk.text
    assert "three months" in home.ask(QUESTION).text
    home.close()
    home.close()


def test_readers_travel(home: Home, tmp_path: Path) -> None:
    with Home(tmp_path / "home", readers=["board"]) as board:
        assert {Path(hit.document.source).name for hit in board.search(QUESTION)} == {"open.md", "secret.md"}
        assert [hit.document.title for hit in board.search(QUESTION, filters={"source": "open.md"})] != []
    assert all("secret" not in hit.chunk.text for hit in home.search("notice period secret"))


def test_errors_come_through(home: Home) -> None:
    with pytest.raises(InvalidInput):
        home.search(" ")


def test_langchain(home: Home) -> None:
    from lyceum.app.langchain import LyceumRetriever

    retriever = LyceumRetriever(home=home, top_k=3)
    (document,) = retriever.invoke(QUESTION)
    assert document.page_content == home.search(QUESTION)[0].chunk.text
    assert document.metadata["source"].endswith("open.md")
    assert document.metadata["line"] == 3
    assert asyncio.run(retriever.ainvoke(QUESTION)) == [document]
    chain = retriever | (lambda found: found[0].metadata["headings"])
    assert chain.invoke(QUESTION) == "Contracts open"


def test_llamaindex(home: Home) -> None:
    pytest.importorskip("llama_index.core", reason="the extra llamaindex is not installed")
    from lyceum.app.llamaindex import LyceumRetriever

    retriever = LyceumRetriever(home, top_k=3)
    (found,) = retriever.retrieve(QUESTION)
    assert found.node.text == home.search(QUESTION)[0].chunk.text
    assert found.score == home.search(QUESTION)[0].score
    assert found.node.metadata["line"] == 3
    assert [one.node.node_id for one in asyncio.run(retriever.aretrieve(QUESTION))] == [found.node.node_id]


@pytest.mark.parametrize("name", ["langchain", "llamaindex"])
def test_without_the_framework(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, {"langchain": "langchain_core", "llamaindex": "llama_index"}[name], None)
    for module in [one for one in sys.modules if one.startswith(("langchain_core.", "llama_index."))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, f"lyceum.app.{name}", raising=False)
    with pytest.raises(ConfigError, match="not installed") as caught:
        __import__(f"lyceum.app.{name}")
    assert name in caught.value.hint
