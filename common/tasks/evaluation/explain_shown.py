"""The tables of what a model looks at and of where it leads, with what they are not."""

from common.sheet import Cell, Sheet, decimal
from common.task import Findings

WITHHELD = (
    "Withheld: of so few test records, or chances, it would tell how many of them the "
    "model was wrong about."
)
POINTS, APART = 5, 2.0
"""Values of a number that are tried: so many, to so many deviations from its mean."""


def sheets(found: Findings) -> tuple[Sheet, ...]:
    """Return what each variable is worth, then where each leads."""
    if found["error"] is None:
        return (Sheet("What the model looks at", ("variable",), (), (WITHHELD,)),)
    return _importance(found), _leading(found)


def _importance(found: Findings) -> Sheet:
    lines = found["importance"] if isinstance(found["importance"], list) else []
    base = float(str(found["error"]))
    rows = tuple(
        (
            str(line["variable"]),
            decimal(line["error"], 4),
            f"{decimal(100 * line['more'] / base, 1)} %" if base else None,
        )
        for line in lines
    )
    note = (
        f"Mean squared error on {found['records']} test records: {base:.4f}. Values "
        "are exchanged among the people of one hospital. Variables that say the same "
        "share their worth, and none of it is a cause."
    )
    columns_ = ("variable", "error with its values exchanged", "more")
    return Sheet("What the model looks at", columns_, rows, (note,))


def _leading(found: Findings) -> Sheet:
    lines = found["dependence"] if isinstance(found["dependence"], list) else []
    rows: list[tuple[Cell, ...]] = []
    for line in lines:
        told = [
            _point(*pair) for pair in zip(line["at"], line["expected"], strict=True)
        ]
        for first in range(0, len(told), POINTS):
            part = told[first : first + POINTS]
            blank = [""] * (POINTS - len(part))
            rows.append(("" if first else line["variable"], *part, *blank))
    note = (
        "The mean prediction, if everybody had this value and kept all others: of the "
        f"model, not of the world. Numbers: up to {APART:g} deviations from the mean."
    )
    head = ("variable", *[""] * POINTS)
    return Sheet("Where a variable leads", head, tuple(rows), (note,), part=True)


def _point(at: object, means: list[float]) -> str:
    """Return a value that was tried, and the prediction, or that of each level."""
    value = at if isinstance(at, str) else f"{at:,.4g}"
    return f"{value}: {', '.join(str(decimal(mean, 3)) for mean in means)}"
