"""Rows to nouns and back: the compact JSON in which the ledger keeps places, chunks and elements."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any

from lyceum.core.text import dense_text
from lyceum.core.types import Chunk, Document, Element, Piece, Place, Table

PLACE = ("page", "box", "sheet", "row", "line", "xpath")


def dump(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pack_place(place: Place) -> dict[str, Any]:
    """Keep only what is set; boxes to a tenth of a point."""
    packed = {name: value for name in PLACE if (value := getattr(place, name)) is not None}
    if place.box is not None:
        packed["box"] = [round(edge, 1) for edge in place.box]
    return packed


def unpack_place(packed: dict[str, Any]) -> Place:
    """Read what `pack_place` wrote."""
    box = packed.get("box")
    return Place(**{**packed, "box": (box[0], box[1], box[2], box[3])} if box else packed)


def pack_pieces(pieces: Sequence[Piece]) -> list[list[Any]]:
    """Write pieces as [start, end, place]; a place equal to the one before is 0."""
    packed: list[list[Any]] = []
    before: Place | None = None
    for piece in pieces:
        packed.append([piece.start, piece.end, 0 if piece.place == before else pack_place(piece.place)])
        before = piece.place
    return packed


def unpack_pieces(packed: list[list[Any]]) -> tuple[Piece, ...]:
    """Read what `pack_pieces` wrote."""
    pieces: list[Piece] = []
    place = Place()
    for start, end, body in packed:
        place = unpack_place(body) if body else place
        pieces.append(Piece(start=start, end=end, place=place))
    return tuple(pieces)


def pack_chunk(chunk: Chunk) -> str:
    """Write all of a chunk but its id and text."""
    return dump([chunk.kind, chunk.path, pack_pieces(chunk.pieces), dict(chunk.meta)])


def unpack_chunk(number: int, chunk_id: str, text: str, extra: str, document: Document) -> Chunk:
    """Read what `pack_chunk` wrote."""
    kind, path, pieces, meta = json.loads(extra)
    return Chunk(
        id=chunk_id, doc_id=document.id, text=text, number=number, title=document.title, kind=kind,
        path=tuple(path), pieces=unpack_pieces(pieces), meta=meta,
    )  # fmt: skip


def pack_elements(elements: Sequence[Element]) -> bytes:
    """Write elements as compressed JSON."""
    rows = [
        {
            "kind": e.kind,
            "text": e.text,
            "place": pack_place(e.place),
            "pieces": pack_pieces(e.pieces),
            "level": e.level,
            **(
                {
                    "rows": e.table.rows,
                    "header": e.table.header,
                    "places": [pack_place(place) for place in e.table.places],
                }
                if e.table
                else {}
            ),
        }
        for e in elements
    ]
    return zlib.compress(dump(rows).encode(), 6)


def unpack_elements(doc_id: str, packed: bytes) -> list[Element]:
    """Read what `pack_elements` wrote."""
    return [
        Element(
            doc_id=doc_id, kind=row["kind"], text=row["text"], level=row["level"],
            place=unpack_place(row["place"]), pieces=unpack_pieces(row["pieces"]),
            table=Table(
                rows=tuple(tuple(cells) for cells in row["rows"]),
                header=row["header"],
                places=tuple(unpack_place(place) for place in row["places"]),
            ) if "rows" in row else None,
        )
        for row in json.loads(zlib.decompress(packed))
    ]  # fmt: skip


def vector_key(chunk: Chunk) -> bytes:
    """Return the key under which the vector of a chunk's words is kept."""
    return hashlib.sha256(dense_text(chunk).encode()).digest()[:16]
