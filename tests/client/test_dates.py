"""How dates are written is guessed only where one way of writing fits them all."""

import pandas as pd
import pytest

from client import dates


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["13.02.2024 10:20", "01.03.2024 00:00"], "%d.%m.%Y %H:%M"),
        (["13/02/2024", "", " 01/03/2024 "], "%d/%m/%Y"),
        (["02/13/2024"], "%m/%d/%Y"),
        (["02/03/2024", "04/05/2024"], ""),
        (["20240213T1020"], "%Y%m%dT%H%M"),
        (["13.02.2024", "soon"], ""),
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
