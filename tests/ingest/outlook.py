"""Properties and attachments to an MSG (MS-OXMSG) in a small compound file (MS-CFB): nothing else writes one."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

END, FREE = 0xFFFFFFFE, 0xFFFFFFFF
Values = Mapping[int, str | bytes | int]
Tree = dict[str, "bytes | Tree"]


def outlook(properties: Values, *attached: Values) -> bytes:
    """Return a message; keys are the numbers of its properties."""
    root = _stored(properties, struct.pack("<8xIIII8x", 0, len(attached), 0, len(attached)))
    for number, values in enumerate(attached):
        root[f"__attach_version1.0_#{number:08X}"] = _stored(values, bytes(8))
    return compound(root)


def _stored(values: Values, table: bytes) -> Tree:
    found: Tree = {}
    for pid, value in values.items():
        if isinstance(value, int):
            table += struct.pack("<HHIII", 3, pid, 6, value, 0)
            continue
        kind, data = (0x1F, value.encode("utf-16-le")) if isinstance(value, str) else (0x102, value)
        table += struct.pack("<HHIII", kind, pid, 6, len(data) + 2 * (kind == 0x1F), 0)
        found[f"__substg1.0_{pid:04X}{kind:04X}"] = data
    return {**found, "__properties_version1.0": table}


class _Sectors:
    """Data in sectors of one size, each with the number of the next."""

    def __init__(self, size: int) -> None:
        self.size, self.data = size, b""
        self.next: list[int] = []

    def add(self, data: bytes) -> int:
        first, count = len(self.next), -(-len(data) // self.size)
        self.data += data.ljust(count * self.size, b"\0")
        self.next += [*range(first + 1, first + count), END] if count else []
        return first if count else END


def compound(root: Tree) -> bytes:
    """Return the file: streams under 4,096 bytes lie in the mini stream, the rest in sectors of 512."""
    entries: list[tuple[str, bytes | Tree]] = [("Root Entry", root)]
    child, sibling = {}, {}
    for number, (_, body) in enumerate(entries):  # it grows while it is walked
        if isinstance(body, dict):
            names = sorted(body, key=lambda name: (len(name), name.upper()))
            numbers = [len(entries) + i for i in range(len(names))]
            child[number] = numbers[0] if numbers else FREE
            sibling.update(zip(numbers, [*numbers[1:], FREE], strict=False))
            entries += [(name, body[name]) for name in names]
    small, large = _Sectors(64), _Sectors(512)
    starts = [
        (small if len(body) < 4096 else large).add(body) if isinstance(body, bytes) else 0
        for _, body in entries
    ]
    starts[0] = large.add(small.data)
    directory = b""
    for number, (name, body) in enumerate(entries):
        kind = 2 if isinstance(body, bytes) else 1 if number else 5
        size = len(body) if isinstance(body, bytes) else 0 if number else len(small.data)
        word = name.encode("utf-16-le") + b"\0\0"
        links = (FREE, sibling.get(number, FREE), child.get(number, FREE))
        directory += word.ljust(64, b"\0") + struct.pack("<HBBIII36x", len(word), kind, 1, *links)
        directory += struct.pack("<III", starts[number], size, 0)
    first = large.add(directory)
    mini = large.add(_numbers(small.next))
    large.next.append(0xFFFFFFFD)
    assert len(large.next) <= 128
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    head += struct.pack("<9I", 0, 1, first, 0, 4096, mini, -(-len(small.next) // 128), END, 0)
    return head + _numbers([len(large.next) - 1], 109) + large.data + _numbers(large.next, 128)


def _numbers(values: Sequence[int], count: int = 0) -> bytes:
    return struct.pack(f"<{len(values)}I", *values) + b"\xff" * 4 * max(0, count - len(values))
