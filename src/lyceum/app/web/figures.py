"""Two readings of a server's meters to the figures of the page that operates, and what of them wants attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lyceum.app.top import BAD, Seen

ROUTES = 12  # that are listed, the busiest first
CALLS, ANSWERS = "lyceum_gateway_calls_total", "lyceum_answers_total"
ROOM = 1_000_000_000  # bytes free, below which the disk is an alert
Alert = tuple[str, Mapping[str, Any]]  # its name, and what fills its words


def label(seen: Seen, family: str, name: str) -> list[str]:
    """Return the values of a label in a family."""
    return sorted({dict(labels).get(name, "") for labels in seen.after.get(family, {})} - {""})


def counts(seen: Seen, name: str, **wanted: str | Sequence[str]) -> int:
    """Return how much a counter has grown."""
    return round(seen.rate(name, **wanted) * seen.seconds)


def answers(seen: Seen) -> dict[str, Any]:
    """Return what became of questions: how many, refused, failed, and how long they took in seconds."""
    outcomes = label(seen, ANSWERS, "outcome")
    bad = [one for one in outcomes if one not in ("answered", "refused", "left")]
    return {
        "all": counts(seen, ANSWERS), "refused": counts(seen, ANSWERS, outcome="refused"),
        "failed": counts(seen, ANSWERS, outcome=bad) if bad else 0,
        "middle": seen.quantile(0.5, "lyceum_answer_seconds") / 1000,
        "late": seen.quantile(0.95, "lyceum_answer_seconds") / 1000,
    }  # fmt: skip


def requests(seen: Seen) -> list[dict[str, Any]]:
    """Return the requests of each route: how many, how many failed here, how long they took."""
    name, statuses = "lyceum_requests_total", label(seen, "lyceum_requests_total", "status")
    bad, refused = [[one for one in statuses if one[0] == first] for first in "54"]
    rows: list[dict[str, Any]] = [
        {
            "route": route, "all": counts(seen, name, route=route),
            "failed": counts(seen, name, route=route, status=bad) if bad else 0,
            "refused": counts(seen, name, route=route, status=refused) if refused else 0,
            "middle": seen.quantile(0.5, "lyceum_request_seconds", route=route) / 1000,
            "late": seen.quantile(0.95, "lyceum_request_seconds", route=route) / 1000,
        }
        for route in label(seen, name, "route")
    ]  # fmt: skip
    return sorted((one for one in rows if one["all"]), key=lambda row: -row["all"])[:ROUTES]


def models(seen: Seen) -> list[dict[str, Any]]:
    """Return the calls to each model: how many, failed, how long, tokens, money, hits of the cache by layer."""
    rows = []
    for name in label(seen, CALLS, "model"):
        hits = {
            layer: counts(seen, "lyceum_gateway_cache_total", model=name, layer=layer)
            for layer in label(seen, "lyceum_gateway_cache_total", "layer")
        }
        rows.append({
            "model": name, "all": counts(seen, CALLS, model=name),
            "failed": counts(seen, CALLS, model=name, outcome=BAD),
            "limited": counts(seen, CALLS, model=name, outcome="limited"),
            "middle": seen.quantile(0.5, "lyceum_gateway_seconds", model=name) / 1000,
            "late": seen.quantile(0.95, "lyceum_gateway_seconds", model=name) / 1000,
            "first": seen.quantile(0.5, "lyceum_gateway_first_token_seconds", model=name) / 1000,
            "tokens": counts(seen, "lyceum_gateway_tokens_total", model=name, kind=("input", "output")),
            "cost": seen.rate("lyceum_gateway_cost_total", model=name) * seen.seconds,
            "hits": {layer: number for layer, number in hits.items() if number},
            "open": seen.gauge("lyceum_gateway_open", model=name),
            "waiting": seen.gauge("lyceum_gateway_queued", model=name),
        })  # fmt: skip
    return rows


def alerts(seen: Seen, free: int) -> Iterator[Alert]:
    """Yield what wants attention, by the conditions of ops/alerts.yml that a server can see of itself."""
    asked = answers(seen)
    if asked["failed"] > 0.05 * asked["all"]:
        yield "answers_fail", {"n": asked["failed"], "all": asked["all"]}
    if asked["late"] > 5:
        yield "answers_slow", {"s": f"{asked['late']:.1f}"}
    for one in models(seen):
        yield from _of_model(one)
    for labels, value in seen.after.get("lyceum_gateway_breaker", {}).items():
        if value == 1:
            yield "left_alone", dict(labels)
    for labels, value in seen.after.get("lyceum_view_lag", {}).items():
        if value > 1000:
            yield "view_behind", {"n": round(value), **dict(labels)}
    lost = [one for one in label(seen, "lyceum_spans_total", "result") if one != "sent"]
    found = {
        "config_refused": seen.gauge("lyceum_gateway_config_refused") > 0,
        "spans_lost": bool(lost) and counts(seen, "lyceum_spans_total", result=lost) > 0,
        "disk": free < ROOM,
    }
    yield from ((name, {"mb": free // 1_000_000}) for name, true in found.items() if true)


def _of_model(one: dict[str, Any]) -> Iterator[Alert]:
    found = {
        "calls_fail": one["failed"] > 0.05 * one["all"], "calls_slow": one["late"] > 30 or one["first"] > 5,
        "limits": one["limited"] > 0.2 * one["all"], "queue": one["waiting"] > 10,
    }  # fmt: skip
    told = {"calls_fail": one["failed"], "limits": one["limited"], "queue": round(one["waiting"])}
    yield from (
        (name, {"n": told.get(name, 0), "all": one["all"], "model": one["model"]})
        for name, true in found.items() if true
    )  # fmt: skip
