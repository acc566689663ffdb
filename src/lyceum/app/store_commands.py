"""`lyceum store migrate` and `encoder`: vectors to another store, or to another encoder, while they are in use."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyceum import wire
from lyceum.app import settings as reading
from lyceum.app import show
from lyceum.app.session import opened
from lyceum.app.settings import Settings
from lyceum.core.errors import ConfigError, InvalidInput
from lyceum.core.types import Query
from lyceum.store import beside
from lyceum.store.beside import Beside, Sides

if TYPE_CHECKING:
    from lyceum.core.protocols import View
    from lyceum.wire import Platform

OK, SHORT = 0, 5
ACTIONS = ("status", "build", "compare", "switch", "back", "drop")
SIDE = ("encoder", "gloss")


def arguments_migrate(command: argparse.ArgumentParser) -> None:
    """Add what `migrate` takes."""
    what = "a kind of store (vectors, pgvector, …) or a TOML file with a [dense] table"
    command.add_argument("source", metavar="FROM", help=what)
    command.add_argument("target", metavar="TO", help=what)


async def run_migrate(arguments: argparse.Namespace, settings: Settings) -> int:
    """Bring all vectors into another store and compare the two; when killed, run it again and it goes on."""
    from lyceum.store import parity

    tables = [_dense(name, settings) for name in (arguments.source, arguments.target)]
    if tables[0] == tables[1]:
        raise InvalidInput("Both are the same store.", hint="Name another as TO.")
    async with opened(settings) as platform:
        source, target = [_store(platform, settings, table) for table in tables]
        with show.Bar("migrate", quiet=arguments.json) as bar:
            for view in (source, target):
                await parity.follow(platform.store, view, bar)
            assert platform.embedder is not None, "or there were no store"
            found = await parity.compare(platform.store.ledger, source, target, platform.embedder, bar)
    told = {**asdict(found), "good": found.good, "from": source.name, "to": target.name}
    said = (
        f"{source.name} holds {found.first} chunks, {target.name} {found.second}; {found.compared} compared one by"
        f" one: {len(found.lost)} lost, {len(found.strange)} too many, {len(found.off)} with another vector.\n"
        f"{found.questions} sample questions: {found.same:.1%} of the first ten hits are the same.\n"
    )
    lines = "\n".join(f"{key} = {value!r}" for key, value in tables[1].items() if key not in reading.SECRET)
    good = f"To use it, write this into {settings.home / 'lyceum.toml'} and start servers again:\n[dense]\n{lines}"
    bad = "They differ: go on with the old one, and run this command again."
    show.result(arguments, told, said + (good if found.good else bad))
    return OK if found.good else SHORT


def _dense(name: str, settings: Settings) -> Mapping[str, Any]:
    """Return the [dense] table that a name or a file stands for, the configured one where it is that kind."""
    table: Mapping[str, Any] = {"kind": f"store.{name}"}
    if Path(name).is_file():
        table = reading.read(Path(name)).get("dense", {})
    elif settings.tables["dense"].get("kind") == table["kind"]:
        table = settings.tables["dense"]
    kinds = [kind.removeprefix("store.") for kind in wire.makers() if kind.startswith("store.")]
    if table.get("kind", "").removeprefix("store.") not in kinds:
        raise InvalidInput(
            f"{name} is no store.", hint=f"Name a TOML file with [dense], or {', '.join(kinds)}."
        )
    return reading.with_secrets(table, reading.current())


def _store(platform: Platform, settings: Settings, table: Mapping[str, Any]) -> View:
    """Return the view of a [dense] table; the platform's own where that is it: some stores open only once."""
    if platform.embedder is None:
        raise ConfigError("There is no encoder, and so no vector.", hint="Run: lyceum models add minilm")
    if table == settings.tables["dense"] and isinstance(own := platform.parts["dense"], Beside):
        return own.shown()
    view: View = wire.dense_view(table, platform.store, platform.embedder)
    platform.closing += [view] if hasattr(view, "close") else []
    return view


