"""Whatever a hospital's records are kept in, the clean table is the same."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy

from client import site
from client.formats.raw import PERSON, TIME, Place, unit_of
from client.sources import opening
from client.table import Table
from client.tables import integration
from common.errors import DataError
from tests import postgres, sources
from tests.sources import Person

Write = Callable[[Path, list[Person]], Path]
KINDS: dict[str, Write] = {
    "csv": lambda place, people: sources.tables(place, people, "csv"),
    "parquet": lambda place, people: sources.tables(place, people, "parquet"),
    "omop": sources.omop,
    "fhir": sources.fhir,
}


def clean(path: Path) -> Table:
    return integration.table(site.read(path), sources.study())


def holds_the_truth(table: Table, people: list[Person]) -> bool:
    found = np.column_stack([table.values, table.outcome])
    np.testing.assert_allclose(found, sources.truth(people), rtol=1e-12)
    return len({*table.person.tolist()}) == len(people)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_gives_the_truth(tmp_path: Path, kind: str) -> None:
    people = sources.people()
    assert holds_the_truth(clean(KINDS[kind](tmp_path, people)), people)


def test_the_same_people_train_whatever_the_source(tmp_path: Path) -> None:
    people = sources.people(20)
    tables = [clean(write(tmp_path / kind, people)) for kind, write in KINDS.items()]
    for other in tables[1:]:
        assert (other.train == tables[0].train).all()
        assert (other.key == tables[0].key).all()
    assert 0 < tables[0].train.sum() < len(people)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_mapped_passes_a_reader(tmp_path: Path, kind: str) -> None:
    people = sources.people(6)
    local = site.read(KINDS[kind](tmp_path, people))
    for name in local.mapping.named:
        columns = local.mapping.columns.items()
        mapped = {n: c for n, c in columns if local.mapping.source_of(c) == name}
        allowed = {PERSON, TIME, *mapped, *map(unit_of, mapped)}
        for raw in opening.read(Place(local, name), mapped):
            assert {*raw.cells} <= allowed
            assert "Canary" not in raw.cells.to_csv()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_mapped_is_found_without_reading_a_record(
    tmp_path: Path, kind: str
) -> None:
    local = site.read(KINDS[kind](tmp_path, sources.people(4)))
    said = opening.probe(local)
    assert len(said) == len(local.mapping.named)
    assert not any("MRN" in line or "Canary" in line for line in said)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    if not postgres.here():
        pytest.skip("this machine has no PostgreSQL that could be started")
    with postgres.server() as url:
        yield url


@pytest.mark.slow
def test_an_omop_cdm_in_postgresql_gives_the_truth(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = sources.people()
    path = sources.omop(tmp_path, people)
    served(path, database)
    execute(database, "CREATE SEQUENCE cdm.s")
    monkeypatch.setenv("CDM_URL", database)
    assert holds_the_truth(clean(path), people)
    assert opening.probe(site.read(path)) == ("CDM_URL has the 7 mapped variables",)
    text = path.read_text()
    for bad, said in (
        ("DELETE FROM cdm.person RETURNING 1 AS person, 2 AS value", "42601"),
        ("SELECT nextval('cdm.s') AS person, 1 AS value", "25006"),
        ("SELECT person_id AS person, Canary AS value FROM cdm.person", "42703"),
        ("SELECT 'Canary'::int AS person, 1 AS value", "22P02"),
    ):
        query = f'[columns.age]\nquery = "{bad}"\n[columns.sex]'
        path.write_text(
            text[: text.index("[columns.age]")]
            + query
            + text.partition("[columns.sex]")[2]
        )
        with pytest.raises(
            DataError, match=f"the query of age failed .*SQLSTATE {said}"
        ) as no:
            clean(path)
        assert "Canary" not in str(no.value)
    monkeypatch.setenv("CDM_URL", database.replace("54329", "1"))
    with pytest.raises(DataError, match="CDM_URL cannot be opened") as caught:
        clean(path)
    assert "steward" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        ("/postgres?", "/canary?", "no database of that name"),
        ("steward", "canary", "user or password are wrong"),
        ("+psycopg", "+canary", "is not installed"),
        ("+psycopg", "+pg8000", "is not installed"),
        ("postgresql+psycopg://", "canary", "holds no URL"),
        ("/postgres?", "127.0.0.1:1/postgres#", "no server"),
    ],
)
def test_why_a_server_cannot_be_opened_is_said_without_its_words(
    tmp_path: Path,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[str, str, str],
) -> None:
    old, new, likely = change
    path = sources.omop(tmp_path, sources.people(4))
    served(path, database)
    monkeypatch.setenv("CDM_URL", database.replace(old, new))
    with pytest.raises(DataError) as no:
        clean(path)
    assert likely in no.value.hints["likely"]
    assert "canary" not in str(no.value)


@pytest.mark.slow
def test_the_order_in_which_a_database_keeps_rows_changes_nothing(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update puts a row at the end; of two values at one moment one is the last."""
    people = sources.people()
    path = sources.omop(tmp_path, people)
    served(path, database)
    monkeypatch.setenv("CDM_URL", database)
    twice = (
        "INSERT INTO cdm.measurement SELECT person_id, measurement_concept_id, "
        "measurement_date, measurement_datetime, value_as_number + 1, "
        "unit_concept_id, unit_source_value FROM cdm.measurement"
    )
    moved = "UPDATE cdm.{} SET person_id = person_id WHERE MOD(person_id, 3) = 1"
    low = "UPDATE cdm.measurement SET person_id = person_id WHERE value_as_number < 7"
    execute(database, twice)
    before = clean(path)
    execute(database, *(moved.format(each) for each in sources.TABLES), low)
    after = clean(path)
    np.testing.assert_array_equal(after.values, before.values)
    np.testing.assert_array_equal(after.outcome, before.outcome)


