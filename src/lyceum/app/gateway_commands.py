"""`lyceum gateway key` and `usage`: virtual keys in gateway.toml, and what calls have used and cost."""

from __future__ import annotations

import argparse
from typing import Any

from lyceum.app import show
from lyceum.app.settings import Settings
from lyceum.core.errors import InvalidInput

LIMITS = {
    "requests-per-minute": int,
    "tokens-per-minute": int,
    "concurrent": int,
    "budget-day": float,
    "budget-month": float,
}
SHOWN = ("calls", "input", "output", "cost", "hits", "estimated", "lost")


def arguments_key(command: argparse.ArgumentParser) -> None:
    """Add what `key` takes."""
    command.add_argument("action", choices=("add", "list", "revoke"))
    command.add_argument("name", nargs="?", metavar="NAME")
    for name in ("tenant", "user"):
        command.add_argument(f"--{name}", default="", metavar="NAME", help=f"the {name} it belongs to")
    command.add_argument("--models", default="", metavar="A,B", help="the models it may call; without it all")
    command.add_argument(
        "--see", dest="readers_of", default="", metavar="A,B", help="whose documents it may see"
    )
    for name, kind in LIMITS.items():
        command.add_argument(f"--{name}", type=kind, default=0, metavar="N", help="0 is no limit")


async def run_key(arguments: argparse.Namespace, settings: Settings) -> int:
    """Make a virtual key (its secret is shown once), list keys, or revoke one; servers follow within a second."""
    from lyceum.gateway import keys

    file = settings.home / "gateway.toml"
    if arguments.action == "list":
        found = [
            one.model_dump(mode="json", exclude={"sha256"}, exclude_defaults=True)
            for one in keys.listed(file).key
        ]
        rows = [
            (one.pop("id"), ", ".join(f"{name} {_short(value)}" for name, value in one.items()))
            for one in map(dict, found)
        ]
        _table(arguments, {"keys": found}, "key,what it may", rows)
        return 0
    if not arguments.name:
        raise InvalidInput("Which key?", hint=f"lyceum gateway key {arguments.action} NAME")
    if arguments.action == "revoke":
        keys.revoke(file, arguments.name)
        show.result(arguments, {"revoked": arguments.name}, f"{arguments.name} is revoked.\n")
        return 0
    told: dict[str, Any] = {"id": arguments.name, "tenant": arguments.tenant, "user": arguments.user}
    told |= {"models": _list(arguments.models), "readers": _list(arguments.readers_of)}
    told |= {name.replace("-", "_"): getattr(arguments, name.replace("-", "_")) for name in LIMITS}
    secret = keys.add(file, told)
    show.result(
        arguments,
        {"id": arguments.name, "secret": secret},
        f"{secret}\nIt is shown this once; only its hash is kept.\n",
    )
    return 0


def arguments_usage(command: argparse.ArgumentParser) -> None:
    """Add what `usage` takes."""
    command.add_argument("--by", default="key", metavar="A,B", help="key, user, tenant, model, day (key)")
    command.add_argument("--since", default="", metavar="DATE", help="the first day, as 2026-11-01")
    command.add_argument("--until", default="9", metavar="DATE", help="the last day")


async def run_usage(arguments: argparse.Namespace, settings: Settings) -> int:
    """Sum up the usage book: calls, tokens, money; `estimated` and `lost` are those the upstream told nothing of."""
    from lyceum.gateway import book, prices

    by = _list(arguments.by)
    if wrong := set(by) - set(book.KINDS) or not by:
        raise InvalidInput(f"Usage goes by {', '.join(book.KINDS)}, not {wrong}.", hint="Give --by key,day.")
    found = book.usage(settings.home / "usage.db", by, arguments.since, arguments.until)
    told = [
        {**row, **{name: float(prices.shown(row[name])) for name in ("cost", "reserved")}} for row in found
    ]
    rows = [
        [
            *(str(row[name]) for name in by),
            *(prices.shown(row[name]) if name == "cost" else str(row[name]) for name in SHOWN),
        ]
        for row in found
    ]
    _table(arguments, {"usage": told}, ",".join([*by, *SHOWN]), rows)
    return 0


def _table(arguments: argparse.Namespace, told: Any, columns: str, rows: Any) -> None:
    if arguments.json:
        show.as_json(told)
    else:
        show.table(show.screen(), columns, rows)


def _list(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _short(value: Any) -> str:
    return "/".join(value) if isinstance(value, list) else str(value)
