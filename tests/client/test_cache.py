"""A clean table at rest is the same table, unreadable, and of one study only."""

from pathlib import Path

import numpy as np
import pytest

from client import site
from client.app import SHELF
from client.books import at_rest
from client.door import opened
from client.table import Table
from client.tables import cache, integration
from common.cli import build
from common.study import Study
from common.terminal import run
from simulations.engines import engine
from tests import clinics
from tests.client.test_home import decide, hospital


def stored(path: Path) -> list[Path]:
    return sorted((path.parent / "state" / "tables").glob("*"))


def same(one: Table, other: Table) -> bool:
    arrays = ("values", "outcome", "train", "person", "key", "site")
    for name in arrays:
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    return (one.people, one.report) == (other.people, other.report)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows whenever records are read."""
    seen: list[str] = []
    table = integration.table

    def counted(local: site.Site, study: Study) -> Table:
        seen.append(local.name)
        return table(local, study)

    monkeypatch.setattr(integration, "table", counted)
    return seen


@pytest.mark.parametrize("block", [2**26, 1000, 64])
def test_a_table_comes_back_without_reading(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(at_rest, "BLOCK", block)
    study, path = clinics.study(), hospital(tmp_path)
    first = cache.table(site.read(path), study)
    again = cache.table(site.read(path), study)
    assert same(first, again)
    assert len(reads) == 1
    (file,) = stored(path)
    content = file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    assert first.values.tobytes()[:64] not in content
    assert b"records read" not in content


def test_a_table_of_other_records_study_or_settings_does_not_open(
    tmp_path: Path, reads: list[str]
) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    cache.table(site.read(path), study)
    export = path.parent / "export.csv"
    export.write_text(export.read_text() + "px,v,50,240,mild,m,yes\n")
    assert len(cache.table(site.read(path), study).outcome) == 61
    path.write_text(path.read_text().replace("[data]", '[data]\nmissing = ["0"]', 1))
    path.write_text(path.read_text().replace('missing = ["NA", "-9"]\n', "", 1))
    cache.table(site.read(path), study)
    assert len(reads) == 3
    (file,) = stored(path)
    other = clinics.study(evaluation={"test": 0.4})
    file.rename(file.with_name(f"{other.digest()}.table"))
    assert len(cache.table(site.read(path), other).outcome) == 61
    assert len(reads) == 4


@pytest.mark.parametrize("damage", ["flip", "cut", "double", "empty"])
def test_a_damaged_table_is_read_anew(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(at_rest, "BLOCK", 1000)
    study, path = clinics.study(), hospital(tmp_path)
    first = cache.table(site.read(path), study)
    (file,) = stored(path)
    content, block = file.read_bytes(), 1000 + at_rest.NONCE + at_rest.TAG
    changed = {
        "flip": content[:20] + bytes([content[20] ^ 1]) + content[21:],
        "cut": content[: block * (len(content) // block)],
        "double": content[:block] + content,
        "empty": b"",
    }
    file.write_bytes(changed[damage])
    assert same(first, cache.table(site.read(path), study))
    assert len(reads) == 2


def test_a_table_is_erased_with_its_study(tmp_path: Path) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    engine.run(study, [path])
    assert not stored(path), "closed"
    for decision in ("revoke", "deny"):
        cache.table(site.read(path), study)
        assert stored(path)
        words = [decision, study.digest(), "--reason", "no", "--site", str(path)]
        if decision == "deny":
            decide(path, study)
            words[1] = study.digest()
        assert run(build(), ["client", *words, "-q"]) == 0
        assert not stored(path), decision


def test_tables_without_an_approval_are_swept(tmp_path: Path) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    left = clinics.study(evaluation={"test": 0.4})
    cache.table(site.read(path), left)
    decide(path, study)
    SHELF.hold(opened.open_study(site.read(path), study, clinics.TODAY))
    assert [each.stem for each in stored(path)] == [study.digest()]
    SHELF.drop(str(path), study.digest())
    assert not stored(path)


def test_without_a_home_nothing_is_kept(tmp_path: Path) -> None:
    path = clinics.folder(tmp_path, clinics.lines())
    cache.table(site.read(path), clinics.study())
    found = sorted(each.name for each in tmp_path.iterdir())
    assert found == ["export.csv", "site.toml"]
