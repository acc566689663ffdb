"""`lyceum eval autopsy` and `why`: causes beside the run, a killed autopsy that goes on, a document's way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lyceum.app.cli import main
from lyceum.app.examined import Examined
from lyceum.app.session import opened
from lyceum.app.settings import load
from tests.app.served import library, told
from tests.toys import run

QUESTIONS: list[dict[str, Any]] = [
    {"id": "right", "question": "When does the Kestrel warehouse open?", "answers": [["seven"]],
     "gold": [{"document": "harbour.txt"}]},
    {"id": "hidden", "question": "How high is the bonus of the pilots?", "answers": [["913 EUR"]],
     "gold": [{"document": "bonus.md", "text": "The bonus of the pilots is 913 EUR."}]},
    {"id": "misread", "question": "What is the price of the valve V7?", "answers": [["42 dollars"]],
     "gold": [{"document": "prices.csv"}]},
]  # fmt: skip
SECRET = "# Bonus\n\nThe bonus of the pilots is 913 EUR. It is paid in May.\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examined")
    assert main(["ingest", "--home", str(folder / "home"), "--json", str(library(folder / "files"))]) == 0
    (folder / "secret").mkdir()
    (folder / "secret" / "bonus.md").write_text(SECRET)
    secret = [str(folder / "secret"), "--readers", "board"]
    assert main(["ingest", "--home", str(folder / "home"), "--json", *secret]) == 0
    return folder / "home"


@pytest.fixture(scope="module")
def made(home: Path) -> Path:
    file = home.parent / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS), encoding="utf-8")
    code, found = told("eval run", str(file), "--home", str(home))
    assert code == 0
    return Path(found[0]["folder"])


def autopsy(home: Path, run: Path, *more: str) -> dict[str, Any]:
    code, found = told("eval autopsy", run.name, "--home", str(home), *more)
    assert code == 0, found
    assert isinstance(found, dict)
    return found


def test_causes_and_waterfall_are_written_beside_the_run(home: Path, made: Path) -> None:
    found = autopsy(home, made)
    stages = {one["example"]: one["stage"] for one in found["causes"]}
    assert stages == {"hidden": "visible", "misread": "read"}
    hidden = next(one for one in found["causes"] if one["example"] == "hidden")
    assert hidden["with"] == []
    assert "board" in hidden["facts"]
    fallen = {step: (share, n) for step, share, n in found["waterfall"]}
    assert fallen["index"] == (1.0, 3)
    assert fallen["visible"] == (pytest.approx(2 / 3), 3)
    assert fallen["cite"] == (pytest.approx(1 / 3), 3)
    assert json.loads((made / "autopsy.json").read_text(encoding="utf-8")) == found
    assert not (made / "autopsy.jsonl").exists()


def test_a_killed_autopsy_goes_on(home: Path, made: Path) -> None:
    known = {
        "example": "hidden",
        "stage": "fuse",
        "pair": [],
        "lost": "fuse",
        "facts": "known",
        "fix": "none",
    }
    (made / "autopsy.jsonl").write_text(json.dumps(known) + '\n{"example": "misr', encoding="utf-8")
    causes = {one["example"]: one for one in autopsy(home, made)["causes"]}
    assert causes["hidden"]["facts"] == "known"
    assert causes["misread"]["stage"] == "read"


def test_what_is_not_examined_is_not_counted(home: Path, made: Path) -> None:
    found = autopsy(home, made, "--limit", "1")
    assert [one["example"] for one in found["causes"]] == ["hidden"]
    assert {n for _, _, n in found["waterfall"]} == {2}


def test_two_runs_part(home: Path, made: Path, tmp_path: Path) -> None:
    rows = [{**row, "readers": ["*", "board"]} for row in QUESTIONS]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    _, found = told("eval run", str(file), "--home", str(home))
    parted = autopsy(home, made, "--against", Path(found[0]["folder"]).name)["parted"]
    assert list(parted) == ["hidden"]


def test_the_table_is_read_by_people(home: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "autopsy", str(made), "--home", str(home)]) == 0
    said = capsys.readouterr().out
    assert "2 of 3 questions fail" in said
    assert "visible" in said
    assert "gold is there after" in said


def test_why_a_document_does_not_come(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = "How high is the bonus of the pilots?"
    code, found = told("eval why", question, "bonus.md", "--home", str(home))
    assert code == 0
    assert isinstance(found, dict)
    assert (found["visible"], found["change"]) == (False, {"readers": ["board"]})
    code, found = told("eval why", question, "bonus.md", "--as", "board", "--home", str(home))
    assert isinstance(found, dict)
    assert found["places"][-1]["rank"] == 1
    assert main(["eval", "why", question, "bonus.md", "--home", str(home)]) == 0
    assert "readers" in capsys.readouterr().out


def test_what_cannot_be_examined_says_so(home: Path, made: Path, tmp_path: Path) -> None:
    code, found = told("eval why", "Where?", "nowhere.md", "--home", str(home))
    assert code == 1
    assert "lyceum docs" in json.dumps(found)
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    (copy / "environment.json").unlink()
    code, found = told("eval autopsy", str(copy), "--home", str(home))
    assert code == 1
    assert "does not say what was asked" in json.dumps(found)


def test_a_source_is_read_where_it_was_ingested_from(home: Path) -> None:
    async def check() -> None:
        async with opened(load(str(home), {})) as platform:
            subject = Examined(platform)
            ((page, text),) = await subject.plain("bonus.md")
            assert page is None
            assert text.startswith("# Bonus")
            assert await subject.plain("nowhere.md") == ()
            await subject.close()

    run(check())
