"""What must never leave a hospital's files, and a search for it everywhere else.

A name, a phrase, a number and every person's number are planted in the data. They are
looked for as text, in UTF-16, in base64, in hexadecimal and as the bytes of a double.
"""

import base64
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from simulations.invented.tables import CANARY

NAME = CANARY
PHRASE = "the kingfisher wrote nothing down"
NUMBER = 7319.4242
SHORTEST = 0.005


@dataclass(frozen=True)
class Search:
    """What is looked for: the canaries, and the numbers of *people*."""

    people: frozenset[bytes] = frozenset()

    def find(self, content: bytes) -> str:
        """Return what of it stands in *content*, with what is around it."""
        place = CANARIES.search(content)
        among = NUMBERED.finditer(content) if self.people else iter(())
        place = place or next((n for n in among if n[0] in self.people), None)
        if place is None:
            return ""
        return repr(content[max(0, place.start() - 30) : place.end() + 30])


def _forms(word: str) -> Iterator[bytes]:
    plain = word.encode()
    yield from (plain, word.encode("utf-16-le"), plain.hex().encode())
    for shift in range(3):  # the same word at each place of three bytes
        code = base64.b64encode(bytes(shift) + plain)
        yield code[4 if shift else 0 : -4]


def _canaries() -> re.Pattern[bytes]:
    words = [*NAME.split(), PHRASE.split()[1], repr(NUMBER)[:-1]]
    forms = {form for word in words for form in _forms(word)}
    forms |= {struct.pack("<d", NUMBER), struct.pack(">d", NUMBER)}
    return re.compile(b"|".join(map(re.escape, sorted(forms))))


CANARIES = _canaries()
NUMBERED = re.compile(rb"(?<![\w.])(?:[A-Za-z]{1,2}-?)?\d{6,9}(?![\w.])")
"""What may be a person's number, and is no part of a longer word or number."""


@dataclass
class Watch:
    """What was seen in some folders while something ran: files, and finds by file."""

    search: Search
    roots: tuple[Path, ...]
    seen: dict[Path, tuple[int, int]] = field(default_factory=dict)
    finds: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Search every file that is new or has changed; a link to records is none."""
        for root in self.roots:
            for path in root.rglob("*"):
                with suppress(OSError):  # it may be gone by now
                    self._file(path)

    def _file(self, path: Path) -> None:
        if path.is_dir() or any(up.is_symlink() for up in (path, *path.parents)):
            return
        about = path.stat()
        version = about.st_mtime_ns, about.st_size
        if self.seen.get(path) != version:
            self.said(str(path), str(path).encode())
            self.said(str(path), path.read_bytes())
            self.seen[path] = version

    def said(self, where: str, content: bytes) -> None:
        """Search *content*; note which canary is in it, and *where* that is."""
        found = self.search.find(content)
        if found:
            self.finds.append(f"{found} in {where}")


@contextmanager
def watching(search: Search, *roots: Path) -> Iterator[Watch]:
    """Search *roots* again and again until the end, and once more then."""
    watch, over = Watch(search, roots), threading.Event()

    def keep_looking() -> None:
        while not over.wait(SHORTEST):
            watch.look()

    thread = threading.Thread(target=keep_looking)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
    watch.look()
