"""Suggestions over every kind of source: what is pasted passes the check."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from client import site
from client.guessing import cells
from client.office import examination, suggesting
from client.office.suggesting import Suggestion
from client.tables import integration
from common import study as studies
from common.schema import Image, Number
from common.study import Study
from simulations.invented import linked
from simulations.invented.linked import NAMES
from simulations.invented.tables import CANARY
from tests import clinics, postgres, sources

PICTURE = Image(name="radiograph", size=(28, 28))
HEAD = 'site = "north"\n[sources.lab]\nkind = "sql"\nfile = "lab.sqlite"\n'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the hospitals with five kinds of source, once."""
    place = tmp_path_factory.mktemp("linked")
    linked.write(place, 1)
    return place


def pictured(world: Path) -> Study:
    return studies.read(world / "study.toml").model_copy(update={"image": PICTURE})


def bare(path: Path) -> Path:
    """Write the site's file again without a mapping."""
    text = re.sub(
        r"(?ms)^\[(columns\.\w+|index)\]\n.*?(?=^\[|\Z)", "", path.read_text()
    )
    new = path.with_name("bare.toml")
    new.write_text(text)
    return new


def said(path: Path, study: Study) -> tuple[Suggestion, str]:
    local = site.read(path)
    found = suggesting.suggest(local, study)
    return found, suggesting.text(local, found)


def pasted(path: Path, text: str) -> Path:
    """Add the suggestion, with the index that it proposes."""
    lines = re.sub("(?m)^# ", "", text.partition("# [index]\n")[2])
    index = f"[index]\n{lines}\n" if lines else ""
    path.write_text(f"{path.read_text()}\n{text}\n{index}")
    return path


BY_HAND = {
    "ashford": ("readmitted",),
    "brunnen": ("readmitted",),
    "corvane": ("hba1c", "readmitted"),
    "dunmere": (),
}
"""What no name, code or value tells: it is called `back in 30 d`, or has no code."""


@pytest.mark.parametrize("name", NAMES)
def test_what_is_suggested_passes_the_check(world: Path, name: str) -> None:
    """At each of the four technologies, with nothing of a patient in it."""
    study, own = pictured(world), world / name / "site.toml"
    path = bare(own)
    found, text = said(path, study)
    assert (found.lacking, found.shut) == (BY_HAND[name], {})
    assert CANARY not in text
    known = site.read(own).mapping
    for guess in found.found:
        column = known.columns[guess.variable]
        assert known.source_of(column) in guess.text()
        assert column.column is None or f'"{column.column}"' in guess.text()
    text = re.sub(r'"… female"', '"2"', re.sub(r'"… male"', '"1"', text))
    mine = own.read_text()
    for each in BY_HAND[name]:
        lines = re.search(rf"(?ms)^\[columns\.{each}\]\n.*?(?=^\[|\Z)", mine)
        assert lines
        path.write_text(f"{path.read_text()}\n{lines.group()}")
    pasted(path, text)
    read = examination.examine(site.read(path), study, clinics.TODAY)
    assert len(read.review.table.outcome) > 50
    assert read.review.table.images.shape[1:] == PICTURE.shape


WIDE = (
    "CREATE TABLE stays "
    "(patient_id, admitted_on, Alter_bei_Aufnahme, sex, chol, chol_unit, ill)"
)
LONG = "CREATE TABLE results (mrn, code, name, value, unit, taken_at)"


def laboratory(place: Path, count: int = 40) -> Path:
    """Write a database of a hospital's own making: one wide table and a long one."""
    with closing(sqlite3.connect(place / "lab.sqlite")) as database, database:
        database.execute(WIDE)
        database.execute(LONG)
        database.execute("CREATE TABLE scans (mrn, chol)")  # of which nothing is text
        database.execute("INSERT INTO scans VALUES ('p1', x'00ff')")
        for i in range(count):
            unit, chol = ("mmol/L", 5 + i / 50) if i % 2 else ("mg/dL", 190 + i)
            stay = (f"p{i}", "2024-01-02", 40 + i, "wm"[i % 2], chol, unit, "yn"[i % 2])
            database.execute("INSERT INTO stays VALUES (?, ?, ?, ?, ?, ?, ?)", stay)
            for code, value in (("2345-7", 90 + i), ("X1", 3), (f"{CANARY} {i}", 1)):
                row = (f"p{i}", code, CANARY, value, "mg/dL", "2024-01-02")
                database.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)", row)
    path = place / "site.toml"
    path.write_text(HEAD)
    return path


OWN = [
    sources.VARIABLES[0],
    sources.VARIABLES[1],
    {"kind": "number", "name": "glucose", "unit": "mg/dL", "range": [30, 800]},
    {"kind": "category", "name": "sex", "levels": ["female", "male"]},
]


