"""The study file: what is refused, on which line, and what its digest binds."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from common import study
from common.cli import build
from common.errors import StudyError
from common.study import Study
from common.study_commands import TEMPLATE
from common.written import toml_lines
from tests import clinics


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "study.toml"
    place.write_text(TEMPLATE.format(name="heart"))
    return place


def line(path: Path, text: str) -> int:
    return next(
        i for i, row in enumerate(path.read_text().splitlines(), 1) if text in row
    )


def refusal(path: Path, old: str, new: str) -> StudyError:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(StudyError) as caught:
        study.read(path)
    assert caught.value.hints["then"] == f"consilium study check {path}"
    return caught.value


def test_the_template_is_a_valid_study(path: Path) -> None:
    assert study.read(path).study.name == "heart"


def test_a_name_is_spelled_in_words_and_mended(path: Path) -> None:
    error = refusal(path, 'name = "heart"', 'name = "D_sep"')
    assert error.what == "`study.name`: small letters, digits and -"
    assert error.hints["fix"] == 'name = "d-sep"'


def test_an_element_of_a_list_is_mended_by_its_value(path: Path) -> None:
    asked = '[analysis]\nchi_square = [["Sex", "ill"]]\n\n[rounds]'
    error = refusal(path, "[rounds]", asked)
    assert error.hints["fix"] == '"sex"'
    assert error.hints["where"].endswith(f"line {line(path, 'chi_square =')}")


def test_two_slips_are_told_by_their_lines(path: Path) -> None:
    path.write_text(path.read_text().replace("quorum = 3", "quorum = -1"))
    error = refusal(path, 'name = "heart"', 'name = "D_sep"')
    assert error.hints["likely"] == f"more to mend on line {line(path, 'quorum = -1')}"


@pytest.mark.parametrize(
    ("right", "typo", "near"),
    [
        ("ridge = 1.0", "rigde = 1.0", "ridge"),
        ("quorum = 3", "quorom = 3", "quorum"),
        ('missing = "median"', 'mising = "median"', "missing"),
        ("[rounds]", "[roundz]", "rounds"),
        ("at_least = 18", "at_leest = 18", "at_least"),
        ("contact = ", "contakt = ", "contact"),
        ("positive = ", "positiv = ", "positive"),
    ],
)
def test_a_typo_is_found_by_line_and_corrected(
    path: Path, right: str, typo: str, near: str
) -> None:
    error = refusal(path, right, typo)
    assert "unknown key" in error.what
    assert error.hints["fix"] == f"did you mean `{near}`?"
    assert error.hints["where"] == f"{path} line {line(path, typo)}"


@pytest.mark.parametrize(
    ("kind", "key", "of"),
    [
        ("svm", "l1_share = 0.5", "linear, logistic"),
        ("logistic", "depth = 3", "random_forest"),
        ("random_forest", "ridge = 1.0", "cox, linear"),
    ],
)
def test_a_key_of_another_kind_is_told_whose_it_is(
    path: Path, kind: str, key: str, of: str
) -> None:
    told = "\n".join([f'kind = "{kind}"', *sorted({key, "ridge = 1.0"})])
    error = refusal(path, 'kind = "logistic"\nridge = 1.0', told)
    assert (
        error.what == f'`model.{key.split(maxsplit=1)[0]}` is no key of kind "{kind}"'
    )
    assert error.hints["fix"].startswith(f"leave it out; it is of {of}")


@pytest.mark.parametrize(
    ("wrong", "fix"),
    [
        ('chi_square = ["sex"]', '["sex", "…"]'),
        ('chi_square = "sex"', 'chi_square = ["sex", "…"]'),
        ("quantiles = [0.5, 95]", "0.95"),
    ],
)
def test_an_analysis_of_another_form_is_mended(
    path: Path, wrong: str, fix: str
) -> None:
    error = refusal(path, "[evaluation]", f"[analysis]\n{wrong}\n[evaluation]")
    assert error.hints["fix"] == fix
    assert "tuple" not in error.what


def test_what_is_missing_is_given_as_it_mostly_is(path: Path) -> None:
    error = refusal(path, "ridge = 1.0", "")
    assert error.hints["fix"] == "add `ridge = 1.0`"


def test_an_unknown_key_like_no_other_lists_what_is_known(path: Path) -> None:
    error = refusal(path, "quorum = 3", "quorum = 3\nxyzzy = 1")
    assert "known: deadline_seconds, dropouts, maximum, quorum" in error.hints["fix"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("ridge = 1.0", "ridge = -1.0", "`model.ridge`: input should be greater"),
        ("ridge = 1.0", "ridge = nan", "finite"),
        ('kind = "logistic"', 'kind = "logisitc"', 'did you mean "logistic"?'),
        ('privacy = "none"', 'privacy = "strong"', "`privacy`: input should be 'none'"),
        ("range = [18, 110]", "range = [110, 18]", "must go from low to high"),
        ("quorum = 3", "quorum = 4", "a quorum of 4 of 3 invited sites"),
        ('positive = "present"', 'positive = "ill"', "positive must be one of"),
        ('name = "sex"', 'name = "age"', "age is declared twice"),
        ('variable = "age"', 'variable = "edge"', "not a declared variable"),
        ('variable = "age"', 'variable = "sex"', "one_of is for categories"),
        ("at_least = 18", 'one_of = ["male"]', "one_of is for categories"),
        ("at_least = 18", "", "needs at_least and/or at_most, or else one_of"),
        ('levels = ["female", "male"]', 'levels = ["f", "f"]', "must differ"),
        ("[evaluation]\ntest = 0.3", "", "a model needs an [evaluation]"),
        ('[model]\nkind = "logistic"\nridge = 1.0', "", "an evaluation needs a [mod"),
        ('kind = "logistic"', 'kind = "poisson"', "needs a number outcome"),
        ('kind = "number"', 'kind = "numeral"', "numeral"),
        ("expires = 2030-12-31", "expires = soon", "is not valid TOML"),
        ('"hospital-b"', '"hospital-a"', "named twice"),
        ('"mmol/L" = 38.67', '"mg/dL" = 38.67', "it needs no conversion"),
    ],
)
def test_what_makes_no_sense_is_refused(
    path: Path, old: str, new: str, says: str
) -> None:
    error = refusal(path, old, new)
    assert says in str(error)
    assert error.exit_code == 3


@pytest.mark.parametrize(
    ("old", "new", "at", "fix"),
    [
        ("quorum = 3", "quorum = 4", "quorum = 4", "quorum = 3"),
        ("quorum = 3", "quorum = 3\ndropouts = 1", "dropouts", "dropouts = 0"),
        ("range = [18, 110]", "range = [110, 18]", "[110, 18]", "range = [18, 110]"),
        (
            'positive = "present"',
            'positive = "ill"',
            "positive",
            'positive = "present"',
        ),
        ('variable = "age"', 'variable = "sax"', '"sax"', 'did you mean "sex"?'),
        (
            'variable = "age"\nat_least = 18',
            'variable = "sex"\none_of = ["men"]',
            '["men"]',
            "known: female, male",
        ),
        (
            'kind = "logistic"',
            'kind = "linear"',
            'kind = "linear"',
            "a binary outcome takes logistic, ",
        ),
        ('name = "sex"', 'name = "age"', 'kind = "category"', ""),
        ("[evaluation]\ntest = 0.3", "", "[model]", "add [evaluation]"),
    ],
)
def test_what_one_table_makes_of_another_is_told_on_a_line_with_its_fix(
    path: Path, old: str, new: str, at: str, fix: str
) -> None:
    error = refusal(path, old, new)
    where = line(path, at) + (at == 'kind = "category"')
    assert error.hints["where"] == f"{path} line {where}"
    assert fix in error.hints.get("fix", "")


def test_all_that_is_missing_from_a_table_is_told_at_once(path: Path) -> None:
    text = path.read_text()
    gone = [each for each in text.splitlines() if each.startswith(("title", "contact"))]
    error = refusal(path, "\n".join(gone[:1]), "")
    assert error.what == "`study.title` is missing"
    error = refusal(path, "\n".join(gone[1:]), "")
    assert error.what == "`study.title`, `study.contact` are missing"
    assert error.hints["fix"] == "add `title = …`, `contact = …`"


def test_privacy_must_be_written_out(path: Path) -> None:
    error = refusal(path, 'privacy = "none"', "")
    assert "`privacy` is missing" in error.what


def test_layout_and_comments_do_not_change_the_digest(path: Path) -> None:
    before = study.read(path).digest()
    path.write_text(
        "# reviewed\n\n" + path.read_text().replace("ridge = 1.0", "ridge=1")
    )
    assert study.read(path).digest() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ridge = 1.0", "ridge = 2.0"),
        ("18, 110", "18, 111"),
        ("quorum = 3", "quorum = 2"),
    ],
)
def test_every_setting_changes_the_digest(path: Path, old: str, new: str) -> None:
    before = study.read(path).digest()
    path.write_text(path.read_text().replace(old, new))
    assert study.read(path).digest() != before


def test_a_study_survives_the_way_to_a_site() -> None:
    sent = clinics.study()
    arrived = Study.model_validate_json(sent.canonical())
    assert arrived == sent
    assert arrived.digest() == sent.digest()


def test_absent_and_unreadable_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no file"):
        study.read(tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(StudyError, match="cannot be read as UTF-8"):
        study.read(tmp_path / "odd.toml")


@given(st.lists(st.sampled_from(["a = 1", "# c", "", "[t]", "[[u]]", "b.c = 2"])))
def test_every_line_number_is_a_line(rows: list[str]) -> None:
    text = "\n".join(rows)
    for place in (("a",), ("t", "a"), ("u", 0, "a"), ("u", 1), ("b", "c"), ()):
        assert 1 <= toml_lines.line_of(text, place) <= max(1, len(rows))


def test_lines_of_nested_tables_and_arrays() -> None:
    text = 'a = 1\n[t]\n"b c" = 2\n[[u]]\nx = 1\n[[u]]\nx = 2\n[u.v]\ny = 3\n'
    assert toml_lines.line_of(text, ("t", "b c")) == 3
    assert toml_lines.line_of(text, ("u", 1, "x")) == 7
    assert toml_lines.line_of(text, ("u", 1, "v", "y")) == 9
    assert toml_lines.line_of(text, ("t", "nowhere")) == 2


def test_the_command_prints_what_would_leave(path: Path) -> None:
    run = CliRunner().invoke(build(), ["study", "check", str(path), "--json"])
    assert run.exit_code == 0
    assert '"meaning": "sum of the slopes"' in run.stdout


def test_the_command_says_what_nobody_would_answer(path: Path) -> None:
    told = path.read_text().replace(
        "quorum = 3", "quorum = 2\nsecure_aggregation = false"
    )
    path.write_text(told.replace("2030-12-31", "2020-12-31"))
    ran = CliRunner().invoke(build(), ["study", "check", str(path)])
    assert ran.exit_code == 0
    assert "but it expired on 2020-12-31: no site answers" in ran.output
    assert (
        "but hospitals with a home refuse it: it is exact, of 2 sites and not 3"
        in ran.output
    )


def test_a_count_cannot_be_negative() -> None:
    outcome = {**clinics.COUNT, "range": [-1, 50]}
    with pytest.raises(ValueError, match="poisson needs an outcome of at least 0"):
        clinics.study(outcome=outcome, model={"kind": "poisson", "ridge": 1.0})


PROMISE = """[privacy]
epsilon = 1.0
delta = 1e-5
noise = "shared"
colluders = 1
expected_people = 500

