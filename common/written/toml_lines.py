"""On which line of a TOML file does a key stand?"""

import re

Location = tuple[str | int, ...]
_TABLE = re.compile(r"^\s*\[(?P<many>\[)?\s*(?P<name>[^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*(?P<key>[A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*[.=]""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def line_of(text: str, location: Location) -> int:
    """Return the 1-based line of *location*, or of its nearest written parent."""
    lines = _index(text)
    keys = tuple(key for key in location if key != "__root__")
    while keys and keys not in lines:
        keys = keys[:-1]
    return lines.get(keys, 1)


def _index(text: str) -> dict[Location, int]:
    """Return the line of every table and key; tables in an array are numbered."""
    lines: dict[Location, int] = {}
    counts: dict[Location, int] = {}
    table: Location = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _TABLE.match(line):
            table = _numbered(parts(found["name"]), counts, many=bool(found["many"]))
            lines[table] = number
        elif found := _KEY.match(line):
            key, _, _ = line.partition("=")
            lines.setdefault((*table, *parts(key)), number)
    return lines


def _numbered(
    name: tuple[str, ...], counts: dict[Location, int], *, many: bool
) -> Location:
    """Return *name* with the index of each array of tables on its way."""
    place: Location = ()
    for depth, part in enumerate(name, start=1):
        place = (*place, part)
        if many and depth == len(name):
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def parts(dotted: str) -> tuple[str, ...]:
    """Return the keys of a *dotted* one, unquoted."""
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
