"""The planted hospitals, and the cleaning held against what was planted in them."""

import csv as spreadsheet
import itertools
import json
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import site as sites
from client.formats.raw import PERSON, TIME, Place
from client.sources import opening
from client.table import Table
from client.tables import integration
from common import study as studies
from common.errors import UsageError
from common.release import Array
from common.schema import Number
from common.study import Study
from simulations.dealt import breast_study, hospitals, truth
from simulations.dealt.dialects import BIRKENTAL, HOSPITALS, Dialect
from simulations.engines import engine

STEPS = (
    "read",
    "columns",
    "missing",
    "units",
    "ranges",
    "person",
    "duplicates",
    "cohort",
    "gaps",
    "done",
)
NAMES = hospitals.NAMES
Tally = dict[tuple[str, str, str], int]


@dataclass(frozen=True)
class World:
    """What one call wrote, read back: the study, the truth, the cleaned tables."""

    place: Path
    study: Study
    truth: dict[str, Any]
    tables: dict[str, Table]

    def planted(self, name: str) -> Tally:
        """Return the counts that the truth holds of one hospital."""
        lines = self.truth["hospitals"][name]["counts"]
        return {(c["step"], c["variable"], c["what"]): c["count"] for c in lines}

    def found(self, name: str) -> Tally:
        """Return the counts that cleaning that hospital reported."""
        lines = self.tables[name].report
        return {(c.step, c.variable, c.what): c.count for c in lines}

    def people(self, name: str) -> dict[str, list[float | str | None]]:
        """Return the true clean values by person."""
        return dict(self.truth["hospitals"][name]["people"])

    def export(self, dialect: Dialect) -> list[dict[str, str]]:
        """Return every cell of a hospital's export, the undeclared ones too."""
        path = self.place / dialect.site / dialect.format.file
        with path.open(encoding=dialect.format.encoding, newline="") as file:
            separator = dialect.format.separator
            return list(spreadsheet.DictReader(file, delimiter=separator))


def cleaned(study: Study, path: Path) -> Table:
    """Return the clean table of the hospital described by *path*."""
    local = sites.read(path)
    return integration.table(local, study)


