"""What a drawing shows by reference: a chart's title and the table behind it, the words of a diagram. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lxml.etree import XMLSyntaxError
from openpyxl.styles.numbers import is_date_format
from openpyxl.utils.datetime import from_excel

from lyceum.ingest.numbers import shown
from lyceum.ingest.ooxml import DGM, A, C, xml

R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
POINTS = 10_000
Rows = list[list[str]]


def drawn(node: Any, part: Any) -> Iterator[tuple[str, Rows]]:
    """Yield (title, rows) of the charts and (words, no rows) of the diagrams below a node."""
    for found in node.iter(C + "chart", DGM + "relIds"):
        is_chart = found.tag == C + "chart"
        relation = part.rels.get(found.get(R + ("id" if is_chart else "dm"), ""))
        if relation is None or relation.is_external:
            continue
        try:
            root = xml(relation.target_part.blob)
        except XMLSyntaxError:  # a broken drawing does not stop the text round it
            continue
        yield _chart(root) if is_chart else (_diagram(root), [])


def _diagram(root: Any) -> str:
    """Return the texts of a diagram's shapes, a line each."""
    texts = map(_text, root.iter(DGM + "pt"))
    return "\n".join(f"- {text}" for text in texts if text.strip())


def _text(node: Any) -> str:
    return "".join(one.text or "" for one in node.iter(A + "t"))


def _chart(root: Any) -> tuple[str, Rows]:
    """Return (title, rows); the first row names the series, the first column the categories."""
    title = root.find(f"{C}chart/{C}title")
    series = list(root.iter(C + "ser"))
    rows: dict[tuple[int, str], list[str]] = {}
    for column, one in enumerate(series):
        labels = _points(one, "cat", "xVal")
        for index, value in list(_points(one, "val", "yVal").items())[:POINTS]:
            row = rows.setdefault((index, labels.get(index, "")), [""] * len(series))
            row[column] = value
    names = [" ".join(name.text or "" for name in one.iterfind(f"{C}tx//{C}v")) for one in series]
    made = [["", *names], *([label, *row] for (_, label), row in rows.items())] if rows else []
    return _text(title) if title is not None else "", made


def _points(series: Any, *names: str) -> dict[int, str]:
    """Return the cached values by index; labels of several levels are joined, the outer first."""
    found: dict[int, str] = {}
    for holder in (one for name in names for one in series.findall(C + name)):
        form = holder.findtext(f".//{C}formatCode") or ""
        levels = list(holder.iter(C + "lvl"))
        for level in reversed(levels) if levels else [holder]:
            for point in level.iter(C + "pt"):
                index, text = int(point.get("idx", "0")), point.findtext(C + "v") or ""
                found[index] = f"{found[index]} {text}" if index in found else _shown(text, form)
    return found


def _shown(text: str, form: str) -> str:
    """Return a cached number as its format shows it; a cached word has no format."""
    try:
        number = float(text)
    except ValueError:
        return text
    return shown(from_excel(number) if is_date_format(form) else number, form) if form else text
