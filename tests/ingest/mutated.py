"""Files damaged at random from a seed: bits flipped, cut, spliced with others, doubled, also inside archives."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

LARGEST = 400_000


def corpus(*folders: Path) -> list[Path]:
    """Return the small files of some folders, of each ending at most twelve."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and 0 < path.stat().st_size <= LARGEST and path.suffix not in (".json", ".pkl"):
                found.setdefault(path.suffix, []).append(path)
    return [path for paths in found.values() for path in paths[:12]]


def mutations(files: Sequence[Path], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and bytes; every ending has the same share."""
    rng = random.Random(seed)
    endings = sorted({path.suffix for path in files})
    for number in range(count):
        path = rng.choice([path for path in files if path.suffix == endings[number % len(endings)]])
        other = rng.choice(files)
        data = _inside(rng, path.read_bytes(), other.read_bytes())
        yield f"{number:05}-{path.name}", data


def _inside(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Damage a file, or one member of an archive, so that its checksums are right and its content is not."""
    if not data.startswith(b"PK\x03\x04") or rng.random() < 0.4:
        return _damaged(rng, data, other)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        names = sorted(set(old.namelist()))
        chosen = rng.choice(names)
        for name in names:
            new.writestr(name, _damaged(rng, old.read(name), other) if name == chosen else old.read(name))
    return made.getvalue()


def _damaged(rng: random.Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    kind = rng.choice(("flip", "flip", "cut", "splice", "zero", "double", "digits"))
    start = rng.randrange(len(data) or 1)
    end = min(len(data), start + rng.choice((1, 16, 256, 4096)))
    if kind == "flip":
        for _ in range(rng.choice((1, 4, 32, 256)) if data else 0):
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del changed[start:]
    elif kind == "splice":
        at = rng.randrange(len(other) or 1)
        changed[start:end] = other[at : at + rng.choice((16, 1024, 65536))]
    elif kind == "zero":
        changed[start:end] = bytes(end - start)
    elif kind == "double":
        changed[start:end] = data[start:end] * rng.choice((2, 10, 100))
    else:  # sizes, counts and offsets are written in digits in PDF and XML
        at = [i for i, byte in enumerate(data[:65536]) if 48 <= byte <= 57]
        for i in rng.sample(at, min(len(at), 8)):
            changed[i : i + 1] = rng.choice((b"0", b"9", b"-1", b"4294967296"))
    return bytes(changed)
