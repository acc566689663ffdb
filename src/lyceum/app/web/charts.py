"""Numbers to SVG drawings in the page's own colours; knows no page. Those of reports stand in lyceum.evals.charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor

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


def fall(before: float, after: float) -> Markup:
    """Draw one step of a waterfall of shares: what is left of the whole after it, and what was lost in it."""
    drawn = Markup('<rect x="{:.1f}" width="{:.1f}" height="{}" class="{}"/>')
    left, lost = WIDE * after, WIDE * (before - after)
    return _svg(
        "waterfall", WIDE, ROW, drawn.format(0, left, ROW, "a") + drawn.format(left, lost, ROW, "lost")
    )


def shares(found: Mapping[str, int]) -> Markup:
    """Draw one bar of all counts, each in the class of its name."""
    whole, left, inside = sum(found.values()) or 1, 0.0, Markup("")
    for name, count in found.items():
        drawn = Markup('<rect x="{:.1f}" width="{:.1f}" height="{}" class="{}"/>')
        inside += drawn.format(left, WIDE * count / whole, ROW, name)
        left += WIDE * count / whole
    return _svg("waterfall", WIDE, ROW, inside)


def course(lines: Mapping[str, Sequence[tuple[float, float, float, float]]]) -> Markup:
    """Draw means with their intervals (when, low, mean, high) over time, a line for each name."""
    every = [point for line in lines.values() for point in line]
    first, last = min(point[0] for point in every), max(point[0] for point in every)
    low, high = floor(min(point[1] for point in every) * 10) / 10, ceil(max(p[3] for p in every) * 10) / 10

    def at(when: float, value: float) -> tuple[float, float]:
        share = (when - first) / (last - first) if last > first else 0.5
        return 40 + 550 * share, 150 - 140 * (value - low) / ((high - low) or 1.0)

    text = Markup('<text x="34" y="{:.1f}" text-anchor="end">{:.2f}</text>')
    line = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>')
    inside = Markup("")
    for value in (low, (low + high) / 2, high):
        y = at(first, value)[1]
        inside += line.format(40, y, 600, y, "grid") + text.format(y + 4, value)
    for number, points in enumerate(lines.values()):
        name = f"l{number % 6}"
        path = " ".join("{:.1f},{:.1f}".format(*at(when, mean)) for when, _, mean, _ in points)
        inside += Markup('<polyline points="{}" class="{}"/>').format(path, name)
        for when, under, mean, over in points:
            x, y = at(when, mean)
            inside += line.format(x, at(when, under)[1], x, at(when, over)[1], name)
            inside += Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4" class="{}"/>').format(x, y, name)
    head = Markup('<svg class="course" viewBox="0 0 610 165" aria-hidden="true">')
    return head + inside + Markup("</svg>")


def spark(values: Sequence[float]) -> Markup:
    """Draw what was measured at even distances as an area over its line at zero."""
    top, step = max(values) or 1.0, WIDE / (len(values) - 1)
    path = " ".join(f"{number * step:.1f},{60 - 56 * value / top:.1f}" for number, value in enumerate(values))
    return _svg("spark", WIDE, 60, Markup('<polygon points="0,60 {} 1000,60" class="a"/>').format(path))
