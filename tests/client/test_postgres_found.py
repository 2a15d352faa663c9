"""A PostgreSQL server is found where there is one: no test of databases is left out."""

from pathlib import Path

import pytest
import sqlalchemy

from tests import postgres


def test_a_server_needs_all_of_its_programs(tmp_path: Path) -> None:
    half, whole = tmp_path / "half", tmp_path / "whole"
    for place, names in ((half, postgres.NEEDED[:1]), (whole, postgres.NEEDED)):
        place.mkdir()
        for name in names:
            (place / name).touch()
    assert postgres.programs([half, whole]) == whole
    assert postgres.programs([half]) is None


@pytest.mark.skipif(not postgres.here(), reason="no PostgreSQL: install the extra dev")
def test_the_server_that_is_found_answers() -> None:
    with postgres.server() as url:
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            said = connection.execute(sqlalchemy.text("SELECT version()")).scalar()
        engine.dispose()
    assert str(said).startswith("PostgreSQL")
