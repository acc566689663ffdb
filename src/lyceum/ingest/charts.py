"""A chart's XML to its title and the table behind it: categories down, series across. Pure."""

from __future__ import annotations

from typing import Any

from openpyxl.styles.numbers import is_date_format
from openpyxl.utils.datetime import from_excel

from lyceum.ingest.numbers import shown
from lyceum.ingest.ooxml import A, C

POINTS = 10_000


def chart(root: Any) -> tuple[str, list[list[str]]]:
    """Return (title, rows); the first row names the series, the first column the categories."""
    title = root.find(f"{C}chart/{C}title")
    said = "".join(one.text or "" for one in title.iter(A + "t")) if title is not None else ""
    series = list(root.iter(C + "ser"))
    names = [_name(one) for one in series]
    rows: dict[tuple[int, str], list[str]] = {}
    for column, one in enumerate(series):
        labels = _points(one, "cat", "xVal")
        for index, value in list(_points(one, "val", "yVal").items())[:POINTS]:
            row = rows.setdefault((index, labels.get(index, "")), [""] * len(series))
            row[column] = value
    return said, [["", *names], *([label, *row] for (_, label), row in rows.items())] if rows else []


def _name(series: Any) -> str:
    found = series.find(C + "tx")
    return " ".join(one.text or "" for one in found.iter(C + "v")) if found is not None else ""


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
        number = float(text) if form else None
    except ValueError:
        return text
    if number is None:
        return text
    return shown(from_excel(number) if is_date_format(form) else number, form)
