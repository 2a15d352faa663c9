"""One exit code a kind of no, as the table in the documentation says."""

import re
from pathlib import Path

import pytest

from common import errors
from common.errors import ConsiliumError

TABLE = {
    "ConsiliumError": 1,
    "UsageError": 2,
    "StudyError": 3,
    "MachineError": 4,
    "NetworkError": 5,
    "IdentityError": 6,
    "Refusal": 7,
    "BudgetError": 8,
    "DataError": 9,
    "QuorumError": 10,
    "IntegrityError": 11,
}


def test_exit_codes_are_stable() -> None:
    kinds = [ConsiliumError, *ConsiliumError.__subclasses__()]
    assert {kind.__name__: kind.exit_code for kind in kinds} == TABLE
    assert errors.INTERRUPTED == 130


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"(\w+(?:Error|Refusal)|Refusal)\s+(\d+)", errors.__doc__ or "")
    assert {name: int(code) for name, code in drawn} == TABLE


def test_the_documentation_lists_every_exit_code() -> None:
    page = Path(__file__).parents[2] / "docs" / "commands.md"
    listed = {
        int(code)
        for code in re.findall(r"^\| (\d+) \|", page.read_text(), re.MULTILINE)
    }
    assert listed == {0, errors.INTERRUPTED, *TABLE.values()}


@pytest.mark.parametrize("lines", ["one", "one\ntwo"])
def test_hints_are_aligned(lines: str) -> None:
    text = str(ConsiliumError("what", fix=lines))
    assert text.splitlines()[1].startswith("  fix     one")
    assert all(row.startswith(" " * 10) for row in text.splitlines()[2:])
