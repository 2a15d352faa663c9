"""What a study found, as one frozen value: the contract of ``report.json``.

Its names are read by programs outside this repository: add names, never rename them.
"""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue

from common.arithmetic.intervals import Interval


class Part(BaseModel):
    """A part of the report: frozen, finite, and without unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Score(Part):
    """How well one model does on one group of test records, with 95 % intervals."""

    auc: float | None = None
    auc_interval: Interval | None = None
    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    rmse: float | None = None
    rmse_interval: Interval | None = None
    r_squared: float | None = None
    r_squared_interval: Interval | None = None
    note: str | None = None


class Totals(Part):
    """How well one model does on the test records of all hospitals, and more."""

    records: int
    positives: int | None = None
    auc: float | None = None
    auc_interval: Interval | None = None
    auc_error_bound: float | None = None
    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    brier: float | None = None
    brier_interval: Interval | None = None
    rmse: float | None = None
    rmse_interval: Interval | None = None
    r_squared: float | None = None
    r_squared_interval: Interval | None = None
    log_loss: float | None = None
    c_index: float | None = None
    c_index_interval: Interval | None = None
    note: str | None = None


class Cleaned(Part):
    """How many cells or records one step of the cleaning changed."""

    step: str
    variable: str
    what: str
    count: int


class Site(Part):
    """One hospital: its traffic, and what only a simulation knows of it."""

    name: str
    rows: int | None = None
    train: int | None = None
    test: int | None = None
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


class Promise(Part):
    """What the study promises each person at each site."""

    epsilon: float
    delta: float
    unit: str = "all records of one person at one site, added or removed"
    noise: str
    epsilon_if_masking_fails: float


class Described(Part):
    """The training records of all hospitals, variable by variable."""

    records: int
    records_interval: Interval | None = None
    variables: tuple[dict[str, JsonValue], ...]


class Coefficient(Part):
    """One coefficient per standard deviation, and per unit of the variable."""

    name: str
    coefficient: float
    standard_error: float | None = None
    interval: Interval | None = None
    statistic: float | None = None
    p: float | None = None
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


class Sheet(Part):
    """A table of results, or of a comparison with published ones."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]
    notes: tuple[str, ...] = ()
    part: bool = False
    task: str | None = None


class Report(Part):
    """Everything a finished study has to say."""

    format: Literal[1] = 1
    task: str
    study: About
    privacy: Promise | None = None
    note: str | None = None
    simulated: bool
    created: AwareDatetime
    engine: str
    rounds: int
    rounds_by_task: dict[str, int]
    seconds: float
    seconds_per_round: float | None = None
    seconds_to_report: float | None = None
    rejoined: tuple[str, ...] = ()
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
    findings: dict[str, dict[str, JsonValue]] = {}
    sheets: tuple[Sheet, ...] = ()
    benchmark: Sheet | None = None
    limits: tuple[str, ...] = ()
    versions: dict[str, str]
    command: str
