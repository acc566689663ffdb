"""Follow-up questions: every door hands the turns before over, and the answer is to what was meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lyceum.app.cli import main
from tests.app.served import told
from tests.app.shelf import add, shelf

TEXT = """# Boats

The rent of a boat was 90 EUR in 2023. The chief engineer checks the boats.

# Fees

The permit fee for the harbour was 120 EUR in 2022. The permit fee for the harbour was 150 EUR in 2023.
"""
TURNS = [
    {"role": "user", "content": "What was the permit fee for the harbour in 2022?"},
    {"role": "assistant", "content": "The permit fee for the harbour was 120 EUR in 2022. [1]"},
]
FOLLOW = "and in 2023?"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("turns") / "home"


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    with shelf(home) as opened:
        add(opened, "harbour.md", TEXT.encode())
        yield opened


def said(client: TestClient, turns: list[dict[str, str]]) -> str:
    asked = {"model": "lyceum", "messages": [*turns, {"role": "user", "content": FOLLOW}]}
    return str(client.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]["content"])


def test_chat_completions(client: TestClient) -> None:
    assert "150 EUR" in said(client, TURNS).split("[1]")[0]
    assert "150 EUR" not in said(client, []).split("[1]")[0], "alone it asks something else"


def test_the_plain_route(client: TestClient) -> None:
    found = client.post("/api/answer", json={"question": FOLLOW, "history": TURNS}).json()
    assert "150 EUR" in found["citations"][0]["quote"]
    broken = client.post(
        "/api/answer", json={"question": FOLLOW, "history": [{"role": "system", "content": ""}]}
    )
    assert broken.status_code in (400, 422)


def test_the_command(client: TestClient, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "turns.json"
    file.write_text(json.dumps([{"role": "system", "content": "-"}, *TURNS]), encoding="utf-8")
    code, found = told("ask", "--home", str(home), "--explain", "--history", str(file), FOLLOW)
    assert code == 0
    assert "150 EUR" in found["citations"][0]["quote"]
    (step,) = [one["facts"] for one in found["trace"] if one["name"] == "search.history"]
    assert step["dependent"] is True


@pytest.mark.parametrize("broken", ["", "{", "[1]", '[{"role": "user"}]', "7"])
def test_a_history_that_is_none(
    client: TestClient, home: Path, tmp_path: Path, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "turns.json"
    file.write_text(broken)
    assert main(["ask", "--home", str(home), "--history", str(file), FOLLOW]) == 1
    assert "A history is a list of" in capsys.readouterr().err


def test_a_thousand_long_turns(client: TestClient) -> None:
    turns: Any = [{"role": one["role"], "content": one["content"] * 20} for one in TURNS] * 498
    assert "150 EUR" in said(client, [*turns, *TURNS])
