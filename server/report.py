"""What a study found, as one value and one page: all that a reader needs to judge it.

Numbers stay exact in ``report.json``; ``report.html`` rounds them to what their intervals
support, loads nothing, and says what the numbers do not protect.
"""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Literal

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue

from server import charts
from server.charts import Interval, Mark, Row, Series

MEASURES = {"auc": "AUC", "accuracy": "accuracy", "r_squared": "R²"}
"""How good a model is, best measure first; in each of them more is better."""

SERIES: tuple[Series, ...] = ("alone", "together", "pooled")
MOST_COEFFICIENTS = 40
"""The largest so many coefficients are drawn; the table holds them all."""

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Part(BaseModel):
    """A part of the report: frozen, finite, and without unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Score(Part):
    """How well one model does on one group of test people, with 95 % intervals."""

    auc: float | None = None
    auc_interval: Interval | None = None
    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    rmse: float | None = None
    r_squared: float | None = None
    note: str | None = None


class Totals(Score):
    """A score over the test people of all hospitals."""

    people: int
    positives: int | None = None
    auc_error_bound: float | None = None
    brier: float | None = None


class Cleaned(Part):
    """How many cells or records one step of the cleaning changed."""

    step: str
    variable: str
    what: str
    count: int


class Site(Part):
    """One hospital: its size, its traffic, its scores and what was cleaned."""

    name: str
    rows: int
    train: int
    test: int
    bytes_in: int
    bytes_out: int
    alone: Score | None = None
    together: Score | None = None
    pooled: Score | None = None
    cleaning: tuple[Cleaned, ...] = ()


class About(Part):
    """Which study this is, by the words and the digest that the sites approved."""

    name: str
    title: str
    purpose: str
    contact: str
    digest: str
    privacy: str


class Described(Part):
    """The training people of all hospitals, variable by variable."""

    people: int
    variables: tuple[dict[str, JsonValue], ...]


class Coefficient(Part):
    """One coefficient per standard deviation, and per unit of the variable."""

    name: str
    coefficient: float
    standard_error: float | None = None
    interval: Interval | None = None
    per_unit: float | None = None
    pooled: float | None = None


class Left(Part):
    """One array that left each hospital in every round of its task, as declared."""

    task: str
    rounds: int
    name: str
    meaning: str
    numbers: int
    kind: str


class Benchmark(Part):
    """A comparison with published results."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]
    notes: tuple[str, ...] = ()


class Report(Part):
    """Everything a finished study has to say."""

    format: Literal[1] = 1
    task: str
    study: About
    note: str | None = None
    simulated: bool
    created: AwareDatetime
    engine: str
    rounds: int
    rounds_by_task: dict[str, int]
    seconds: float
    bytes_per_site: int
    sites: tuple[Site, ...]
    together: Totals | None = None
    pooled: Totals | None = None
    describe: Described
    coefficients: tuple[Coefficient, ...] = ()
    ridge: float | None = None
    max_abs_coefficient_difference: float | None = None
    left: tuple[Left, ...]
    sentence: str
    benchmark: Benchmark | None = None
    limits: tuple[str, ...] = ()
    versions: dict[str, str]
    command: str


def write(report: Report, folder: Path) -> Path:
    """Write ``report.json`` and ``report.html`` into *folder*; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    text = report.model_dump_json(indent=2) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")
    (folder / "report.html").write_text(page(report), encoding="utf-8")
    return folder / "report.html"


def page(report: Report) -> str:
    """Return the report as one HTML page that needs nothing but itself."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "decimal": charts.decimal, "span": charts.span, "signed": charts.signed
    }
    source = files("server").joinpath("report.html.jinja").read_text("utf-8")
    measure = _measure(report)
    return environment.from_string(source).render(
        report=report,
        headline=headline(report),
        measure=measure,
        measures=MEASURES,
        scores=_scores(report, measure),
        forest=_forest(report),
    )


def headline(report: Report) -> str:
    """Answer the study's question in a sentence or two, also where the answer is no."""
    hospitals = f"{_word(len(report.sites))} hospital{'s' * (len(report.sites) != 1)}"
    measure = _measure(report)
    if report.together is None or measure is None:
        people = f"{report.describe.people:,} people"
        return f"Together, the {hospitals} describe {people}; no model was tested."
    said = charts.decimal(*_value(report.together, measure))
    joint = f"Together, the {hospitals} reach an {MEASURES[measure]} of {said}"
    return f"{joint}{_alone(report.sites, measure)}.{_verdict(report.sites, measure)}"

...
