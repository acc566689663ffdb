"""The effective configuration: which of default, file and variable wins, what is refused, what stays secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lyceum.app.cli import main
from lyceum.app.server import create
from lyceum.app.session import opened
from lyceum.app.settings import Settings, load, overlaid
from lyceum.core.errors import ConfigError
from lyceum.models.minilm import FOLDER
from lyceum.wire import DEFAULTS
from tests.app.served import told
from tests.toys import run

SECRET = "sesame-open-8417"
CHAT = 'kind = "models.openai"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n'


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the caller, no models, and a folder without a home of its own."""
    for name in [name for name in os.environ if name.startswith("LYCEUM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LYCEUM_MODELS", str(tmp_path / "models"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def written(home: Path, text: str) -> Settings:
    (home / "lyceum.toml").write_text(text, encoding="utf-8")
    return load(str(home), {})


def built(settings: Settings) -> Any:
    """Build everything and close it; return the platform's parts for a look at their values."""

    async def work() -> Any:
        async with opened(settings) as platform:
            return platform

    return run(work())


def refused(home: Path, text: str = "", **variables: str) -> ConfigError:
    """Load and build with this file and these variables: one of the two must refuse them."""
    (home / "lyceum.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as problem:
        built(load(str(home), variables))
    assert problem.value.hint
    return problem.value


def test_defaults(home: Path) -> None:
    settings = load(str(home), {})
    assert settings.tables == DEFAULTS
    assert set(settings.origin.values()) == {"default"}
    assert set(settings.origin) == {f"{name}.{key}" for name, table in DEFAULTS.items() for key in table}


def test_the_file_stands_over_the_defaults_and_variables_over_both(home: Path) -> None:
    file = home / "lyceum.toml"
    file.write_text('[serve]\nport = 9001\nbody_mb = 7\n[reader]\nkind = "ingest.isolated"\nmax_mb = 3\n')
    settings = load(str(home), {"LYCEUM_SERVE__PORT": "9002", "LYCEUM_READER__WALL_SECONDS": "4"})
    serve = settings.tables["serve"]
    assert (serve["host"], serve["port"], serve["body_mb"]) == ("127.0.0.1", 9002, 7)
    assert settings.origin["serve.host"] == "default"
    assert settings.origin["serve.body_mb"] == str(file)
    assert settings.origin["serve.port"] == "LYCEUM_SERVE__PORT"
    reader = built(settings).ingest.reader
    assert (reader.max_mb, reader.limits.split(":")[1:3]) == (3, ["60", "4"])
    assert DEFAULTS["serve"]["port"] == 8420, "the defaults themselves stay as they are"


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("0.25", 0.25), ("true", True), ("plain words", "plain words"), ("", "")]
)
def test_variables_hold_numbers_truth_and_text(home: Path, text: str, value: object) -> None:
    found = load(str(home), {"LYCEUM_SERVE__HOST": text}).tables["serve"]["host"]
    assert found == value
    assert type(found) is type(value)


def test_which_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    given = {"LYCEUM_HOME": str(tmp_path / "named")}
    assert load(None, {}).home == tmp_path / "user" / ".lyceum"
    Path(".lyceum").mkdir()
    assert load(None, {}).home == tmp_path / "elsewhere" / ".lyceum"
    assert load(None, given).home == tmp_path / "named"
    assert load("~/chosen", given).home == tmp_path / "user" / "chosen"


def test_the_chat_key_goes_to_a_server_only(home: Path) -> None:
    given = {"LYCEUM_CHAT_KEY": SECRET, "LYCEUM_TOKEN": "t"}
    settings = load(str(home), given)
    assert "key" not in settings.tables["chat"]
    assert settings.token == "t"
    (home / "lyceum.toml").write_text(f"[chat]\n{CHAT}", encoding="utf-8")
    settings = load(str(home), given)
    assert (settings.tables["chat"]["key"], settings.origin["chat.key"]) == (SECRET, "LYCEUM_CHAT_KEY")
    assert built(settings).chat.key == SECRET


@pytest.mark.parametrize(
    ("text", "said", "choices"),
    [
        ("[colours]\nred = 1\n", "[colours]", ["analyzer", "retriever", "serve"]),
        ("[reader]\nwall_second = 1\n", "'wall_second'", ["wall_seconds", "max_mb"]),
        ('[reader]\nkind = "ingest.isolate"\n', "'ingest.isolate'", ["ingest.isolated", "none"]),
        ('[answerer]\nkind = "answer.extractive"\nretriever = { kind = "x" }\n', "[answerer.retriever]", ["hybrid"]),
        ('[reader]\nmax_mb = "large"\n', "'large' is not int", []),
        ("[reader]\nwall_seconds = true\n", "True is not float", []),
        ('[chat]\nkind = "models.openai"\n', "lacks 'base_url'", []),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_the_choices(
    home: Path, text: str, said: str, choices: list[str]
) -> None:
    problem = refused(home, text)
    assert said in problem.message
    assert [choice for choice in choices if choice not in problem.hint] == []


def test_wrong_variables_are_named_with_the_choices(home: Path) -> None:
    problem = refused(home, LYCEUM_SPLITTER__TOKEN="100")
    assert "'token'" in problem.message
    assert "tokens" in problem.hint
    assert "[splitters]" in refused(home, LYCEUM_SPLITTERS__TOKENS="100").message


@pytest.mark.parametrize(
    "content", [b"[reader\n", b"port = 1\n", b"[serve]\nhost = \xff\n", b"[[reader]]\na = 1\n"]
)
def test_a_broken_file_is_named(home: Path, content: bytes) -> None:
    (home / "lyceum.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"lyceum\.toml") as problem:
        load(str(home), {})
    assert problem.value.hint


def test_a_kind_that_is_no_text(home: Path) -> None:
    assert "is unknown" in refused(home, "[reader]\nkind = [1]\n").message


@pytest.mark.parametrize("text", ["[splitter]\ntokens = 0\n", "[retriever.retriever]\nweight = 7.0\n"])
def test_a_value_that_no_part_can_use(home: Path, text: str) -> None:
    card = home / "models" / FOLDER / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text("{}")  # an encoder that is opened and never asked
    refused(home, text, LYCEUM_MODELS=str(home / "models"))


@pytest.mark.parametrize(
    ("key", "value"), [("BODY_MB", "much"), ("PORT", "http"), ("CONCURRENCY", "[]"), ("COLOUR", "1")]
)
def test_the_table_of_the_server_is_checked_too(home: Path, key: str, value: str) -> None:
    with (
        pytest.raises(ConfigError, match=key.lower()),
        TestClient(create(load(str(home), {f"LYCEUM_SERVE__{key}": value}))),
    ):
        pass


def test_config_prints_values_and_origins_but_no_secret(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LYCEUM_TOKEN", SECRET)
    monkeypatch.setenv("LYCEUM_CHAT_KEY", SECRET)
    monkeypatch.setenv("LYCEUM_SERVE__PORT", "9003")
    written(home, f"[chat]\n{CHAT}")
    code, values = told("config", "--home", str(home))
    assert code == 0
    assert values["chat.key"] == {"value": "***", "from": "LYCEUM_CHAT_KEY"}
    assert values["chat.model"] == {"value": "m", "from": str(home / "lyceum.toml")}
    assert values["serve.port"] == {"value": 9003, "from": "LYCEUM_SERVE__PORT"}
    assert values["serve.host"] == {"value": "127.0.0.1", "from": "default"}
    assert SECRET not in str(values)
    assert main(["config", "--home", str(home)]) == 0
    printed = capsys.readouterr()
    assert "LYCEUM_SERVE__PORT" in printed.out
    assert SECRET not in printed.out + printed.err


def test_config_prints_no_secret_of_an_address(home: Path) -> None:
    written(home, f"[chat]\n{CHAT}".replace("://", f"://ann:{SECRET}@"))
    code, values = told("config", "--home", str(home))
    assert (code, SECRET in str(values)) == (0, False)
    assert values["chat.base_url"]["value"].startswith("http://***@")


def test_config_prints_no_secret_of_a_nested_part(home: Path) -> None:
    written(home, f'[answerer]\nkind = "answer.generative"\n[answerer.chat]\nkey = "{SECRET}"\n{CHAT}')
    code, values = told("config", "--home", str(home))
    assert code == 0
    assert values["answerer.kind"]["value"] == "answer.generative"
    assert SECRET not in str(values)


def test_an_error_about_a_key_of_digits_does_not_print_it(home: Path) -> None:
    written(home, f"[chat]\n{CHAT}")
    said = ""
    try:
        built(load(str(home), {"LYCEUM_CHAT__KEY": "84172633"}))
    except ConfigError as problem:
        said = str(problem)
    assert "84172633" not in said


def test_a_nested_table_keeps_what_it_does_not_name(home: Path) -> None:
    (home / "lyceum.toml").write_text("[retriever.retriever.retriever]\nweight = 0.5\n")
    variable = "LYCEUM_RETRIEVER__RETRIEVER__RETRIEVER__DEPTH"
    settings = load(str(home), {variable: "50"})
    inner = {"kind": "search.hybrid", "weight": 0.5, "depth": 50}
    linked = {"kind": "search.linked", "retriever": inner}
    assert settings.tables["retriever"] == {"kind": "search.history", "retriever": linked}
    assert settings.origin["retriever.retriever"] == variable
    assert DEFAULTS["retriever"]["retriever"]["retriever"] == {"kind": "search.hybrid"}, (
        "the defaults are left alone"
    )
    other = {"kind": "search.lexical"}
    assert (
        overlaid(settings, {"retriever": {"retriever": other}}, "-").tables["retriever"]["retriever"] == other
    )
