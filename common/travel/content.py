"""What a Flower message carries, read so that it goes when nobody holds it any more.

Flower's own ``config_records`` and ``array_records`` are views that hold themselves and
the message: whoever looks through one keeps every array until Python happens to search
for such rings, and an aggregator that way keeps the vectors of many sites.
"""

from flwr.app import ArrayRecord, ConfigRecord, RecordDict


def words(content: RecordDict, name: str) -> ConfigRecord:
    """Return the words that *content* holds under *name*: none if there are none."""
    found = content.get(name)
    return found if isinstance(found, ConfigRecord) else ConfigRecord()


def arrays(content: RecordDict) -> ArrayRecord:
    """Return the arrays of *content*: none if there are none."""
    found = content.get("arrays")
    return found if isinstance(found, ArrayRecord) else ArrayRecord()