def load(place: Path, seed: int) -> World:
    """Write the hospitals of *seed* into *place* and clean every one."""
    path = hospitals.write(place, seed)
    study = studies.read(path)
    tables = {name: cleaned(study, place / name / "site.toml") for name in NAMES}
    known = json.loads((place / "truth.json").read_text(encoding="utf-8"))
    return World(place, study, known, tables)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return the default hospitals, written and cleaned once."""
    return load(tmp_path_factory.mktemp("hospitals"), hospitals.SEED)


def values(world: World, name: str) -> Array:
    """Return the clean values of one hospital, the outcome last."""
    table = world.tables[name]
    return np.column_stack([table.values, table.outcome])


def true_values(world: World, name: str) -> Array:
    """Return the truth as the clean table writes it: level indices, NaN for a gap."""
    coded = {
        variable.name: list(variable.coded)
        for variable in world.study.everything
        if not isinstance(variable, Number)
    }

    def number(variable: str, value: float | str | None) -> float:
        if isinstance(value, str):
            return float(coded[variable].index(value))
        return np.nan if value is None else value

    variables = world.truth["variables"]
    rows = world.people(name).values()
    pairs = [zip(variables, row, strict=True) for row in rows]
    return np.array([[number(*pair) for pair in row] for row in pairs])


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", NAMES)
def test_each_step_counts_exactly_what_was_planted(
    world: World, name: str, step: str
) -> None:
    """Every line of the report, variable by variable, is the planted number."""
    planted = {line: n for line, n in world.planted(name).items() if line[0] == step}
    found = {line: n for line, n in world.found(name).items() if line[0] == step}
    assert found == planted
    assert {line[0] for line in world.found(name)} <= {*STEPS}


def test_every_kind_of_dirt_is_planted_somewhere(world: World) -> None:
    """No kind of damage is tested by its absence, and each is seen in real numbers."""
    planted: Counter[str] = Counter()
    for name in NAMES:
        for (step, _, what), count in world.planted(name).items():
            planted[f"{step}: {what}"] += count
    dirt = hospitals.DIRT
    duplicates = "duplicates: registered twice with"
    most_complete = "other content: the most complete is kept"
    assert {line.partition(":")[0] for line in planted} == {*STEPS}
    assert planted[f"{duplicates} the same content"] == sum(d.same for d in dirt)
    assert planted[f"{duplicates} {most_complete}"] == sum(d.blanked for d in dirt)
    assert planted["person: records without a person"] == sum(d.nameless for d in dirt)
    assert planted["ranges: cells outside the range"] >= sum(d.typos for d in dirt)
    assert planted["gaps: records without a required value"] == 3
    assert planted["cohort: records outside the cohort"] == 4
    assert sum(len(world.people(name)) for name in NAMES) == 569 - 3 - 4
    assert planted["units: cells from mm to um"] > 1000
    assert planted["units: cells from % to 1"] > 1000


@pytest.mark.parametrize("name", NAMES)
def test_clean_values_are_the_true_ones(world: World, name: str) -> None:
    """Cleaning gives back every true value, in the declared unit, and every gap."""
    np.testing.assert_allclose(values(world, name), true_values(world, name), rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_true_people_are_real_ones(world: World, name: str) -> None:
    """Each person of the truth is one published person, but for gaps, and only once."""
    published = [
        [cells[variable] for variable in world.truth["variables"]]
        for cells in breast_study.people()
    ]
    whose = [
        [i for i, row in enumerate(published) if equal_but_for_gaps(row, found)]
        for found in world.people(name).values()
    ]
    assert {len(each) for each in whose} == {1}
    assert len({each[0] for each in whose}) == len(whose)


def equal_but_for_gaps(
    row: list[float | str | None], found: list[float | str | None]
) -> bool:
    """Tell whether *found* is *row* but for gaps."""
    pairs = zip(row, found, strict=True)
    return all(value in (true, None) for true, value in pairs)


def test_the_measure_never_taken_is_a_gap_in_every_record(world: World) -> None:
    """One hospital's column is absent: declared so, counted, all NaN."""
    variables = world.truth["variables"]
    column = variables.index("worst_symmetry")
    assert np.isnan(world.tables["port-selwyn"].values[:, column]).all()
    assert not np.isnan(world.tables["northmere"].values[:, column]).all()


def identifiers(world: World) -> set[str]:
    """Return every person number, name, date and note that any export holds."""
    said = set()
    for dialect in HOSPITALS:
        names = dialect.headers
        own = {names.person, names.full_name, names.note, names.visit} - {""}
        said |= {row[column] for row in world.export(dialect) for column in own}
    return said - {""}


def test_the_reader_never_passes_an_undeclared_column(world: World) -> None:
    """Names and notes are not even read."""
    for dialect in HOSPITALS:
        local = sites.read(world.place / dialect.site / "site.toml")
        wanted = {n: c for n, c in local.mapping.columns.items() if c.found}
        (raw,) = opening.read(Place(local, "data"), wanted)
        assert dialect.headers.full_name in world.export(dialect)[0]
        assert {*raw.cells} - {PERSON, TIME} == {*wanted}


def test_no_identifier_is_in_a_table(world: World) -> None:
    """A clean table is numbers and counts; neither its report nor its repr say who."""
    secrets = identifiers(world)
    assert secrets > {*world.people("birkental"), BIRKENTAL.note}
    said = "".join(
        f"{table!r}{table.report}{table.people}" for table in world.tables.values()
    )
    assert not [each for each in secrets if each in said]
    for table in world.tables.values():
        kinds = {table.values.dtype, table.outcome.dtype, table.train.dtype}
        assert kinds == {np.dtype(np.float64), np.dtype(np.bool_)}