def served(path: Path, url: str) -> None:
    """Move the CDM beside *path* into the server; have the site read it there."""
    postgres.load(url, path.parent / "cdm.sqlite")
    text = path.read_text().replace('file = "cdm.sqlite"', 'url_env = "CDM_URL"')
    path.write_text(text.replace("[index]", 'namespace = "cdm"\n[index]', 1))


def execute(url: str, *statements: str) -> None:
    """Change the database as its owner does."""
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "likely"),
    [
        ("DROP TABLE measurement", "there is no table"),
        ("ALTER TABLE person RENAME COLUMN year_of_birth TO y", "there is no column"),
    ],
)
def test_what_a_database_lacks_is_said_in_words_of_ours(
    tmp_path: Path, statement: str, likely: str
) -> None:
    path = sources.omop(tmp_path, sources.people(5))
    with closing(sqlite3.connect(tmp_path / "cdm.sqlite")) as database, database:
        database.execute(statement)
    with pytest.raises(DataError) as caught:
        clean(path)
    assert caught.value.hints["likely"].startswith(likely)


def test_half_a_database_is_told_from_a_bad_query(tmp_path: Path) -> None:
    path = sources.omop(tmp_path, sources.people(5))
    (tmp_path / "cdm.sqlite").write_text("nothing of SQLite")
    with pytest.raises(DataError) as caught:
        clean(path)
    assert caught.value.hints["likely"] == "half a file, or no SQLite file"
    assert caught.value.hints["fix"].startswith("export it again")


def test_few_odd_event_times_are_to_be_corrected_and_many_declared(
    tmp_path: Path,
) -> None:
    path = sources.tables(tmp_path, sources.people(10), "csv")
    labs = tmp_path / "labs.csv"
    whole = labs.read_text()
    labs.write_text(whole.replace("2021-02-19", "19.02.2021", 1))
    with pytest.raises(DataError, match="1 of 30 event times cannot") as caught:
        clean(path)
    assert caught.value.hints["fix"].startswith("correct them")
    labs.write_text(re.sub(r"(\d{4})-(\d\d)-(\d\d)", r"\3.\2.\1", whole))
    with pytest.raises(DataError, match="30 of 30 event times cannot") as caught:
        clean(path)
    assert caught.value.hints["fix"].endswith('dates = "%d.%m.%Y"')
