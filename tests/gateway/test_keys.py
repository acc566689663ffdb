"""Keys into and out of gateway.toml, which stays a person's file."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lyceum.app.cli import main
from lyceum.core.errors import ConfigError, InvalidInput, LyceumError, NotFound
from lyceum.gateway import keys
from tests.app.served import told

OWN = """# mine
[[model]]
name = "chat"  # the good one
targets = [
  {url = "http://127.0.0.1:9/v1"},
]

[[key]]
id = "old"  # of the summer
sha256 = "%s"
models = [
  "chat",
]

[alias]
gpt = "chat"
""" % ("a" * 64)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "gateway.toml"
    made.write_text(OWN, encoding="utf-8")
    made.chmod(0o640)
    return made


def test_a_key_comes_and_goes(file: Path) -> None:
    secret = keys.add(
        file, {"id": "ann", "tenant": "acme", "models": ["gpt"], "budget_day": 2.5, "concurrent": 0}
    )
    assert len(secret) > 50
    text = file.read_text()
    assert text.startswith(OWN)
    assert secret not in text
    found = {one.id: one for one in keys.listed(file).key}
    assert found["ann"].sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert (found["ann"].tenant, found["ann"].models, found["ann"].budget_day) == ("acme", {"gpt"}, 2.5)
    keys.revoke(file, "ann")
    assert file.read_text().rstrip() == OWN.rstrip()
    assert file.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in file.parent.iterdir()] in (
        ["gateway.toml"],
        ["gateway.toml", "gateway.toml.lock"],
    )


def test_a_key_in_the_middle_goes_and_the_rest_stays(file: Path) -> None:
    keys.add(file, {"id": "ann"})
    keys.revoke(file, "old")
    text = file.read_text()
    assert "old" not in text
    assert "# the good one" in text
    assert [one.id for one in keys.listed(file).key] == ["ann"]
    assert keys.listed(file).alias == {"gpt": "chat"}


def test_what_cannot_be_done_is_said_and_changes_nothing(file: Path) -> None:
    for row, kind in (({"id": "old"}, InvalidInput), ({"id": "b", "models": ["none"]}, ConfigError)):
        with pytest.raises(kind):
            keys.add(file, row)
    with pytest.raises(NotFound):
        keys.revoke(file, "none")
    assert file.read_text() == OWN
    file.write_text(
        'key = [{id = "in", sha256 = "%s"}]' % ("b" * 64)
    )  # a way of writing that is left to its writer
    for change in (lambda: keys.revoke(file, "in"), lambda: keys.add(file, {"id": "more"})):
        with pytest.raises(LyceumError):
            change()
    assert len(keys.listed(file).key) == 1


def test_at_once(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: keys.add(file, {"id": f"k{number}"}), range(20)))
    assert len(keys.listed(file).key) == 21


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("--home", str(tmp_path))
    code, made = told("gateway key add ann --tenant acme --requests-per-minute 5", *home)
    assert (code, made["id"]) == (0, "ann")
    assert told("gateway key list", *home)[1] == {
        "keys": [{"id": "ann", "tenant": "acme", "requests_per_minute": 5}]
    }
    assert told("gateway usage --by key,day", *home) == (0, {"usage": []})
    code, problem = told("gateway usage --by colour", *home)
    assert (code, problem["error"]["code"]) == (1, "invalid")
    assert main(["gateway", "key", "list", *home]) == main(["gateway", "usage", *home]) == 0
    assert "requests_per_minute 5" in capsys.readouterr().out
    assert told("gateway key revoke ann", *home)[0] == 0
    assert told("gateway key revoke ann", *home)[0] == 1
