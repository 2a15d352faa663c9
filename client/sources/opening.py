"""Which reader reads which kind of source; a library loads only where it is used."""

from collections.abc import Callable
from types import ModuleType

from client.documents.mapping import Source
from client.formats.raw import Parts, Place, Wanted
from client.site import Site
from client.sources import csv, fhir, images, signals, text, wfdb
from common.errors import MachineError


def read(place: Place, wanted: Wanted) -> Parts:
    """Yield what the source at *place* says of the *wanted* variables, part by part.

    Close it: an error in the middle would leave the source open.

    Raises DataError, with file and line and never a value, for what cannot be read;
    MachineError when the library for this kind of source is not installed.
    """
    found: Parts = _reader(place).read(_source(place), wanted, place)
    return found


def probe(site: Site) -> tuple[str, ...]:
    """Return a line about every source, once all that is mapped to it is there.

    No record is read. Raises what reading would.
    """
    return tuple(_probe(Place(site, name)) for name in site.mapping.named)


def names(place: Place) -> list[str]:
    """Return what could be mapped: columns, TABLE.COLUMN of a database, channels.

    Only for a guess at a mapping, on the steward's own screen.
    """
    found: list[str] = _reader(place).names(_source(place), place)
    return found


def seen(place: Place) -> list[str]:
    """Return what DICOM files say of themselves, as counts, for the steward."""
    found: list[str] = _reader(place).seen(_source(place), place)
    return found


def _probe(place: Place) -> str:
    mapping = place.site.mapping
    wanted = {
        name: column
        for name, column in mapping.columns.items()
        if column.found and mapping.source_of(column) == place.name
    }
    source = _source(place)
    found = _reader(place).probe(source, wanted, place)
    what, called = COUNTED[source.kind], place.path(source.called).name
    if what in ("files", "records"):
        return f"{source.called}: {found} {what}"
    if not found:
        return f"{called} can be opened; nothing is mapped to it yet"
    return f"{called} has the {found} {what if found > 1 else what.removesuffix('s')}"


def _source(place: Place) -> Source:
    return place.site.mapping.named[place.name]


def _reader(place: Place) -> ModuleType:
    """Return the module that reads this kind of source."""
    kind = _source(place).kind
    try:
        return PLAIN[kind] if kind in PLAIN else EXTRA[kind]()
    except ModuleNotFoundError as lacking:
        raise MachineError(
            f"a source of kind {kind} needs the package {lacking.name}",
            where=place.where("kind"),
            fix=f"pip install 'consilium[{kind}]'",
        ) from None


def _parquet() -> ModuleType:
    from client.sources import parquet  # noqa: PLC0415 - needs an extra's library

    return parquet


def _sql() -> ModuleType:
    from client.sources import sql  # noqa: PLC0415 - the same

    return sql


def _dicom() -> ModuleType:
    from client.sources import dicom  # noqa: PLC0415 - the same

    return dicom


def _png() -> ModuleType:
    from client.sources import png  # noqa: PLC0415 - the same

    return png


PLAIN = {
    "csv": csv,
    "fhir": fhir,
    "images": images,
    "text": text,
    "signals": signals,
    "wfdb": wfdb,
}
EXTRA: dict[str, Callable[[], ModuleType]] = {
    "parquet": _parquet,
    "sql": _sql,
    "dicom": _dicom,
    "png": _png,
}
"""Readers that need the library of an extra, which loads only where it is used."""
COUNTED = {
    "csv": "mapped columns",
    "parquet": "mapped columns",
    "sql": "mapped variables",
    "fhir": "mapped variables",
    "images": "mapped columns",
    "dicom": "files",
    "png": "mapped columns",
    "text": "files",
    "signals": "mapped columns",
    "wfdb": "records",
}
"""What a probe counts, by the kind of the source."""
