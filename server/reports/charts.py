"""The report's two plots as inline SVG: a page must open offline, and for years.

Widths are percentages and heights are pixels, so that text keeps its size everywhere.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from common.arithmetic.intervals import Interval
from server.reports.rounding import decimal, signed, span

LINE, HEAD, GAP = 21, 28, 12
"""Pixels: between two marks, for a row's name, and between two rows."""

EDGES = {"scores": (15.0, 88.0), "coefficients": (35.0, 88.0)}
"""Where the axis of a plot begins and ends, in percent of the width."""

LONGEST = {"scores": 46, "coefficients": 26}
"""Letters of a name that fit above or beside its marks on the narrowest screen."""

SERIES = {
    "alone": Markup('<rect x="-4.5" y="-4.5" width="9" height="9"/>'),
    "together": Markup('<circle r="5.5"/>'),
    "pooled": Markup('<path d="M0-6.5 6.5 0 0 6.5-6.5 0z"/>'),
}
"""The models that are compared, each with a shape of its own."""

FRAME = Markup(
    '<svg class="plot {plot}" role="img" aria-labelledby="{plot}-title {plot}-about" '
    'width="100%" height="{height}"><title id="{plot}-title">{title}</title>'
    '<desc id="{plot}-about">{about}</desc><defs>{shapes}</defs>{body}</svg>'
)
SHAPE = Markup('<g id="{}-{}">{}</g>')
MARK = Markup('<use class="{1}" href="#{0}-{1}" x="{2}" y="{3}"/>')
TEXT = Markup('<text class="{}" x="{}" y="{}">{}</text>')
STROKE = Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>')
NAME = Markup('{}<tspan class="quiet" dx="10">{}</tspan>')
GROUP = Markup("<g><title>{}</title>{}</g>")


@dataclass(frozen=True, slots=True)
class Mark:
    """One estimate of a row: by which model, its value, and its 95 % interval."""

    series: str
    value: float
    interval: Interval | None = None

    def __str__(self) -> str:
        """Return the mark in words."""
        around = f" ({span(self.interval)})" if self.interval else ""
        return f"{self.series} {decimal(self.value, self.interval)}{around}"


@dataclass(frozen=True, slots=True)
class Row:
    """What a plot shows of one hospital, or of one coefficient."""

    name: str
    marks: tuple[Mark, ...]
    note: str = ""

    def __str__(self) -> str:
        """Return the row in words."""
        return f"{self.name}: {', '.join(map(str, self.marks))}"


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from ``first * step`` to ``last * step``, between two edges."""

    first: int
    last: int
    step: float
    edges: tuple[float, float]

    def x(self, value: float) -> str:
        """Return where *value* lies, in percent of the width."""
        left, right = self.edges
        share = (value / self.step - self.first) / (self.last - self.first)
        return f"{left + share * (right - left):.2f}%"

    def ticks(self) -> Iterable[tuple[str, str]]:
        """Yield place and label of every tick."""
        places = max(0, -math.floor(math.log10(self.step) + 1e-9))
        for number in range(self.first, self.last + 1):
            value = number * self.step
            yield self.x(value), signed(value, places)


def axis(rows: Sequence[Row], edges: tuple[float, float], *also: float) -> Axis:
    """Return the axis of round numbers that holds every mark, interval and *also*."""
    marks = [mark for row in rows for mark in row.marks]
    values = [*also, *(mark.value for mark in marks)]
    values += [edge for mark in marks for edge in mark.interval or ()]
    low, high = min(values), max(values)
    if math.isclose(low, high):
        low, high = low - 0.05, high + 0.05
    step = _step((high - low) / 5)
    first, last = math.floor(round(low / step, 6)), math.ceil(round(high / step, 6))
    return Axis(first, last, step, edges)


def dots(rows: Sequence[Row], title: str, measure: str) -> Markup:
    """Return a dot plot: a line per mark, rows one below the other on one axis."""
    scale, blocks, top = axis(rows, EDGES["scores"]), [], 0
    for row in rows:
        blocks.append(_block(row, scale, top))
        top += HEAD + LINE * len(row.marks) + GAP
    body = [_grid(scale, top, measure), *blocks]
    return _frame("scores", title, rows, body, top)


def forest(rows: Sequence[Row], title: str, measure: str) -> Markup:
    """Return a forest plot: a line per row, its marks over each other, and zero."""
    scale, bottom = axis(rows, EDGES["coefficients"], 0.0), LINE * len(rows) + GAP
    zero = STROKE.format("zero", scale.x(0), scale.x(0), 0, bottom)
    lines = [_line(row, scale, LINE * i + LINE) for i, row in enumerate(rows)]
    body = [_grid(scale, bottom, measure), zero, *lines]
    return _frame("coefficients", title, rows, body, bottom)


def _step(least: float) -> float:
    """Return the first of 1, 2, 5 times a power of ten that is not below *least*."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= least * (1 - 1e-9))


def _block(row: Row, scale: Axis, top: int) -> Markup:
    """Return a row of the dot plot: its name, then each mark between its two labels."""
    parts = [STROKE.format("rule", "0%", "100%", top, top)] if top else []
    label = NAME.format(_shortened(row.name, LONGEST["scores"]), row.note)
    parts.append(TEXT.format("name", "0%", top + HEAD - 7, label))
    for index, mark in enumerate(row.marks):
        y = top + HEAD + LINE * index + LINE // 2
        parts.append(TEXT.format("quiet", "0%", y + 4, mark.series))
        parts += _mark("scores", mark, scale, y)
        parts.append(_value(mark, y))
    return GROUP.format(row, Markup().join(parts))


def _line(row: Row, scale: Axis, y: int) -> Markup:
    """Return a row of the forest plot, with the value of its first mark."""
    label = _shortened(row.name, LONGEST["coefficients"])
    parts = [TEXT.format("label", "0%", y + 4, label), _value(row.marks[0], y)]
    for mark in row.marks:
        parts += _mark("coefficients", mark, scale, y)
    return GROUP.format(row, Markup().join(parts))


def _value(mark: Mark, y: int) -> Markup:
    return TEXT.format("value", "100%", y + 4, decimal(mark.value, mark.interval))


def _mark(plot: str, mark: Mark, scale: Axis, y: int) -> Iterable[Markup]:
    if mark.interval:
        low, high = (scale.x(edge) for edge in mark.interval)
        yield STROKE.format(f"interval {mark.series}", low, high, y, y)
    yield MARK.format(plot, mark.series, scale.x(mark.value), y)


def _grid(scale: Axis, bottom: int, measure: str) -> Markup:
    """Return tick lines, their labels, and the name of the axis."""
    parts = [TEXT.format("quiet", "0%", bottom + 20, measure)]
    for x, label in scale.ticks():
        parts.append(STROKE.format("grid", x, x, 0, bottom + 4))
        parts.append(TEXT.format("tick", x, bottom + 20, label))
    return Markup().join(parts)


def _frame(
    plot: str, title: str, rows: Sequence[Row], body: list[Markup], bottom: int
) -> Markup:
    shapes = [SHAPE.format(plot, *each) for each in SERIES.items()]
    return FRAME.format(
        plot=plot,
        height=bottom + 28,
        title=title,
        about="; ".join(map(str, rows)),
        shapes=Markup().join(shapes),
        body=Markup().join(body),
    )


def _shortened(name: str, longest: int) -> str:
    """Return *name*, with its middle left out where it is too long for the plot."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"
