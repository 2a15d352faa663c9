"""A date of birth that is written otherwise than the times of the events beside it."""

import json
import re
from pathlib import Path

import pytest

from client import site
from client.office import suggesting
from client.tables import integration
from common.cli import build
from common.errors import DataError, StudyError
from common.study import Study
from common.terminal import run
from tests import clinics, places, sources

SOURCE = {"kind": "csv", "file": "stays.csv", "person": "mrn", "event_time": "at"}
ILL = {"column": "ill"}


def study() -> Study:
    return clinics.study(variables=sources.VARIABLES[:1], model=None, evaluation=None)


def stays(folder: Path, born: str = "%d.%m.%Y") -> list[float]:
    """Write stays whose dates are ISO 8601, and return the ages that are true."""
    folder.mkdir(parents=True, exist_ok=True)
    people = sources.people(20)
    lines = ["mrn,at,Geburtsdatum,ill"]
    for one in people:
        written = f"{one.number},{one.stay:%Y-%m-%d},{one.born.strftime(born)}"
        lines.append(f"{written},{'yes' if one.ill else 'no'}")
    (folder / "stays.csv").write_text("\n".join(lines) + "\n")
    return [float(min(one.age, 90)) for one in people]


def ages(folder: Path, age: dict[str, str]) -> list[float]:
    local = places.site(folder, SOURCE, {"age": age, "ill": ILL})
    found: list[float] = integration.table(local, study()).values[:, 0].tolist()
    return found


def test_a_column_has_a_format_of_its_own(tmp_path: Path) -> None:
    true = stays(tmp_path)
    age = {"column": "Geburtsdatum", "elapsed": "years", "dates": "%d.%m.%Y"}
    assert ages(tmp_path, age) == true


def test_without_it_the_line_to_paste_is_of_the_column(tmp_path: Path) -> None:
    true = stays(tmp_path)
    age = {"column": "Geburtsdatum", "elapsed": "years"}
    with pytest.raises(DataError, match="no dates as ISO8601") as told:
        ages(tmp_path, age)
    assert told.value.hints["fix"] == 'in [columns.age] say   dates = "%d.%m.%Y"'
    assert ages(tmp_path, age | {"dates": "%d.%m.%Y"}) == true


def test_dates_of_a_column_that_is_no_date_are_an_error(tmp_path: Path) -> None:
    stays(tmp_path)
    with pytest.raises(StudyError, match="no date is read"):
        ages(tmp_path, {"column": "Geburtsdatum", "dates": "%d.%m.%Y"})


@pytest.mark.parametrize("born", ["%d.%m.%Y", "%Y-%m-%d"])
def test_a_birth_date_is_suggested_with_how_it_is_written(
    tmp_path: Path, born: str
) -> None:
    true = stays(tmp_path, born)
    local = places.site(tmp_path, SOURCE, {"ill": ILL})
    (guess,) = suggesting.suggest(local, study()).found
    assert ("dates = " in guess.text()) == (born != "%Y-%m-%d")
    local.path.write_text(f"{local.path.read_text()}\n{guess.text()}\n")
    table = integration.table(site.read(local.path), study())
    assert table.values[:, 0].tolist() == true


def test_adding_a_source_tells_how_its_times_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stays(tmp_path)
    path = tmp_path / "stays.csv"
    turned = re.sub(r"(\d{4})-(\d\d)-(\d\d)", r"\3.\2.\1", path.read_text())
    path.write_text(turned)
    add = ["client", "data", "add", "stays", "--site", str(tmp_path / "site.toml")]
    keys = ["--kind=csv", "--file=stays.csv", "--person=mrn", "--event-time=at"]
    assert run(build(), [*add, *keys, "--json"]) == 0
    assert 'dates = "%d.%m.%Y"' in json.loads(capsys.readouterr().out)["told"]
    add[3] = "again"
    assert run(build(), [*add, *keys, "--set=dates=%d.%m.%Y", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["told"] == ""
