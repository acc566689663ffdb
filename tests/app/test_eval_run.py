"""`lyceum eval run`: production's answers, corpora's homes built once, runs named by what they were made of."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lyceum import wire
from lyceum.app import corpora, eval_identity
from lyceum.app.cli import main
from lyceum.app.eval_run import measure, pipeline
from lyceum.app.server import create
from lyceum.app.session import opened
from lyceum.app.settings import Settings, load
from lyceum.app.shapes import answer, hit
from lyceum.core.errors import ConfigError, InvalidInput, NotFound
from lyceum.core.types import Answer, Example, Hit, Query
from lyceum.evals.records import read_run
from lyceum.models.scripted import ScriptedChat
from tests.app.served import library, told
from tests.toys import run

QUESTIONS = [
    {"id": "q1", "question": "When does the Kestrel warehouse open?", "answers": [["seven"]]},
    {
        "id": "q2",
        "question": "What is the price of the valve V7?",
        "answers": [["42 EUR"]],
        "tags": ["table"],
    },
    {"id": "q3", "question": "冷库的温度是多少？", "answers": [["零下二十度"]]},
    {"id": "q4", "question": "Who painted the Sistine Chapel?", "answerable": False},
]
SAID = Answer(text="It opens at seven.")
GOLD = {"q1": "harbour.txt", "q2": "prices.csv", "q3": "cold-store.md"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    assert main(["ingest", "--home", str(folder / "home"), "--json", str(library(folder / "files"))]) == 0
    return folder / "home"


@pytest.fixture(scope="module")
def questions(home: Path) -> Path:
    file = home.parent / "questions.jsonl"
    rows = [
        {**row, "gold": [{"document": GOLD[row["id"]]}] if row["id"] in GOLD else []} for row in QUESTIONS
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A folder with two texts, a table and two questions."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    table = "part | price\nvalve V7 | 42 EUR\npump P3 | 310 EUR\nSee the catalogue."
    rows = [
        {"_id": "d1", "title": "Gate", "text": "The gate opens at seven in the morning."},
        {"_id": "d2", "title": "Badge", "text": "Visitors wear a green badge."},
        {"_id": "d3", "title": "", "text": table, "metadata": {"kind": "table", "section": "Prices"}},
    ]
    asked = [
        {"_id": "q1", "text": "When does the gate open?", "answers": ["seven"]},
        {"_id": "q2", "text": "What is the price of the pump P3?", "answers": ["310 EUR"]},
    ]
    for name, lines in (("corpus", rows), ("queries", asked)):
        text = "".join(json.dumps(row) + "\n" for row in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td3\t1\n", encoding="utf-8")
    return folder


def evaluated(home: Path, dataset: Path, *more: str) -> list[dict[str, Any]]:
    code, found = told("eval run", str(dataset), "--home", str(home), *more)
    assert code == 0, found
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(create(load(str(home), {}))) as client:
        yield client


def test_command_line_http_and_evaluation_give_the_same(
    home: Path, questions: Path, client: TestClient
) -> None:
    (summary,) = evaluated(home, questions)
    outcomes = read_run(Path(summary["folder"])).outcomes
    assert len(outcomes) == len(QUESTIONS)
    for one in outcomes:
        question = one.example.question
        assert one.answer is not None
        mine = answer(one.answer)
        _, cli = told("ask", "--home", str(home), "--explain", question)
        http = client.post("/api/answer", json={"question": question}).json()
        hits = [{**hit(found), "text": ""} for found in one.answer.hits]
        assert hits
        asked = [{**found, "text": ""} for found in cli.pop("hits")]
        assert [(h["chunk_id"], h["score"], h["by"]) for h in asked] == [
            (h["chunk_id"], h["score"], h["by"]) for h in hits
        ]
        found = client.post("/api/search", json={"question": question, "top_k": 15}).json()
        assert [h["chunk_id"] for h in found] == [h["chunk_id"] for h in hits[: len(found)]]
        cli.pop("trace")
        shown = json.loads(json.dumps(mine))
        for one_of_them in (cli, http, shown):
            for changing in ("seconds", "trace_id"):
                one_of_them.pop(changing)
        assert cli == http == shown
    assert summary["metrics"]["correct"]["n"] == 4
    assert set(summary["slices"]) >= {"tag:table", "type:csv", "language:zh", "language:en"}


def test_a_run_is_named_by_what_it_was_made_of(home: Path, questions: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "careful.toml"
    overlay.write_text("[answerer]\nthreshold = 0.9\n")
    first, second, third = evaluated(
        home, questions, "--pipeline", "default", "--pipeline", "bm25", "--pipeline", str(overlay)
    )
    limited = evaluated(home, questions, "--limit", "2")[0]
    fewer = evaluated(home, questions, "--metrics", "correct")[0]
    assert evaluated(home, questions)[0]["id"] == first["id"]
    assert len({one["id"] for one in (first, second, third, limited, fewer)}) == 5
    assert first["data"] == second["data"] == third["data"] != limited["data"]
    assert [one["pipeline"] for one in (first, second, third)] == ["default", "bm25", "careful"]
    assert len({one["configuration"] for one in (first, second, third)}) == 3
    folder = Path(second["folder"])
    assert folder == home / "runs" / second["id"]
    written = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    assert written["retriever"] == {"kind": "search.lexical"}
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["numpy"]
    assert environment["home"] == str(home)
    assert "</html>" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_same_run_again_asks_nothing(home: Path, questions: Path) -> None:
    (before,) = evaluated(home, questions)
    kept = read_run(Path(before["folder"])).outcomes
    (after,) = evaluated(home, questions)
    assert [one.seconds for one in read_run(Path(after["folder"])).outcomes] == [one.seconds for one in kept]


def test_a_configuration_is_written_as_it_was_without_its_secrets() -> None:
    tables = {
        "chat": {"kind": "models.openai", "key": "sk-1", "timeout": 3.5, "model": 'a "b" \\ 模'},
        "retriever": {"kind": "x", "view": {"kind": "y", "deep": True, "list": [1, 2]}},
    }
    written = eval_identity.toml(tables)
    assert tomllib.loads(written) == {**tables, "chat": {**tables["chat"], "key": "***"}}
    assert "sk-1" not in written


def test_data_is_the_same_in_any_order_of_documents_and_readers() -> None:
    example = Example(id="1", question="What", readers=frozenset({"a", "b", "c"}))
    same = replace(example, readers=frozenset({"c", "b", "a"}))
    assert eval_identity.data([example], []) == eval_identity.data([same], [])
    assert eval_identity.data([example], []) != eval_identity.data([replace(example, question="Who")], [])


def test_a_corpus_becomes_a_home_once(beir: Path, tmp_path: Path) -> None:
    settings = load(str(tmp_path / "home"), {})
    heard: list[tuple[int, int]] = []

    async def build(chosen: Settings) -> Settings:
        return await corpora.home_of(beir, chosen, lambda done, total: heard.append((done, total)))

    made = run(build(settings))
    assert made.home.parent == tmp_path / "home" / "corpora"
    assert made.home.name.startswith("tiny-")
    assert heard[-1] == (3, 3)
    assert run(build(settings)).home == made.home
    assert heard[-1] == (3, 3)
    assert len(heard) == 2
    other = replace(
        settings, tables={**settings.tables, "splitter": {"kind": "ingest.structured", "tokens": 80}}
    )
    assert run(build(other)).home != made.home

    async def look() -> list[Hit]:
        async with opened(made) as platform:
            return await platform.retriever(Query(text="price of the pump P3"))

    best, *_ = run(look())
    assert (best.document.source, best.document.media, best.chunk.kind) == ("d3", "table", "table")
    assert best.chunk.meta["columns"] == ["part", "price"]
    assert best.chunk.path == ("Prices",)


def test_half_a_corpus_is_completed(beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(str(tmp_path / "home"), {})
    monkeypatch.setattr(corpora, "BATCH", 1)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(corpora.home_of(beir, settings, stop))
    heard: list[int] = []
    made = run(corpora.home_of(beir, settings, lambda done, total: heard.append(done)))
    assert heard == [2, 3]

    async def sources() -> list[str]:
        async with opened(made) as platform:
            return [one.source for one in await platform.store.ledger.documents(frozenset({"*"}))]

    assert run(sources()) == ["d1", "d2", "d3"]


def test_a_folder_is_asked_in_its_own_home(
    beir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    (home / "pipelines").mkdir(parents=True)
    (home / "pipelines" / "wide.toml").write_text("[answerer]\nhits = 40\n")
    assert (
        main(["eval", "run", str(beir), "--home", str(home), "--pipeline", "bm25", "--pipeline", "wide"]) == 0
    )
    out = capsys.readouterr().out
    assert "bm25" in out
    assert "wide" in out
    assert re.search(r"correct +1\.000 \[0\.\d+, 1\.000\] n=2 +1\.000 \[", out)
    (summary,) = evaluated(home, beir, "--pipeline", "wide")
    assert summary["metrics"]["recall@10"]["mean"] == 1.0
    assert set(summary["slices"]) == {"type:table", "type:text"}


def test_gold_that_is_nowhere_counts_and_is_said(
    home: Path, questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home.parent / "elsewhere.jsonl"
    file.write_text(
        questions.read_text(encoding="utf-8").replace("harbour.txt", "lost.txt"), encoding="utf-8"
    )
    (summary,) = evaluated(home, file)
    found = summary["metrics"]["recall@10"]
    assert (found["n"], found["mean"]) == (3, pytest.approx(2 / 3))
    assert "1 gold documents are not there" in capsys.readouterr().err
    evaluated(home, questions)
    assert "gold documents" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        ('{"_id": "d1", "text": "a"}\n{"_id": "d1", "text": "b"}\n', "stands there twice"),
        ('{"_id": "d1", "text": "a"}\nnonsense\n', "line 2, is no document"),
        ('{"_id": "d1"}\n', "line 1, is no document"),
        ("\n", "holds no document"),
    ],
)
def test_a_broken_corpus_is_named(beir: Path, tmp_path: Path, corpus: str, said: str) -> None:
    (beir / "corpus.jsonl").write_text(corpus)
    with pytest.raises(InvalidInput, match=said):
        run(corpora.home_of(beir, load(str(tmp_path / "home"), {})))


def test_a_broken_gzip_file_is_named(beir: Path, tmp_path: Path) -> None:
    (beir / "corpus.jsonl").rename(beir / "corpus.jsonl.gz")
    with pytest.raises(InvalidInput, match="no whole gzip"):
        run(corpora.home_of(beir, load(str(tmp_path / "home"), {})))


def test_metrics_that_ask_the_encoder_or_a_model(home: Path, questions: Path) -> None:
    names = ("faithfulness", "answer-relevance", "context-precision", "context-recall", "number")
    (summary,) = evaluated(home, questions, "--metrics", ",".join(names))
    assert set(summary["metrics"]) == set(names)
    assert summary["metrics"]["faithfulness"]["mean"] == 1.0, "what is quoted is supported"
    assert summary["metrics"]["context-recall"]["n"] == 3
    code, found = told("eval run", str(questions), "--home", str(home), "--metrics", "judged-faithfulness")
    assert code == 1
    assert found["error"]["message"] == "judged-faithfulness asks a language model."
    chat = ScriptedChat(['{"verdicts": [{"item": "a", "yes": true}]}'])
    outcome = run(measure("judged-faithfulness", None, chat)(Example(id="1", question="?"), SAID))  # type: ignore[arg-type]
    assert outcome.value == 1.0


def test_what_cannot_be_asked_is_said(home: Path, questions: Path, tmp_path: Path) -> None:
    def refused(dataset: Path, *more: str, at: Path = home) -> tuple[str, str]:
        code, found = told("eval run", str(dataset), "--home", str(at), *more)
        assert code == 1
        return found["error"]["message"], found["error"]["hint"]

    said, hint = refused(questions, "--pipeline", "unheard")
    assert "no pipeline 'unheard'" in said
    assert "default, bm25, dense, hybrid" in hint
    assert "gives no question" in refused(questions, "--limit", "0")[0]
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert refused(empty)[0]
    assert "There is no" in refused(tmp_path / "absent")[0]
    assert "holds no documents" in refused(questions, at=tmp_path / "fresh")[0]
    assert "no metric 'beauty'" in refused(questions, "--metrics", "correct,beauty")[0]
    assert "--prices cheap" in refused(questions, "--prices", "cheap")[0]
    assert "0 questions at a time" in refused(questions, "--jobs", "0")[0]
    other = tmp_path / "other.toml"
    other.write_text('[splitter]\nkind = "ingest.structured"\ntokens = 80\n')
    assert "another [splitter]" in refused(questions, "--pipeline", str(other))[0]
    other.write_text("[answerer]\nthreshhold = 0.9\n")
    assert "unknown key 'threshhold'" in refused(questions, "--pipeline", str(other))[0]
    other.write_text("answerer = 3\n")
    assert "stands outside a table" in refused(questions, "--pipeline", str(other))[0]
    with pytest.raises(NotFound, match=r"no corpus\.jsonl"):
        run(corpora.home_of(tmp_path, load(str(home), {})))


def test_documents_that_change_under_a_run_void_it(
    home: Path, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lyceum.app import session

    file = tmp_path / "late.txt"
    file.write_text("The gate opens at nine.")
    asked = session.ask

    async def ask(platform: wire.Platform, query: Query) -> Any:
        if query.text == QUESTIONS[1]["question"]:
            from lyceum.ingest.pipeline import jobs

            await platform.ingest(jobs([file]))
        return await asked(platform, query)

    monkeypatch.setattr(session, "ask", ask)
    before = set((home / "runs").glob("*"))
    code, found = told("eval run", str(questions), "--home", str(home), "--limit", "3")
    assert (code, found["error"]["code"]) == (1, "data_changed")
    assert set((home / "runs").glob("*")) == before


def test_dense_alone_needs_an_encoder(tmp_path: Path) -> None:
    settings = pipeline("dense", load(str(tmp_path), {"LYCEUM_MODELS": str(tmp_path / "none")}))
    with pytest.raises(ConfigError, match="no encoder"):
        wire.build(settings.tables, settings.home, wire.models_folder(settings.models))
    with pytest.raises(NotFound, match="no pipeline"):
        pipeline("sparse", settings)


def test_a_build_exchanges_a_stage_over_the_same_documents(home: Path) -> None:
    class Backwards:
        """The retriever's hits, worst first."""

        def __init__(self, retriever: Any) -> None:
            self.retriever = retriever

        async def __call__(self, query: Query) -> list[Hit]:
            return list(reversed(await self.retriever(query)))

    async def check() -> None:
        settings = load(str(home), {})
        query = Query(text="What is the price of the valve V7?")
        async with opened(settings) as platform:
            build = wire.builder(platform)
            same, mine = await build(settings.tables)(query), await platform(query)
            assert same.hits == mine.hits
            assert (same.text, same.confidence) == (mine.text, mine.confidence)
            turned = await build(settings.tables, {"retriever": Backwards(platform.retriever)})(query)
            assert turned.hits != mine.hits
            assert list(reversed(turned.hits)) == list(mine.hits)
            views = list(platform.store.views)
            build(settings.tables, {"dense": None})
            assert platform.store.views == views, "what is written to stays"
            words = await build({**settings.tables, "retriever": {"kind": "search.lexical"}})(query)
            assert {found.part for one in words.hits for found in one.by} == {"bm25"}

    run(check())


@pytest.mark.parametrize(("given", "more"), [("", set()), ("False", {"rich", "lyceum.app.eval_run"})])
def test_the_parser_loads_nothing_heavy(given: str, more: set[str]) -> None:
    program = f"import sys; from lyceum.app.cli import parser; parser({given}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pydantic", "jinja2", "tantivy", "onnxruntime", "lyceum.evals.run"}
    assert not set(done.stdout.split()) & (heavy | more)
    assert "lyceum.app.cli" in done.stdout
