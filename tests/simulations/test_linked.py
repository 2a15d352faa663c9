"""Invented hospitals with five kinds of source: what is read is what was planted."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from client import site as sites
from client.cli import client
from client.numbers import redaction
from client.table import Table
from client.tables import integration
from common import study as studies
from common.errors import DataError
from common.schema import Category, Image, Number, texts
from common.study import Study
from simulations import plain
from simulations.cli import simulate
from simulations.engines import engine, processes
from simulations.invented import linked, patients, stays, wards
from simulations.invented.linked import NAMES
from simulations.invented.patient_study import SIGNALS, TEXTS
from simulations.invented.tables import CANARY
from simulations.worth import result
from tests import outcomes, postgres
from tests.simulations.test_hospitals import files

OMOP, URL = "brunnen", "BRUNNEN_URL"
PICTURE = Image(name="radiograph", size=(28, 28))


@dataclass(frozen=True)
class World:
    """What one call wrote, read back: the study, the truth, the cleaned tables."""

    place: Path
    study: Study
    truth: dict[str, Any]
    tables: dict[str, Table]

    def stays(self, name: str) -> list[dict[str, Any]]:
        """Return who is in the clean table of a hospital, as planted."""
        return list(self.truth["hospitals"][name]["stays"])

    def planted(self, name: str) -> dict[str, int]:
        """Return how much of each kind of damage a hospital has."""
        return dict(self.truth["hospitals"][name]["planted"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Write the hospitals and clean each, once."""
    place = tmp_path_factory.mktemp("linked")
    study = studies.read(linked.write(place, 1))
    tables = {
        name: integration.table(sites.read(place / name / "site.toml"), study)
        for name in NAMES
    }
    known = json.loads((place / "truth.json").read_text(encoding="utf-8"))
    return World(place, study, known, tables)


def true_rows(world: World, name: str) -> np.ndarray:
    """Return the planted values as a clean table has them, the outcome last."""
    return np.array([_row(world.study, stay) for stay in world.stays(name)])


def _row(study: Study, stay: dict[str, Any]) -> list[float]:
    row: list[float] = []
    for variable in (*study.declared, study.outcome):
        if variable.kind == "text":
            text = stay[variable.name]
            # Masked by the generator, not by the code that is tested.
            hashed = redaction.hashed([text or ""], variable.buckets, 1)[0]
            row += hashed.tolist() if text else [np.nan] * variable.buckets
            continue
        value = stay["values"][variable.name]
        if value is None:
            row.append(np.nan)
        elif isinstance(variable, Number):
            row.append(float(value))
        else:
            row.append(float(variable.coded.index(value)))
    return row


def in_order(rows: np.ndarray) -> np.ndarray:
    """Return *rows* in an order of their own: a table keeps no name to sort by."""
    rounded = np.nan_to_num(np.round(rows, 6), nan=-1.0)
    return rows[np.lexsort(rounded.T[::-1])]


@pytest.mark.parametrize("name", NAMES)
def test_the_clean_table_is_the_truth(world: World, name: str) -> None:
    """CSV, OMOP, FHIR, Parquet: every number, level, window and text, every gap."""
    holds_the_truth(world, name)


