"""Answers read off page pictures of real PDFs by a scripted model, and hits ranked by how their pages look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from reportlab.pdfgen import canvas

from lyceum import wire
from lyceum.core.errors import ProviderError
from lyceum.core.trace import tracing
from lyceum.core.types import Answer, Query, Span
from lyceum.ingest.pipeline import Job
from lyceum.models.scripted import ScriptedChat
from tests.models.test_clip import folder
from tests.toys import run

QUESTION = Query(text="How heavy is the anchor?", top_k=5)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two PDFs that say the same; only their colour tells which is which."""
    made = []
    for colour in ("blue", "red"):
        file = tmp_path / f"{colour}.pdf"
        paper = canvas.Canvas(str(file), pagesize=(400, 500), invariant=1)
        paper.setFillColor(colour)
        paper.rect(0, 0, 400, 500, stroke=0, fill=1)
        paper.setFillColor("white")
        paper.drawString(40, 400, "The anchor of this ship lies in the harbour.")
        paper.save()
        made.append(file)
    return made


def scene(
    folder: Path, files: Sequence[Path], tables: dict[str, Any], replies: Any = ("",), question: Query = QUESTION,
    gone: bool = False,
) -> tuple[Answer, dict[str, dict[str, Any]], ScriptedChat]:  # fmt: skip
    """Ingest the files, ask once; return the answer, the facts of each span, and what the model heard."""
    chat = ScriptedChat(replies)

    async def play() -> tuple[Answer, dict[str, dict[str, Any]]]:
        built = wire.build(tables, folder / "home", folder / "none", {"chat": chat})
        await built.ingest([Job(path=file, source=str(file), name=file.name) for file in files])
        for file in files if gone else ():
            file.unlink()
        spans: list[Span] = []
        with tracing(spans.append):
            answer = await built.answerer(question)
        await built.close()
        return answer, {one.name: dict(one.facts) for one in spans}

    answer, facts = run(play())
    return answer, facts, chat


SEEING = {
    "answerer": {
        "kind": "answer.vision",
        "answerer": {"kind": "answer.extractive", "threshold": 0.0},
        "pages": 1,
    }
}


def test_the_page_is_shown_and_cited(tmp_path: Path, files: list[Path]) -> None:
    answer, facts, chat = scene(tmp_path, files, SEEING, ["Forty kilos [1]."])
    assert answer.text == "Forty kilos [1]."
    assert answer.citations[0].place.page == 1
    assert answer.citations[0].boxes
    assert facts["answer.vision"]["pages"] == 1
    message = chat.heard[0][1]
    assert message.images[0].startswith("data:image/png;base64,iVBOR")
    assert "Question: How heavy" in message.content


def test_not_found_is_a_refusal(tmp_path: Path, files: list[Path]) -> None:
    answer, _, _ = scene(tmp_path, files, SEEING, ["NOT_FOUND"])
    assert answer.abstained
    assert answer.reason == "The model found no answer in the documents."


@pytest.mark.parametrize("reply", [ProviderError("away", hint="Try again."), ""])
def test_a_model_that_fails_leaves_it_to_the_other(tmp_path: Path, files: list[Path], reply: Any) -> None:
    answer, _, _ = scene(tmp_path, files, SEEING, [reply])
    assert "anchor of this ship" in answer.text


def test_files_that_have_gone_leave_it_to_the_other(tmp_path: Path, files: list[Path]) -> None:
    answer, facts, chat = scene(tmp_path, files, SEEING, ["never asked [1]"], gone=True)
    assert "anchor of this ship" in answer.text
    assert (facts["answer.vision"]["warning"], chat.heard) == ("no page can be drawn", [])


def looking(model: Path, weight: float) -> dict[str, Any]:
    reranker = {"kind": "search.visual", "picture_encoder": {"kind": "models.clip", "folder": str(model)}}
    retriever = {
        "kind": "search.reranked", "retriever": {"kind": "search.lexical"},
        "reranker": {**reranker, "weight": weight},
    }  # fmt: skip
    return {"retriever": retriever, "answerer": {"kind": "answer.extractive", "threshold": 0.0}}


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_pages_are_ranked_by_their_looks(tmp_path: Path, files: list[Path], colour: str) -> None:
    model = folder(tmp_path / "toy", late=False)
    question = Query(text=f"anchor {colour}")
    answer, facts, _ = scene(tmp_path, files, looking(model, 0.9), question=question)
    assert Path(answer.hits[0].document.source).stem == colour
    assert answer.hits[0].by[-1].part == "picture"
    assert facts["search.visual"]["pages"] == 2


def test_without_pictures_the_order_stays(tmp_path: Path, files: list[Path]) -> None:
    model = folder(tmp_path / "toy", late=False)
    before, _, _ = scene(tmp_path / "a", files, {"retriever": {"kind": "search.lexical"}})
    after, facts, _ = scene(tmp_path / "a", files, looking(model, 0.9), gone=True)
    assert [hit.chunk.id for hit in after.hits] == [hit.chunk.id for hit in before.hits]
    assert facts["search.visual"]["pages"] == 0
