"""The heart benchmark: FLamby's people, split and inputs; more right than FLamby.

What needs the four UCI files looks for them in CONSILIUM_HEART_DATA, or beside the
repository, and is skipped where they are not.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from client import site
from client.documents.mapping import Column
from client.office import review
from client.site import Site
from client.table import Table
from common import encoding, study
from common.errors import DataError, IntegrityError
from common.schema import Binary, Category, Number
from common.study import Study
from server.reports.facts import Report, Sheet
from simulations.dealt import flamby, heart, heart_study
from simulations.engines import engine
from simulations.worth import result, trials
from tests import clinics

ROOT = Path(__file__).parents[2]
GIVEN = os.environ.get("CONSILIUM_HEART_DATA")
DATA = Path(GIVEN) if GIVEN else ROOT.parent / "shared" / "data" / "heart_disease"
SITES = tuple(flamby.HOSPITALS)
RECORDS = dict(zip(SITES, (303, 294, 123, 200), strict=True))
SPLIT = dict(zip(SITES, ((199, 104), (172, 89), (30, 16), (85, 45)), strict=True))
needs_data = pytest.mark.skipif(
    not GIVEN and not DATA.is_dir(),
    reason="set CONSILIUM_HEART_DATA to the folder of the UCI processed.*.data files",
)


@dataclass(frozen=True)
class Run:
    """The benchmark as ``consilium demo --data`` runs it."""

    place: Path
    study: Study
    tables: dict[str, Table]
    report: Report
    compared: Sheet

    def line(self, name: str) -> list[float]:
        """Return the numbers of one row of the comparison."""
        row = next(row for row in self.compared.rows if row[0] == name)
        return [float(cell) for cell in row[1:] if cell is not None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the benchmark once, through the real apps."""
    place = tmp_path_factory.mktemp("heart")
    asked = study.read(heart.write(DATA, place))
    done = result.simulate(asked, result.folders(place), engine.in_process())
    plain = result.report(done, datetime.now(UTC), 0.0, heart.NOTE)
    made = heart.benchmark(plain, place)
    assert made.benchmark is not None
    tables = {opened.site.name: opened.table for opened in done.hospitals}
    return Run(place, asked, tables, made, made.benchmark)


def published(name: str) -> pd.DataFrame:
    """Return one published file as text, read by other code than ours."""
    file = next(each.file for each in heart.HOSPITALS if each.site == name)
    names = list(heart_study.NAMES)
    return pd.read_csv(DATA / file, names=names, dtype=str, keep_default_na=False)


