"""The steward's commands as they are typed: read, type a name, say no, look back."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import site
from client.books import home, ledger
from client.office import changes, desk
from common import terminal
from common.cli import build
from common.errors import QuorumError, StudyError
from common.study import Study
from common.study_commands import TEMPLATE
from simulations.engines import engine
from tests import clinics

VARIABLES = clinics.VARIABLES
VERSIONS: list[dict[str, Any]] = [
    {},
    {"model": {"kind": "logistic", "ridge": 2.0}},
    {"model": None, "evaluation": None},
    {"variables": VARIABLES[:3]},
    {"variables": VARIABLES[::-1]},
    {"variables": [*VARIABLES, {**VARIABLES[3], "name": "gender"}]},
    {"cohort": [{"variable": "age", "at_least": 18}]},
    {"cohort": [{"variable": "age", "at_least": 18, "at_most": 90}]},
    {
        "cohort": [
            {"variable": "age", "at_least": 18},
            {"variable": "age", "at_most": 90},
        ]
    },
    {"cohort": [{"variable": "pain", "one_of": ["mild", "severe"]}]},
    {"study": {**clinics.ABOUT, "sites": ["south", "north"]}},
    {"study": {**clinics.ABOUT, "purpose": "to test, twice"}},
    {"outcome": {**clinics.BINARY, "positive": "no"}},
    {"disclosure": {"min_people": 5}},
]

Type = Callable[[str], None]
Say = Callable[..., int]


@pytest.fixture
def north(tmp_path: Path) -> Path:
    path = clinics.folder(tmp_path / "north", clinics.lines(60))
    path.write_text('home = "state"\n' + path.read_text())
    return path


@pytest.fixture
def say(north: Path) -> Say:
    """Return the client's commands at this site."""

    def typed(*words: str) -> int:
        arguments = ["client", *words, "--site", str(north)]
        return terminal.run(build(), arguments)

    return typed


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Type:
    """Return what types on the keyboard."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.fixture
def asked(north: Path) -> Study:
    """Let the consortium ask for a study; nobody answered yet."""
    study = clinics.study()
    with pytest.raises(QuorumError):
        engine.run(study, [north])
    return study


def kinds(north: Path) -> list[str]:
    return [each.kind for each in site.read(north).entries()]


def facts(say: Say, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert say(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_from_a_request_to_an_answer_and_back_to_no(
    north: Path,
    say: Say,
    asked: Study,
    keyboard: Type,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (row,) = facts(say, capsys, "inbox")["studies"]
    assert (row["study"], row["state"]) == ("small", "waiting")
    assert row["digest"] == asked.digest()
    assert say("review", "small") == 0
    shown = capsys.readouterr().out
    for text in (asked.digest(), "test@consortium.example", "60 records are ready"):
        assert text in shown
    assert "records with a value" in shown
    assert "It stands here: waiting" in shown
    keyboard("small\n")
    assert say("approve", "small") == 0
    until = datetime.now(UTC).date() + timedelta(days=90)
    (row,) = facts(say, capsys, "inbox")["studies"]
    assert (row["state"], row["until"]) == ("approved", until.isoformat())
    assert engine.run(asked, [north]).roster == ("north",)
    for command, state in (
        ("pause", "paused"),
        ("resume", "approved"),
        ("revoke", "revoked"),
    ):
        assert say(command, "small", "--reason", "as agreed") == 0
        (row,) = facts(say, capsys, "inbox")["studies"]
        assert (row["state"], row["reason"]) == (state, "as agreed")
    with pytest.raises(QuorumError):
        engine.run(asked, [north])
    entry = next(e for e in site.read(north).entries() if e.kind == "approved")
    assert entry.facts == {
        "by": desk._user(),
        "typed": "small",
        "until": until.isoformat(),
    }


@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        ([], "smal\n", 7),
        ([], "Small\n", 7),
        ([], "yes\n", 7),
        ([], "\n", 2),
        ([], "", 2),
        (["--yes"], "small\n", 2),
        (["--i-am-approving", ""], "small\n", 7),
        (["--i-am-approving", "large"], "small\n", 7),
        (["--expires", "2020-01-01"], "small\n", 2),
        (["--expires", "-3d"], "small\n", 2),
        (["--expires", "soon"], "small\n", 2),
        (["--expires", "99999999999d"], "small\n", 2),
    ],
)
@pytest.mark.usefixtures("asked")
def test_no_answer_is_no(
    north: Path, say: Say, keyboard: Type, words: list[str], text: str, code: int
) -> None:
    before = kinds(north)
    keyboard(text)
    assert say("approve", "small", *words) == code
    assert kinds(north) == before
    assert not (north.parent / "state" / "studies").exists()


@pytest.mark.usefixtures("asked")
def test_where_nobody_types_it_says_what_a_script_gives(
    say: Say, keyboard: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    keyboard("")
    assert say("approve", "small") == 2
    told = capsys.readouterr().err
    assert "there is nobody to answer" in told
    assert "--i-am-approving small" in told


@pytest.mark.parametrize(
    ("text", "until"),
    [("2027-01-31", "2027-01-31"), ("2031-01-31", "2030-12-31")],
)
@pytest.mark.usefixtures("asked")
def test_a_script_names_the_study_and_no_approval_outlives_it(
    say: Say, capsys: pytest.CaptureFixture[str], text: str, until: str
) -> None:
    words = ["approve", "small", "--i-am-approving", "small", "--expires", text]
    effect = facts(say, capsys, *words)["effect"]
    assert until in effect


def test_who_approves_is_told_of_a_budget_that_refuses_and_of_sums_in_clear(
    north: Path, say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TEMPLATE.format(name="small").replace("hospital-a", "north")
    lines = [each for each in text.splitlines() if not each.startswith("privacy =")]
    kept = '\n[privacy]\nepsilon = 1.0\ndelta = 1e-5\nnoise = "site"\n'
    path = tmp_path / "study.toml"
    path.write_text("\n".join(lines) + kept)
    told = facts(say, capsys, "approve", str(path), "--i-am-approving", "small")
    assert "refused as long as" in told["effect"]
    assert "privacy budget of north" in told["effect"]
    grant = north.read_text() + "\n[budget]\nepsilon = 5.0\n"
    north.write_text(grant)
    clear = text.replace("[rounds]", "[rounds]\nsecure_aggregation = false", 1)
    assert clear != text
    path.write_text(clear)
    told = facts(say, capsys, "approve", str(path), "--i-am-approving", "small")
    assert "the aggregator sees this site's own sums" in told["effect"]
    assert "refused" not in told["effect"]


def test_a_study_that_came_as_a_file_is_put_into_the_inbox(
    north: Path, say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TEMPLATE.format(name="small").replace("hospital-a", "north")
    path = tmp_path / "study.toml"
    path.write_text(text)
    assert say("review", str(path)) == 0
    assert "it would fail: " in capsys.readouterr().out
    assert kinds(north) == []
    assert say("approve", str(path), "--i-am-approving", "small") == 0
    (row,) = facts(say, capsys, "inbox")["studies"]
    assert row["state"] == "approved"
    path.write_text(text.replace('"north"', '"south"'))
    assert say("approve", str(path), "--i-am-approving", "small") == 7
    assert "is not invited" in capsys.readouterr().err
    assert say("deny", str(path), "--reason", "we are not in it") == 0
    assert kinds(north) == ["approved", "denied"]


@pytest.mark.usefixtures("asked")
def test_what_changed_since_the_approved_version_is_shown(
    north: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("approve", "small", "--i-am-approving", "small") == 0
    later = clinics.study(**VERSIONS[1])
    with pytest.raises(QuorumError):
        engine.run(later, [north])
    found = facts(say, capsys, "review", "small")
    assert found["digest"] == later.digest()
    assert found["since"] == clinics.study().digest()
    assert found["changes"] == [
        {"setting": "model.ridge", "before": "1.0", "after": "2.0"}
    ]
    assert say("review", later.digest()[:8]) == 0
    assert "~ model.ridge: 1.0 → 2.0" in capsys.readouterr().out
    assert say("pause", "small") == 0
    assert kinds(north)[-1] == "paused"
    assert site.read(north).entries()[-1].digest == clinics.study().digest()
    assert say("deny", "small", "--reason", "weaker") == 0
    assert site.read(north).entries()[-1].digest == later.digest()
    assert say("review", "small") == 2
    shown = capsys.readouterr().err
    assert "2 versions of small are in the inbox" in shown
    assert f"{later.digest()[:12]}  denied" in shown


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["review", "heart"], 2, "no study heart is in the inbox"),
        (["pause", "small"], 7, "cannot be paused: it is waiting"),
        (["resume", "small"], 7, "cannot be resumed: it is waiting"),
        (["revoke", "small"], 7, "cannot be revoked: it is waiting"),
        (["deny", "small"], 2, "missing option '--reason'"),
        (["review", "none.toml"], 3, "there is no file none.toml"),
        (["verify", "--head", "3"], 2, "this is no head of a ledger"),
        (["verify", "--head", f"9:{'a' * 64}"], 11, "entry 9 as it was witnessed"),
        (["releases", "--since", "ever"], 2, "'ever' is no day"),
    ],
)
@pytest.mark.usefixtures("asked")
def test_what_makes_no_sense_is_explained(
    say: Say,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    says: str,
) -> None:
    assert say(*words) == code
    shown = capsys.readouterr().err
    assert says in shown
    assert "  then    " in shown or "  fix     " in shown


def test_a_site_without_a_home_says_how_to_get_one(
    north: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    north.write_text(north.read_text().removeprefix('home = "state"\n'))
    assert say("inbox") == StudyError.exit_code
    assert 'home = "state"' in capsys.readouterr().err


def test_an_empty_inbox_says_so(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    assert say("inbox") == 0
    assert "the inbox is empty" in capsys.readouterr().out
    assert facts(say, capsys, "verify")["head"] == f"0:{'0' * 64}"


def test_a_study_that_nobody_answered_ends_by_itself(
    north: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    over = clinics.study(study={**clinics.ABOUT, "expires": "2026-01-01"})
    home.keep(home.inbox(north.parent / "state"), over)
    (row,) = facts(say, capsys, "inbox")["studies"]
    assert (row["state"], row["until"]) == ("expired", "2026-01-01")
    assert say("approve", "small", "--i-am-approving", "small") == 7


def test_the_ledger_is_checked_and_shown(
    north: Path, say: Say, asked: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("approve", "small", "--i-am-approving", "small") == 0
    witnessed = facts(say, capsys, "verify")["head"]
    engine.run(asked, [north])
    assert say("verify", "--head", witnessed) == 0
    shown = capsys.readouterr().out
    assert "and the chain is whole" in shown
    for kind in ("requested", "refused", "approved", "admitted", "released"):
        assert f"  {kind}" in shown
    log = north.parent / "state" / "ledger.jsonl"
    whole = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(whole[:2]))
    assert say("verify") == 0
    assert say("verify", "--head", witnessed) == 11
    told = capsys.readouterr().err
    assert f"then    consilium client verify --site {north}\n" in told, "to be pasted"
    log.write_bytes(b"".join([whole[0], *whole[2:]]))
    assert say("verify") == 11
    assert "line 2 of the ledger does not follow" in capsys.readouterr().err


def test_nothing_from_outside_moves_the_cursor(
    north: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    note = ledger.Note("refused", "", "", {"reason": "no task '\x1b[2J\u202e'"})
    ledger.append(home.log(north.parent / "state"), note, lambda: datetime.now(UTC))
    assert say("verify") == 0
    assert not set("\x1b\u202e") & set(capsys.readouterr().out)


def test_what_left_is_listed(
    north: Path, say: Say, asked: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("approve", "small", "--i-am-approving", "small") == 0
    outcome = engine.run(asked, [north])
    count = sum(outcome.rounds.values())
    rows = facts(say, capsys, "releases", "--since", "1d")["releases"]
    assert len(rows) == count
    assert facts(say, capsys, "releases", "--since", "2999-01-01")["releases"] == []
    assert say("releases", "--csv") == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [{**row, "round": int(row["round"])} for row in table] == [
        {**row, "numbers": str(row["numbers"]), "people": str(row["people"])}
        for row in rows
    ]
    assert say("releases") == 0
    assert f"{count} releases, 1 study; 0 rows" in capsys.readouterr().out


def test_the_dry_run_knows_the_ledger(
    north: Path, asked: Study, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    found = facts(say, capsys, "review", "small")["dry_run"]
    assert not found["approved"]
    assert say("approve", "small", "--i-am-approving", "small") == 0
    found = facts(say, capsys, "review", asked.digest()[:12])["dry_run"]
    assert found["approved"]
    del north


@given(st.sampled_from(VERSIONS), st.sampled_from(VERSIONS))
def test_two_versions_differ_in_words_when_their_digests_do(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    old, new = clinics.study(**one), clinics.study(**other)
    found = changes.between(old, new)
    assert bool(found) == (old.digest() != new.digest())
    assert all(each.before != each.after for each in found)
    back = changes.between(new, old)
    assert {(c.setting, c.before, c.after) for c in found} == {
        (c.setting, c.after, c.before) for c in back
    }


def test_changes_read_like_a_sentence() -> None:
    old = clinics.study()
    changed = [{**VARIABLES[0], "range": [0, 130]}, *VARIABLES[1:3]]
    words = [
        each.words() for each in changes.between(old, clinics.study(variables=changed))
    ]
    assert "~ variables.age.range: [0.0, 120.0] → [0.0, 130.0]" in words
    assert '- variables.sex.levels = ["female", "male"]' in words
    assert not any("in order" in each for each in words)
    turned = changes.between(old, clinics.study(variables=VARIABLES[::-1]))
    assert [each.words() for each in turned] == [
        "~ variables in order: age, chol, pain, sex → sex, pain, chol, age"
    ]


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2J", "right\u202eleft", "a\x85b"])
def test_a_study_cannot_write_on_the_screen_of_who_reads_it(text: str) -> None:
    for key in ("title", "purpose", "contact"):
        with pytest.raises(ValueError, match="stands on one line"):
            clinics.study(study={**clinics.ABOUT, key: text})
