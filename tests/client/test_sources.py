"""Whatever a hospital's records are kept in, the clean table is the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from client import integration, site
from client.table import Table
from client.work import Work
from tests import sources
from tests.sources import Person

Write = Callable[[Path, list[Person]], Path]
KINDS: dict[str, Write] = {
    "csv": lambda place, people: sources.tables(place, people, "csv"),
    "parquet": lambda place, people: sources.tables(place, people, "parquet"),
    "omop": sources.omop,
    "fhir": sources.fhir,
}


def gathered(path: Path) -> Work:
    return integration.gather(site.read(path), sources.study())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_gives_the_truth(tmp_path: Path, kind: str) -> None:
    people = sources.people()
    path = KINDS[kind](tmp_path, people)
    table = integration.table(site.read(path), sources.study())
    found = np.column_stack([table.values, table.outcome])
    np.testing.assert_allclose(found, sources.truth(people), rtol=1e-12)
    assert len({*table.person.tolist()}) == len(people)


def test_the_same_people_train_whatever_the_source(tmp_path: Path) -> None:
    people = sources.people()
    tables: list[Table] = [
        integration.table(site.read(write(tmp_path / kind, people)), sources.study())
        for kind, write in KINDS.items()
    ]
    for other in tables[1:]:
        assert (other.train == tables[0].train).all()
        assert (other.key == tables[0].key).all()
    assert 0 < tables[0].train.sum() < len(people)
