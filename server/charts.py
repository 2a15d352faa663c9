"""The report's two plots as inline SVG: a page must open offline, and for years.

Widths are percentages and heights are pixels, so that text keeps its size on any screen.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

Interval = tuple[float, float]
Series = Literal["alone", "together", "pooled"]

LINE, HEAD, GAP = 21, 26, 10
"""Pixels: between two marks, for a row's name, and between two rows."""

EDGES_DOTS, EDGES_FOREST = (15.0, 88.0), (34.0, 88.0)
"""Where an axis begins and ends, in percent of the width."""

LONGEST = {"dots": 46, "forest": 23}
"""Letters of a name that fit beside or above its marks on the narrowest screen."""

SHAPES = {
    "alone": Markup(
        '<rect id="{}" class="alone" x="-4.5" y="-4.5" width="9" height="9"/>'
    ),
    "together": Markup('<circle id="{}" class="together" r="5.5"/>'),
    "pooled": Markup('<path id="{}" class="pooled" d="M0-6.5 6.5 0 0 6.5-6.5 0z"/>'),
}
FRAME = Markup(
    '<svg class="plot" role="img" aria-labelledby="{id}-title {id}-desc" '
    'width="100%" height="{height}"><title id="{id}-title">{title}</title>'
    '<desc id="{id}-desc">{about}</desc><defs>{shapes}</defs>{body}</svg>'
)
TEXT = Markup('<text class="{}" x="{}" y="{}">{}</text>')
LINE_OF = Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>')
MARK = Markup('<use href="#{}-{}" x="{}" y="{}"/>')
GROUP = Markup("<g><title>{}: {}</title>{}</g>")


@dataclass(frozen=True, slots=True)
class Mark:
    """One estimate of a row: by whom, its value, and its 95 % interval if it has one."""

    series: Series
    value: float
    interval: Interval | None = None

    @property
    def said(self) -> str:
        """The mark in words."""
        around = f" ({span(self.interval)})" if self.interval else ""
        return f"{self.series} {decimal(self.value, self.interval)}{around}"


