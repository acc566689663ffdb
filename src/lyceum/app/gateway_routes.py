"""/admin/gateway: what the gateway is told to do, read without secrets and changed while it serves.

A change is checked as a whole, written into HOME/gateway.toml, and in use when the response comes; a wrong one is
refused with the reason, and nothing has changed. The guard lets in who has the token, without one this machine alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter, Request
from filelock import FileLock

from lyceum.app.settings import masked
from lyceum.core.errors import ConfigError, InvalidInput, NotFound
from lyceum.gateway import keys
from lyceum.gateway.config import Strict, written
from lyceum.gateway.live import Live

router = APIRouter(prefix="/admin/gateway")
Table = dict[str, Any]
NAMED = {"model": "name", "key": "id"}


class Meant(Strict):
    """What an alias means."""

    model: str


@router.get("")
async def read(request: Request) -> Table:
    """Return the configuration in use, where it stands, and what is wrong with the file if it was not taken."""
    live: Live = request.app.state.gateway
    return {
        **masked(live.serving.gateway.model_dump(mode="json")),
        "file": str(live.file),
        "problem": live.problem,
    }


@router.put("/alias/{name:path}")
async def put_alias(name: str, told: Meant, request: Request) -> Table:
    """Let a name mean a model."""
    return await changed(request, lambda tables: tables.setdefault("alias", {}).update({name: told.model}))


@router.delete("/alias/{name:path}")
async def remove_alias(name: str, request: Request) -> Table:
    """Let a name mean nothing any more."""
    return await changed(
        request, lambda tables: _found(tables.get("alias", {}), name) and tables["alias"].pop(name)
    )


@router.put("/model/{name:path}/weights")
async def put_weights(name: str, told: list[float], request: Request) -> Table:
    """Give the targets of a model other weights, in their order."""

    def change(tables: Table) -> None:
        targets = _found({one["name"]: one for one in tables.get("model", ())}, name)["targets"]
        if len(targets) != len(told):
            raise InvalidInput(
                f"{name} has {len(targets)} targets.", hint="Send one number for each.", code="weights"
            )
        for target, weight in zip(targets, told, strict=True):
            target["weight"] = weight

    return await changed(request, change)


@router.post("/key", status_code=201)
async def make_key(told: Table, request: Request) -> Table:
    """Make a virtual key; its secret is in this response and nowhere else."""
    live: Live = request.app.state.gateway
    try:
        secret = await asyncio.to_thread(keys.add, live.file, {"id": "", **told})
    except (ConfigError, TypeError, UnicodeError) as problem:
        raise InvalidInput(str(problem), hint="Nothing was changed.", code="gateway") from problem
    live.look()
    return {**told, "secret": secret}


@router.put("/{table}/{name:path}")
async def put(table: Literal["model", "key"], name: str, told: Table, request: Request) -> Table:
    """Add or replace a model or the limits of a key, whose secret stays."""

    def change(tables: Table) -> None:
        listed, field = tables.setdefault(table, []), NAMED[table]
        before = next((one for one in listed if one[field] == name), None)
        kept = {"sha256": before["sha256"]} if before and "sha256" in before else {}
        made = {**kept, **told, field: name}
        if before is None:
            listed.append(made)
        else:
            listed[listed.index(before)] = made

    return await changed(request, change)


@router.delete("/{table}/{name:path}")
async def remove(table: Literal["model", "key"], name: str, request: Request) -> Table:
    """Take a model or a key out."""

    def change(tables: Table) -> None:
        listed = tables.get(table, [])
        listed.remove(_found({one[NAMED[table]]: one for one in listed}, name))

    return await changed(request, change)


async def changed(request: Request, change: Callable[[Table], object]) -> Table:
    """Check, write and use a change of the configuration, or leave all as it is."""
    live: Live = request.app.state.gateway
    lock = FileLock(f"{live.file}.lock", thread_local=False)  # other processes change it too
    await asyncio.to_thread(lock.acquire)
    try:
        live.look()
        if live.problem:
            raise InvalidInput(live.problem, hint="Correct the file first.", code="gateway_file", status=409)
        tables = live.serving.gateway.model_dump(mode="json", exclude_defaults=True)
        change(tables)
        try:
            await live.write(written(tables))
        except (ConfigError, UnicodeError) as problem:
            raise InvalidInput(str(problem), hint="Nothing was changed.", code="gateway") from problem
    finally:
        lock.release()
    return await read(request)


def _found(tables: Table, name: str) -> Any:
    if name not in tables:
        raise NotFound(f"There is no {name!r}.", hint="GET /admin/gateway lists all.")
    return tables[name]
