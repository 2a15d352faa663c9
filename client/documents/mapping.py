"""The documents of ``site.toml``: where a hospital's records are, and how they read.

    [data]                          # the shorthand: one CSV, every row a record
    file = "export.csv"
    person = "patient"

    [sources.labs]                  # or several sources, joined by person
    kind = "parquet"
    file = "labs.parquet"
    person = "mrn"
    event_time = "taken_at"

    [columns.chol]
    source = "labs"
    column = "result"
    pick = "last"
    from_days = -30

A source says where something is and how it is written; a column says which part of it
is one declared variable. Readers get both and return text: see
``client/formats/raw.py``.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from client.documents.media import ISO, Media, Take
from client.documents.picture_source import Images
from common.privacy import LARGEST
from common.schema import Document, Finite, Name, Text
from common.study import SiteName
from common.written.slips import nearest, noted

Separator = Annotated[str, Field(min_length=1, max_length=1)]
Decimal = Annotated[str, Field(pattern=r"^[.,]$")]
Resource = Literal[
    "Patient", "Observation", "Condition", "Encounter", "MedicationRequest"
]
Table = Literal[
    "person",
    "measurement",
    "observation",
    "condition_occurrence",
    "drug_exposure",
    "visit_occurrence",
]
Pick = Literal["first", "last", "mean", "min", "max", "count", "any"]


class Csv(Document):
    """A CSV export: its columns under the hospital's own names.

    ``person`` is the column that tells people apart; ``event_time`` the one that tells
    two visits of one person apart; ``split`` names a column that says train or test.
    ``dates`` is how a date is written, as strftime says it.
    """

    kind: Literal["csv"] = "csv"
    file: Text
    person: Text
    event_time: Text | None = None
    split: Text | None = None
    separator: Separator = ","
    decimal: Decimal = "."
    encoding: Text = "utf-8"
    missing: tuple[str, ...] = ()
    dates: Text = ISO

    @property
    def called(self) -> str:
        """What errors and balances call it."""
        return self.file


class Parquet(Document):
    """A Parquet file, or a folder of them with one schema."""

    kind: Literal["parquet"]
    file: Text
    person: Text
    event_time: Text | None = None
    split: Text | None = None
    missing: tuple[str, ...] = ()
    dates: Text = ISO

    @property
    def called(self) -> str:
        """What errors and balances call it."""
        return self.file


class Sql(Document):
    """A database: an SQLite file, or a URL that an environment variable holds.

    ``person`` is the column of the OMOP table ``person`` that tells people apart to the
    other sources; a query of one's own returns a column of that meaning itself.
    ``namespace`` is the schema of the OMOP tables.
    """

    kind: Literal["sql"]
    file: Text | None = None
    url_env: Text | None = None
    person: Name = "person_source_value"
    namespace: Name | None = None
    missing: tuple[str, ...] = ()
    dates: Text = ISO

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) == (self.url_env is None):
            msg = "a database is a file, or a URL in a variable url_env: name one"
            raise ValueError(msg)
        return self

    @property
    def called(self) -> str:
        """What errors and balances call it: a URL may hold a password."""
        return self.file or self.url_env or ""


class Fhir(Document):
    """A folder of FHIR R4 bulk NDJSON; ``person`` is id, or an identifier's system."""

    kind: Literal["fhir"]
    folder: Text
    person: Text = "id"
    missing: tuple[str, ...] = ()
    dates: Text = ISO

    @property
    def called(self) -> str:
        """What errors and balances call it."""
        return self.folder


Source = Annotated[
    Csv | Parquet | Sql | Fhir | Images | Media, Field(discriminator="kind")
]


class InOmop(Document):
    """Rows of an OMOP CDM 5.4 table, by concept id, and which of its columns counts.

    With ``descendants`` the concepts below, as concept_ancestor has them, count too.
    """

    table: Table
    concept: tuple[int, ...] = ()
    descendants: bool = False
    value: Name | None = None


class InFhir(Document):
    """Resources of one type by code, and which of their elements counts.

    A code that ends with ``*`` means every code that begins so; with ``system`` only
    the codes of that system count.
    """

    resource: Resource
    code: tuple[Text, ...] = ()
    system: Text | None = None
    value: Text | None = None


