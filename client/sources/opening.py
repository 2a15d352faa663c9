"""Which reader reads which kind of source; a library loads only where it is used."""

from client.mapping import Csv
from client.media import Dicom, Signals, Texts, Wfdb
from client.picture_source import Images
from client.raw import Parts, Place, Wanted
from client.site import Site
from client.sources import csv, dicom, images, signals, text, wfdb


def read(place: Place, wanted: Wanted) -> Parts:
    """Yield what the source at *place* says of the *wanted* variables, part by part.

    Raises DataError, with file and line and never a value, for what cannot be read;
    MachineError when the library for this kind of source is not installed.
    """
    source = place.site.mapping.named[place.name]
    match source:
        case Csv():
            return csv.read(source, wanted, place)
        case Texts():
            return text.read(source, wanted, place)
        case Signals():
            return signals.read(source, wanted, place)
        case Dicom():
            return dicom.read(source, wanted, place)
        case Wfdb():
            return wfdb.read(source, wanted, place)
        case Images():
            return images.read(source, wanted, place)


def probe(site: Site) -> tuple[str, ...]:
    """Return a line about every source, once all that is mapped to it is there.

    No record is read. Raises what reading would.
    """
    return tuple(_probe(Place(site, name)) for name in site.mapping.named)


def _probe(place: Place) -> str:
    mapping = place.site.mapping
    wanted = {
        name: column
        for name, column in mapping.columns.items()
        if column.found and mapping.source_of(column) == place.name
    }
    source = mapping.named[place.name]
    match source:
        case Csv():
            found = f"{csv.probe(source, wanted, place)} mapped columns"
        case Images():
            found = f"{images.probe(source, wanted, place)} mapped columns"
        case Texts():
            found = text.probe(source, wanted, place)
        case Signals():
            found = signals.probe(source, wanted, place)
        case Dicom():
            found = dicom.probe(source, wanted, place)
        case Wfdb():
            found = wfdb.probe(source, wanted, place)
    return f"{place.path(source.called).name} has the {found}"
