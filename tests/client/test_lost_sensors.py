"""A lost sensor writes a number: it is none of the window that it falls into."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import site
from client.formats.bounds import codes
from client.office import suggesting
from client.table import Table
from client.tables import integration
from common.errors import DataError
from common.study import Study
from tests import clinics, places

SOURCE = {
    "kind": "signals",
    "file": "monitor.csv",
    "person": "who",
    "event_time": "from",
    "time": "at",
}
NAMES = ("mean", "min", "max", "last", "slope", "count")
RANGES = {"slope": ("/min/h", [-99, 99]), "count": ("1", [0, 999])}
PEOPLE = 8


def study(*names: str, unit: str = "/min") -> Study:
    numbers = []
    for name in names:
        own, limits = RANGES.get(name, (unit, [20, 300]))
        said = {"name": f"heart_rate_{name}", "unit": own, "range": limits}
        numbers.append({"kind": "number", "units": {}, **said})
        if own == "/min":
            numbers[-1]["units"] = {"/s": 60.0}
    changes: dict[str, Any] = {"model": None, "evaluation": None}
    outcome = {**numbers[0], "name": "count_of_all", "unit": "1", "range": [0, 9999]}
    return clinics.study(variables=numbers, outcome=outcome, **changes)


def columns(*names: str, **more: object) -> dict[str, dict[str, Any]]:
    found = {f"heart_rate_{n}": {"column": "HR", "take": n, **more} for n in names}
    return found | {"count_of_all": {"column": "SpO2", "take": "count"}}


def written(folder: Path, lost: dict[int, str], *, samples: int = 50) -> None:
    """Write eight recordings of 70, 71, … at each minute, with some samples lost."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["who,from,at,HR,SpO2"]
    for person in range(PEOPLE):
        for minute in range(samples):
            at = f"2024-01-01T{10 + minute // 60}:{minute % 60:02}"
            rate = lost.get(minute, str(70 + minute))
            lines.append(f"p{person},2024-01-01T10:00,{at},{rate},97")
    (folder / "monitor.csv").write_text("\n".join(lines) + "\n")


def table(folder: Path, mapped: dict[str, Any], asked: Study, **more: Any) -> Table:
    return integration.table(places.site(folder, SOURCE | more, mapped), asked)


def report(found: Table) -> dict[tuple[str, str], int]:
    return {(c.variable, c.what): c.count for c in found.report if c.step == "samples"}


OUTSIDE = "samples outside the range: taken as lost"
CODED = "samples with a missing code"


def test_samples_outside_the_range_are_gaps_before_anything_is_taken(
    tmp_path: Path,
) -> None:
    """Also of a slope and a count, whose own range says nothing of samples."""
    asked = study(*NAMES)
    written(tmp_path, {3: "-1", 49: "999"})
    dirty = table(tmp_path, columns(*NAMES), asked)
    written(tmp_path, {3: "", 49: ""})
    clean = table(tmp_path, columns(*NAMES), asked)
    np.testing.assert_array_equal(dirty.values, clean.values)
    mean = np.mean([70 + m for m in range(50) if m not in (3, 49)])
    assert dirty.values[0].tolist() == pytest.approx([mean, 70, 118, 118, 60, 48])
    assert report(clean) == {}
    assert report(dirty) == {(f"heart_rate_{n}", OUTSIDE): 2 * PEOPLE for n in NAMES}


@pytest.mark.parametrize("where", ["source", "column"])
def test_a_code_is_a_gap_though_it_lies_within_the_range(
    tmp_path: Path, where: str
) -> None:
    written(tmp_path, {3: "255", 4: "255.0", 5: "lost"})
    missing = {"missing": ["255", "lost"]}
    source = missing if where == "source" else {}
    column = missing if where == "column" else {}
    found = table(tmp_path, columns("max", **column), study("max"), **source)
    assert found.values[0, 0] == 119
    assert report(found) == {("heart_rate_max", CODED): 2 * PEOPLE}


def test_a_code_of_samples_is_no_code_of_what_is_taken(tmp_path: Path) -> None:
    written(tmp_path, {minute: str(100 - minute / 60) for minute in range(50)})
    found = table(tmp_path, columns("slope"), study("slope"), missing=["-1"])
    assert found.values[0, 0] == pytest.approx(-1.0)
    falls = {0: "70", 1: "68", 2: "66"}
    written(tmp_path, falls, samples=3)
    count = table(tmp_path, columns("count"), study("count"), missing=["3"])
    assert count.values[0, 0] == 3


def test_more_lost_samples_than_the_study_allows_are_refused(tmp_path: Path) -> None:
    written(tmp_path, dict.fromkeys(range(0, 50, 10), "-1"))
    with pytest.raises(DataError, match=r"10% of the samples of heart_rate_mean lie"):
        table(tmp_path, columns("mean"), study("mean"))
    coded = columns("mean", missing=["-1"])
    found = table(tmp_path, coded, study("mean"))
    assert report(found) == {("heart_rate_mean", CODED): 5 * PEOPLE}


def test_a_unit_that_would_fit_is_named(tmp_path: Path) -> None:
    written(tmp_path, dict.fromkeys(range(50), "1.2"))
    with pytest.raises(DataError) as told:
        table(tmp_path, columns("mean"), study("mean"))
    assert told.value.hints["fix"] == 'in [columns.heart_rate_mean]:   unit = "/s"'
    found = table(tmp_path, columns("mean", unit="/s"), study("mean"))
    assert found.values[0, 0] == pytest.approx(72.0)
    assert report(found) == {}


def test_samples_outside_the_window_are_not_counted(tmp_path: Path) -> None:
    written(tmp_path, {49: "-1"})
    found = table(tmp_path, columns("mean", hours=[0, 0.5]), study("mean"))
    assert report(found) == {}


def test_codes_are_numbers_and_words() -> None:
    assert codes(["-1", " 9,5 ", "---", "inf", "1_0"]) == (
        [-1.0, 9.5],
        ["---", "inf", "1_0"],
    )


@pytest.mark.parametrize("name", ["mean", "min", "slope"])
def test_a_code_that_is_frequent_is_suggested(tmp_path: Path, name: str) -> None:
    written(tmp_path, dict.fromkeys(range(0, 50, 10), "-1") | {7: "999"})
    local = places.site(tmp_path, SOURCE, {})
    found = {g.variable: g for g in suggesting.suggest(local, study(name, "max")).found}
    for each in (f"heart_rate_{name}", "heart_rate_max"):
        assert 'missing = ["-1", "999"]' in found[each].lines
    text = "\n\n".join(guess.text() for guess in found.values())
    local.path.write_text(
        f"{local.path.read_text()}\n{text}\n"
        '[columns.count_of_all]\ncolumn = "SpO2"\ntake = "count"\n'
    )
    table = integration.table(site.read(local.path), study(name, "max"))
    assert report(table) == {
        (f"heart_rate_{n}", CODED): 6 * PEOPLE for n in (name, "max")
    }


def test_a_suggestion_says_how_many_samples_fit(tmp_path: Path) -> None:
    written(tmp_path, dict.fromkeys(range(0, 50, 10), "-7"))
    local = places.site(tmp_path, SOURCE, {})
    (guess,) = suggesting.suggest(local, study("mean")).found
    assert "90% of the samples fit" in guess.why
    assert not any("missing" in line for line in guess.lines)
