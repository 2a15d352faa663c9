"""What a steward should know of the data before a study reads them; nothing is sent."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
from jinja2 import Environment

from client.numbers import ways
from client.office import anonymity, review
from client.office.anonymity import Groups
from client.office.review import Review
from client.site import Site
from client.sources import opening
from client.tables import quality
from common.release import Array
from common.schema import Declared, Number
from common.study import Study
from common.trust import private_files

PAGE = Environment(autoescape=True).from_string("""\
<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{{ title }}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;
padding:0 1rem}td,th{text-align:left;padding:.2rem .8rem;border-bottom:1px solid #bbb}
table{border-collapse:collapse}td.n,th.n{text-align:right}</style><h1>{{ title }}</h1>
<p>Counts only, for the steward of this hospital. Nothing of it was sent.</p>
{% for name, head, rows in tables %}<h2>{{ name }}</h2><table><tr>
{% for cell in head %}<th scope="col">{{ cell }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td{% if cell is number %} class="n"
{% endif %}>{{ "{:,}".format(cell) if cell is number else cell }}</td>{% endfor %}
</tr>{% endfor %}</table>{% endfor %}</html>
""")

Shown = tuple[str, list[str], Sequence[Sequence[object]]]
"""A table of the page: its name, its head and its rows."""


@dataclass(frozen=True, slots=True)
class Column:
    """One variable at one site: the share that is missing, and how far its mean is."""

    name: str
    missing: float
    drift: float | None


@dataclass(frozen=True, slots=True)
class Examination:
    """The dry run of a study, its sources, its variables, and the small groups."""

    review: Review
    record: str
    sources: tuple[str, ...]
    columns: tuple[Column, ...]
    groups: Groups

    def facts(self) -> dict[str, object]:
        """Return the examination as plain data: counts and shares."""
        return {
            **self.review.facts(),
            "record": self.record,
            "sources": list(self.sources),
            "variables": [asdict(each) for each in self.columns],
            "groups": self.groups.facts(),
        }

    def text(self) -> str:
        """Return the examination for a terminal."""
        return "\n".join(
            [
                *self.review.lines(),
                "",
                "Sources:",
                *(f"  {line}" for line in self.sources),
                f"  {self.record}",
                "",
                "Variables:",
                *(f"  {_said(each)}" for each in self.columns),
                "",
                "Small groups, for your eyes only:",
                *(f"  {line}" for line in self.groups.lines()),
            ]
        )

    def page(self) -> str:
        """Return the examination as a page of its own."""
        table = self.review.table
        steps = [[c.step, c.variable, c.what, c.count] for c in table.report]
        columns = [[c.name, f"{c.missing:.0%}", _drift(c)] for c in self.columns]
        ready = [
            ["records", len(table.outcome)],
            ["people who train", table.people["train"]],
            ["people who test", table.people["test"]],
        ]
        title = f"{self.review.site.name}: data of {self.review.study.study.name}"
        tables: list[Shown] = [
            ("What is ready", ["what", "count"], ready),
            *self._doubtful(),
            ("Sources", ["source"], [[line] for line in (*self.sources, self.record)]),
            ("What cleaning did", ["step", "variable", "what", "count"], steps),
            ("Variables", ["variable", "missing", "drift"], columns),
            ("Small groups", ["what"], [[line] for line in self.groups.lines()]),
        ]
        return PAGE.render(title=title, tables=tables)

    def _doubtful(self) -> list[Shown]:
        """Return the table of doubts, if there are any."""
        head = ["variable", "what", "count", "what to change"]
        rows = [[c.variable, c.what, c.count, c.fix] for c in self.review.doubts]
        return [("Doubtful", head, rows)] if rows else []


def examine(site: Site, study: Study, today: date) -> Examination:
    """Read and clean as *study* would, and look at what came of it.

    Raises what the study would meet.
    """
    sources = opening.probe(site)
    found = review.check(site, study, today)
    groups = anonymity.groups(study, found.table)
    return Examination(found, _record(site), sources, _columns(found), groups)


def _record(site: Site) -> str:
    """Return what is one record of the table: a slip here would change every count."""
    index = site.mapping.index
    if index is None:
        several = len(site.mapping.named) > 1
        return "one record for each " + ("person: no [index]" if several else "row")
    each = f"{index.event} of a person" if index.event else f"row of {index.source}"
    chosen = "" if index.pick == "all" else f", the {index.pick} of each person"
    return f"one record for each {each}{chosen}"


def write(found: Examination, path: Path) -> None:
    """Write the page, for its owner only."""
    private_files.write(path, found.page().encode())


def _columns(found: Review) -> tuple[Column, ...]:
    """Return every variable; a text is one, for its buckets have gaps together."""
    columns: dict[str, Column] = {}
    study = found.study
    for variable, values in zip(study.variables, found.table.values.T, strict=True):
        name = ways.mapped_as(study, variable.name)
        if name not in columns:
            missing = float(np.isnan(values).mean()) if len(values) else 0.0
            columns[name] = Column(name, missing, _drifted(variable, values))
    return tuple(columns.values())


def _drifted(variable: Declared, values: Array) -> float | None:
    if isinstance(variable, Number) and variable.typical:
        return quality.drift(variable, values)
    return None


def _said(column: Column) -> str:
    return f"{column.name:<24}{column.missing:>5.0%} missing  {_drift(column)}".rstrip()


def _drift(column: Column) -> str:
    if column.drift is None:
        return ""
    return f"mean {column.drift:.1f} typical deviations from the typical mean"
