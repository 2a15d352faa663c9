"""What changed between two versions of a study, setting by setting."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain

from common.study import Study

ABSENT = "—"
ORDER = " in order"


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that differs; a setting that is not there is an em dash."""

    setting: str
    before: str
    after: str

    def facts(self) -> dict[str, str]:
        """Return the change as plain data."""
        return asdict(self)

    def words(self) -> str:
        """Return the change as one line."""
        if self.before == ABSENT:
            return f"+ {self.setting} = {self.after}"
        if self.after == ABSENT:
            return f"- {self.setting} = {self.before}"
        return f"~ {self.setting}: {self.before} → {self.after}"


def between(old: Study, new: Study) -> tuple[Change, ...]:
    """Return every setting that differs; none exactly when the digests are equal."""
    before = dict(_settings("", old.model_dump(mode="json")))
    after = dict(_settings("", new.model_dump(mode="json")))
    changes = (
        Change(name, before.get(name, ABSENT), after.get(name, ABSENT))
        for name in dict.fromkeys(chain(before, after))
        if before.get(name) != after.get(name)
    )
    return tuple(change for change in changes if not _said_already(change))


def _settings(place: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield (name, value as text) of every setting; None is not set at all."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _settings(f"{place}.{key}".removeprefix("."), inner)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        names = _names(value)
        yield f"{place}{ORDER}", ", ".join(names)
        for name, item in zip(names, value, strict=True):
            yield from _settings(f"{place}.{name}", item)
    elif value is not None:
        yield place, json.dumps(value, ensure_ascii=False)


def _names(items: list[dict[str, object]]) -> list[str]:
    """Return what to call each item: its name, with a number where two are alike."""
    plain = [str(item.get("name") or item.get("variable")) for item in items]
    return [
        name if plain.count(name) == 1 else f"{name}#{plain[: place + 1].count(name)}"
        for place, name in enumerate(plain)
    ]


def _said_already(change: Change) -> bool:
    """Tell whether an order differs only because something came or went."""
    one, other = change.before.split(", "), change.after.split(", ")
    return change.setting.endswith(ORDER) and sorted(one) != sorted(other)
