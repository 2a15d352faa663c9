"""How dates are written is guessed only where one way of writing fits them all."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from client.formats import dates


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["13.02.2024 10:20", "01.03.2024 00:00"], "%d.%m.%Y %H:%M"),
        (["13/02/2024", "", " 01/03/2024 "], "%d/%m/%Y"),
        (["02/13/2024"], "%m/%d/%Y"),
        (["02/03/2024", "04/05/2024"], ""),
        (["20240213T1020"], "%Y%m%dT%H%M"),
        (["13.02.2024", "soon"], ""),
        (["202012", "202111"], ""),
        (["20201231 "], "%Y%m%d"),
        (["", " "], ""),
        ([], ""),
    ],
)
def test_a_format_is_told_where_no_other_fits(cells: list[str], form: str) -> None:
    assert dates.written(pd.Series(cells, dtype="str")) == form


def test_what_is_told_is_a_line_to_paste_and_no_date() -> None:
    said = dates.setting(pd.Series(["13.02.2024"], dtype="str"), "%d.%m.%Y %H:%M")
    assert said == 'dates = "%d.%m.%Y"'
    other = dates.setting(pd.Series(["7319"], dtype="str"), "%d.%m.%Y")
    assert other == 'e.g.   dates = "%d.%m.%Y"'


@pytest.mark.parametrize("cell", ["202012", "2020112", "202011234"])
def test_a_month_is_no_day(cell: str) -> None:
    """strptime takes the digits that are there: 202012 as 2 January 2020."""
    assert dates.read(pd.Series([cell], dtype="str"), "%Y%m%d").isna().all()


DAYS = st.dates(date(1900, 1, 1), date(2100, 12, 31))


@given(DAYS, DAYS)
@example(date(1940, 3, 15), date(1958, 3, 15))
@example(date(2000, 2, 29), date(2001, 2, 28))
@example(date(2000, 2, 29), date(2001, 3, 1))
def test_years_grow_on_the_birthday(born: date, now: date) -> None:
    had = (now.month, now.day) >= (born.month, born.day)
    first = date(1970, 1, 1)
    days = [np.array([(each - first).days + 0.4]) for each in (born, now)]
    assert dates.years(*days)[0] == now.year - born.year - (not had)


def test_years_without_a_date_are_a_gap() -> None:
    nan, day = np.array([np.nan]), np.array([3.0])
    assert np.isnan([dates.years(nan, day), dates.years(day, nan)]).all()
