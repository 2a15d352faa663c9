"""Whatever is in a hospital's files: a table or one sentence, and never a cell.

Every reader gets files that were cut, doubled, overwritten and filled with nonsense.
The planted canary must not be seen in any error, log or repr.
"""

import json
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client import site
from client.documents.mapping import Fhir
from client.formats.raw import Place
from client.sources import fhir, resources
from client.tables import integration
from common.errors import ConsiliumError, DataError
from tests import sources
from tests.sources import Person

CANARY = "Kanarienvogel"
SOME = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
NONSENSE = st.one_of(
    st.sampled_from(
        [
            *(b"\x00", b"\xff\xfe", b'"', b"''", b"\r", b"\n\n", b",,", b";"),
            *(b"NaN", b"nan", b"NULL", b"-", b"1e999", b"Infinity", b"\xef\xbb\xbf"),
            *(b"{", b"}}", b"[" * 5000, b'{"a":' * 3000, b"null", b"true", b"\\u0000"),
            CANARY.encode() * 3000,
        ]
    ),
    st.binary(max_size=40),
)


def attempt(path: Path, caplog: pytest.LogCaptureFixture) -> str:
    """Read and clean; return what was said, which must not hold the canary."""
    caplog.clear()
    said = ""
    with caplog.at_level(logging.DEBUG):
        try:
            work = integration.gather(site.read(path), sources.study())
            said = repr(work) + repr(work.report)
        except ConsiliumError as no:
            said = str(no) + repr(no.facts())
            trail = no.__cause__ or (
                None if no.__suppress_context__ else no.__context__
            )
            said += f"{CANARY}: a trace leads to a library" if trail else ""
    assert CANARY not in said + caplog.text
    return said


def change(data: st.DataObject, content: bytes) -> bytes:
    """Cut, double or overwrite a part, or put nonsense somewhere."""
    begin = data.draw(st.integers(0, len(content)), label="begin")
    end = data.draw(st.integers(begin, min(len(content), begin + 80)), label="end")
    put = data.draw(NONSENSE, label="put")
    ways: list[bytes] = [
        content[:begin],
        content[:begin] + content[end:],
        content[:begin] + put + content[begin:],
        content[:begin] + put + content[end:],
        content[:end] + content[begin:],
        put,
    ]
    return ways[data.draw(st.integers(0, len(ways) - 1), label="way")]


def people() -> list[Person]:
    return sources.people(5)


def planted(content: bytes) -> bytes:
    """Put the canary where a name, a value and a date are."""
    return content.replace(b"Canary", CANARY.encode())


FILES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "csv": (
        lambda place: sources.tables(place, people(), "csv"),
        ("stays.csv", "labs.csv", "infarcts.csv"),
    ),
    "parquet": (
        lambda place: sources.tables(place, people(), "parquet"),
        ("stays.parquet", "labs.parquet"),
    ),
    "omop": (lambda place: sources.omop(place, people()), ("cdm.sqlite",)),
    "fhir": (
        lambda place: sources.fhir(place, people()),
        tuple(
            f"bulk/{kind}.001.ndjson"
            for kind in ("Patient", "Encounter", "Observation", "Condition")
        ),
    ),
}


@pytest.mark.parametrize("kind", FILES)
@SOME
@given(data=st.data())
def test_damaged_files_are_read_or_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, data: st.DataObject
) -> None:
    write, files = FILES[kind]
    path = write(tmp_path / kind)
    name = path.parent / data.draw(st.sampled_from(files), label="file")
    name.write_bytes(change(data, planted(name.read_bytes())))
    attempt(path, caplog)


CELLS = st.one_of(
    st.text(max_size=20),
    st.just(CANARY),
    st.sampled_from(["nan", "NaN", "-9", "1e400", "12,5", " 7 ", "0x1", "١٢", "1 2"]),
)


