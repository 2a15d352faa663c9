"""A sheet on the terminal: nothing is lost, nothing is wider than the screen."""

from hypothesis import given
from hypothesis import strategies as st

from server.reports import tables
from server.reports.facts import Sheet

WORDS = st.text("abcdefgh", min_size=1, max_size=12)
SHEETS = st.integers(1, 9).flatmap(
    lambda width: st.builds(
        Sheet,
        title=WORDS,
        columns=st.tuples(*[WORDS] * width),
        rows=st.lists(st.tuples(*[WORDS] * width), min_size=1, max_size=4).map(tuple),
        notes=st.lists(st.text("ab ", max_size=200), max_size=2).map(tuple),
    )
)


@given(sheet=SHEETS)
def test_every_cell_is_there_and_no_line_is_too_long(sheet: Sheet) -> None:
    lines = tables.lines(sheet, 60)
    assert all(len(line) <= 60 for line in lines)
    words = " ".join(lines).split()
    for row in (sheet.columns, *sheet.rows):
        assert all(cell in words for cell in row)
    assert lines[-1] == ""


def test_numbers_stand_below_each_other() -> None:
    sheet = Sheet(title="T", columns=("of", "n"), rows=(("a", 1200), ("bb", None)))
    head, *rows = tables.lines(sheet, 80)
    assert head == "T"
    assert rows[:2] == ["  of      n", "  a   1,200"]
    assert rows[2] == "  bb      \N{EN DASH}"
