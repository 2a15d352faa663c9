"""The report of a real study: what an aggregator knows, and not a word more."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common import study as studies
from common.study import Study
from common.tasks.evaluation import by_site
from server.conduct.rounds import Outcome
from server.conduct.studies import Took
from server.reports import report as reports
from server.reports import results, screen
from server.reports.facts import Score, Sheet
from server.reports.report import Report
from simulations.dealt import hospitals
from simulations.engines import engine
from simulations.worth import result

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SHOWN = re.compile(r"  -?[\d.,]+ \([\d.,]+\)( [a-z]\S*)?$|  \w+ [\d,]+, ")
"""A variable's mean and deviation with its unit, or its levels."""
NAMES = ("birkental", "northmere", "port-selwyn", "valclaire")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the study of four hospitals that lie beside it."""
    return hospitals.write(tmp_path_factory.mktemp("hospitals"))


@pytest.fixture(scope="module")
def fitted(written: Path) -> tuple[Study, Outcome]:
    """Return a study with a model, and what it came to."""
    return _ran(studies.read(written), written)


@pytest.fixture(scope="module")
def counted(written: Path) -> tuple[Study, Outcome]:
    """Return a study that only describes, and what it came to."""
    plain = {"model": None, "evaluation": None}
    return _ran(studies.read(written).model_copy(update=plain), written)


def _ran(study: Study, written: Path) -> tuple[Study, Outcome]:
    places = []
    for path in result.folders(written.parent):
        text = f'approved = ["{study.digest()}"]\n{path.read_text(encoding="utf-8")}'
        place = path.with_name(f"site-{study.digest()[:8]}.toml")
        place.write_text(text, encoding="utf-8")
        places.append(place)
    return study, engine.run(study, places)


def _report(ran: tuple[Study, Outcome]) -> Report:
    return results.report(*ran, Took(NOW, 5_000.0, 250.0))


def test_a_real_report_has_the_model_of_the_simulated_one(
    fitted: tuple[Study, Outcome], written: Path
) -> None:
    made = _report(fitted)
    done = result.simulate(
        fitted[0], result.folders(written.parent), engine.in_process()
    )
    same = result.report(done, NOW, 1.0, "")
    plain = [each.model_copy(update={"pooled": None}) for each in same.coefficients]
    assert list(made.coefficients) == plain
    assert all(each.interval for each in made.coefficients)
    for name in ("task", "study", "rounds", "rounds_by_task", "together", "describe"):
        assert getattr(made, name) == getattr(same, name), name
    for name in ("left", "sentence", "ridge"):
        assert getattr(made, name) == getattr(same, name), name


def test_it_claims_nothing_about_what_stays_at_a_site(
    fitted: tuple[Study, Outcome],
) -> None:
    made, outcome = _report(fitted), fitted[1]
    assert (made.engine, made.simulated, made.seconds) == ("network", False, 5_000.0)
    for each in made.sites:
        assert (each.bytes_in, each.bytes_out) == (
            outcome.sent[each.name],
            outcome.received[each.name],
        )
        assert each.model_dump(exclude_defaults=True).keys() == {
            "name",
            "bytes_in",
            "bytes_out",
        }
    assert [each.name for each in made.sites] == list(NAMES)
    assert made.bytes_per_site == max(e.bytes_in + e.bytes_out for e in made.sites)
    assert made.pooled is None
    assert made.max_abs_coefficient_difference is None


def test_it_says_who_took_part_and_who_did_not(fitted: tuple[Study, Outcome]) -> None:
    study, outcome = fitted
    whole = _report(fitted).limits
    assert list(whole[:2]) == results.limits(study)
    assert whole[2:] == (f"Took part in every round: {', '.join(NAMES)}.",)
    fewer = replace(outcome, roster=NAMES[1:], refusals=("refused, id 1a2b",))
    limits = _report((study, fewer)).limits
    assert limits[2:] == (
        f"Took part in every round: {', '.join(NAMES[1:])}.",
        "Invited, and not in the result: birkental.",
        "Refusals: refused, id 1a2b (the log of the hospital that refused says why).",
    )


def test_who_left_on_the_way_is_named(fitted: tuple[Study, Outcome]) -> None:
    study, outcome = fitted
    rounds = study.rounds.model_copy(update={"dropouts": 1})
    assert outcome.last == NAMES
    shorter = replace(outcome, last=NAMES[1:])
    said = _report((study.model_copy(update={"rounds": rounds}), shorter)).limits
    assert said[-2:] == (
        f"Took part, where a round may lack 1 of them: {', '.join(NAMES)}.",
        f"Left on the way, and not in the last sums: {NAMES[0]}.",
    )


def test_noise_stands_behind_what_it_moves(counted: tuple[Study, Outcome]) -> None:
    made = _report(counted)
    line = dict(made.describe.variables[0])
    near = line | {
        "mean_margin": 0.4 * float(str(line["std"])),
        "missing_margin": 163.6,
    }
    described = {"records_interval": (381.0, 410.2), "variables": (near,)}
    shown = made.model_copy(
        update={"describe": made.describe.model_copy(update=described)}
    )
    text, page = "\n".join(screen.lines(shown)), reports.page(shown)
    assert "with noise: 381 to 410; ± how far it moves a number" in text
    assert re.search(r"  \d+ ± 164  \d[\d.]* ± [\d.]+ \([\d.]+\)", text)
    assert re.search(r">\d+ ± 164</td>\s*<td[^>]*>\d[\d.]* ± [\d.]+</td>", page)
    assert "±" not in "\n".join(screen.lines(made))
    assert "±" not in reports.page(made)


def test_it_comes_back_from_its_file_and_has_a_page(
    fitted: tuple[Study, Outcome], tmp_path: Path
) -> None:
    made = _report(fitted)
    page = reports.write(made, tmp_path).read_text(encoding="utf-8")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert Report.model_validate_json(text) == made
    assert f"AUC of {made.together.auc:.3f}" in page if made.together else False
    assert "What was cleaned" not in page


def test_the_terminal_shows_totals_and_no_more(fitted: tuple[Study, Outcome]) -> None:
    shown = screen.lines(_report(fitted))
    text = "\n".join(shown)
    assert max(map(len, shown)) <= screen.WIDTH
    assert "the joint model, tested on 171 records" in text
    assert re.search(r"^  AUC  +0\.99\d \[0\.\d\d-1\.00\]$", text, re.MULTILINE)
    assert re.search(r"^  area_error .* 0\.431 to 1\.216$", text, re.MULTILINE)
    assert "10 rounds of logistic, 83 min 20 s, " in text
    assert "\n          Took part in every round: birkental, northmere" in text
    assert "Secure aggregation: the aggregator learned" in text
    for words in ("None", "pooled", "alone", "cleaning"):
        assert words not in text


def test_a_study_that_only_describes_shows_its_variables(
    counted: tuple[Study, Outcome],
) -> None:
    made = _report(counted)
    shown = screen.lines(made)
    text = "\n".join(shown)
    records = made.describe.records
    assert made.task == "describe"
    assert text.startswith(f"{records} records of all hospitals together\n")
    for variable in counted[0].everything:
        (row,) = [each for each in shown if each.startswith(f"  {variable.name} ")]
        assert SHOWN.search(row), row
    assert "\n1 round of describe, " in text
    for words in ("None", "joint model", "coefficient"):
        assert words not in text
    assert f"counted {records} records; no model was tested" in reports.page(made)


def test_the_terminal_says_what_was_chosen_and_who_released_nothing(
    fitted: tuple[Study, Outcome],
) -> None:
    ran = _report(fitted)
    rows = (("0.1", "0.05", "0.002", "chosen"), ("1", "0.06", "0.002", ""))
    heads = ("ridge", "error", "standard error", "")
    tried = Sheet(title="t", columns=heads, rows=rows, task="selection")
    (first, *rest) = ran.sites
    own = first.model_copy(update={"together": Score(note=by_site.NOT_RELEASED)})
    more = {"sheets": (*ran.sheets, tried), "sites": (own, *rest)}
    text = "\n".join(screen.lines(ran.model_copy(update=more)))
    assert "\nselected  ridge = 0.1, of 0.1, 1, by cross-validation\n" in text
    assert re.search(rf"^  {first.name} +not released$", text, re.MULTILINE)
    assert "one class only" not in text


def test_what_separate_processes_add_is_shown(fitted: tuple[Study, Outcome]) -> None:
    more = {"seconds_per_round": 0.523, "rejoined": ("northmere",)}
    text = "\n".join(screen.lines(_report(fitted).model_copy(update=more)))
    assert "\na steady round took 0.52 s\n" in text
    assert "\ncut off while it ran, and rejoined: northmere\n" in text


def test_a_model_of_numbers_shows_its_errors(fitted: tuple[Study, Outcome]) -> None:
    facts = _report(fitted).model_dump()
    facts["together"] = {"records": 171, "rmse": 2.345, "r_squared": 0.31}
    shown = screen.lines(Report.model_validate(facts))
    assert shown[:4] == [
        "the joint model, tested on 171 records; [95 % interval]",
        "  RMSE            2.35",
        "  R²              0.310",
        "",
    ]


@pytest.mark.parametrize("told", ["0.05 (0.01 to 0.09)", "withheld"])
def test_what_a_treatment_changes_is_the_headline(
    counted: tuple[Study, Outcome], told: str
) -> None:
    made, title = _report(counted), "What sex = male changes in ill"
    columns, row = ("group", "effect (95 %)"), ("everybody", told)
    sheet = Sheet(title=title, columns=columns, rows=(row,), task="treatment_effect")
    said = reports.headline(made.model_copy(update={"sheets": (sheet,)}))
    assert said.startswith(f"{title}: {told}, of ") == (told != "withheld")
    assert ("no model was tested" in said) == (told == "withheld")


def test_a_study_of_hospitals_tells_how_long_a_round_took(
    fitted: tuple[Study, Outcome],
) -> None:
    made = _report(fitted)
    assert (made.seconds_per_round, made.seconds_to_report) == (250.0, 5_000.0)
    assert "\na steady round took 250.00 s\n" in "\n".join(screen.lines(made))
