"""A ledger that went back is found by whoever remembers its head."""

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from client import site
from client.books import chain, home
from client.door import overlap
from common.errors import IntegrityError
from common.study import Study
from common.travel import wire
from server.conduct import heads, rounds
from server.conduct.rounds import Terms
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import charges, clinics

ONE, OTHER = "a" * 64, "b" * 64


@pytest.mark.parametrize("said", [f"8:{ONE}", f"7:{ONE}", f"100:{OTHER}"])
def test_a_ledger_that_grew_is_heard(said: str) -> None:
    heads.follows("north", {"north": f"7:{ONE}", "south": f"900:{ONE}"}, said)
    heads.follows("north", {}, said)


@pytest.mark.parametrize("said", [f"6:{ONE}", f"7:{OTHER}", f"0:{ONE}", ""])
def test_one_that_went_back_is_told_by_name(said: str) -> None:
    with pytest.raises(IntegrityError, match="the ledger of north went back") as caught:
        heads.follows("north", {"north": f"7:{ONE}"}, said)
    assert f"verify --head 7:{ONE}" in caught.value.hints["fix"]


@pytest.mark.parametrize("said", ["7", f"-1:{ONE}", f"7:{ONE}0", f"{10**16}:{ONE}"])
def test_what_is_no_head_is_refused(said: str) -> None:
    with pytest.raises(IntegrityError, match="that is none"):
        heads.follows("north", {}, said)


def test_the_head_that_is_further_on_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "private" / heads.NAME
    path.parent.mkdir(mode=0o700)
    assert heads.known(path) == {}
    heads.remember(path, {"north": f"7:{ONE}", "south": ""})
    heads.remember(path, {"north": f"5:{OTHER}", "west": f"1:{ONE}"})
    assert heads.known(path) == {"north": f"7:{ONE}", "west": f"1:{ONE}"}
    path.write_text("[]")
    with pytest.raises(IntegrityError, match="not what was written"):
        heads.known(path)


def _many(path: str, name: str) -> None:
    for number in range(20):
        heads.remember(Path(path), {name: f"{number}:{ONE}"})


def test_two_studies_remember_at_once(tmp_path: Path) -> None:
    path = tmp_path / "private" / heads.NAME
    path.parent.mkdir(mode=0o700)
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=_many, args=(str(path), name)) for name in "ab"]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert heads.known(path) == {"a": f"19:{ONE}", "b": f"19:{ONE}"}


def _cut(state: Path, before: Path) -> None:
    lines = home.log(state).read_bytes().splitlines(keepends=True)
    home.log(state).write_bytes(b"".join(lines[:2]))
    del before


def _lost(state: Path, before: Path) -> None:
    home.log(state).unlink()
    del before


def _restored(state: Path, before: Path) -> None:
    shutil.rmtree(state)
    shutil.copytree(before, state)


def _elsewhere(state: Path, before: Path) -> None:
    """A new home, as on another machine: it sees no sketch of the old one's people."""
    (state / overlap.NAME).unlink()
    path = state.parent / "site.toml"
    path.write_text(path.read_text().replace('home = "state"', 'home = "new"'))
    del before


def _run(study: Study, path: Path, kept: Path) -> rounds.Outcome:
    engine.become(80)
    return rounds.run(study, InProcess([path], 80), terms=Terms(heads=kept))


@pytest.mark.parametrize("how", [_cut, _lost, _restored, _elsewhere])
def test_the_next_study_finds_a_ledger_that_went_back(
    tmp_path: Path, how: Callable[[Path, Path], None]
) -> None:
    study = charges.study(study={**clinics.ABOUT, "sites": ["north"]})
    path = charges.site(tmp_path / "north", study, budget="epsilon = 9")
    state, kept = path.parent / "state", tmp_path / "dir" / heads.NAME
    kept.parent.mkdir(mode=0o700)
    _run(study, path, kept)
    shutil.copytree(state, tmp_path / "before")
    _run(study, path, kept)
    last = chain.head(site.read(path).entries())
    seen = int(heads.known(kept)["north"].partition(":")[0])
    assert seen == last.number - 1, "the last line is the close, after the answer"
    assert _run(study, path, kept).roster == ("north",)
    how(state, tmp_path / "before")
    with pytest.raises(IntegrityError, match="the ledger of north went back"):
        _run(study, path, kept)


def test_an_answer_carries_the_head_of_the_ledger(tmp_path: Path) -> None:
    study = charges.study()
    asked = charges.Aggregator(charges.site(tmp_path / "north", study))
    with charges.counting():
        asked.open(study)
        for number in (1, 1, 2):
            reply = wire.read_answer(asked.ask(study, number).content)
            assert reply.head == str(chain.head(site.read(asked.path).entries()))
    asked.restart()
