"""No name, no number, no phrase and no value of a person is anywhere but in the data.

Four hospitals with five kinds of source, each with canaries in it, and each damaged in
a way that its reader has to complain about. All that is said and all that is written,
also for a moment, is searched.
"""

import base64
import json
import logging
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import client.app
from common import study as studies
from common.cli import build
from common.errors import ConsiliumError, DataError, QuorumError
from common.terminal import run
from simulations.engines import engine, processes
from simulations.invented import linked
from tests import canaries, residents
from tests.canaries import NAME, NUMBER, PHRASE, Search, Watch
from tests.damages import DAILY, DAMAGES

SOME = 5
"""How many records of a source get the phrase and the number."""


@dataclass(frozen=True)
class World:
    """The hospitals with canaries in them, and what finds a canary."""

    place: Path
    people: dict[str, list[str]]

    @property
    def search(self) -> Search:
        known = [each for people in self.people.values() for each in people]
        known += [each.replace("c-", "p") for each in known]  # as FHIR has them
        return Search(frozenset(each.encode() for each in known))

    @property
    def study(self) -> Path:
        return self.place / "study.toml"

    def site(self, name: str) -> Path:
        return self.place / name / "site.toml"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Write the hospitals, and plant what the generator does not."""
    place = tmp_path_factory.mktemp("canaries")
    linked.write(place, 1)
    known = json.loads((place / "truth.json").read_text(encoding="utf-8"))
    people = {
        name: [stay["person"] for stay in hospital["stays"]]
        for name, hospital in known["hospitals"].items()
    }
    (place / "truth.json").unlink()
    for name, plant in PLANTED.items():
        plant(place / name)
        path = place / name / "site.toml"
        path.write_text('home = "state"\n' + path.read_text())
    return World(place, people)


def _csv(folder: Path) -> None:
    frame = pd.read_csv(folder / "stays.csv", dtype=str, keep_default_na=False)
    frame.loc[:SOME, "Note"] += f" {PHRASE} {NUMBER}."
    frame.loc[:SOME, "Glucose"] = repr(NUMBER)
    frame.to_csv(folder / "stays.csv", index=False)
    _signals(folder)


def _signals(folder: Path) -> None:
    path = folder / "monitor.csv"
    lines = path.read_text().splitlines()
    lines[3 : 3 + SOME] = [f"{line.rpartition(',')[0]},{NUMBER}" for line in lines[3:8]]
    path.write_text("\n".join(lines) + "\n")


def _omop(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "omop.sqlite")) as database, database:
        database.execute("UPDATE note SET note_text = note_text || ?", (PHRASE,))
        change = "UPDATE measurement SET value_as_number = ? WHERE measurement_id < ?"
        database.execute(change, (NUMBER, SOME))
    _signals(folder)


def _fhir(folder: Path) -> None:
    path = folder / "fhir" / "Observation.ndjson"
    resources = [json.loads(line) for line in path.read_text().splitlines()]
    for each in resources[:SOME]:
        each["note"] = [{"text": PHRASE}]
        if "valueQuantity" in each:
            each["valueQuantity"]["value"] = NUMBER
    path.write_text("\n".join(map(json.dumps, resources)) + "\n")
    _notes(folder)
    _signals(folder)


def _notes(folder: Path) -> None:
    for path in (folder / "notes").iterdir():
        path.write_text(path.read_text() + f"\n{PHRASE} {NUMBER}.\n")


def _parquet(folder: Path) -> None:
    path = folder / "stays.parquet"
    frame = pd.read_parquet(path)
    frame.loc[:1, "glucose"] = NUMBER
    frame.assign(remark=PHRASE).to_parquet(path, index=False)
    _notes(folder)
    for path in (folder / "monitor").glob("*.hea"):
        path.write_text(path.read_text() + f"# {NAME}: {PHRASE}\n")


PLANTED: dict[str, Callable[[Path], None]] = {
    "ashford": _csv,
    "brunnen": _omop,
    "corvane": _fhir,
    "dunmere": _parquet,
}


@dataclass
class Desk:
    """Where somebody types commands, with all that is said and written searched."""

    watch: Watch
    heard: Callable[[], str]

    def types(self, *words: object) -> tuple[int, str]:
        """Run a command as a shell would: a warning of a library is printed."""
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            code = run(build(), [str(word) for word in words])
        said = self.listens(f"what `{' '.join(map(str, words[:3]))}` said")
        assert code != ConsiliumError.exit_code, said
        return code, said

    def listens(self, where: str) -> str:
        """Search what was said since the last time."""
        said = self.heard()
        self.watch.said(where, said.encode())
        return said

    def finds(self) -> list[str]:
        """Return what was found until now, and in what is there."""
        self.watch.look()
        return self.watch.finds


@pytest.fixture
def desk(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Desk]:
    """Sit in an empty folder, with one for what is temporary, and listen."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def heard() -> str:
        told = capfd.readouterr()
        said = told.out + told.err + caplog.text
        caplog.clear()
        return said

    states = [world.place / name / "state" for name in PLANTED]
    with canaries.watching(world.search, tmp_path, *states) as watch:
        yield Desk(watch, heard)
    client.app.SHELF.held.clear()