def holds_the_truth(world: World, name: str) -> None:
    table = world.tables[name]
    found = in_order(np.column_stack([table.values, table.outcome]))
    true = in_order(true_rows(world, name))
    assert found.shape == true.shape
    np.testing.assert_allclose(found, true, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_comes_back_grey_by_grey(world: World, name: str) -> None:
    """NPZ, PNG and DICOM, mirrored, negative and through a window."""
    asked = world.study.model_copy(
        update={"declared": world.study.declared[:1], "image": PICTURE}
    )
    table = integration.table(sites.read(world.place / name / "site.toml"), asked)
    greys = np.rint(table.images[..., 0] * 255).astype(np.uint8)
    np.testing.assert_allclose(greys / 255, table.images[..., 0], atol=1e-6)
    found = sorted(hashlib.sha256(each.tobytes()).hexdigest() for each in greys)
    known = [each["picture"] for each in world.stays(name)]
    assert found == sorted(each for each in known if each)


def test_unfit_pictures_are_left_out_by_the_steward_or_stop_the_site(
    world: World,
) -> None:
    """Burnt in, silent, overlaid and half: each is refused with its reason."""
    path = world.place / "dunmere" / "site.toml"
    local = sites.read(path)
    source = local.mapping.named["radiographs"].model_copy(update={"leave_out": ()})
    mapping = local.mapping.model_copy(
        update={"sources": {**local.mapping.sources, "radiographs": source}}
    )
    asked = world.study.model_copy(update={"image": PICTURE})
    with pytest.raises(DataError, match="4 of 79 DICOM files are refused") as no:
        integration.table(replace(local, mapping=mapping), asked)
    for why in ("burnt into", "does not say", "an overlay", "damaged"):
        assert why in str(no.value)
    assert not said_in(str(no.value), world)


def said_in(text: str, world: World) -> list[str]:
    """Return which names, numbers and texts of people stand in *text*."""
    secrets = {CANARY, *CANARY.split()}
    for name in NAMES:
        secrets |= {stay["person"] for stay in world.stays(name)}
    return [each for each in secrets if each in text]


def test_no_person_is_in_a_table_or_a_report(world: World) -> None:
    said = "".join(f"{table!r}{table.report}" for table in world.tables.values())
    assert not said_in(said, world)


@pytest.mark.parametrize("name", NAMES)
def test_no_person_is_in_what_a_steward_sees_or_a_log_holds(
    world: World, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All that a check prints, in words and as JSON, and all that it logs."""
    study, path = world.place / "study.toml", world.place / name / "site.toml"
    asked = ["check", "--study", str(study), "--site", str(path)]
    with caplog.at_level("DEBUG"):
        ways = ([], ["--json"]) if name == "dunmere" else ([],)
        said = [CliRunner().invoke(client, [*asked, *more]) for more in ways]
    assert not any(each.exit_code for each in said), said[0].output
    assert "heart_rate_mean" in said[0].output
    whole = "".join(each.output for each in said) + caplog.text
    assert not said_in(whole, world)


def test_every_name_that_was_planted_is_in_some_file(world: World) -> None:
    """The canary is there to be found: a test that looks for it can fail."""
    held = [name for name, content in files(world.place).items() if holds(content)]
    kinds = {Path(name).suffix for name in held}
    assert {".csv", ".sqlite", ".ndjson", ".parquet", ".dcm"} <= kinds


def holds(content: bytes) -> bool:
    return b"Zugvogel" in content


@pytest.mark.parametrize("name", NAMES)
def test_what_was_planted_is_counted(world: World, name: str) -> None:
    """Copies, people without a number, unknown outcomes: as many as were planted."""
    planted = world.planted(name)
    counts = {each.what: each.count for each in world.tables[name].report}
    tables = name in ("ashford", "dunmere")
    same, other = planted["copy same"], planted["copy blanked"]
    twice = counts["registered twice with the same content"]
    assert twice == (same if tables else same + other)
    if tables:
        kept = "registered twice with other content: the most complete is kept"
        assert counts[kept] == other
        assert counts["records without a person"] == planted["copy nameless"]
    assert counts["records outside the cohort"] == planted["too young"]
    out = sum(count for why, count in planted.items() if why.startswith("typo "))
    assert (
        0
        < sum(each.count for each in world.tables[name].report if each.step == "ranges")
        <= out + planted["copy same"] + planted["copy twin"] + planted["copy blanked"]
    )


def test_every_identifier_in_a_text_is_found(world: World) -> None:
    """Recall of redaction on what was planted is 1, and nothing else is taken out."""
    kinds = dict.fromkeys(("name", "date", "phone", "email", "record"), 0)
    for name in NAMES:
        for why, count in world.planted(name).items():
            if why.startswith("identifier "):
                kinds[why.split()[1]] += count
    assert min(kinds.values()) > 100
    ward = wards.WARDS[0]
    for stay in stays.admit(ward, np.random.default_rng((1, 0))):
        for text in (stay.media.note, stay.media.abstract) if stay.media else ():
            assert redaction.redacted(text.said) == text.masked


def test_the_command_writes_the_same_bytes_for_the_same_seed(
    world: World, tmp_path: Path
) -> None:
    """Also of databases, archives, DICOM and Parquet."""
    done = CliRunner().invoke(simulate, ["hospitals", str(tmp_path), "--sources=all"])
    assert done.exit_code == 0, done.output
    assert "consilium simulate run" in done.output
    ours, again = files(world.place), files(tmp_path)
    assert ours.keys() == again.keys()
    assert [name for name in ours if ours[name] != again[name]] == []


def test_the_study_declares_what_five_kinds_of_source_hold(world: World) -> None:
    assert {each.name for each in texts(world.study.declared)} == set(TEXTS)
    names = {each.name for each in world.study.variables}
    assert {each.name for each in SIGNALS} < names
    assert any(isinstance(each, Category) for each in world.study.variables)


def test_hospitals_are_not_identically_distributed(world: World) -> None:
    ages = [float(np.nanmean(world.tables[name].values[:, 0])) for name in NAMES]
    assert max(ages) - min(ages) > 5
    shares = [world.tables[name].outcome.mean() for name in NAMES]
    assert max(shares) - min(shares) > 0.1


def test_one_model_over_four_technologies_is_the_pooled_one(world: World) -> None:
    """Sums of the four tables give what all records in one place would."""
    tables = [world.tables[name] for name in NAMES]
    together = plain.run(world.study, tables)["logistic"]
    pooled = plain.run(world.study, [plain.pooled(tables)])["logistic"]
    np.testing.assert_allclose(
        together.arrays["weights"], pooled.arrays["weights"], atol=1e-8
    )


def test_every_hospital_lets_the_study_in(world: World) -> None:
    """Through the door, which asks for enough people inside the cohort and outside."""
    paths = result.folders(world.place)
    found = result.simulate(world.study, paths, engine.in_process()).outcome
    tables = [world.tables[path.parent.name] for path in paths]
    together = plain.run(world.study, tables)["logistic"].arrays["weights"]
    weights = found.states["logistic"].arrays["weights"]
    np.testing.assert_allclose(weights, together, atol=1e-8)


@pytest.mark.slow
def test_four_technologies_as_processes_are_the_same_to_the_bit(world: World) -> None:
    paths = result.folders(world.place)
    alone = result.simulate(world.study, paths, engine.in_process()).outcome
    ran = processes.engine(kill_one=False)
    outcomes.same(result.simulate(world.study, paths, ran).outcome, alone)


def moved(world: World, place: Path) -> Path:
    """Copy the hospitals to *place*, the OMOP one as of a server; return its file."""
    shutil.copytree(world.place, place)
    path = place / OMOP / "site.toml"
    text = path.read_text("utf-8").replace(
        'file = "omop.sqlite"', f'url_env = "{URL}"\nnamespace = "{postgres.SCHEMA}"'
    )
    for table in ("note n", "person p"):
        text = text.replace(f" {table} ", f" {postgres.SCHEMA}.{table} ")
    path.write_text(text, "utf-8")
    return path


def test_a_url_reaches_the_process_of_its_own_hospital_alone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(world, tmp_path / "hospitals")
    monkeypatch.setenv(URL, "postgresql+psycopg://reader:secret@host/cdm")
    told = {
        path.parent.name: URL in processes.hospital(tmp_path, path).environment
        for path in result.folders(tmp_path / "hospitals")
    }
    assert told == {name: name == OMOP for name in NAMES}


@pytest.fixture(scope="module")
def served(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Move the records of the OMOP hospital into a PostgreSQL: no file has them."""
    if not postgres.here():
        pytest.skip("this machine has no PostgreSQL that could be started")
    place = tmp_path_factory.mktemp("served") / "hospitals"
    path = moved(world, place)
    with postgres.server() as url, pytest.MonkeyPatch.context() as patch:
        postgres.load(url, place / OMOP / "omop.sqlite")
        (place / OMOP / "omop.sqlite").unlink()
        patch.setenv(URL, url)
        table = integration.table(sites.read(path), world.study)
        yield replace(world, place=place, tables={**world.tables, OMOP: table})


@pytest.mark.slow
def test_a_postgresql_gives_the_truth(served: World, world: World) -> None:
    """And counts the same damage as the file did."""
    holds_the_truth(served, OMOP)
    assert served.tables[OMOP].report == world.tables[OMOP].report


@pytest.mark.slow
def test_with_a_postgresql_the_model_is_the_pooled_one_in_every_engine(
    served: World,
) -> None:
    """In process as pooled, and as processes the same to the bit."""
    tables = [served.tables[name] for name in NAMES]
    pooled = plain.run(served.study, [plain.pooled(tables)])["logistic"]
    paths = result.folders(served.place)
    alone = result.simulate(served.study, paths, engine.in_process()).outcome
    weights = alone.states["logistic"].arrays["weights"]
    np.testing.assert_allclose(weights, pooled.arrays["weights"], atol=1e-8)
    ran = processes.engine(kill_one=False)
    outcomes.same(result.simulate(served.study, paths, ran).outcome, alone)


def test_invented_people_have_the_published_marginals() -> None:
    """Quantiles of NHANES by sex, glucose with HbA1c 0.82, and the published shares."""
    everyone = patients.invent(
        patients.Population(20_000, 55, 0.5, (0, 0, 0)), np.random.default_rng(0)
    )
    for sex, published in (("female", patients.WOMEN), ("male", patients.MEN)):
        some = [each.values for each in everyone if each.values["sex"] == sex]
        for name, quantiles in published.items():
            values = [float(each[name]) for each in some]
            found = np.quantile(values, [0.25, 0.5, 0.75])
            np.testing.assert_allclose(found, quantiles[4:7], rtol=0.03)
    pair = [[float(e.values[n]) for e in everyone] for n in ("glucose", "hba1c")]
    assert np.corrcoef(pair)[0, 1] == pytest.approx(0.82, abs=0.02)
    for name, level, share in (
        ("diabetes", "yes", patients.DIABETIC),
        ("smoking", "current", patients.CURRENT),
        ("readmitted", "yes", patients.READMITTED),
    ):
        found = np.mean([each.values[name] == level for each in everyone])
        assert found == pytest.approx(share, abs=0.025), name