def test_same_seed_gives_the_same_bytes(world: World, tmp_path: Path) -> None:
    """Writing twice writes the same files, byte by byte."""
    hospitals.write(tmp_path, hospitals.SEED)
    assert files(tmp_path) == files(world.place)


def test_another_seed_deals_other_hospitals(world: World, tmp_path: Path) -> None:
    """The seed decides; only what the hospitals are called stays."""
    hospitals.write(tmp_path, hospitals.SEED + 1)
    ours, others = files(world.place), files(tmp_path)
    assert ours.keys() == others.keys()
    assert ours["truth.json"] != others["truth.json"]


def files(place: Path) -> dict[str, bytes]:
    """Return every file below *place* by its relative name."""
    found = [path for path in place.rglob("*") if path.is_file()]
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("seed", [0, 3, 17])
def test_other_seeds_are_recovered_too(seed: int, tmp_path: Path) -> None:
    """The truth holds by construction, not by a lucky seed."""
    world = load(tmp_path, seed)
    for name in NAMES:
        assert world.found(name) == world.planted(name)
        got, true = values(world, name), true_values(world, name)
        np.testing.assert_allclose(got, true, rtol=1e-9)


def test_hospitals_are_unequal(world: World) -> None:
    """From the largest to the smallest: clearly fewer people each time."""
    sizes = [len(world.tables[name].outcome) for name in NAMES]
    for larger, smaller in itertools.pairwise(sizes):
        assert smaller < 0.7 * larger