class Column(Document):
    """How one declared variable is found, picked, and read.

    It is found by ``column`` (CSV, Parquet, signals), ``query`` (SQL), ``omop`` or
    ``fhir``. Of several values of a person those from ``from_days`` to ``to_days``
    after the index event count, and ``pick`` makes one of them. With ``elapsed`` the
    value is a date, written as ``dates`` says or else as its source says, and what
    counts is the time from it to the index event. Of the samples of a signal ``take``
    makes a number, within ``hours`` after its event.
    """

    source: Name | None = None
    column: Text | None = None
    query: Text | None = None
    parameters: dict[Name, str | int] = Field(default={})
    omop: InOmop | None = None
    fhir: InFhir | None = None
    absent: bool = False
    unit: Text | None = None
    unit_column: Text | None = None
    unit_names: dict[str, Text] = Field(default={})
    missing: tuple[str, ...] = ()
    levels: dict[str, Text] = Field(default={})
    pick: Pick | None = None
    from_days: Finite | None = None
    to_days: Finite | None = None
    present: Text = "yes"
    otherwise: Text = "no"
    elapsed: Literal["years", "days"] | None = None
    dates: Text | None = None
    take: Take | None = None
    hours: tuple[Finite, Finite] | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        found = [self.column, self.query, self.omop, self.fhir]
        ways = sum(each is not None for each in found)
        if self.absent and ways:
            msg = "absent = true, and yet a column is named: keep one of them"
            raise ValueError(msg)
        if ways > 1:
            msg = "column, query, omop, fhir: a variable is found in one way"
            raise ValueError(msg)
        if self.dates and not self.elapsed:
            msg = 'dates, and no date is read: it needs elapsed = "years" or "days"'
            raise ValueError(msg)
        return self

    @property
    def found(self) -> bool:
        """Whether the mapping says where the values are."""
        ways = (self.column, self.query, self.omop, self.fhir)
        return any(each is not None for each in ways)


class Index(Document):
    """Which events are the records of the table: what time counts from.

    ``source`` means every row of that source, at its event time; ``event`` a table
    ``[columns.EVENT]`` that finds events instead of a variable.
    """

    source: Name | None = None
    event: Name | None = None
    pick: Literal["all", "first", "last"] = "all"

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.source is None) == (self.event is None):
            msg = "an index is the rows of a source, or an event: name one of them"
            raise ValueError(msg)
        return self


class Budget(Document):
    """What all studies together may spend of the privacy of the people in the export.

    With ``require`` a study must promise privacy. Unless ``noise = "any"`` its promise
    must hold by this site's own noise, whatever the other sites and the masks do: were
    they broken, an aggregator would see what a share of the noise leaves open.
    """

    epsilon: float = Field(default=0.0, ge=0.0, lt=LARGEST)
    delta: float = Field(default=1e-5, gt=0.0, le=1e-3)
    require: bool = False
    noise: Literal["any", "site"] = "site"


class Mapping(Document):
    """The whole of ``site.toml``; ``by_site = false`` keeps its own figures here."""

    site: SiteName
    data: Csv | None = None
    sources: dict[Name, Source] = Field(default={})
    index: Index | None = None
    columns: dict[Name, Column] = Field(default={})
    approved: tuple[str, ...] | None = None
    home: Text | None = None
    min_people: int = Field(default=10, ge=1)
    by_site: bool = True
    oldest: int = Field(default=89, ge=0, le=200)
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _sources_fit(self) -> Self:
        if (self.data is None) == (not self.sources):
            msg = "say where the records are: one table [data], or some [sources.NAME]"
            raise ValueError(msg)
        named = {*self.named}
        used = {f"columns.{name}": each.source for name, each in self.columns.items()}
        if self.index:
            used["index"] = self.index.source
        for where, source in used.items():
            if source is not None and source not in named:
                what, fix = f"there is no [sources.{source}]", nearest(source, named)
                raise noted(f"{where}.source", what, fix)
        if self.index and self.index.event and self.index.event not in self.columns:
            event = self.index.event
            what, fix = f"there is no [columns.{event}]", nearest(event, self.columns)
            raise noted("index.event", what, fix)
        for name, each in self.columns.items():
            if each.found and each.source is None and len(named) > 1:
                said = " or ".join(f'source = "{source}"' for source in self.named)
                raise noted(f"columns.{name}", "which source is it in?", said)
        return self

    @property
    def named(self) -> dict[str, Csv | Parquet | Sql | Fhir | Images | Media]:
        """Every source by its name; the shorthand ``[data]`` is called data."""
        return {"data": self.data} if self.data else dict(self.sources)

    def source_of(self, column: Column) -> str:
        """Return the name of the source of *column*; there is one at least."""
        return column.source or next(iter(self.named))
