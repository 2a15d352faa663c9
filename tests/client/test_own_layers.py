"""What a site keeps of its personal layers: durably, encrypted, and to predict with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import client.app
from client import site
from client.bedside import gaining, predicting
from client.books import at_rest
from client.books.memory import Turn
from client.learning import own_layers
from common import personal
from common.cli import build
from common.errors import IntegrityError, UsageError
from common.learned import model_file
from common.study import Study
from common.task import fingerprint
from common.travel import wire
from common.travel.wire import Place
from server.conduct import journal, rounds
from server.conduct.rounds import Outcome
from simulations.engines import engine
from simulations.worth import compare
from tests import clinics
from tests.client.test_home import decide
from tests.client.test_predicting import ABOUT
from tests.simulations.test_resume import KILLED, Fuse, Mortal, killed
from tests.test_personal import small

STUDY = small("tabular_network", "head", steps=5)


@pytest.fixture(autouse=True)
def _nothing_open() -> Iterator[None]:
    client.app.SHELF.held.clear()
    yield
    client.app.SHELF.held.clear()


def hospitals(place: Path, study: Study = STUDY) -> list[Path]:
    """Write hospitals with homes that approve *study*."""
    found = clinics.hospitals(place, study, 80)
    for path in found:
        path.write_text('home = "state"\n' + path.read_text())
        decide(path, study)
    return found


def stored(path: Path) -> list[Path]:
    return sorted((path.parent / "state" / "personal").glob("*"))


def own(path: Path, study: Study = STUDY) -> Any:
    kept = own_layers._read(site.read(path), study.digest())
    assert kept is not None
    return kept


def wrote(outcome: Outcome, folder: Path, study: Study = STUDY) -> Path:
    return model_file.write(model_file.of(study, outcome.states, ABOUT), folder)


def test_the_last_layers_stay_encrypted_for_their_owner(tmp_path: Path) -> None:
    north, south = hospitals(tmp_path)
    engine.run(STUDY, [north, south])
    for path in (north, south):
        (file,) = stored(path)
        kept = own(path)
        assert file.stat().st_mode & 0o077 == 0
        assert kept.after.tobytes()[:16] not in file.read_bytes()
        assert len(kept.before) == 0, "what came before is needed no more"
        assert kept.model
    assert not np.array_equal(own(north).after, own(south).after)
    (file,) = stored(north)
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(bytes(changed))
    with pytest.raises(IntegrityError, match="not what was written"):
        own(north)
    key = at_rest.key(south.parent / "state")
    assert at_rest.opened(stored(south)[0].read_bytes(), key, "other") is None


def test_the_same_round_begins_where_it_began_and_the_next_where_it_ended(
    tmp_path: Path,
) -> None:
    north, _ = hospitals(tmp_path)
    outcome = engine.run(STUDY, hospitals(tmp_path / "whole"))
    state = outcome.states["tabular_network"]
    fit = model_file.of(STUDY, outcome.states, ABOUT).model.fit
    first, second = (
        Turn((1, n), Place(STUDY.digest(), "run", fit.name, n, "a" * 64, "b" * 64, n))
        for n in (1, 2)
    )
    start = personal.taken(STUDY, state.arrays)
    for restart in (False, True):
        owner = own_layers.Owner(site.read(north), STUDY, {})
        np.testing.assert_array_equal(own_layers.begin(owner, first, state), start)
        own_layers.keep(owner, first, fit, state, start + 1.0)
        held = {} if restart else owner.held
        again = own_layers.Owner(owner.site, STUDY, held)
        np.testing.assert_array_equal(own_layers.begin(again, first, state), start)
        np.testing.assert_array_equal(
            own_layers.begin(again, second, state), start + 1.0
        )
        other = Turn((1, 1), Place(STUDY.digest(), "other", fit.name, 1))
        np.testing.assert_array_equal(own_layers.begin(again, other, state), start)


def attempt(paths: list[Path], folder: Path, fuse: Fuse) -> Outcome:
    """Run the study where whatever keeps layers may die, before and after it has."""
    engine.become(60)
    store = own_layers._store

    def mortal(*args: Any) -> None:
        fuse("before the layers")
        store(*args)
        fuse("after the layers")

    own_layers._store = mortal
    try:
        with journal.held(folder, STUDY.digest(), wire.PROTOCOL, fuse) as book:
            return rounds.run(STUDY, Mortal(paths, fuse), book)
    finally:
        own_layers._store = store


def bits(outcome: Outcome) -> dict[str, str]:
    return {name: fingerprint(state.arrays) for name, state in outcome.states.items()}


def test_killed_at_any_moment_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    fuse = Fuse()
    paths = hospitals(tmp_path / "whole")
    whole = attempt(paths, tmp_path / "whole" / "journal", fuse)
    layers = [own(path).after.tobytes() for path in paths]
    moments = [n for n, what in enumerate(fuse.passed) if "the layers" in what]
    assert len(moments) == 2 * 2 * (5 + 1 + 1), "trained, tested, closed"
    for moment in moments[::5]:
        place = tmp_path / str(moment)
        paths = hospitals(place)
        dies = Fuse(moment)
        assert killed(lambda: attempt(paths, place / "journal", dies)) == KILLED  # noqa: B023 - at once
        again = engine.run(STUDY, paths, place / "journal")
        assert bits(again) == bits(whole)
        assert [own(path).after.tobytes() for path in paths] == layers


def test_a_hospital_predicts_with_its_own_and_says_so(tmp_path: Path) -> None:
    north, south = hospitals(tmp_path)
    outcome = engine.run(STUDY, [north, south])
    model = wrote(outcome, tmp_path / "model")
    found = []
    for path in (north, south):
        local = site.read(path)
        learned = predicting.read_model(local, model)
        said = predicting.predict(local, learned, north.parent / "export.csv")
        found.append(said.expected)
        gained = gaining.gain(local, learned)
        assert gained.alone is not None
        rows = client.app.site.read(path)
        assert rows.name == local.name
    assert not np.allclose(*found)
    local = site.read(north)
    table = client.door.opened.open_study(local, STUDY, clinics.TODAY).table
    mine = compare.fitted(STUDY, outcome.states, own(north).after)
    everyone = np.concatenate([mine.predict(table.rows(s)) for s in ("train", "test")])
    np.testing.assert_allclose(np.sort(found[0]), np.sort(everyone))
    out = tmp_path / "out.csv"
    arguments = ["client", "predict", str(model), "--site", str(north)]
    said = CliRunner().invoke(build(), [*arguments, "--out", str(out)])
    assert "with the last layer that north learned for itself" in said.stderr


def test_a_hospital_without_its_own_is_told_what_to_do(tmp_path: Path) -> None:
    north, south = hospitals(tmp_path)
    model = wrote(engine.run(STUDY, [north, south]), tmp_path / "model")
    west = clinics.folder(tmp_path / "west", clinics.lines(60))
    with pytest.raises(UsageError, match="last layer of this model, and north has"):
        predicting.read_model(site.read(west), model)
    arguments = ["client", "revoke", STUDY.digest()[:12], "--site", str(north)]
    done = CliRunner().invoke(build(), [*arguments, "--reason", "a test"])
    assert done.exit_code == 0, done.output
    assert stored(north) == []
    decide(south, STUDY, "revoked")
    other = clinics.study()
    decide(south, other)
    client.door.opened.open_study(site.read(south), other, clinics.TODAY)
    assert stored(south) == []
    with pytest.raises(UsageError) as caught:
        predicting.read_model(site.read(north), model)
    assert caught.value.hints["then"] == f"consilium client status --site {north}"


def test_layers_of_another_run_do_not_go_with_this_model(tmp_path: Path) -> None:
    north, south = hospitals(tmp_path)
    own_ = wrote(engine.run(STUDY, [north, south]), tmp_path / "own")
    others = hospitals(tmp_path / "others")[:1]
    other = wrote(engine.run(STUDY, others), tmp_path / "other")
    predicting.read_model(site.read(north), own_)
    with pytest.raises(IntegrityError, match="belong to another model"):
        predicting.read_model(site.read(north), other)


def test_a_head_that_learned_nothing_predicts_nothing(tmp_path: Path) -> None:
    paths = hospitals(tmp_path)
    north = paths[0]
    north.write_text("min_people = 17\n" + north.read_text())
    model = wrote(engine.run(STUDY, paths), tmp_path / "model")
    with pytest.raises(UsageError, match="learned nothing at north"):
        predicting.read_model(site.read(north), model)
    predicting.read_model(site.read(paths[1]), model)


def test_a_study_that_ends_untested_leaves_nothing(tmp_path: Path) -> None:
    north, _ = hospitals(tmp_path)
    opened = client.door.opened.open_study(site.read(north), STUDY, clinics.TODAY)
    kept = own_layers.Kept(
        Turn((1, 1), Place(STUDY.digest(), "run")), np.zeros(3), np.ones(3)
    )
    own_layers._store(opened.owner, "run", kept)
    assert len(stored(north)) == 1
    own_layers.close(opened.owner, "run")
    assert stored(north) == []