def arguments_encoder(command: argparse.ArgumentParser) -> None:
    """Add what `encoder` takes."""
    does = (
        "build a second index, compare the two, switch to the new one, go back to the old one, drop the one that"
        " does not answer"
    )
    command.add_argument("action", choices=ACTIONS, nargs="?", default="status", help=does)
    command.add_argument(
        "file", nargs="?", type=Path, metavar="FILE",
        help="build: a TOML file with [encoder], [gloss] or both; compare: questions, as for `lyceum eval run`",
    )  # fmt: skip
    command.add_argument("--top-k", type=int, default=10, metavar="N", help="hits to compare (10)")


async def run_encoder(arguments: argparse.Namespace, settings: Settings) -> int:
    """Change the encoder without a pause: build beside the old index, compare, switch, go back, drop."""
    sides = beside.read(settings.home)
    if arguments.action == "compare":
        return await _compare(arguments, settings, _two(sides))
    if arguments.action == "build":
        sides = _begun(arguments, settings, sides)
    async with opened(settings) as platform:
        dense = platform.parts["dense"]
        if not isinstance(dense, Beside):
            raise ConfigError("Nothing is searched by meaning here.", hint="Run: lyceum models add minilm")
        if arguments.action == "drop":
            sides = await _drop(platform, dense, settings, _two(sides))
        elif arguments.action != "status":
            sides = await _built(arguments, platform, dense, _two(sides))
        told = await _told(platform, dense, sides)
    lines = [f"{one['name']}: {one['behind']} changes behind{', answers' * one['answers']}" for one in told]
    show.result(arguments, told, "\n".join(lines))
    return OK


def _two(sides: Sides) -> Sides:
    if len(sides.tables) < 2:
        hint = "Run: lyceum store encoder build FILE.toml"
        raise InvalidInput("No second encoder was built.", hint=hint, code="no_second")
    return sides


def _begun(arguments: argparse.Namespace, settings: Settings, sides: Sides) -> Sides:
    """Note which encoder is to be built beside the one that answers."""
    if arguments.file is None:
        return _two(sides)  # goes on
    tables = reading.read(arguments.file)
    if not tables or set(tables) - set(SIDE):
        said = f"{arguments.file} is to hold [encoder] or [gloss], and nothing else."
        raise InvalidInput(said, hint="Stores change by `lyceum store migrate`.")
    laid = reading.overlaid(settings, tables, str(arguments.file))
    now, new = [{name: dict(one.tables[name]) for name in SIDE} for one in (settings, laid)]
    if len(sides.tables) == 2 and new not in sides.tables:
        hint = "Drop one of the two first: lyceum store encoder drop"
        raise InvalidInput("Another encoder stands beside this one already.", hint=hint)
    if now == new:
        raise InvalidInput("That is the encoder that answers now.", hint="Name another in the file.")
    if len(sides.tables) < 2:
        sides = Sides(tables=(now, new))
        beside.write(settings.home, sides)
    return sides


async def _built(arguments: argparse.Namespace, platform: Platform, dense: Beside, sides: Sides) -> Sides:
    """Bring the side that does not answer up to date; then switch, where that was asked, in the same breath."""
    from lyceum.store import parity

    active = {"switch": 1, "back": 0}.get(arguments.action, sides.active)
    if active == sides.active and arguments.action != "build":
        raise InvalidInput("That side answers already.", hint="See: lyceum store encoder")
    if (other := dense.other()) is None:
        raise ConfigError("The second encoder cannot be used here.", hint="See: lyceum doctor")
    with show.Bar(other.name, quiet=arguments.json) as bar:
        await parity.follow(platform.store, other, bar)
    async with platform.store.writing():
        changes = await platform.store.ledger.changes(await platform.store.position(other), parity.STEP)
        if changes:  # what came in since; nothing can come in any more
            await other.apply(changes)
        sides = replace(sides, active=active)
        beside.write(platform.home, sides)
    return sides


