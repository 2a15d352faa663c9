"""Finds the files of a source, and whose they are by their names.

A name that tells whose a file is tells too much for an error: there a file is a number,
its place in the list that ``LC_ALL=C ls`` prints.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from client.formats.raw import Place
from common.errors import DataError

PART = {"person": r"(?P<person>[^/]+)", "time": r"(?P<time>[^/_]+)"}
_GAP = re.compile(r"\{(person|time)\}")


@dataclass(frozen=True, slots=True, repr=False)
class Filed:
    """One file: its place in the list, and what its name says."""

    number: int
    path: Path
    person: str = ""
    time: str = ""


def find(place: Place, pattern: str) -> list[Filed]:
    """Return the files of *pattern* beside site.toml, in the order of their names.

    Raises DataError when there is none.
    """
    below = place.site.path.parent
    looks = shape(pattern)
    names = sorted(path.relative_to(below).as_posix() for path in below.glob(looks))
    if not names:
        what = f"there is no file {looks}"
        raise place.unreadable(what, "files", "correct `files`")
    found = [*_told(names, pattern, below)]
    for each in found:
        if any("\ud800" <= letter <= "\udfff" for letter in each.person + each.time):
            problem = "has a name that is not UTF-8: rename it"
            raise broken(place, pattern, each, problem)
    return found


def others(place: Place, pattern: str) -> int:
    """Return how many files have the ending of *pattern*, and are called otherwise.

    Nobody reads them: a file that was named otherwise would be missed by nobody.
    """
    *folders, last = pattern.split("/")
    if not _GAP.search(last):
        return 0
    below, ending = place.site.path.parent, PurePosixPath(last).suffix
    beside = shape("/".join([*folders, f"*{ending}"]))
    found = {path for path in below.glob(beside) if path.is_file()}
    return len(found - {*below.glob(shape(pattern))})


def shape(pattern: str) -> str:
    """Return *pattern* as a shell knows it, with a * where names differ."""
    return _GAP.sub("*", pattern)


def counted(pattern: str) -> str:
    """Return what numbers the files of *pattern* in an error."""
    return f"{shape(pattern)}, in the order of `LC_ALL=C ls`: file"


def broken(place: Place, pattern: str, file: Filed, problem: str) -> DataError:
    """Return the error that one file has a *problem*, without its name."""
    looks = shape(pattern)
    return place.told(
        f"file {file.number} of {looks} {problem}",
        ("files",),
        f"look at it:   {listed(place, pattern)} | sed -n {file.number}p",
    )


def listed(place: Place, pattern: str) -> str:
    """Return the command that lists the files of *pattern* in their order."""
    folder = shlex.quote(str(place.site.path.parent))
    return f"LC_ALL=C ls -d {folder}/{shape(pattern)}"


def _told(names: list[str], pattern: str, below: Path) -> Iterator[Filed]:
    for number, name in enumerate(names, 1):
        said = _looks(pattern).fullmatch(name)
        parts = said.groupdict() if said else {}
        yield Filed(
            number, below / name, parts.get("person", ""), parts.get("time", "")
        )


def _looks(pattern: str) -> re.Pattern[str]:
    """Return the names that *pattern* means; a * is any part of one."""
    pieces = re.split(r"(\{person\}|\{time\}|\*)", pattern)
    known = {"{person}": PART["person"], "{time}": PART["time"], "*": "[^/]*"}
    return re.compile("".join(known.get(each, re.escape(each)) for each in pieces))
