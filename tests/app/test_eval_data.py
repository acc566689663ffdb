"""A test set out of documents, read and mended by a person, and out of what was asked in use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lyceum.app.cli import main
from lyceum.evals import examples

TABLE = "Model,Weight,Owner\nP5,112 g,Ann Lee\nP7,134 g,Bo Ek\nP9,158 g,Cy Fox\n"
LEASE = "# Lease\n\nA lost key costs GBP 45. The tenant receives six keys.\n\n动火作业票由何晓岚签发。\n"


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "sub").mkdir()
    (folder / "sub" / "models.csv").write_text(TABLE, "utf-8")
    (folder / "lease.md").write_text(LEASE, "utf-8")
    return folder


@pytest.fixture(scope="module")
def home(documents: Path) -> Path:
    assert main(["ingest", "--home", str(documents.parent / "home"), "--json", str(documents)]) == 0
    return documents.parent / "home"


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_set_is_made_reviewed_and_made_again(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "questions.review.jsonl"
    make = ("eval", "make", documents, "--home", tmp_path / "none", "--out", file)
    told = said(capsys, *make)
    found = {one.question: one for one in examples.read(file)}
    assert told["made"] == len(found) == 9
    assert 0.5 < told["shared"] <= 1
    assert not (tmp_path / "none").exists()  # what was read went into a home for the time being
    one = found["What is the weight of the model P7?"]
    assert (one.gold[0].document, one.answers) == ("sub/models.csv", (("134 g",),))
    key = next(each for question, each in found.items() if "how much does a lost key cost" in question)
    assert key.gold[0].text == "A lost key costs GBP 45."

    review = ("eval", "review", file)
    told = said(
        capsys, *review, "--set", one.id[:6], "answer=134 g | 0.134 kg", "--accept", one.id, "--drop", key.id
    )
    assert told["states"] == {"open": 7, "accepted": 1, "dropped": 1}
    (chosen,) = examples.read(tmp_path / "questions.jsonl")
    assert chosen.answers == (("134 g", "0.134 kg"),)
    assert chosen.gold == one.gold

    told = said(capsys, *make)
    assert (told["made"], told["kept"]) == (7, 2)
    assert said(capsys, *review, "--accept", "all")["states"] == {"accepted": 8, "dropped": 1}
    assert len(examples.read(tmp_path / "questions.jsonl")) == 8


def test_the_documents_of_a_home_are_asked_by_their_source(
    home: Path, documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "home.jsonl"
    assert said(capsys, "eval", "make", "--home", home, "--out", file, "--most", "3")["made"] == 3
    sources = {gold.document for one in examples.read(file) for gold in one.gold}
    assert sources <= {str(documents / "lease.md"), str(documents / "sub" / "models.csv")}


def test_fields_that_a_person_mends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "q.review.jsonl"
    examples.write(
        file, [examples.example("f, line 1", {"id": "a1", "question": "Who?", "answers": [["x"], ["y"]]})]
    )
    changes = ("question=Who was it?", "document=b.pdf", "page=3", "text=It was x.", "tags=a, b")
    told = said(
        capsys, "eval", "review", file, *(word for change in changes for word in ("--set", "a1", change))
    )
    (row,) = told["examples"]
    assert row["gold"] == [{"document": "b.pdf", "page": 3, "text": "It was x."}]
    assert (row["question"], row["tags"], row["answers"]) == ("Who was it?", ["a", "b"], [["x"], ["y"]])
    for change, code in (("answer", "invalid"), ("colour=red", "invalid"), ("page=three", "examples")):
        told = said(capsys, "eval", "review", file, "--set", "a1", change, code=1)
        assert told["error"]["code"] == code
    assert said(capsys, "eval", "review", file, "--accept", "zz", code=1)["error"]["code"] == "not_found"


def test_a_question_of_production_becomes_an_example(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = said(capsys, "ask", "--home", home, "How much does a lost key cost?")
    log, into = tmp_path / "log.json", tmp_path / "taken.jsonl"
    log.write_text(json.dumps(answer), "utf-8")
    take = ("eval", "take", "--home", home, "--from", log, "--into", into)
    assert "--question" in said(capsys, *take, "--good", code=1)["error"]["hint"]
    take = (*take, "--question", "How much does a lost key cost?")
    assert said(capsys, *take, "--good")["id"] == answer["trace_id"]
    (one,) = examples.read(into)
    assert one.question == "How much does a lost key cost?"
    assert one.gold[0].document.endswith("lease.md")
    assert "45" in one.answers[0][0]
    assert said(capsys, *take, answer["trace_id"], "--bad", "--answer", "GBP 54")["tags"] == [
        "production",
        "bad",
    ]
    (one,) = examples.read(into)  # the second judgement takes the first one's place
    assert (one.answers, one.gold) == ((("GBP 54",),), ())
    assert said(capsys, *take, code=1)["error"]["code"] == "invalid"
    assert said(capsys, *take, "other", "--good", code=1)["error"]["code"] == "not_found"


def test_readers_come_from_the_trace(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, log, into = tmp_path / "home", tmp_path / "log.json", tmp_path / "taken.jsonl"
    assert (
        main(["ingest", "--home", str(home), "--json", "--readers", "board", str(documents / "lease.md")])
        == 0
    )
    answer = said(capsys, "ask", "--home", home, "--as", "board,staff", "How much does a lost key cost?")
    log.write_text(json.dumps(answer), "utf-8")
    take = ("eval", "take", "--home", home, "--from", log, "--into", into, "--good", "--question", "Key?")
    said(capsys, *take, "--as", "board,staff,guests")
    assert examples.read(into)[0].readers == {"*", "board", "staff"}
    said(capsys, *take)  # without the rights that it was asked with, the trace is not to be seen
    assert examples.read(into)[0].readers == {"*"}


def test_what_cannot_be_made_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").write_text("Nothing to ask here.", "utf-8")
    make = ("eval", "make", tmp_path / "empty", "--home", tmp_path / "home", "--out", tmp_path / "x.jsonl")
    assert "gave no question" in said(capsys, *make, code=1)["error"]["message"]
    assert "[chat]" in said(capsys, *make, "--chat", code=1)["error"]["hint"]
    assert said(capsys, *make, "--most", "0", code=1)["error"]["code"] == "invalid"
    assert said(capsys, "eval", "review", tmp_path / "none.jsonl", code=1)["error"]["code"] == "not_found"