async def _drop(platform: Platform, dense: Beside, settings: Settings, sides: Sides) -> Sides:
    """Remove the side that does not answer with its vectors; what lyceum.toml says itself needs no file."""
    other, left = dense.other(), sides.tables[sides.active]
    beside.write(platform.home, Sides(tables=(left,)))
    if other is not None:
        async with platform.store.writing():
            await other.drop()  # type: ignore[attr-defined]
            encoder = other.embedder.name  # type: ignore[attr-defined]
            sql = "DELETE FROM vectors WHERE encoder = ?"
            await platform.store.ledger.write(lambda db: db.execute(sql, (encoder,)))
    file = reading.read(settings.home / "lyceum.toml")
    plain = reading.overlaid(replace(settings, tables=wire.DEFAULTS, origin={}), file, "")
    if all(plain.tables[name] == left[name] for name in SIDE):
        (settings.home / beside.FILE).unlink()
    return beside.read(settings.home)


async def _told(platform: Platform, dense: Beside, sides: Sides) -> list[dict[str, Any]]:
    views = [(dense.shown(), True)] + [(one, False) for one in [dense.other()] if one is not None]
    last = await platform.store.ledger.sequence()
    rows = []
    for view, answers in views:
        behind = last - await platform.store.position(view)
        rows.append({"name": view.name, "answers": answers, "behind": behind})
    return rows


async def _compare(arguments: argparse.Namespace, settings: Settings, sides: Sides) -> int:
    """Ask both sides the same questions; answers to those of a file are measured by the evals room besides."""
    from lyceum.app import eval_run
    from lyceum.evals import compare

    each = [replace(settings, tables={**settings.tables, **side}) for side in sides.tables]
    asked = await _questions(arguments, each[0])
    found = [await _hits(one, asked) for one in each]
    same = [len(one & two) / max(len(one | two), 1) for one, two in zip(*found, strict=True)]
    told: dict[str, Any] = {"questions": len(asked), "overlap": sum(same) / max(len(same), 1)}
    lines = [f"{told['questions']} questions: the two share {told['overlap']:.1%} of their hits."]
    apart = sorted(zip(same, asked, strict=True), key=lambda pair: pair[0])[:5]
    lines += [f"{share:.0%} shared: {query.text[:90]}" for share, query in apart if share < 1]
    if arguments.file is not None:
        named = {"half": "all", "limit": None, "metrics": None, "jobs": 2, "prices": "0,0", "pipeline": None}
        put = argparse.Namespace(**{**vars(arguments), **named, "dataset": arguments.file})
        runs = [run for one in each for run in await eval_run.measured(put, one)]
        differences = compare.compare(runs, [])
        told["differences"] = [asdict(one) for one in differences]
        lines += [f"{compare.label(runs[0])} is the old one, {compare.label(runs[1])} the new one."]
        lines += [compare.sentence(one, len(differences)) for one in differences]
    show.result(arguments, told, "\n".join(lines))
    return OK


async def _questions(arguments: argparse.Namespace, settings: Settings) -> list[Query]:
    """Return the questions of a file; without one, the first words of passages all over the home."""
    from lyceum.app.commands import readers_of
    from lyceum.evals import examples

    readers, most = readers_of(arguments), arguments.top_k
    if arguments.file is not None:
        read = examples.read(arguments.file)
        return [Query(text=one.question, top_k=most, readers=one.readers | readers) for one in read]
    async with opened(settings) as platform:
        last = max(1, await platform.store.ledger.sequence())
        found = await platform.store.ledger.get(range(1, last + 1, max(1, last // 100)), readers)
    return [
        Query(text=" ".join(chunk.text.split()[:12]), top_k=most, readers=readers)
        for chunk, _ in found.values()
    ]


async def _hits(settings: Settings, asked: list[Query]) -> list[set[str]]:
    async with opened(settings) as platform:
        return [{hit.chunk.id for hit in await platform.retriever(one)} for one in asked]
