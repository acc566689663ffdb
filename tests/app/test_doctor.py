"""`lyceum doctor`: what is wrong is found, said with what to do, and only then the exit code is 1."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from pathlib import Path

import pytest
from filelock import FileLock

from lyceum.app.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("LYCEUM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LYCEUM_MODELS", str(tmp_path / "models"))
    (tmp_path / "file.md").write_text("# Pumps\n\nThe pump P1 costs 100 EUR.")
    assert main(["ingest", "--home", str(tmp_path / "home"), str(tmp_path / "file.md")]) == 0
    return tmp_path / "home"


def findings(home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]]]:
    capsys.readouterr()
    code = main(["doctor", "--json", "--home", str(home)])
    lines = json.loads(capsys.readouterr().out)
    assert all(set(line) == {"name", "status", "said", "todo"} for line in lines)
    assert all(line["todo"] for line in lines if line["status"] == "fail")
    return code, {line["name"]: (line["status"], f"{line['said']} {line['todo']}") for line in lines}


def test_a_sound_home(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = findings(home, capsys)
    assert code == 0
    assert {
        found[name][0] for name in ("version", "sqlite", "packages", "disk", "locks", "ledger", "postings")
    } == {"ok"}
    assert sqlite3.sqlite_version in found["sqlite"][1]
    assert found["encoder"][0] == "warn"
    assert "lyceum models add minilm" in found["encoder"][1]


def test_no_home_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LYCEUM_MODELS", str(tmp_path / "models"))
    code, found = findings(tmp_path / "none", capsys)
    assert (code, found["home"][0], found["ledger"][0]) == (0, "warn", "warn")
    assert not (tmp_path / "none").exists(), "looking makes nothing"


def test_views_that_differ(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = sqlite3.connect(home / "ledger.db")
    db.execute("INSERT INTO chunks SELECT 99, version, id, text, extra, hash FROM chunks")
    db.commit()
    db.close()
    code, found = findings(home, capsys)
    assert code == 1
    assert found["ledger"] == ("fail", found["ledger"][1])
    assert "chunks that the log does not know" in found["ledger"][1]
    assert found["postings"][0] == "fail"
    assert "holds 1 chunks, the ledger 2" in found["postings"][1]


def test_broken_view_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = next((home / "views" / "postings").glob("*.term"))
    looks = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(looks.st_atime_ns, looks.st_mtime_ns))
    code, found = findings(home, capsys)
    assert (code, found["postings"][0]) == (1, "fail")
    assert file.name in found["postings"][1]
    assert "Remove views/postings" in found["postings"][1]


def test_leftovers_and_locks(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "spool" / "one").mkdir(parents=True)
    (home / "ledger.db.before-restore").touch()
    with FileLock(home / "write.lock"):
        code, found = findings(home, capsys)
    assert (code, found["spool"][0], found["restore"][0]) == (0, "warn", "warn")
    assert "another process is writing" in found["locks"][1]
    other = sqlite3.connect(home / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    code, found = findings(home, capsys)
    other.close()
    assert (code, found["locks"][0]) == (1, "fail")


def test_chat_server_that_is_not_there(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LYCEUM_CHAT__KIND", "models.openai")
    monkeypatch.setenv("LYCEUM_CHAT__MODEL", "m")
    monkeypatch.setenv("LYCEUM_CHAT__BASE_URL", "http://127.0.0.1:9/v1")
    code, found = findings(home, capsys)
    assert (code, found["chat"][0]) == (1, "fail")
    assert "chat.base_url" in found["chat"][1]


def test_chat_server_that_answers(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the one before."""
    from lyceum.app import doctor
    from lyceum.app.settings import current, load

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def check() -> list[doctor.Line]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("LYCEUM_CHAT__KIND", "models.openai")
        monkeypatch.setenv("LYCEUM_CHAT__BASE_URL", f"http://127.0.0.1:{port}/v1")
        async with server:
            return [line async for line in doctor._chat(load(str(home), current()))]

    assert [line.status for line in asyncio.run(check())] == ["ok"]
