"""A mapping that fits nothing leaves no error behind, and must not go unseen."""

from pathlib import Path

import pytest

from client import site
from client.table import Count
from client.tables import integration
from tests import sources
from tests.client.test_data_commands import consilium, written


def counted(place: Path, old: str, new: str) -> list[Count]:
    """Return the doubts at a hospital with one line of its mapping changed."""
    path = sources.omop(place, sources.people(20))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    table = integration.table(site.read(path), sources.study())
    return [count for count in table.report if count.fix]


def test_a_mapping_that_fits_leaves_no_doubt(tmp_path: Path) -> None:
    assert not counted(tmp_path, "from_days = -30", "from_days = -30")


def test_a_window_that_ends_too_early_is_told_with_one_that_does_not(
    tmp_path: Path,
) -> None:
    [doubt] = counted(tmp_path, "from_days = -30", "from_days = -1")
    assert (doubt.step, doubt.variable, doubt.count) == ("window", "chol", 20)
    assert doubt.fix.endswith("in [columns.chol]:   to_days = 7")
    assert not counted(tmp_path, "from_days = -30", "from_days = -1\nto_days = 7")


def test_a_window_that_begins_too_late_is_told_and_one_too_far_away_too(
    tmp_path: Path,
) -> None:
    [doubt] = counted(tmp_path, "from_days = -30", "from_days = -5\nto_days = -4")
    assert doubt.fix.endswith("from_days = -12")
    [doubt] = counted(tmp_path, "from_days = -30", "from_days = 900\nto_days = 910")
    assert doubt.fix.endswith("most are over a year away: correct `from_days`")


def test_a_code_that_nobody_has_is_told(tmp_path: Path) -> None:
    code = f"concept = [{sources.DIABETES}]"
    [doubt] = counted(tmp_path, code, "concept = [1]")
    assert (doubt.step, doubt.variable, doubt.count) == ("join", "diabetes", 20)
    assert doubt.fix.endswith("absent = true")


def test_numbers_that_two_sources_write_differently_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sources.tables(tmp_path, sources.people(20), "csv")
    labs = tmp_path / "labs.csv"
    labs.write_text(labs.read_text().replace("MRN", "N-"))
    study = written(tmp_path, sources.study())
    page = tmp_path / "page.html"
    words = ("client", "data", "check", "--study", study, "--site", path)
    assert consilium(*words, "--page", page) == 0
    told = capsys.readouterr().out
    assert "Doubtful:" in told
    assert "20  people of labs without a record (chol)" in told
    assert "correct `person` of [sources.labs]" in told
    assert "N-0" not in told
    assert "<h2>Doubtful</h2>" in page.read_text()
