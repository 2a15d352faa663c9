"""A message says what was signed and nothing beside it, or it is not read."""

from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as Wire
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConsiliumError, IdentityError, IntegrityError
from common.task import State, fingerprint
from common.travel import seal, wire
from common.travel.wire import Place
from common.trust import identity

KEY = identity.new_signing_key()
PUBLIC = KEY.public_key()


def question() -> RecordDict:
    """Return a question as an aggregator asks it, with two arrays."""
    arrays = {"weights": np.arange(3.0), "centre": np.ones((2, 2))}
    sites = ("north", "south")
    place = Place(
        *("ab" * 32, "run", "logistic", 2),
        state=fingerprint(arrays),
        roster=wire.roster(sites),
        sequence=3,
    )
    return wire.ask(wire.Ask(place, State(arrays), sites))


SEALED = seal.sign(question(), wire.ROUND, seal.AGGREGATOR, KEY)
BYTES: bytes = recorddict_to_proto(SEALED).SerializeToString(deterministic=True)


def check(content: RecordDict, kind: str = wire.ROUND, sender: str = "") -> None:
    seal.verify(content, kind, sender, PUBLIC)


def carried(data: bytes) -> RecordDict:
    return recorddict_from_proto(Wire.FromString(data))


def test_what_was_signed_is_read_after_the_journey() -> None:
    check(carried(BYTES))
    assert wire.read_ask(carried(BYTES)).sites == ("north", "south")


def test_a_signature_is_of_one_kind_one_sender_and_one_key() -> None:
    for kind in (wire.OPEN, wire.CLOSE, "train"):
        with pytest.raises(IntegrityError, match="something else than what was signed"):
            check(SEALED, kind)
    with pytest.raises(IntegrityError, match="something else"):
        check(SEALED, sender="north")
    with pytest.raises(IdentityError, match="the signature on the message is wrong"):
        seal.verify(SEALED, wire.ROUND, "", identity.new_signing_key().public_key())


@settings(max_examples=300, deadline=None)
@given(bit=st.integers(0, 8 * len(BYTES) - 1))
def test_no_bit_can_be_turned(bit: int) -> None:
    turned = bytearray(BYTES)
    turned[bit // 8] ^= 1 << (bit % 8)
    try:
        arrived = carried(bytes(turned))
    except Exception:  # noqa: BLE001 - Flower's own, of many kinds: it is not read
        return
    again = recorddict_to_proto(arrived).SerializeToString(deterministic=True)
    if again == BYTES:  # a bit that means nothing, in how the bytes are framed
        return
    with pytest.raises(ConsiliumError):
        check(arrived)


def about(**words: object) -> ConfigRecord:
    return ConfigRecord({**SEALED.config_records["about"], **words})  # type: ignore[dict-item]


def arrays(**changed: Array) -> ArrayRecord:
    return ArrayRecord({**SEALED.array_records["arrays"], **changed})


def lying(**changed: object) -> Array:
    """Return the weights as an array that says something else of itself."""
    true = SEALED.array_records["arrays"]["weights"]
    parts = {
        "dtype": true.dtype,
        "shape": true.shape,
        "stype": true.stype,
        "data": true.data,
    }
    return Array(**{**parts, **changed})  # type: ignore[arg-type]


CHANGES: dict[str, Callable[[], dict[str, object]]] = {
    **{
        name: lambda name=name: {"about": about(**{name: "other"})}
        for name in ("digest", "run", "task", "state", "roster", "sites")
    },
    **{
        name: lambda name=name: {"about": about(**{name: 9})}
        for name in ("protocol", "round", "sequence")
    },
    "a word more": lambda: {"about": about(more="x")},
    "a number for a word": lambda: {"about": about(round="2")},
    "a decimal": lambda: {"about": about(round=2.0)},
    "yes for one": lambda: {"about": about(protocol=True)},
    "bytes": lambda: {"about": about(run=b"run")},
    "a list": lambda: {"about": about(run=["run"])},
    "a huge number": lambda: {"about": about(round=2**60)},
    "no words": lambda: {"about": ConfigRecord()},
    "measures for words": lambda: {"about": MetricRecord({"round": 2})},
    "measures for arrays": lambda: {"arrays": MetricRecord({"x": 1.0})},
    "measures beside": lambda: {"more": MetricRecord({"x": 1.0})},
    "words beside": lambda: {"more": ConfigRecord({"x": 1})},
    "arrays beside": lambda: {"more": ArrayRecord()},
    "an array more": lambda: {"arrays": arrays(more=Array(np.zeros(1)))},
    "another number": lambda: {"arrays": arrays(weights=Array(np.arange(3.0) + 1e-9))},
    "another kind": lambda: {"arrays": arrays(weights=lying(dtype="float32"))},
    "another shape": lambda: {"arrays": arrays(weights=lying(shape=(1, 3)))},
    "another form": lambda: {"arrays": arrays(weights=lying(stype="pickle"))},
    "no arrays": lambda: {"arrays": ArrayRecord()},
    "no signature": lambda: {"seal": ConfigRecord()},
    "a number for a signature": lambda: {"seal": ConfigRecord({"document": 1})},
    "measures for a signature": lambda: {"seal": MetricRecord({"document": 1})},
    "something beside the signature": lambda: {
        "seal": ConfigRecord({**SEALED.config_records["seal"], "more": "x"})
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change: str) -> None:
    with pytest.raises((IntegrityError, IdentityError)):
        check(RecordDict({**SEALED, **CHANGES[change]()}))  # type: ignore[dict-item]


@pytest.mark.parametrize("part", ["about", "arrays", "seal"])
def test_a_part_that_is_missing_is_seen(part: str) -> None:
    rest = {name: value for name, value in SEALED.items() if name != part}
    with pytest.raises((IntegrityError, IdentityError)):
        check(RecordDict(rest))


@given(
    words=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            st.integers(-(2**53) + 1, 2**53 - 1),
        ),
        max_size=4,
    ),
    numbers=st.lists(st.floats(allow_nan=True, width=64), max_size=5),
)
def test_whatever_is_sealed_is_read_again(
    words: dict[str, str | int], numbers: list[float]
) -> None:
    content = RecordDict(
        {
            "about": ConfigRecord(words),  # type: ignore[arg-type]
            "arrays": ArrayRecord({"x": Array(np.array(numbers))}),
        }
    )
    sealed = seal.sign(content, "query.round", "north", KEY)
    data = recorddict_to_proto(sealed).SerializeToString()
    seal.verify(carried(data), "query.round", "north", PUBLIC)
