"""Windows that are proposed for signals: nearly all samples before the event."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from client.formats.raw import Place
from client.guessing import signals
from client.site import read
from common.schema import Number

SITE = """\
site = "north"
[sources.monitor]
kind = "signals"
file = "samples.csv"
person = "who"
time = "at"
event_time = "admitted"
"""
RATE = Number(kind="number", name="heart_rate", unit="/min", range=(20.0, 300.0))
EVENT = datetime(2024, 3, 1, 8, 0, 0)  # noqa: DTZ001 - an export has local time


def proposed(place: Path, hours: list[float]) -> str:
    """Return the lines guessed where samples are so many hours from the event."""
    lines = ["who,admitted,at,HR"]
    for each in hours:
        at = EVENT + timedelta(hours=each)
        lines.append(f"p1,{EVENT.isoformat()},{at.isoformat()},80")
    (place / "samples.csv").write_text("\n".join(lines) + "\n")
    (place / "site.toml").write_text(SITE)
    where = Place(read(place / "site.toml"), "monitor")
    (guess,) = signals.guesses(where, [RATE])
    return "\n".join(guess.lines)


@pytest.mark.parametrize(
    ("first", "window"), [(-5, 6), (-11, 12), (-24, 24), (-25, 48), (-2000, 100000)]
)
def test_the_shortest_window_before_the_event_is_a_comment(
    tmp_path: Path, first: float, window: int
) -> None:
    lines = proposed(tmp_path, [first] * 19 + [-0.5])
    assert f"# hours = [-{window}, 0]   # " in lines
    assert "after" not in lines


def test_samples_after_the_event_are_told_as_such(tmp_path: Path) -> None:
    lines = proposed(tmp_path, [-1] * 19 + [-40] + [3] * 20)
    assert "# hours = [-6, 0]   # 95% of the samples before the event; 50% of" in lines
    assert "leave them out?" in lines


def test_what_begins_with_the_event_has_no_window_before_it(tmp_path: Path) -> None:
    assert "hours" not in proposed(tmp_path, [0, 1, 2])
    assert "hours = [0, 24]" in proposed(tmp_path, [0, 1, 30, 50])