def test_a_canary_in_any_form_and_for_a_moment_is_found(tmp_path: Path) -> None:
    """The search can fail: else the others here would say nothing."""
    search = Search(frozenset([b"12345678"]))
    for held in (
        f"cannot convert {NAME!r}",
        f"kind: {PHRASE}",
        f"{NUMBER}",
        "of person 12345678",
        base64.b64encode(b"4" + NAME.encode()).decode(),
        f"{NAME.encode().hex()}",
    ):
        assert search.find(held.encode()), held
    assert search.find(NAME.encode("utf-16"))
    assert search.find(pd.Series([1.0, NUMBER]).to_numpy().tobytes())
    assert not search.find(b"0.9912345678 and 123456789")
    with canaries.watching(search, tmp_path) as watch:
        (tmp_path / "brief.txt").write_text(NAME)
        while not watch.seen:
            pass
        (tmp_path / "brief.txt").unlink()
    assert len(watch.finds) == 1


def test_canaries_are_in_every_source(world: World) -> None:
    kinds = {
        path.suffix
        for path in world.place.rglob("*")
        if path.is_file() and world.search.find(path.read_bytes())
    }
    assert kinds >= {".csv", ".sqlite", ".ndjson", ".parquet", ".dcm", ".txt", ".hea"}


@pytest.mark.parametrize("name", PLANTED)
def test_a_steward_is_shown_nobody(world: World, desk: Desk, name: str) -> None:
    at, asked = ("--site", world.site(name)), ("--study", world.study)
    person = world.people[name][0]
    commands: tuple[tuple[object, ...], ...] = (
        ("check", *asked, "-v"),
        ("data", "check", *asked, "--page", "page.html", "--json"),
        ("data", "suggest", *asked),
        ("review", world.study),
        ("approve", world.study, "--i-am-approving", "readmission"),
        ("inbox",),
        ("withdraw", person),
        ("verify", "--json"),
        ("status", "--json"),
        ("doctor",),
    )
    codes = [desk.types("client", *words, *at)[0] for words in commands]
    (world.place / name / "state" / "withdrawn.json").unlink()
    assert desk.finds() == []
    assert codes[:-2] == [0] * (len(commands) - 2)
    assert {"page.html", "ledger.jsonl"} <= {path.name for path in desk.watch.seen}


def test_a_study_keeps_nobody(world: World, desk: Desk) -> None:
    """Its report, model, journal, ledgers and tables at rest, during the run too."""
    approve = ("client", "approve", world.study, "--i-am-approving", "readmission")
    for name in PLANTED:
        assert desk.types(*approve, "--site", world.site(name))[0] == 0
    ran = ("simulate", "run", world.study, "--data", world.place)
    assert desk.types(*ran, "--out", "out", "--journal", "journal")[0] == 0
    assert desk.finds() == []
    kinds = {path.suffix for path in desk.watch.seen}
    assert {".jsonl", ".json", ".html", ".table", ".key"} <= kinds


def damaged(world: World, place: Path, called: str) -> tuple[Path, Path]:
    """Return the study and the settings of a hospital with damaged files."""
    damage = DAMAGES[called]
    folder = place / called.replace(" ", "-")
    ignore = shutil.ignore_patterns("state")
    shutil.copytree(world.place / damage.site, folder, ignore=ignore)
    damage.change(folder)
    text = world.study.read_text()
    if damage.pictures:
        for old, new in PICTURED.items():
            assert old in text
            text = text.replace(old, new, 1)
    study = folder / "study.toml"
    study.write_text(text)
    return study, folder / "site.toml"


PICTURED = {
    "[model]": '[image]\nname = "radiograph"\nsize = [28, 28]\n\n[model]',
    'kind = "logistic"\nridge = 10.0': 'kind = "image_network"',
    "quorum = 4": "quorum = 4\nmaximum = 60",
}
"""How the study asks for pictures, too."""
EVERY = [
    pytest.param(each, marks=() if each in DAILY else (pytest.mark.slow,))
    for each in DAMAGES
]


@pytest.mark.parametrize("called", EVERY)
def test_a_damaged_source_quotes_nobody(
    world: World, desk: Desk, tmp_path_factory: pytest.TempPathFactory, called: str
) -> None:
    study, path = damaged(world, tmp_path_factory.mktemp("damaged"), called)
    desk.heard()  # what the damage itself made a library say
    asked = ("check", "-v", "--study", study, "--site", path)
    code, said = desk.types("client", "data", *asked)
    assert desk.finds() == []
    assert code in (0, DataError.exit_code), said
    assert not code or "site.toml" in said


def test_an_aggregator_hears_nobody_of_a_damaged_source(
    world: World, desk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What a site answers to a study that it cannot read, and what is written of it."""
    place = tmp_path_factory.mktemp("damaged")
    chosen = ("csv type", "sql type", "fhir line", "parquet level")
    paths = [damaged(world, place, each)[1] for each in chosen]
    study = studies.read(world.study)
    for path in paths:
        residents.approve(path, study)
    with (
        canaries.watching(
            world.search, *(path.parent / "state" for path in paths)
        ) as at,
        pytest.raises(QuorumError) as no,
    ):
        engine.run(study, paths, Path("journal"))
    desk.watch.said("the error", f"{no.value} {no.value.facts()}".encode())
    desk.listens("the log")
    assert desk.finds() + at.finds == []


@pytest.mark.slow
def test_processes_over_a_network_keep_nobody(
    world: World, desk: Desk, tmp_path: Path
) -> None:
    """Logs, ledgers, journals, caches, results and what is there for a moment only."""
    study = studies.read(world.study)
    sites = [world.site(name) for name in PLANTED]
    for path in sites:
        residents.approve(path, study)
    with processes.federation(tmp_path / "real", study, sites) as running:
        processes.run(study, running)
    desk.listens("the processes")
    assert desk.finds() == []
    kinds = {path.suffix for path in desk.watch.seen}
    assert {".log", ".jsonl", ".toml", ".table"} <= kinds
