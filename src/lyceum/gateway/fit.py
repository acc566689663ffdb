"""A call to what it needs of a target: room for its text, features, tags, whose it is; counts no token exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lyceum.core.errors import InvalidInput
from lyceum.gateway import prices
from lyceum.gateway.call import Call
from lyceum.gateway.config import Target
from lyceum.gateway.lane import Lane

ANSWER = 512  # tokens that an answer is taken to have where the call does not say
TAGS = "x-lyceum-tags"
ABLE = frozenset({"tools", "json", "vision", "audio"})  # other features say how a target speaks


def fitting(lanes: Sequence[Lane], call: Call) -> list[Lane]:
    """Return the lanes that can serve a call, only a tenant's own where it has some. Raises InvalidInput."""
    tags = frozenset(one.strip() for one in call.headers.get(TAGS, "").split(",") if one.strip())
    needed, tokens = features(call), sum(prices.estimated(call, ANSWER))
    found = [lane for lane in lanes if _fits(lane.target, call.tenant, tags, needed, tokens)]
    if not found:
        wants = ", ".join([*sorted(tags), *sorted(needed), f"about {tokens} tokens"])
        raise InvalidInput(
            f"No target of this model fits the call ({wants}).", hint="Send less, or ask another model.",
            code="no_fit",
        )  # fmt: skip
    own = [lane for lane in found if lane.target.tenants]
    return own or found


def _fits(target: Target, tenant: str, tags: frozenset[str], needed: frozenset[str], tokens: int) -> bool:
    return (
        (not target.tenants or tenant in target.tenants)
        and tags <= target.tags
        and (needed <= target.features or not target.features & ABLE)
        and (not target.context or tokens <= target.context)
    )


def texts(asked: Any) -> Iterator[str]:
    """Yield what a request says, message by message; pictures and sounds are left out."""
    for name in ("instructions", "messages", "input", "prompt", "query", "documents"):
        yield from _said(asked.get(name))


def _said(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _said(one)
    elif isinstance(value, dict):
        yield from _said(value.get("content"))
        yield from _said(value.get("text"))


def features(call: Call) -> frozenset[str]:
    """Return what a target must be able to do: tools, json, vision, audio."""
    found = {"tools"} if call.asked.get("tools") else set()
    shape = call.asked.get("response_format")
    if isinstance(shape, dict) and shape.get("type") in ("json_object", "json_schema"):
        found.add("json")
    if b"image_url" in call.body or b"input_image" in call.body:
        found |= {"vision"} if _parts(call.asked, "image_url", "input_image") else set()
    if b"input_audio" in call.body and _parts(call.asked, "input_audio"):
        found.add("audio")
    return frozenset(found)


def _parts(asked: Any, *kinds: str) -> bool:
    """Say whether a message holds a part of a kind; the bare words may stand in a text."""
    for message in asked.get("messages", asked.get("input")) or ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list) and any(
            isinstance(one, dict) and one.get("type") in kinds for one in content
        ):
            return True
    return False
