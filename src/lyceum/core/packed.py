"""Elements and places as plain JSON values, for the ledger and for the pipe from a parsing process. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lyceum.core.types import Element, Piece, Place, Table

PLACE = ("part", "page", "box", "sheet", "row", "line", "xpath")


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


def pack_element(element: Element) -> dict[str, Any]:
    """Return an element as JSON values."""
    packed: dict[str, Any] = {"kind": element.kind, "text": element.text, "place": pack_place(element.place)}
    packed["pieces"] = pack_pieces(element.pieces)
    if element.level:
        packed["level"] = element.level
    if element.table is not None:
        packed["rows"], packed["header"] = element.table.rows, element.table.header
        packed["places"] = [pack_place(place) for place in element.table.places]
    return packed


def unpack_element(doc_id: str, packed: Mapping[str, Any]) -> Element:
    """Read what `pack_element` wrote."""
    table = None
    if "rows" in packed:
        table = Table(
            rows=tuple(tuple(cells) for cells in packed["rows"]), header=packed["header"],
            places=tuple(unpack_place(place) for place in packed["places"]),
        )  # fmt: skip
    return Element(
        doc_id=doc_id, kind=packed["kind"], text=packed["text"], place=unpack_place(packed["place"]),
        pieces=unpack_pieces(packed["pieces"]), level=packed.get("level", 0), table=table,
    )  # fmt: skip