def test_hospitals_are_not_identically_distributed(world: World) -> None:
    """The share of malignant cases and the size of nuclei differ between hospitals."""
    malignant = [world.tables[name].outcome.mean() for name in NAMES]
    radius = [world.tables[name].values[:, 0].mean() for name in NAMES]
    assert malignant == sorted(malignant)
    assert malignant[-1] - malignant[0] > 0.4
    assert radius == sorted(radius)
    assert radius[-1] > 1.2 * radius[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_hospital_can_train_and_test(world: World, name: str) -> None:
    """Ten people and both diagnoses on both sides, also at the smallest."""
    table = world.tables[name]
    assert table.people["train"] >= 10
    assert table.people["test"] >= 10
    for side in (table.train, ~table.train):
        malignant = int(table.outcome[side].sum())
        assert 2 <= malignant <= side.sum() - 2


def test_an_impossible_split_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no seed is fair, the writer says so and does not search for ever."""
    monkeypatch.setattr(truth, "SEEDS", 3)
    nobody = truth.Planted(BIRKENTAL, (), ())
    with pytest.raises(UsageError, match="both diagnoses"):
        truth.split_seed([nobody])


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    """The generator knows no negative seeds; the writer says so before it writes."""
    with pytest.raises(UsageError, match="negative"):
        hospitals.write(tmp_path, -1)
    assert not list(tmp_path.iterdir())


def test_dialects_differ_in_everything_a_dialect_is(world: World) -> None:
    """Separators, decimals, encodings, units, codes, headers and their order differ."""
    data = [sites.read(world.place / name / "site.toml").mapping for name in NAMES]
    assert {each.data.separator for each in data} == {",", ";", "\t"}
    assert {each.data.decimal for each in data} == {".", ","}
    assert {each.data.encoding for each in data} == {"utf-8", "latin-1", "ascii"}
    assert len({each.data.missing for each in data}) == 4
    assert [each.site for each in data if not each.data.event_time] == ["port-selwyn"]
    assert {each.columns["mean_radius"].unit for each in data} == {None, "mm"}
    assert {each.columns["mean_symmetry"].unit for each in data} == {None, "%"}
    written = [list(world.export(dialect)[0]) for dialect in HOSPITALS]
    assert len({tuple(header) for header in written}) == 4
    spelt = [tuple(each.columns["diagnosis"].levels) for each in data]
    assert len(set(spelt)) == 4


def test_spreadsheet_habits_are_on_disk(world: World) -> None:
    """One export has a byte order mark, one accents in Latin-1, one leading zeros."""
    german = (world.place / "birkental" / "Zytologie.csv").read_bytes()
    french = (world.place / "valclaire" / "cytoponctions.csv").read_bytes()
    assert german.startswith(b"\xef\xbb\xbf")
    assert "périmètre".encode("latin-1") in french
    with pytest.raises(UnicodeDecodeError):
        french.decode("utf-8")
    assert all(person.startswith("00") for person in world.people("birkental"))


@pytest.mark.parametrize("dialect", HOSPITALS, ids=NAMES)
def test_every_way_of_leaving_a_cell_out_is_used(
    world: World, dialect: Dialect
) -> None:
    """Empty cells and each code occur: whole-file, own and unlisted spelling."""
    cells = Counter(cell for row in world.export(dialect) for cell in row.values())
    own = dialect.gaps.own.values()
    for code in ("", *dialect.gaps.everywhere, *own, *dialect.gaps.also):
        assert cells[code] > 0


def test_the_study_reads_as_declared(world: World) -> None:
    """The file says what the module declares, and the privacy line comes first."""
    text = (world.place / "study.toml").read_text(encoding="utf-8")
    variables = breast_study.variables(breast_study.people())
    assert world.study.variables == variables
    assert world.study.outcome == breast_study.DIAGNOSIS
    assert world.study.cohort == (breast_study.COHORT,)
    assert world.study.study.sites == NAMES
    assert text.index('privacy = "none"') < text.index("[study]")


def test_every_file_says_what_is_ours(world: World) -> None:
    """Study, truth and each site name the real data and what was made up."""
    written = [world.place / "study.toml", world.place / "truth.json"]
    written += [world.place / name / "site.toml" for name in NAMES]
    for path in written:
        text = " ".join(path.read_text(encoding="utf-8").replace("#", "").split())
        assert "Wisconsin Diagnostic Breast Cancer" in text
        assert "made up" in text or "is ours" in text
    study = (world.place / "study.toml").read_text(encoding="utf-8")
    assert "Calling lengths micrometres (um) is ours" in study


def test_ranges_hold_everyone_and_have_two_digits(world: World) -> None:
    """No published value is outside a declared range."""
    for variable in world.study.variables:
        if isinstance(variable, Number):
            values = [cells[variable.name] for cells in breast_study.people()]
            numbers = [value for value in values if isinstance(value, float)]
            low, high = variable.range
            assert low <= min(numbers) <= max(numbers) < high
            assert (low, high) == (float(f"{low:.1e}"), float(f"{high:.1e}"))


def test_no_site_approves_anything(world: World) -> None:
    """An approval is for a steward to give; the writer gives none."""
    for name in NAMES:
        path = world.place / name / "site.toml"
        assert sites.read(path).mapping.approved is None


def test_the_whole_study_runs_and_says_nobody(
    world: World,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The four hospitals learn a model together, and no log line names a person."""
    caplog.set_level(logging.DEBUG)
    paths = [approved(world, name, tmp_path / name) for name in NAMES]
    outcome = engine.run(world.study, paths)
    printed = capsys.readouterr()
    said = f"{caplog.text}{printed.out}{printed.err}{outcome}"
    assert set(outcome.states) == {"describe", "logistic", "evaluate"}
    assert set(outcome.received) == set(NAMES)
    assert not [each for each in identifiers(world) if each in said]


def approved(world: World, name: str, place: Path) -> Path:
    """Copy a hospital to *place*, its steward having approved the study."""
    place.mkdir()
    for path in (world.place / name).iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    path = place / "site.toml"
    text = path.read_text(encoding="utf-8")
    approval = f'approved = ["{world.study.digest()}"]\n'
    path.write_text(approval + text, encoding="utf-8")
    return path