def test_a_database_of_ones_own_gets_queries_with_parameters(tmp_path: Path) -> None:
    study = clinics.study(variables=OWN)
    path = laboratory(tmp_path)
    found, text = said(path, study)
    assert not found.lacking
    assert CANARY not in text
    assert 'parameters = { code = "2345-7" }' in text
    assert r"t.\"Alter_bei_Aufnahme\" AS value" in text
    table = integration.table(site.read(pasted(path, text)), study)
    assert table.values[0].tolist() == [40, 190, 90, 0]
    assert table.values[1].tolist() == pytest.approx([41, 5.02 * 38.67, 91, 1])


@pytest.mark.skipif(not postgres.here(), reason="no PostgreSQL on this machine")
def test_postgresql_is_looked_into_by_its_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlalchemy  # noqa: PLC0415 - an extra's library

    linear = {"model": {"kind": "linear", "ridge": 1.0}}
    study = clinics.study(variables=OWN[:1], outcome=OWN[2], **linear)
    with postgres.server() as url:
        monkeypatch.setenv("LAB_URL", url)
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as database:
            database.exec_driver_sql("CREATE SCHEMA lab")
            database.exec_driver_sql(
                "CREATE TABLE lab.stays AS SELECT 'p' || i AS mrn, 40 + i AS age, "
                "90.5 + i AS glucose, DATE '2024-01-02' AS stayed_on "
                "FROM generate_series(1, 30) i"
            )
        engine.dispose()
        path = tmp_path / "site.toml"
        head = 'url_env = "LAB_URL"\nnamespace = "lab"'
        path.write_text(HEAD.replace('file = "lab.sqlite"', head))
        found, text = said(path, study)
        assert "FROM lab.stays t" in text
        assert not found.lacking
        table = integration.table(site.read(pasted(path, text)), study)
    assert sorted(table.values[:, 0]) == [*range(41, 71)]


def test_concepts_are_found_by_their_names(tmp_path: Path) -> None:
    """In the table of concepts, below others, or by the hospital's own name."""
    path = sources.omop(tmp_path, sources.people(30))
    with closing(sqlite3.connect(tmp_path / "cdm.sqlite")) as database, database:
        database.execute("CREATE TABLE concept (concept_id, concept_name)")
        named = (sources.ILLNESS, "Ill with acute myocardial infarction")
        database.execute("INSERT INTO concept VALUES (?, ?)", named)
        database.execute(
            "CREATE TABLE concept_ancestor (ancestor_concept_id, descendant_concept_id)"
        )
        below = (201820, sources.DIABETES)
        database.execute("INSERT INTO concept_ancestor VALUES (?, ?)", below)
    found, text = said(bare(path), sources.study())
    assert found.lacking == ("tests",)
    assert f"concept = [{sources.ILLNESS}]" in text
    assert "concept = [201820, 201826, 201254], descendants = true" in text


def test_units_of_ones_own_are_named_if_many_cells_share_them() -> None:
    """The unit of a single cell may be anything that somebody typed."""
    import pandas as pd  # noqa: PLC0415 - beside the cells that it makes

    variable = Number.model_validate(sources.VARIABLES[1])
    text = pd.Series(["200"] * 40 + ["5.2"] * 9 + ["210"], dtype="str")
    units = pd.Series(["mg/dL"] * 40 + ["mmol pro l"] * 9 + [CANARY], dtype="str")
    found = cells.fits(variable, text, units)
    assert found == (1.0, ('unit_names = { "mmol pro l" = "mmol/L" }',))


def test_a_source_that_cannot_be_read_does_not_hide_the_others(
    world: Path,
) -> None:
    """Why is told in a comment, with what helps, and no sample."""
    text = bare(world / "ashford" / "site.toml").read_text()
    assert 'missing = ["---"]' in text
    path = world / "ashford" / "hasty.toml"
    path.write_text(text.replace('missing = ["---"]', ""))
    found, told = said(path, studies.read(world / "study.toml"))
    assert [*found.shut] == ["monitor"]
    assert "# monitor could not be looked into" in told
    assert "#   fix: list what stands for a lost sample" in told
    assert "[columns.bmi]" in told
    text = bare(world / "dunmere" / "site.toml").read_text()
    path = world / "dunmere" / "hasty.toml"
    path.write_text(re.sub("leave_out = .*", "", text))
    told = said(path, pictured(world))[1]
    assert "# 4: has writing burnt" in told or "DICOM files are refused" in told
    assert '# take them out:   leave_out = ["NAME", …]' in told
    assert CANARY not in told


def test_a_column_whose_name_is_too_long_for_a_mapping_is_passed_over(
    tmp_path: Path,
) -> None:
    header = f"{clinics.HEADER},{'a label that goes on ' * 30}"
    path = clinics.folder(tmp_path, [f"{x},1" for x in clinics.lines()], header=header)
    found, _ = said(bare(path), clinics.study())
    assert "age" in {each.variable for each in found.found}
