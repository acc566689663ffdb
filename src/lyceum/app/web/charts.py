"""Numbers to SVG drawings in the page's own colours; knows no page. Those of reports stand in lyceum.evals.charts."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDE, ROW = 1000, 10


def bar(start: float, length: float, whole: float, name: str = "a") -> Markup:
    """Draw one row of a waterfall: when something began and how long it took, as a part of the whole."""
    whole = whole or 1.0
    left, wide = (WIDE * min(max(value / whole, 0.0), 1.0) for value in (start, length))
    drawn = Markup('<rect x="{:.1f}" width="{:.1f}" height="{}" rx="2" class="{}"/>')
    inside = drawn.format(min(left, WIDE - 4), max(wide, 4.0), ROW, name)
    return _svg("waterfall", WIDE, ROW, inside)


def boxes(wide: float, high: float, found: Sequence[Sequence[float]]) -> Markup:
    """Draw boxes (left, top, right, bottom) over a picture of a page, in the page's own units."""
    drawn = Markup('<rect x="{:g}" y="{:g}" width="{:g}" height="{:g}"/>')
    inside = Markup("").join(
        drawn.format(left, top, right - left, low - top) for left, top, right, low in found
    )
    return _svg("boxes", wide, high, inside)


def _svg(name: str, wide: float, high: float, inside: Markup) -> Markup:
    head = Markup('<svg class="{}" viewBox="0 0 {:g} {:g}" preserveAspectRatio="none" aria-hidden="true">')
    return head.format(name, wide, high) + inside + Markup("</svg>")
