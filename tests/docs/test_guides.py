"""The configurations that a guide shows build, and answer."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from lyceum import wire
from lyceum.app.settings import load, overlaid
from lyceum.core.types import Query
from lyceum.gateway.build import Build
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.config import parsed
from lyceum.models.scripted import ScriptedChat
from tests.toys import ToyEncoder, document, run

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "questions.md"
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("number", range(2))
def test_a_configuration_of_the_guide_finds_passages(tmp_path: Path, number: int) -> None:
    assert len(BLOCKS) == 2
    settings = overlaid(load(str(tmp_path), {}), tomllib.loads(BLOCKS[number]), "the guide")

    async def check() -> list[str]:
        chat = ScriptedChat(["the pump pressure"])
        parts = {"encoder": ToyEncoder(), "spans": None, "chat": chat}
        platform = wire.build(settings.tables, tmp_path, replace=parts)
        await platform.store.put([document("a.md", "pump pressure"), document("b.pdf", "valves")])
        hits = await platform.retriever(Query(text="pump presure"))
        assert len(chat.heard) == number
        await platform.close()
        return [hit.document.source for hit in hits]

    assert run(check())[0] == "a.md"


def test_the_configurations_of_the_monitoring_guide_build(tmp_path: Path) -> None:
    text = GUIDE.with_name("monitoring.md").read_text(encoding="utf-8")
    tables = tomllib.loads("\n".join(re.findall(r"```toml\n(.*?)```", text, re.S)))
    assert sorted(tables) == ["log", "traces"]
    platform = wire.build(
        overlaid(load(str(tmp_path), {}), tables, "the guide").tables,
        tmp_path,
        replace={"encoder": ToyEncoder()},
    )
    assert platform.spans.also == platform.parts["traces"].trace
    assert platform.parts["log"].path == tmp_path / "calls.jsonl"
    run(platform.close())


def test_the_configurations_of_the_gateways_guide_serve(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.with_name("gateway.md").read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 7
    build = Build(tmp_path, inside=lambda target: _nowhere)
    for block in blocks:
        serving = build(parsed(block))
        assert serving.route.models


async def _nowhere(call: Call) -> Reply:
    raise AssertionError(call)
