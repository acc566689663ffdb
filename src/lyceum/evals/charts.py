"""Numbers to small SVG drawings without words, so that one drawing serves every language; knows no run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10

from markupsafe import Markup

QUARTERS = (0, 0.25, 0.5, 0.75, 1)
Interval = tuple[float, float, float]
Points = Sequence[tuple[float, float]]
WIDE, HIGH, LEFT, BASE = 380, 190, 40, 168  # of a chart with axes; the plot's left edge and its bottom line


def _svg(wide: float, high: float, name: str, parts: Iterable[Markup]) -> Markup:
    head = Markup('<svg class="{}" viewBox="0 0 {:g} {:g}" aria-hidden="true">').format(name, wide, high)
    return head + Markup("").join(parts) + Markup("</svg>")


def _line(left: float, top: float, right: float, bottom: float, name: str) -> Markup:
    where = '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>'
    return Markup(where).format(left, top, right, bottom, name)


def _number(left: float, top: float, text: str, anchor: str = "middle") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(left, top, anchor, text)


def whisker(
    found: Interval, others: Sequence[Interval] = (), left: float = 0.0, right: float = 1.0
) -> Markup:
    """Draw (low, mean, high) as bars with dots, the run's own first; nothing for what leaves the scale."""
    if found[0] < left or found[2] > right:
        return Markup("<span></span>")
    high = 17 + 8 * len(others)
    parts = [_line(_share(part), 0, _share(part), high, "grid") for part in QUARTERS]
    for row, one in enumerate((found, *others)):
        low, mean, top = (_share((end - left) / (right - left)) for end in one)
        y, name = 8.5 + 8 * row, "b" if row else "a"
        parts.append(_line(low, y, top, y, f"bar {name}"))
        parts.append(Markup('<circle cx="{:.1f}" cy="{}" r="3.2" class="{}"/>').format(mean, y, name))
    return _svg(320, high, "whisker", parts)


def scale(left: float = 0.0, right: float = 1.0) -> Markup:
    """Draw the numbers above the whiskers."""
    ticks = [(part, left + (right - left) * part) for part in QUARTERS]
    return _svg(320, 14, "whisker", [_number(_share(part), 10, f"{tick:.2g}") for part, tick in ticks])


def _share(value: float) -> float:
    return 10 + 300 * min(max(value, 0), 1)


def curves(lines: Sequence[Points]) -> Markup:
    """Draw lines through points whose first coordinate runs from 0 to 1, the first line strongest."""
    top = max((y for line in lines for _, y in line), default=0) or 1
    top = next(step for step in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if step >= min(top, 1))

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + (WIDE - LEFT - 18) * x, BASE - (BASE - 8) * y / top

    parts = []
    for share in QUARTERS:
        x, y = at(share, share * top)
        parts += [_line(x, 8, x, BASE, "grid"), _number(x, BASE + 15, f"{share:.0%}")]
        parts += [
            _line(LEFT, y, WIDE - 18, y, "grid"),
            _number(LEFT - 5, y + 4, f"{share * top * 100:.3g}%", "end"),
        ]
    for row, line in enumerate(lines):
        path = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in line)
        parts.append(Markup('<polyline points="{}" class="{}"/>').format(path, "b" if row else "a"))
    return _svg(WIDE, HIGH, "chart", parts)


def histogram(values: Sequence[float], marks: Iterable[float] = (), bins: int = 28) -> Markup:
    """Draw how many values lie where on a logarithmic scale of seconds, with a line at each mark."""
    logs = [log10(max(value, 1e-4)) for value in values] or [0.0]
    low, high = floor(min(logs) * 3 - 1e-9) / 3, ceil(max(logs) * 3 + 1e-9) / 3
    counts = [0] * bins
    for value in logs:
        counts[min(int((value - low) / (high - low) * bins), bins - 1)] += 1

    def at(value: float) -> float:
        return LEFT + (WIDE - LEFT - 18) * (value - low) / (high - low)

    step, tall = (WIDE - LEFT - 18) / bins, (BASE - 8) / max(*counts, 1)
    rectangle = '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="a"/>'
    parts = [
        Markup(rectangle).format(LEFT + n * step, BASE - count * tall, step - 1.5, count * tall)
        for n, count in enumerate(counts) if count
    ]  # fmt: skip
    parts += [_line(LEFT, BASE, WIDE - 18, BASE, "axis"), _number(LEFT - 5, 15, f"{max(counts)}", "end")]
    parts += [_line(at(log10(max(m, 1e-4))), 4, at(log10(max(m, 1e-4))), BASE, "mark") for m in marks]
    ticks = [(part * 10.0**power) for power in range(-4, 5) for part in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= log10(tick) <= high]
    parts += [_number(at(log10(tick)), BASE + 15, seconds(tick)) for tick in shown[:: len(shown) // 7 + 1]]
    return _svg(WIDE, HIGH, "chart", parts)


def seconds(value: float) -> str:
    """Return a time in the unit that suits it."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