@SOME
@given(cell=CELLS, column=st.sampled_from(["am", "geboren", "sex", "mrn"]))
def test_any_cell_in_a_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cell: str, column: str
) -> None:
    path = sources.tables(tmp_path, people(), "csv")
    frame = pd.read_csv(tmp_path / "stays.csv", dtype=str)
    frame.loc[2, column] = cell
    frame.to_csv(tmp_path / "stays.csv", index=False)
    attempt(path, caplog)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.just(CANARY),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["coding", "code", "reference", "value", "start", "system", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
ELEMENTS = {
    "Patient": ("id", "birthDate", "gender", "identifier", "link"),
    "Observation": (
        *("subject", "code", "valueQuantity", "effectiveDateTime"),
        *("status", "component", "resourceType"),
    ),
    "Condition": ("code", "onsetDateTime", "verificationStatus", "subject"),
    "Encounter": ("class", "type", "period", "subject"),
}


@SOME
@given(data=st.data())
def test_any_element_in_a_resource(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    path = sources.fhir(tmp_path, people())
    kind = data.draw(st.sampled_from(sorted(ELEMENTS)))
    file = tmp_path / "bulk" / f"{kind}.000.ndjson"
    first, *rest = file.read_text().splitlines()
    resource: dict[str, Any] = json.loads(first)
    resource[data.draw(st.sampled_from(ELEMENTS[kind]))] = data.draw(JSON)
    file.write_text("\n".join([json.dumps(resource), *rest]))
    attempt(path, caplog)


def test_patients_that_are_merged_are_one_and_a_circle_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = sources.fhir(tmp_path, sources.people(4))
    file = tmp_path / "bulk" / "Patient.000.ndjson"
    one, other = [json.loads(line) for line in file.read_text().splitlines()]

    def link(patient: dict[str, Any], to: dict[str, Any]) -> None:
        reference = {"reference": f"Patient/{to['id']}"}
        patient["link"] = [{"type": "replaced-by", "other": reference}]
        file.write_text(json.dumps(one) + "\n" + json.dumps(other) + "\n")

    link(one, other)
    work = integration.gather(site.read(path), sources.study())
    assert work.keys["person"].nunique() == 3
    link(other, one)
    assert "in a circle" in attempt(path, caplog)


@pytest.mark.parametrize("form", ["Patient/{}", "Patient/{}/_history/2", "urn:uuid:{}"])
def test_a_merge_is_followed_in_whatever_form_it_is_written(
    tmp_path: Path, form: str
) -> None:
    path = sources.fhir(tmp_path, sources.people(4))
    file = tmp_path / "bulk" / "Patient.000.ndjson"
    one, other = [json.loads(line) for line in file.read_text().splitlines()]
    reference = {"reference": form.format(other["id"])}
    one["link"] = [{"type": "replaced-by", "other": reference}]
    file.write_text(json.dumps(one) + "\n" + json.dumps(other) + "\n")
    (who,) = {fhir._people(bulk(path))[each["id"]] for each in (one, other)}
    assert who == "MRN0001"


def bulk(path: Path) -> fhir.Bulk:
    """Return the resources of the hospital at *path*."""
    place = Place(site.read(path), "ehr")
    source = place.site.mapping.named["ehr"]
    assert isinstance(source, Fhir)
    return fhir.Bulk(source, place)


def test_what_is_said_of_a_group_or_a_device_is_of_no_patient() -> None:
    def who(reference: str) -> str:
        return resources.person({"subject": {"reference": reference}})

    theirs = ["Patient/7", "https://h.org/fhir/Patient/7/_history/2", "urn:uuid:7", "7"]
    assert {who(each) for each in theirs} == {"7"}
    others = ["Group/7", "Device/7/_history/1", "https://h.org/fhir/Location/7"]
    assert {who(each) for each in others} == {""}


def test_half_a_letter_and_a_file_that_cannot_be_read_are_one_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = sources.fhir(tmp_path, people())
    file = tmp_path / "bulk" / "Patient.000.ndjson"
    first, *rest = file.read_text().splitlines()
    patient = json.loads(first)
    patient["identifier"][1]["value"] = f"{CANARY}\ud800"
    file.write_text("\n".join([json.dumps(patient), *rest]))
    assert "Patient.000.ndjson line 1 is no resource" in attempt(path, caplog)
    file.unlink()
    file.mkdir()
    assert "Patient.000.ndjson cannot be read" in attempt(path, caplog)


def test_a_line_that_is_cut_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = sources.fhir(tmp_path, people())
    file = tmp_path / "bulk" / "Condition.000.ndjson"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:1], f'{{"code": "{CANARY}', *lines[1:]]))
    assert "Condition.000.ndjson line 2 is no resource" in attempt(path, caplog)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT person_id AS person FROM person", "must return person and value"),
        ("SELECT * FROM Kanarienvogel", "the query of age failed"),
        ("SELEKT 'Kanarienvogel'", "the query of age failed"),
        ("SELECT x'00ff' AS person, 1 AS value", "the query of age failed"),
        ("DELETE FROM person", "the query of age failed"),
        ("SELECT 1 AS person, :missing AS value", "the query of age failed"),
        ("SELECT 1 AS person, 'Kanarienvogel' AS value", "cells of age are no"),
    ],
)
def test_a_query_that_fails_says_so_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, query: str, says: str
) -> None:
    path = sources.omop(tmp_path, people())
    text = path.read_text()
    age = text[text.index("[columns.age]") : text.index("[columns.sex]")]
    found = f'[columns.age]\nquery = "{query}"\nelapsed = "years"\n'
    path.write_text(text.replace(age, found))
    assert says in attempt(path, caplog)
    with closing(sqlite3.connect(tmp_path / "cdm.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM person").fetchone() == (5,)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('value = "birth"', 'value = "person_source_value"', "which is never read"),
        ("concept = [3027114] }\nfrom", "concept = [] }\nfrom", "asks for every row"),
        ('table = "measurement"', 'table = "note"', "columns.chol.omop.table"),
        ('pick = "count"', 'pick = "median"', "columns.tests.pick"),
        ('file = "cdm.sqlite"', 'file = "other.sqlite"', "does not exist"),
        ('file = "cdm.sqlite"', 'url_env = "NOT_SET"', "NOT_SET is not set"),
        ('file = "cdm.sqlite"', "", "name one"),
        ('event = "stay"', 'event = "stray"', "there is no [columns.stray]"),
        ('event = "stay"', 'source = "lab"', "there is no [sources.lab]"),
    ],
)
def test_a_mapping_that_asks_for_what_is_not_there_is_refused(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    path = sources.omop(tmp_path, people())
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ConsiliumError) as no:
        integration.gather(site.read(path), sources.study())
    assert says in str(no.value)
    assert "site.toml line" in no.value.hints["where"]


def test_event_times_that_are_no_dates_are_refused_where_they_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = sources.tables(tmp_path, people(), "csv")
    labs = tmp_path / "labs.csv"
    labs.write_text(labs.read_text().replace("2021-02-19", CANARY))
    said = attempt(path, caplog)
    assert (
        "event times cannot be read as ISO8601; the first is in labs.csv line" in said
    )
    with pytest.raises(DataError):
        integration.gather(site.read(path), sources.study())