[study]"""


@pytest.fixture
def promising(path: Path) -> Path:
    """Return a study that promises privacy instead of saying that it does not."""
    lines = path.read_text().splitlines(keepends=True)
    kept = [each for each in lines if not each.startswith("privacy = ")]
    path.write_text("".join(kept).replace("[study]", PROMISE, 1))
    return path


def test_the_template_can_promise_privacy(promising: Path) -> None:
    kept = study.read(promising).privacy
    assert kept != "none"
    assert (kept.epsilon, kept.colluders, kept.expected_people) == (1.0, 1, 500)
    said = CliRunner().invoke(build(), ["study", "check", str(promising)])
    assert said.exit_code == 0
    assert "epsilon 1, delta 1e-05 for each person at each site" in said.output
    assert "1 may collude" in said.output


def test_what_the_template_says_of_privacy_is_valid(path: Path) -> None:
    text = path.read_text()
    block = text[text.index("# [privacy]") :]
    table = "\n".join(line.removeprefix("# ") for line in block.splitlines())
    head = text[: text.index("# [privacy]")].replace('privacy = "none"', "", 1)
    path.write_text(head + table)
    kept = study.read(path).privacy
    assert kept != "none"
    assert kept.noise == "site"


EXPLAINED = "test = 0.3\nexplain = true"


@pytest.mark.parametrize(
    ("old", "new", "says", "at"),
    [
        ("test = 0.3", EXPLAINED, "explain has no private form yet", "explain"),
        ("delta = 1e-5", "delta = 1e-2", "less than or equal to 0.001", "delta"),
        ("people = 500", "people = 500000", "gives away one of 500000", "delta"),
        ("epsilon = 1.0", "epsilon = 0", "greater than 0", "epsilon = 0"),
        ('noise = "shared"', 'noise = "none"', "'site' or 'shared'", "noise ="),
        ("colluders = 1", "colluders = 3", "hold against 2 colluders", "colluders ="),
        ("colluders = 1", "coluders = 1", "unknown key", "coluders"),
        ("typical = [55, 15]", "typical = [5, 15]", "within its range", "typical"),
        ("typical = [55, 15]", "typical = [55, 0]", "greater than 0", "typical"),
    ],
)
def test_a_promise_that_cannot_be_kept_is_refused_by_line(
    promising: Path, old: str, new: str, says: str, at: str
) -> None:
    error = refusal(promising, old, new)
    assert says in error.what
    if at:
        assert error.hints["where"] == f"{promising} line {line(promising, at)}"


def test_an_unsaid_number_of_people_keeps_delta_small(promising: Path) -> None:
    text = promising.read_text().replace("expected_people = 500\n", "")
    promising.write_text(text)
    error = refusal(promising, "delta = 1e-5", "delta = 2e-5")
    assert "untold number" in error.what
