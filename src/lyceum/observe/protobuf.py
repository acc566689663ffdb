"""Spans to the bytes of OTLP's ExportTraceServiceRequest; the few messages that a span needs, and no library.

A field is its number and kind, then a number or a length and bytes.
Reference: opentelemetry-proto 1.x, trace/v1/trace.proto and common/v1/common.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

INTERNAL, SERVER = 1, 2  # kinds of spans


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A span as OTLP has it; attributes that are None or empty are left out."""

    name: str
    trace: bytes
    id: bytes
    parent: bytes = b""
    kind: int = INTERNAL
    start: float = 0.0
    seconds: float = 0.0
    error: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


def request(spans: Iterable[Exported], service: str) -> bytes:
    """Return an ExportTraceServiceRequest."""
    scope = _bytes(1, _bytes(1, b"lyceum")) + b"".join(_bytes(2, _span(one)) for one in spans)
    resource = _bytes(1, _bytes(1, _attribute("service.name", service)))
    return _bytes(1, resource + _bytes(2, scope))


def _span(one: Exported) -> bytes:
    start = round(one.start * 1e9)
    fields = [_bytes(1, one.trace), _bytes(2, one.id), _bytes(4, one.parent) if one.parent else b""]
    fields += [_bytes(5, one.name.encode()), _number(6 << 3), _number(one.kind)]
    fields += [
        struct.pack("<BQ", 7 << 3 | 1, start),
        struct.pack("<BQ", 8 << 3 | 1, start + round(one.seconds * 1e9)),
    ]
    fields += [
        _bytes(9, _attribute(key, value)) for key, value in one.attributes.items() if value not in (None, "")
    ]
    status = _bytes(2, one.error.encode()) + b"\x18\x02" if one.error else b"\x18\x01"
    return b"".join([*fields, _bytes(15, status)])


def _attribute(name: str, value: Any) -> bytes:
    return _bytes(1, name.encode()) + _bytes(2, _value(value))


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\x10" + _number(value)
    if isinstance(value, int):
        return b"\x18" + _number(value & (1 << 64) - 1)
    if isinstance(value, float):
        return struct.pack("<Bd", 4 << 3 | 1, value)
    if isinstance(value, list | tuple | set | frozenset):
        return _bytes(5, b"".join(_bytes(1, _value(one)) for one in value))
    return _bytes(1, str(value).encode())


def _bytes(number: int, data: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(data)) + data


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)
