"""``consilium client data suggest``: a mapping, guessed from names, units and values.

Everything is looked at here and nothing is sent. A guess is text to paste into
``site.toml``, with the reason for it; whether it is right only the steward knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from client.documents.mapping import Column
from client.formats.raw import Place
from client.guessing import databases, fhir, pictures, signals, tables
from client.guessing import texts as files
from client.guessing.guess import Guess, Guesser, Variable
from client.site import Site
from common.errors import DataError
from common.schema import texts
from common.study import Study

GUESSERS: Mapping[str, Guesser] = {
    "csv": tables.guesses,
    "parquet": tables.guesses,
    "sql": databases.guesses,
    "fhir": fhir.guesses,
    "text": files.guesses,
    "signals": signals.guesses,
    "wfdb": signals.guesses,
    "images": pictures.listed,
    "png": pictures.listed,
    "dicom": pictures.dicom,
}
VISITS = {
    "sql": 'omop = { table = "visit_occurrence", concept = [9201] }   # inpatient',
    "fhir": 'fhir = { resource = "Encounter" }',
}
"""Where events are usually found, by the kind of the source."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The best guess for each variable, and why a source could not be looked into."""

    found: tuple[Guess, ...]
    lacking: tuple[str, ...]
    shut: Mapping[str, DataError]


def suggest(site: Site, study: Study) -> Suggestion:
    """Return the best guess for each variable of *study* that is not mapped yet.

    Raises DataError when no source can be looked into: an export without a header
    begins with a patient's line.
    """
    best: dict[str, Guess] = {}
    shut: dict[str, DataError] = {}
    asked = _asked(site, study)
    for name, source in site.mapping.named.items():
        try:
            for guess in GUESSERS[source.kind](Place(site, name), asked):
                known = best.get(guess.variable)
                if known is None or guess.score > known.score:
                    best[guess.variable] = guess
        except DataError as wrong:
            shut[name] = wrong
    if len(shut) == len(site.mapping.named):
        raise next(iter(shut.values()))
    found = tuple(best[each.name] for each in asked if each.name in best)
    lacking = tuple(each.name for each in asked if each.name not in best)
    return Suggestion(found, lacking, shut)


def _asked(site: Site, study: Study) -> list[Variable]:
    """Return what is not mapped yet: a text before its buckets, and the image."""
    known = {name for name, each in site.mapping.columns.items() if _mapped(each)}
    known |= {n.name for each in texts(study.declared) for n in each.numbers()}
    every: list[Variable] = [*texts(study.declared), *study.measured]
    every += [study.image] if study.image else []
    return [each for each in every if each.name not in known]


def _mapped(column: Column) -> bool:
    return column.found or column.absent


def text(site: Site, what: Suggestion) -> str:
    """Return what can be pasted, and what nothing was found for."""
    parts = [each.text() for each in what.found]
    parts += [_shut(name, wrong) for name, wrong in what.shut.items()]
    if what.lacking:
        lines = (
            f"# nothing looks like: {', '.join(what.lacking)}",
            "# if one was never measured here:",
            f"# [columns.{what.lacking[0]}]",
            "# absent = true",
        )
        parts.append("\n".join(lines))
    return "\n\n".join(part for part in (*parts, _index(site)) if part)


def _shut(name: str, wrong: DataError) -> str:
    """Return why a source could not be looked into, as a comment."""
    said = [f"{name} could not be looked into: {wrong.what}"]
    hints = [(key, hint) for key, hint in wrong.hints.items() if hint and key != "then"]
    said += [f"  {key}: {hint}" for key, hint in hints]
    return "\n".join(f"# {line}" for each in said for line in each.splitlines())


def _index(site: Site) -> str:
    """Return what makes a record of each event in place of each person, commented."""
    named = site.mapping.named
    if len(named) < 2 or site.mapping.index:  # noqa: PLR2004 - of one source every row is a record
        return ""
    head = "# as it is, one record for each person; for one of each {}:\n# [index]\n"
    for name, source in named.items():
        if source.kind in ("csv", "parquet") and getattr(source, "event_time", None):
            return head.format("row of a source") + f'# source = "{name}"'
    for name, source in named.items():
        if source.kind in VISITS:
            lines = (
                'event = "admission"',
                "[columns.admission]",
                f'source = "{name}"',
                VISITS[source.kind],
            )
            return head.format("visit") + "\n".join(f"# {line}" for line in lines)
    return ""