def invented(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write four small files in the hospitals' dialects and pin those instead."""
    draw = np.random.default_rng(5)
    pinned = []
    for hospital in heart.HOSPITALS:
        lines = [_line(hospital, draw) for _ in range(60)]
        lines[7] = "?," + lines[7].partition(",")[2]
        content = ("\n".join(lines) + "\n").encode()
        (folder / hospital.file).write_bytes(content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        pinned.append(replace(hospital, md5=md5))
    monkeypatch.setattr(heart, "HOSPITALS", tuple(pinned))


def _line(hospital: heart.Hospital, draw: np.random.Generator) -> str:
    """Return one record: numbers that any range allows, and codes in the dialect."""
    cells = []
    for name in heart_study.INPUTS:
        codes = list(heart_study.LEVELS.get(name, []))
        number = 1 if name == "oldpeak" else int(draw.integers(60, 90))
        cells.append(hospital.code.format(draw.choice(codes)) if codes else f"{number}")
    return ",".join([*cells, "?", "?", "?", str(draw.integers(0, 5))])


# --- without the files ---------------------------------------------------------------


def test_an_absent_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        heart.write(tmp_path, tmp_path / "out")
    assert "processed.cleveland.data" in refused.value.what
    assert "UCI Machine Learning Repository" in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_other_bytes_are_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invented(tmp_path, monkeypatch)
    with (tmp_path / "processed.va.data").open("a") as file:
        file.write("77,1,4,120,240,0,1,117.25,0,0,?,?,?,1\n")
    with pytest.raises(IntegrityError, match=r"processed\.va\.data") as refused:
        heart.write(tmp_path, tmp_path / "out")
    assert "117.25" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_the_study_has_flambys_thirteen_inputs(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(heart_study.STUDY)
    asked = study.read(path)
    assert len(encoding.columns(asked)) == 13
    assert asked.study.sites == SITES
    assert [each.name for each in asked.variables] == list(heart_study.INPUTS)
    assert all(each.missing == "exclude" for each in asked.variables)
    assert {each.site for each in heart.HOSPITALS} == set(SITES)


def test_the_units_and_levels_of_a_site_are_those_of_the_study(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(heart_study.STUDY)
    asked = study.read(path)
    units = {e.name: e.unit for e in asked.variables if isinstance(e, Number)}
    levels = {e.name: set(e.levels) for e in asked.variables if isinstance(e, Category)}
    said = {name: set(coded.values()) for name, coded in heart_study.LEVELS.items()}
    assert units == heart_study.UNITS
    assert levels == said
    assert isinstance(asked.outcome, Binary)
    assert set(asked.outcome.levels) == set(heart_study.OUTCOME.values())


def test_a_written_hospital_can_take_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invented(tmp_path, monkeypatch)
    asked = study.read(heart.write(tmp_path, tmp_path / "out"))
    for path in result.folders(tmp_path / "out"):
        table = review.check(site.read(path), asked).table
        assert len(table.outcome) == 59
        assert table.train.sum() == 38


def test_every_cell_is_exported_as_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invented(tmp_path, monkeypatch)
    heart.write(tmp_path, tmp_path / "out")
    for hospital in heart.HOSPITALS:
        written = (tmp_path / "out" / hospital.site / "heart.csv").read_text()
        header, *lines = written.splitlines(keepends=True)
        came = (tmp_path / hospital.file).read_text().splitlines()
        left = [line.partition(",")[2].rpartition(",")[0] for line in lines]
        assert header == ",".join(["record", *heart_study.NAMES, "split\n"])
        assert left == came
        assert [line.partition(",")[0] for line in lines[:2]] == ["1", "2"]


def test_writing_twice_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invented(tmp_path, monkeypatch)
    place = tmp_path / "out"
    heart.write(tmp_path, place)
    first = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    heart.write(tmp_path, place)
    assert len(first) == 9
    assert first == {path: path.read_bytes() for path in first}


def test_the_split_keeps_the_classes_in_proportion() -> None:
    outcome = np.repeat([0.0, 1.0], [30, 70])
    train = trials.trains(outcome, 7)
    assert train.sum() == 66
    assert outcome[train].mean() == pytest.approx(0.7, abs=0.01)


def test_a_class_of_two_does_not_stop_the_split() -> None:
    outcome = np.repeat([0.0, 1.0], [2, 44])
    assert [trials.trains(outcome, seed).sum() for seed in range(3)] == [30, 30, 30]


def test_the_split_is_the_same_for_the_same_seed() -> None:
    outcome = np.repeat([0.0, 1.0], 25)
    assert (trials.trains(outcome, 1) == trials.trains(outcome, 1)).all()
    assert (trials.trains(outcome, 1) != trials.trains(outcome, 2)).any()


def test_accuracy_averages_hospitals_and_counts_people() -> None:
    none = np.zeros((4, 0))
    small = clinics.rows(none[:1], np.ones(1), np.zeros(1))
    large = clinics.rows(none, np.ones(4), np.zeros(4))
    predicted = [np.array([0.2]), np.array([0.5, 0.9, 0.9, 0.1])]
    assert trials.accuracy([small, large], predicted) == (0.0, 0.75, 0.375, 0.6)


def test_the_comparison_is_aligned_and_narrow() -> None:
    rows = tuple((f"published: {name}", *line) for name, line in flamby.FLAMBY.items())
    compared = Sheet(title="t", columns=flamby.COLUMNS, rows=rows)
    head, *lines = heart.table(compared)
    assert len(head) <= 100
    assert all(len(line) <= len(head) for line in lines)
    assert lines[0].endswith("0.795")
    assert lines[6].split()[-1] == "0.735"


def test_published_averages_fit_the_published_hospitals() -> None:
    for *hospitals, average, _ in flamby.FLAMBY.values():
        known = [value for value in hospitals if value is not None]
        assert average is not None
        assert not known or np.mean(known) == pytest.approx(average, abs=0.0011)


# --- with the files ------------------------------------------------------------------


@needs_data
def test_the_people_are_flambys(run: Run) -> None:
    for name, table in run.tables.items():
        read = next(line.count for line in table.report if line.step == "read")
        assert read == RECORDS[name] == len(published(name))
        assert (table.people["train"], table.people["test"]) == SPLIT[name]
    assert sum(len(table.outcome) for table in run.tables.values()) == 740


@needs_data
@pytest.mark.parametrize("name", SITES)
def test_the_split_is_flambys_person_by_person(run: Run, name: str) -> None:
    kept = published(name).drop(columns=["slope", "ca", "thal"])
    kept = kept[~(kept == "?").any(axis=1)]
    ill = (kept["num"] != "0").astype(int)
    _, testing = train_test_split(
        kept.index,
        test_size=1.0 - 0.66,
        train_size=0.66,
        random_state=43,
        shuffle=True,
        stratify=ill if ill.value_counts().min() > 2 else None,
    )
    export = pd.read_csv(run.place / name / "heart.csv", index_col="record")
    assert sorted(testing + 1) == export.index[export["split"] == "test"].tolist()


@needs_data
def test_it_is_right_more_often_than_the_bounds(run: Run) -> None:
    *hospitals, average, pooled = run.line("Consilium, this run")
    assert average >= 0.80
    assert pooled >= 0.79
    assert hospitals == pytest.approx([0.7788, 0.7978, 0.8125, 0.8222], abs=1e-4)
    assert [average, pooled] == pytest.approx([0.8028, 0.7953], abs=1e-4)


@needs_data
def test_it_equals_scikit_learn_on_pooled_rows(run: Run) -> None:
    assert run.report.max_abs_coefficient_difference is not None
    assert run.report.max_abs_coefficient_difference < 1e-6
    together = run.line("Consilium, this run")
    assert together == run.line("scikit-learn on pooled rows")


@needs_data
def test_it_equals_a_model_that_shares_no_code_with_it(run: Run) -> None:
    frames = [pd.read_csv(run.place / n / "heart.csv", na_values="?") for n in SITES]
    frame = pd.concat(frames)[[*heart_study.INPUTS, "num", "split"]].dropna()
    train = (frame["split"] == "train").to_numpy()
    dummies = pd.get_dummies(frame[list(heart_study.INPUTS)], columns=["cp", "restecg"])
    x = dummies.drop(columns=["cp_1.0", "restecg_0.0"]).astype(float)
    x = (x - x[train].mean()) / x[train].std(ddof=0)
    y = (frame["num"] > 0).to_numpy()
    found = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(x[train], y[train])
    ours = sorted(row.coefficient for row in run.report.coefficients)
    theirs = sorted([*found.coef_[0], *found.intercept_])
    assert len(ours) == 14
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert run.report.together is not None
    right = (found.predict(x[~train]) == y[~train]).mean()
    assert run.report.together.accuracy == pytest.approx(right, abs=1e-12)


@needs_data
def test_other_splits_and_unseen_hospitals_agree(run: Run) -> None:
    *_, average, pooled = run.line("40 other splits: mean")
    assert [average, pooled] == pytest.approx([0.806, 0.798], abs=0.004)
    *_, alone, pooled_alone = run.line("40 other splits: standardised by itself")
    assert average - alone > 0.08
    assert pooled - pooled_alone > 0.03
    left = run.line("hospital left out")
    apart = run.line("hospital left out: standardised by itself")
    assert all(ours > theirs for ours, theirs in zip(left, apart, strict=True))


@needs_data
def test_standardising_each_hospital_by_itself_costs_nine_points(run: Run) -> None:
    *_, average, pooled = run.line("each hospital standardised by itself")
    assert [average, pooled] == pytest.approx([0.713, 0.724], abs=0.001)


@needs_data
def test_the_majority_class_is_shown_beside_the_models(run: Run) -> None:
    *_, average, pooled = run.line("each hospital's majority class")
    assert [average, pooled] == pytest.approx([0.721, 0.638], abs=0.001)


@needs_data
def test_the_terminal_and_the_notes_say_how_little_it_is(run: Run) -> None:
    assert max(map(len, heart.table(run.compared))) <= 100
    assert "±4.9 points" in run.compared.notes[0]
    assert "Switzerland tests 16" in run.compared.notes[0]


@needs_data
def test_a_hospital_with_one_class_takes_part(run: Run) -> None:
    table = run.tables["switzerland"]
    assert table.rows("train").y.all()
    assert not table.rows("test").y.all()
    by_name = {each.name: each for each in run.report.sites}
    assert by_name["switzerland"].together is not None
    assert by_name["switzerland"].alone is not None
    assert "one class" in (by_name["switzerland"].alone.note or "")


@needs_data
def test_constants_come_from_training_people_only(run: Run) -> None:
    assert run.report.describe.records == 486


# --- the traps of the real files -----------------------------------------------------


SPARSE = (
    Category(kind="category", name="slope", levels=("1", "2", "3")),
    Number(kind="number", name="ca", unit="1", range=(0, 3)),
    Category(kind="category", name="thal", levels=("3", "6", "7")),
)
"""The three variables that FLamby drops."""


@pytest.fixture(scope="module")
def everyone(run: Run) -> dict[str, Table]:
    """Return all thirteen variables of all people: gaps are kept, not excluded."""
    kept = {"number": "median", "category": "mode"}
    inputs = [
        each.model_copy(update={"missing": kept[each.kind]})
        for each in run.study.variables
    ]
    asked = run.study.model_copy(update={"declared": (*inputs, *SPARSE)})
    return {name: review.check(mapped(run, name), asked).table for name in SITES}


def mapped(run: Run, name: str) -> Site:
    """Return a hospital that maps the sparse columns too."""
    local = site.read(run.place / name / "site.toml")
    columns = dict(local.mapping.columns)
    for each in SPARSE:
        levels = each.levels if isinstance(each, Category) else ()
        spelled = {f"{level}.0": level for level in levels}
        columns[each.name] = Column(column=each.name, levels=spelled)
    return replace(local, mapping=local.mapping.model_copy(update={"columns": columns}))


@needs_data
def test_every_missing_cell_is_counted_and_none_is_filled(
    everyone: dict[str, Table],
) -> None:
    tables = everyone.values()
    gaps = sum(int(np.isnan(table.values).sum()) for table in tables)
    lines = [line for table in tables for line in table.report]
    counted = sum(line.count for line in lines if line.step == "missing")
    assert gaps == counted == 1759
    assert sum(len(table.outcome) for table in tables) == 920


@needs_data
def test_people_who_look_alike_are_not_one_person(everyone: dict[str, Table]) -> None:
    alike = {name: int(published(name).duplicated().sum()) for name in SITES}
    assert sum(alike.values()) == 2
    assert {name: len(table.outcome) for name, table in everyone.items()} == RECORDS
    told = {
        name: line.count
        for name, table in everyone.items()
        for line in table.report
        if line.step == "lookalikes"
    }
    assert told == {"hungary": 2, "va-long-beach": 2}, (
        "the steward is told of both pairs"
    )


@needs_data
def test_filling_forward_over_rows_would_copy_other_people(
    everyone: dict[str, Table],
) -> None:
    """The naive step, on the very gaps that ours leaves."""
    frames = [pd.DataFrame(table.values) for table in everyone.values()]
    gaps = pd.concat(frames).isna()
    filled = pd.concat(frames).ffill()[gaps].notna().sum().sum()
    assert filled == 1759, "all 1,759 gaps; each person has one record"


@needs_data
def test_dropping_incomplete_records_would_lose_hospitals(
    everyone: dict[str, Table],
) -> None:
    left = {
        name: int((~np.isnan(table.values).any(axis=1)).sum())
        for name, table in everyone.items()
    }
    assert left == {
        "cleveland": 297,
        "hungary": 1,
        "switzerland": 0,
        "va-long-beach": 1,
    }


@needs_data
def test_a_column_that_is_hardly_measured_can_stop_its_hospital(run: Run) -> None:
    everything = (*run.study.variables, *SPARSE)
    quality = run.study.quality.model_copy(update={"missing_of": {"ca": 0.9}})
    asked = run.study.model_copy(update={"declared": everything, "quality": quality})
    review.check(mapped(run, "cleveland"), asked)
    for name in ("hungary", "switzerland", "va-long-beach"):
        with pytest.raises(DataError, match="of the records have no ca; the study"):
            review.check(mapped(run, name), asked)


@needs_data
def test_decimals_and_negative_values_are_kept(everyone: dict[str, Table]) -> None:
    place = heart_study.INPUTS.index("oldpeak")
    values = {name: table.values[:, place] for name, table in everyone.items()}
    assert values["cleveland"][0] == 2.3
    assert values["switzerland"][0] == 0.7
    assert sum(int((each < 0).sum()) for each in values.values()) == 12


@needs_data
def test_two_spellings_of_a_code_are_one_level(everyone: dict[str, Table]) -> None:
    place = heart_study.INPUTS.index("sex")
    men = {name: int(table.values[:, place].sum()) for name, table in everyone.items()}
    assert men == dict(zip(SITES, (206, 213, 113, 194), strict=True))


@needs_data
def test_a_code_that_is_not_mapped_stops_the_hospital(run: Run, tmp_path: Path) -> None:
    local = site.read(run.place / "cleveland" / "site.toml")
    text = local.path.read_text().replace('"1.0" = "male"', '"1" = "male"')
    (tmp_path / "heart.csv").write_bytes(local.data_file.read_bytes())
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(DataError, match="206 of 303 cells of sex"):
        review.check(site.read(tmp_path / "site.toml"), run.study)


def cholesterol(run: Run) -> Study:
    """Return the study with the range of cholesterol that a living person can have."""
    variables = [
        each.model_copy(update={"range": (70.0, 700.0), "missing": "median"})
        if each.name == "chol"
        else each
        for each in run.study.variables
    ]
    return run.study.model_copy(update={"declared": tuple(variables)})


@needs_data
def test_a_cholesterol_of_zero_is_noticed_when_the_range_says_so(run: Run) -> None:
    local = site.read(run.place / "switzerland" / "site.toml")
    with pytest.raises(DataError, match="100% of chol lie outside 70 to 700"):
        review.check(local, cholesterol(run))


@needs_data
def test_a_cholesterol_of_zero_is_a_gap_when_the_site_says_so(run: Run) -> None:
    local = site.read(run.place / "switzerland" / "site.toml")
    columns = dict(local.mapping.columns)
    columns["chol"] = columns["chol"].model_copy(update={"missing": ("0",)})
    mapping = local.mapping.model_copy(update={"columns": columns})
    table = review.check(replace(local, mapping=mapping), cholesterol(run)).table
    counted = [line.count for line in table.report if line.variable == "chol"]
    assert counted == [123]
    assert np.isnan(table.values[:, heart_study.INPUTS.index("chol")]).all()
