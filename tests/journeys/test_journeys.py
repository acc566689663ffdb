"""The journeys of docs/tour.md on real files, through the command line and through HTTP."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lyceum.app.cli import main
from lyceum.app.server import create
from lyceum.app.settings import load

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"
FILES = (
    "travel-policy-v2.docx",
    "sensor-product-guide.pdf",
    "price-list-2026.xlsx",
    "employee-handbook-zh.pdf",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    assert main(["ingest", "--home", str(folder), "--json", *[str(DOCUMENTS / name) for name in FILES]]) == 0
    return folder


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_ask_cites_a_page(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, answer = told(
        capsys, "ask", "--home", str(home), "How long does the battery of the PolarNode P7 last?"
    )
    assert code == 0
    assert "6 years" in answer["answer"]
    (first, *_) = answer["citations"]
    assert first["source"].endswith("sensor-product-guide.pdf")
    assert first["page"] == 1
    assert len(first["box"]) == 4
    assert {"document_id", "quote"} <= set(first)
    assert answer["trace_id"]


def test_refusal_has_a_reason(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, answer = told(capsys, "ask", "--home", str(home), "Who painted the Sistine Chapel?")
    assert (code, answer["abstained"], answer["citations"]) == (3, True, [])
    assert answer["reason"]


def test_explain_shows_stages(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["ask", "--home", str(home), "--explain", "What is the price of the PolarNode P5?"])
    out = capsys.readouterr().out
    assert code in (0, 3)
    assert "search.bm25" in out
    assert "found by" in out


def test_the_same_bytes_do_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, outcomes = told(capsys, "ingest", "--home", str(home), str(DOCUMENTS / FILES[0]))
    assert [outcome["status"] for outcome in outcomes] == ["unchanged"]


def test_listing_search_status_config(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, documents = told(capsys, "docs", "--home", str(home))
    assert len(documents) == 4
    _, one = told(capsys, "docs", "--home", str(home), documents[0]["id"])
    assert one["chunks"]
    _, hits = told(capsys, "search", "--home", str(home), "--type", "xlsx", "FrostTag")
    assert {Path(hit["source"]).suffix for hit in hits} == {".xlsx"}
    _, status = told(capsys, "status", "--home", str(home))
    assert (status["documents"], status["behind"]) == (4, {})
    _, values = told(capsys, "config", "--home", str(home))
    assert values["retriever.kind"] == {"value": "search.history", "from": "default"}
    for command in ("docs", "status", "config"):
        assert main([command, "--home", str(home)]) == 0
    assert main(["search", "--home", str(home), "FrostTag"]) == 0


def test_changed_bytes_and_removal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, file = str(tmp_path / "home"), tmp_path / "note.txt"
    file.write_text("The gate opens at seven.")
    assert main(["ingest", "--home", home, str(file)]) == 0
    file.write_text("The gate opens at nine.")
    _, outcomes = told(capsys, "ingest", "--home", home, str(file))
    assert outcomes[0]["status"] == "updated"
    _, answer = told(capsys, "ask", "--home", home, "When does the gate open?")
    assert "nine" in answer["answer"]
    assert "seven" not in answer["answer"]
    assert main(["remove", "--home", home, outcomes[0]["document_id"]]) == 0
    code, answer = told(capsys, "ask", "--home", home, "When does the gate open?")
    assert code == 3


def test_readers_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, file = str(tmp_path / "home"), tmp_path / "pay.txt"
    file.write_text("The salary of the director is 90,000 euros.")
    assert main(["ingest", "--home", home, "--readers", "hr", str(file)]) == 0
    assert told(capsys, "ask", "--home", home, "What is the salary of the director?")[0] == 3
    assert told(capsys, "ask", "--home", home, "--as", "hr", "What is the salary of the director?")[0] == 0


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.txt", b"  \n", "empty"),
        ("picture.txt", b"\x89PNG\r\n\x1a\n123", "corrupt"),
        ("named.pdf", b"just some words", "mismatch"),
        ("cut.docx", b"PK\x03\x04broken", "corrupt"),
        ("cut.pdf", b"%PDF-1.7\nbroken", "corrupt"),
        ("noise.bin", bytes(range(256)) * 4, "unsupported"),
    ],
)
def test_bad_files_have_codes_and_stop_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, code: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / name).write_bytes(content)
    (folder / "zz.txt").write_text("Good words.")
    exit_code, outcomes = told(capsys, "ingest", "--home", str(tmp_path / "home"), str(folder))
    assert exit_code == 4
    by_name = {Path(outcome["source"]).name: outcome for outcome in outcomes}
    assert by_name[name]["code"] == code
    assert by_name[name]["hint"]
    assert by_name["zz.txt"]["status"] == "added"


def test_errors_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "--home", str(tmp_path), " "]) == 1
    assert "empty_query" in capsys.readouterr().err
    assert main(["ingest", "--home", str(tmp_path), str(tmp_path / "absent")]) == 1
    code, problem = told(capsys, "remove", "--home", str(tmp_path), "absent")
    assert (code, problem["error"]["code"]) == (1, "not_found")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    copied = home.parent / "served"
    shutil.copytree(home, copied)
    with TestClient(create(load(str(copied), {}))) as client:
        yield client


def test_http_documents(client: TestClient) -> None:
    upload = {"file": ("gate.md", b"# Gate\n\nThe gate code is 4711.", "text/markdown")}
    made = client.post("/api/documents", files=upload, data={"readers": "guards"})
    assert made.status_code == 201
    doc_id = made.json()["id"]
    assert client.get(f"/api/documents/{doc_id}").status_code == 404
    assert (
        client.get(f"/api/documents/{doc_id}?as=guards").json()["chunks"][0]["text"]
        == "The gate code is 4711."
    )
    answer = client.post(
        "/api/answer", json={"question": "What is the gate code?", "readers": ["guards"]}
    ).json()
    assert "4711" in answer["answer"]
    assert client.get(f"/api/traces/{answer['trace_id']}").status_code == 404
    spans = client.get(f"/api/traces/{answer['trace_id']}?as=guards").json()
    assert spans[0]["name"] == "ask"
    assert client.post("/api/answer", json={"question": "What is the gate code?"}).json()["abstained"]
    assert client.delete(f"/api/documents/{doc_id}").status_code == 404
    assert client.delete(f"/api/documents/{doc_id}?as=guards").status_code == 204
    assert len(client.get("/api/documents").json()) == 4


def test_http_errors_have_one_shape(client: TestClient) -> None:
    for response, status in (
        (client.post("/api/search", json={"question": ""}), 400),
        (client.post("/api/search", json={"question": "x", "colour": 1}), 400),
        (client.post("/api/search", json={"question": "x" * 20_000}), 413),
        (client.get("/absent"), 404),
        (client.get("/api/traces/absent"), 404),
        (client.post("/api/documents", files={"file": ("a.txt", b"")}), 422),
        (client.post("/v1/chat/completions", json={"model": "other", "messages": [{"role": "user"}]}), 404),
    ):
        assert response.status_code == status, response.text
        assert set(response.json()["error"]) == {"code", "message", "hint", "retryable", "type"}


def test_http_answers_as_the_command_line_does(
    home: Path, client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    question = "How long does the battery of the PolarNode P7 last?"
    _, cli = told(capsys, "ask", "--home", str(home), question)
    http = client.post("/api/answer", json={"question": question}).json()
    for changing in ("seconds", "trace_id"):
        cli.pop(changing), http.pop(changing)
    assert cli == http
    hits = client.post("/api/search", json={"question": question, "top_k": 3}).json()
    assert len(hits) == 3
    assert hits[0]["by"]


def test_health(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok", "behind": {}}
    assert client.get("/openapi.json").status_code == 200


def test_token_and_limits(tmp_path: Path) -> None:
    settings = load(str(tmp_path), {"LYCEUM_TOKEN": "secret", "LYCEUM_SERVE__BODY_MB": "1"})
    with TestClient(create(settings)) as client:
        assert client.get("/api/documents").status_code == 401
        assert client.get("/healthz").status_code == 200
        headers = {"Authorization": "Bearer secret"}
        assert client.get("/api/documents", headers=headers).status_code == 200
        big = client.post("/api/documents", headers=headers, files={"file": ("a.txt", b"x" * 2_000_000)})
        assert (big.status_code, big.json()["error"]["code"]) == (413, "too_large")


def test_serving_beyond_loopback_needs_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--home", str(tmp_path), "--host", "0.0.0.0"]) == 1
    assert "token" in capsys.readouterr().err


def test_an_evaluation_measures_what_is_answered(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = "How long does the battery of the PolarNode P7 last?"
    gold = [{"document": "sensor-product-guide.pdf"}]
    rows = [
        {"id": "battery", "question": question, "answers": [["6 years"]], "gold": gold},
        {"id": "chapel", "question": "Who painted the ceiling of the Sistine Chapel?", "answerable": False},
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, (summary,) = told(capsys, "eval", "run", "--home", str(home), str(file))
    assert (code, summary["n"], summary["failed"]) == (0, 2, 0)
    assert summary["metrics"]["correct"]["mean"] == summary["metrics"]["recall@10"]["mean"] == 1.0
    folder = Path(summary["folder"])
    assert {"config.toml", "environment.json", "examples.jsonl", "summary.json", "report.html"} <= {
        one.name for one in folder.iterdir()
    }
    battery, chapel = map(json.loads, (folder / "examples.jsonl").read_text(encoding="utf-8").splitlines())
    _, asked = told(capsys, "ask", "--home", str(home), question)
    assert battery["answer"]["text"] == asked["answer"]
    assert chapel["answer"]["abstained"]
    silent = tmp_path / "silent.toml"
    silent.write_text('[answerer]\nthreshold = 1.1\n[computed]\nkind = "none"\n')
    again = ["eval", "run", "--home", str(home), str(file), "--pipeline", "bm25", "--pipeline", str(silent)]
    _, (words, refusing) = told(capsys, *again)
    assert (words["metrics"]["correct"]["mean"], refusing["metrics"]["correct"]["mean"]) == (1.0, 0.5)
    code, compared = told(capsys, "eval", "compare", "--home", str(home), summary["id"], refusing["id"])
    assert (code, compared["differences"][0]["lost"]) == (0, 1)
    gate = ["eval", "gate", "--home", str(home), "--margin", "0.9"]  # two questions can show no less
    for candidate, code in ((words, 0), (refusing, 5)):
        assert told(capsys, *gate, candidate["id"], summary["id"])[0] == code
    code, problem = told(capsys, "eval", "run", "--home", str(home), str(file), "--pipeline", "unheard")
    assert (code, problem["error"]["code"]) == (1, "not_found")
