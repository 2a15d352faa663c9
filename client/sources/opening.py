"""Which reader reads which kind of source; a library loads only where it is used."""

from collections.abc import Callable
from types import ModuleType

from client.mapping import Source
from client.raw import Parts, Place, Wanted
from client.site import Site
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
    """Return every column of a table, mapped or not; no record is read.

    Only for a guess at a mapping, on the steward's own screen.
    """
    found: list[str] = _reader(place).names(_source(place), place)
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
        return READERS[kind]()
    except ModuleNotFoundError as lacking:
        raise MachineError(
            f"a source of kind {kind} needs the package {lacking.name}",
            where=place.where("kind"),
            fix=f"pip install 'consilium[{kind}]'",
        ) from None


def _csv() -> ModuleType:
    from client.sources import csv  # noqa: PLC0415 - only what is used is loaded

    return csv


def _parquet() -> ModuleType:
    from client.sources import parquet  # noqa: PLC0415

    return parquet


def _sql() -> ModuleType:
    from client.sources import sql  # noqa: PLC0415

    return sql


def _fhir() -> ModuleType:
    from client.sources import fhir  # noqa: PLC0415

    return fhir


def _images() -> ModuleType:
    from client.sources import images  # noqa: PLC0415

    return images


def _dicom() -> ModuleType:
    from client.sources import dicom  # noqa: PLC0415

    return dicom


def _png() -> ModuleType:
    from client.sources import png  # noqa: PLC0415

    return png


def _text() -> ModuleType:
    from client.sources import text  # noqa: PLC0415

    return text


def _signals() -> ModuleType:
    from client.sources import signals  # noqa: PLC0415

    return signals


def _wfdb() -> ModuleType:
    from client.sources import wfdb  # noqa: PLC0415

    return wfdb


READERS: dict[str, Callable[[], ModuleType]] = {
    "csv": _csv,
    "parquet": _parquet,
    "sql": _sql,
    "fhir": _fhir,
    "images": _images,
    "dicom": _dicom,
    "png": _png,
    "text": _text,
    "signals": _signals,
    "wfdb": _wfdb,
}
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
