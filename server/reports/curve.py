"""A measure over a few settings as one page: a line, its intervals, and the numbers.

The settings stand at equal distances, in the order given: the last may be "none".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from common.arithmetic.intervals import Interval
from server.reports.rounding import signed

HEIGHT, BOTTOM = 260, 40
EDGES = (10.0, 96.0)
"""Where the first and the last setting stand, in percent of the width."""

STEP = 0.05
DOT = Markup('<circle class="dot" cx="{}" cy="{}" r="4.5"/>')
STROKE = Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>')
TEXT = Markup('<text class="{}" x="{}" y="{}">{}</text>')
FRAME = Markup(
    '<svg role="img" aria-labelledby="t d" width="100%" height="{}">'
    '<title id="t">{}</title><desc id="d">{}</desc>{}</svg>'
)


@dataclass(frozen=True, slots=True)
class Spot:
    """One setting by name, what it reached, and the 95 % interval of that."""

    setting: str
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Curve:
    """A title, what the two axes are called, the spots, and what to know of them."""

    title: str
    across: str
    measure: str
    spots: tuple[Spot, ...]
    notes: tuple[str, ...]


def page(curve: Curve) -> str:
    """Return *curve* as one HTML page that needs nothing but itself."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    text = (
        files("server.reports").joinpath("curve.html.jinja").read_text(encoding="utf-8")
    )
    return environment.from_string(text).render(curve=curve, plot=plot(curve)) + "\n"


def plot(curve: Curve) -> Markup:
    """Return *curve* as inline SVG."""
    low, high = _ends(curve.spots)
    across = [_x(index, len(curve.spots)) for index in range(len(curve.spots))]
    up = [_y(spot.value, low, high) for spot in curve.spots]
    ends = zip(across, across[1:], up, up[1:], strict=False)
    body = [
        *_grid(low, high),
        *(STROKE.format("curve", *each) for each in ends),
        *(
            _spot(spot, x, low, high)
            for spot, x in zip(curve.spots, across, strict=True)
        ),
        TEXT.format("name", "50%", HEIGHT + BOTTOM - 4, curve.across),
    ]
    told = "; ".join(f"{s.setting}: {s.value:.3f}" for s in curve.spots)
    about = f"{curve.measure} by {curve.across}: {told}"
    return FRAME.format(HEIGHT + BOTTOM, curve.title, about, Markup().join(body))


def _ends(spots: Sequence[Spot]) -> tuple[int, int]:
    """Return the axis in whole steps that holds every interval."""
    lowest = min(spot.interval[0] for spot in spots)
    highest = max(spot.interval[1] for spot in spots)
    return int(lowest // STEP), int(-(-highest // STEP))


def _x(index: int, count: int) -> str:
    left, right = EDGES
    share = index / (count - 1) if count > 1 else 0.5
    return f"{left + share * (right - left):.2f}%"


def _y(value: float, low: int, high: int) -> str:
    share = (value / STEP - low) / max(high - low, 1)
    return f"{8 + (1 - share) * (HEIGHT - 16):.1f}"


def _grid(low: int, high: int) -> list[Markup]:
    lines = []
    for number in range(low, high + 1):
        y = _y(number * STEP, low, high)
        lines.append(STROKE.format("grid", "6%", "100%", y, y))
        lines.append(TEXT.format("tick", "0%", float(y) + 4, signed(number * STEP, 2)))
    return lines


def _spot(spot: Spot, x: str, low: int, high: int) -> Markup:
    below, above = (_y(edge, low, high) for edge in spot.interval)
    parts = [
        STROKE.format("interval", x, x, below, above),
        DOT.format(x, _y(spot.value, low, high)),
        TEXT.format("name", x, HEIGHT + BOTTOM - 24, spot.setting),
    ]
    return Markup().join(parts)