@dataclass(frozen=True, slots=True)
class Row:
    """What a plot says of one hospital or coefficient."""

    name: str
    marks: tuple[Mark, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from ``first * step`` to ``last * step``, between two edges."""

    first: int
    last: int
    step: float
    edges: tuple[float, float]

    def place(self, value: float) -> float:
        """Return where *value* lies, in percent of the width."""
        left, right = self.edges
        share = (value / self.step - self.first) / (self.last - self.first)
        return left + share * (right - left)

    def x(self, value: float) -> str:
        """Return the place of *value* as an attribute."""
        return f"{self.place(value):.2f}%"

    def ticks(self) -> Iterable[tuple[float, str]]:
        """Yield (value, label) of every tick."""
        places = max(0, -math.floor(math.log10(self.step)))
        for number in range(self.first, self.last + 1):
            yield number * self.step, signed(number * self.step, places)


def signed(value: float, places: int) -> str:
    """Return *value* to so many decimals, with a true minus and no negative zero."""
    return f"{round(value, places) + 0.0:.{places}f}".replace("-", "\N{MINUS SIGN}")


def decimal(value: float, interval: Interval | None = None) -> str:
    """Return *value* to the two or three decimals that its interval supports."""
    return signed(value, _places(interval))


def span(interval: Interval) -> str:
    """Return an interval to the decimals that it supports itself."""
    places = _places(interval)
    low, high = (signed(edge, places) for edge in interval)
    return f"{low} to {high}" if interval[0] < 0 else f"{low}\N{EN DASH}{high}"


def axis(marks: Iterable[Mark], edges: tuple[float, float], *also: float) -> Axis:
    """Return the axis of round numbers that holds every mark, interval and *also*."""
    values = [*also, *(edge for mark in marks for edge in _extent(mark))]
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    step = _step((high - low) / 5)
    first = math.floor(round(low / step, 6))
    return Axis(first, math.ceil(round(high / step, 6)), step, edges)


def dots(rows: Sequence[Row], title: str, measure: str) -> Markup:
    """Return a dot plot: a line per mark, rows one below the other on one axis."""
    scale = axis((mark for row in rows for mark in row.marks), EDGES_DOTS)
    body, top = [], 0
    for row in rows:
        body.append(_named(row, scale, top))
        top += HEAD + LINE * len(row.marks) + GAP
    return _frame("scores", title, _about(rows), _grid(scale, top, measure), body)


def forest(rows: Sequence[Row], title: str, measure: str) -> Markup:
    """Return a forest plot: a line per row, its marks on top of each other, and zero."""
    scale = axis((mark for row in rows for mark in row.marks), EDGES_FOREST, 0.0)
    bottom = LINE * len(rows) + GAP
    zero = LINE_OF.format("zero", scale.x(0), scale.x(0), 0, bottom)
    lines = [_line(row, scale, LINE * i + LINE) for i, row in enumerate(rows)]
    grid = _grid(scale, bottom, measure)
    return _frame("coefficients", title, _about(rows), grid, [zero, *lines])


def _places(interval: Interval | None) -> int:
    half = (interval[1] - interval[0]) / 2 if interval else 1.0
    return min(max(-math.floor(math.log10(half)), 2), 3) if half > 0.0 else 3


def _extent(mark: Mark) -> tuple[float, ...]:
    return (mark.value, *(mark.interval or ()))


def _step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least *least*."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= least * (1 - 1e-9))


def _named(row: Row, scale: Axis, top: int) -> Markup:
    """Return one row of the dot plot: its name, then each mark with its own labels."""
    parts = [LINE_OF.format("rule", "0%", "100%", top, top)] if top else []
    name = Markup('{}<tspan class="quiet" dx="10">{}</tspan>')
    label = name.format(_shortened(row.name, LONGEST["dots"]), row.note)
    parts.append(TEXT.format("name", "0%", top + HEAD - 6, label))
    for index, mark in enumerate(row.marks):
        y = top + HEAD + LINE * index + LINE // 2
        value = decimal(mark.value, mark.interval)
        parts += [
            TEXT.format("quiet", "0%", y + 4, mark.series),
            _drawn(mark, scale, y, "scores"),
            TEXT.format("value", "100%", y + 4, value),
        ]
    return _group(row, parts)


def _line(row: Row, scale: Axis, y: int) -> Markup:
    """Return one row of the forest plot."""
    parts = [TEXT.format("", "0%", y + 4, _shortened(row.name, LONGEST["forest"]))]
    parts += [_drawn(mark, scale, y, "coefficients") for mark in row.marks]
    shown = row.marks[0]
    value = decimal(shown.value, shown.interval)
    return _group(row, [*parts, TEXT.format("value", "100%", y + 4, value)])


def _drawn(mark: Mark, scale: Axis, y: int, plot: str) -> Markup:
    drawn = MARK.format(plot, mark.series, scale.x(mark.value), y)
    if mark.interval is None:
        return drawn
    low, high = (scale.x(edge) for edge in mark.interval)
    return LINE_OF.format(f"interval {mark.series}", low, high, y, y) + drawn


def _grid(scale: Axis, bottom: int, measure: str) -> tuple[int, list[Markup]]:
    """Return the plot's height, and its tick lines, tick labels and name of the axis."""
    parts = [TEXT.format("quiet", "0%", bottom + 20, measure)]
    for value, label in scale.ticks():
        x = scale.x(value)
        parts.append(LINE_OF.format("grid", x, x, 0, bottom + 4))
        parts.append(TEXT.format("tick", x, bottom + 20, label))
    return bottom + 28, parts


def _frame(
    plot: str,
    title: str,
    about: str,
    grid: tuple[int, list[Markup]],
    body: list[Markup],
) -> Markup:
    shapes = [shape.format(f"{plot}-{series}") for series, shape in SHAPES.items()]
    return FRAME.format(
        id=plot,
        height=grid[0],
        title=title,
        about=about,
        shapes=Markup().join(shapes),
        body=Markup().join([*grid[1], *body]),
    )


def _group(row: Row, parts: list[Markup]) -> Markup:
    said = ", ".join(mark.said for mark in row.marks)
    return GROUP.format(row.name, said, Markup().join(parts))


def _about(rows: Sequence[Row]) -> str:
    said = (f"{row.name}: {', '.join(m.said for m in row.marks)}" for row in rows)
    return "; ".join(said) + "."


def _shortened(name: str, longest: int) -> str:
    """Return *name*, with its middle left out where it is too long for the plot."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"
