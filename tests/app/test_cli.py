"""The command line: exit codes, the shapes of --json, errors as sentences or JSON, and never a traceback."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from lyceum import __version__
from lyceum.app.cli import main
from lyceum.app.settings import load
from tests.app.served import command, library, told

ERROR = {"code", "message", "hint", "retryable", "type"}
OUTCOME = "source status document_id pages chunks seconds code message hint warnings".split()
ANSWER = "answer citations abstained reason unsupported conflicts confidence seconds trace_id usage".split()
CITATION = {"number", "document_id", "source", "title", "quote", "boxes", "span", "chunk_id"}
HIT = {"document_id", "source", "title", "path", "text", "chunk_id", "score", "by"}
DOCUMENT = "id source title media language version readers meta".split()
STATUS = "version python home documents chunks sequence behind views encoder notes".split()
SPAN = {"name", "id", "parent", "start", "seconds", "error", "facts"}
QUESTION = "What is the price of the valve V7?"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the caller and no models: what is tested here needs none."""
    for name in [name for name in os.environ if name.startswith("LYCEUM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LYCEUM_MODELS", str(tmp_path / "models"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    models = str(folder / "models")
    files = library(folder / "files")
    done = command(["ingest", "--json", "--home", str(folder / "home"), str(files)], LYCEUM_MODELS=models)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert [set(outcome) == set(OUTCOME) for outcome in outcomes] == [True] * 3
    assert {outcome["status"] for outcome in outcomes} == {"added"}
    return folder / "home"


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for option, said in (("--version", __version__), ("--help", "refused to answer")):
        with pytest.raises(SystemExit) as left:
            main([option])
        assert left.value.code == 0
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["ask", QUESTION], 0),
        (["search", "valve"], 0),
        (["docs", "absent"], 1),
        (["ask", " "], 1),
        (["ask", "Who painted the Sistine Chapel?"], 3),
    ],
)
@pytest.mark.parametrize("output", [[], ["--json"]], ids=["text", "json"])
def test_exit_codes(
    home: Path, arguments: list[str], code: int, output: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--home", str(home), *output]) == code
    printed = capsys.readouterr()
    if output:
        assert ("error" in json.loads(printed.out)) == (code == 1)
    elif code == 1:
        assert printed.out == ""
        assert printed.err.startswith("lyceum: ")
        assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    ["", "fly", "ask", "ingest", "remove", "ask x --top-k many", "serve --port x", "models fly", "status x"],
)
def test_wrong_arguments_give_two(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == 2
    assert "usage: lyceum" in capsys.readouterr().err


def test_some_failed_files_give_four(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = library(tmp_path / "files")
    (files / "empty.txt").write_text("")
    code, outcomes = told("ingest", "--home", str(tmp_path / "home"), str(files))
    by_name = {Path(outcome["source"]).name: outcome for outcome in outcomes}
    assert code == 4
    assert (by_name["empty.txt"]["status"], by_name["empty.txt"]["code"]) == ("failed", "empty")
    assert sorted(outcome["status"] for outcome in outcomes) == ["added", "added", "added", "failed"]
    assert main(["ingest", "--home", str(tmp_path / "home"), str(files)]) == 4
    printed = capsys.readouterr()
    assert "4 files: 3 unchanged, 1 failed" in printed.out
    assert "empty.txt" in printed.err


def test_a_process_of_its_own_gives_the_same_codes(home: Path) -> None:
    models = str(home.parent / "models")
    answered = command(["ask", "--home", str(home), QUESTION], LYCEUM_MODELS=models)
    assert answered.returncode == 0
    assert "42 EUR" in answered.stdout
    assert "[1] prices.csv, row 2" in answered.stdout
    refused = command(["ask", "--home", str(home), "--json", "Who painted it?"], LYCEUM_MODELS=models)
    assert (refused.returncode, json.loads(refused.stdout)["abstained"]) == (3, True)
    assert "Traceback" not in answered.stderr + refused.stderr


def test_ask_as_json(home: Path) -> None:
    code, answer = told("ask", "--home", str(home), QUESTION)
    assert (code, list(answer)) == (0, ANSWER)
    (first, *_) = answer["citations"]
    assert set(first) == CITATION | {"row"}
    assert (first["number"], first["row"]) == (1, 2)
    start, end = first["span"]
    assert first["quote"][start:end] == "42 EUR"
    assert 0 < answer["confidence"] <= 1
    assert answer["usage"] == {"input_tokens": 0, "output_tokens": 0}
    _, explained = told("ask", "--home", str(home), "--explain", QUESTION)
    assert list(explained) == [*ANSWER, "trace", "hits"]
    assert [set(span) == SPAN for span in explained["trace"]] == [True] * len(explained["trace"])
    assert explained["trace"][0]["name"] == "ask"
    assert set(explained["hits"][0]) >= HIT


def test_search_as_json(home: Path) -> None:
    _, hits = told("search", "--home", str(home), "--top-k", "1", "valve", "pump", "warehouse")
    (hit,) = hits
    assert set(hit) >= HIT
    assert [set(by) for by in hit["by"]] == [{"part", "rank", "score"}]
    _, hits = told("search", "--home", str(home), "--source", hit["source"], "valve warehouse")
    assert {one["source"] for one in hits} == {hit["source"]}
    assert told("search", "--home", str(home), "zzzz") == (0, [])


def test_filters_and_tags(tmp_path: Path) -> None:
    files, home = library(tmp_path / "files"), str(tmp_path / "home")
    assert told("ingest", "--home", home, "--tag", "shop", "--tag", "2024", str(files / "prices.csv"))[0] == 0
    assert told("ingest", "--home", home, str(files))[0] == 0

    def found(*filters: str) -> Any:
        given = [word for one in filters for word in ("--filter", one)]
        return told("search", "--home", home, *given, "valve", "pump", "warehouse", "opens")

    names = {one["source"].rsplit("/", 1)[-1] for one in found("tag=shop")[1]}
    assert names == {"prices.csv"}
    assert {one["source"] for one in found("tag=shop", "tag=other")[1]} == {
        one["source"] for one in found("tag=shop")[1]
    }
    assert len(found(f"path={files}")[1]) == len(found()[1]) > len(found("path=files", "type=csv")[1]) > 0
    assert found("since=2024") == (0, [])
    for wrong in ("colour=red", "since=yesterday", "tag="):
        code, said = found(wrong)
        assert (code, said["error"]["code"]) == (1, "filter")
    assert found("since=2024", "since=2025")[1]["error"]["code"] == "filter"


def test_docs_as_json(home: Path) -> None:
    code, listed = told("docs", "--home", str(home))
    assert (code, [list(one) for one in listed]) == (0, [DOCUMENT] * 3)
    assert {(one["media"], one["language"]) for one in listed} == {("txt", "en"), ("md", "zh"), ("csv", "en")}
    table = next(one for one in listed if one["media"] == "csv")
    _, shown = told("docs", "--home", str(home), table["id"])
    assert list(shown) == [*DOCUMENT, "report", "chunks"]
    assert (shown["report"]["pages"], shown["report"]["tables"], shown["report"]["score"]) == (1, 1, 1)
    assert {name: shown[name] for name in DOCUMENT} == table
    assert [set(chunk) for chunk in shown["chunks"]] == [{"path", "text", "kind"}]


def test_status_config_and_models_as_json(home: Path) -> None:
    code, status = told("status", "--home", str(home))
    assert (code, list(status)) == (0, STATUS)
    assert (status["version"], status["documents"], status["behind"]) == (__version__, 3, {})
    assert (status["encoder"], status["views"]) == (None, ["postings", "links"])
    assert any("models add" in note for note in status["notes"])
    _, values = told("config", "--home", str(home))
    assert {frozenset(value) for value in values.values()} == {frozenset({"value", "from"})}
    assert told("models") == (0, [])
    assert told("models", "list") == (0, [])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["ask", ""], "empty_query"),
        (["search", "x", "--top-k", "0"], "top_k"),
        (["docs", "absent"], "not_found"),
        (["remove", "absent"], "not_found"),
        (["ingest", "absent/file.txt"], "not_found"),
        (["demo", "--examples", "absent"], "not_found"),
        (["models", "check"], "not_found"),
        (["models", "check", "other"], "not_found"),
        (["models", "add", "minilm", "--from", "absent"], "not_found"),
        (["serve", "--host", "0.0.0.0"], "no_token"),
    ],
)
def test_errors_as_json(
    home: Path, arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, problem = told(*arguments, "--home", str(home))
    assert (exit_code, set(problem), set(problem["error"])) == (1, {"error"}, ERROR)
    assert problem["error"]["code"] == code
    assert problem["error"]["message"]
    assert problem["error"]["hint"]
    assert capsys.readouterr().err == ""


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name in ("status", "init"):
        code, problem = told(name, "--home", str(tmp_path / "file"))
        assert (code, set(problem["error"])) == (1, ERROR)


def test_init_writes_the_defaults_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    code, said = told("init", "--home", str(home))
    assert (code, said) == (0, {"home": str(home)})
    text = (home / "lyceum.toml").read_text(encoding="utf-8")
    assert all(f"[{name}]" in text for name in ("reader", "retriever", "answerer", "chat", "serve"))
    written, silent = load(str(home), {}), load(str(tmp_path / "other"), {})
    effective: dict[str, Any] = {name: dict(table) for name, table in written.tables.items()}
    for name, table in silent.tables.items():
        assert {key: effective[name].get(key) for key in table} == table, "every value is the default"
    assert told("status", "--home", str(home))[0] == 0
    code, problem = told("init", "--home", str(home))
    assert (code, problem["error"]["code"]) == (1, "invalid")
    assert "exists already" in problem["error"]["message"]
    assert (home / "lyceum.toml").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["docs", "remove"])
def test_an_id_that_is_no_text(home: Path, name: str) -> None:
    done = command([name, "--home", str(home), b"\xff"], LYCEUM_MODELS=str(home.parent / "models"))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "not_found" in done.stderr


def test_a_reader_that_is_no_text_does_not_spoil_the_home(tmp_path: Path) -> None:
    home, file = str(tmp_path / "home"), tmp_path / "gate.txt"
    file.write_text("The gate opens at seven.")
    assert told("ingest", "--home", home, str(file))[0] == 0
    done = command(["ingest", "--home", home, "--readers", b"\xff", str(file)], LYCEUM_MODELS=home)
    after = command(["status", "--home", home], LYCEUM_MODELS=home)
    assert (after.returncode, "Traceback" in done.stderr + after.stderr) == (0, False), after.stderr


def test_a_port_that_is_taken_is_an_error(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = command(
            ["serve", "--home", str(home), "--port", port], LYCEUM_MODELS=str(home.parent / "models")
        )
    assert done.returncode == 1, "3 says that a question was refused"
    assert "in use" in done.stderr
