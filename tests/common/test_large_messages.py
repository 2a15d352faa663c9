"""Large arrays travel as numpy writes them, and are held once."""

import json
import tracemalloc
from io import BytesIO

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.app.message.arraychunk import ArrayChunk
from flwr.supercore.constant import HEAD_BODY_DIVIDER
from flwr.supercore.inflatable.inflatable_object import get_object_id

from common.errors import IntegrityError
from common.task import State, fingerprint
from common.travel import arrivals, packed_arrays, parcels, wire
from common.travel.wire import Place
from tests.common.test_parcels import PLACE, Store, message

MANY = packed_arrays.LARGE // 4
"""Numbers that are twice as many as make an array large."""


def asked(array: np.ndarray) -> wire.Ask:
    """Return a question that shows *array*."""
    sites, arrays = ("north", "south"), {"parameters": array}
    roster = wire.roster(sites)
    place = Place("d", "r", "t", 1, fingerprint(arrays), roster, 1)
    return wire.Ask(place, State(arrays), sites)


@pytest.mark.parametrize("dtype", ["<f8", "<u8"])
@pytest.mark.parametrize("shape", [(0,), (5,), (2, 3), (MANY,), (MANY // 8, 8)])
def test_an_array_is_the_bytes_that_numpy_writes(
    shape: tuple[int, ...], dtype: str
) -> None:
    array = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    record, plain = wire.ask(asked(array)), BytesIO()
    np.save(plain, array)
    assert record.array_records["arrays"]["parameters"].data == plain.getvalue()
    found = wire.read_ask(record).state.arrays["parameters"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


def spoiled(data: bytes, shape: tuple[int, ...], dtype: str = "float64") -> RecordDict:
    """Return a question whose array is *data*, and is said to be another."""
    record = wire.ask(asked(np.zeros(3)))
    array = Array(dtype, shape, packed_arrays.STYPE, data)
    record["arrays"] = ArrayRecord({"parameters": array})
    return record


@pytest.mark.parametrize("how", ["short", "long", "magic", "objects", "shape"])
def test_a_large_array_that_is_not_whole_is_refused(how: str) -> None:
    whole = BytesIO()
    np.save(whole, np.zeros(MANY))
    data, shape = whole.getvalue(), (MANY,)
    if how == "short":
        data = data[:-8]
    if how == "long":
        data += bytes(8)
    if how == "magic":
        data = b"x" + data[1:]
    if how == "objects":
        data = data.replace(b"'<f8'", b"'|O' ", 1)
    if how == "shape":
        shape = (MANY - 1,)
    with pytest.raises(IntegrityError, match="cannot be read"):
        wire.read_ask(spoiled(data, shape))


def test_an_array_by_column_is_read_as_it_is() -> None:
    whole, array = BytesIO(), np.asfortranarray(np.arange(MANY * 1.0).reshape(-1, 2))
    np.save(whole, array)
    record = spoiled(whole.getvalue(), array.shape)
    about = wire.ask(asked(array)).config_records["about"]
    record["about"] = ConfigRecord({**about})
    found = wire.read_ask(record).state.arrays["parameters"]
    np.testing.assert_array_equal(found, array)


def test_pieces_that_are_named_again_and_again_have_an_end() -> None:
    parcel, store = parcels.pack(message(MANY)), Store()
    parcels.post([parcel], parcel.parts, store.push, (PLACE, "session"))
    (name,) = [n for n, part in parcel.parts.items() if isinstance(part, Array)]
    head, body = store.kept[name].split(HEAD_BODY_DIVIDER, 1)
    said = json.loads(body)
    said["arraychunk_ids"] = said["arraychunk_ids"] * 1000
    store.kept[name] = head + HEAD_BODY_DIVIDER + json.dumps(said).encode()
    with pytest.raises(IntegrityError, match="is larger than 256 MiB"):
        arrivals.fetch(parcel.head, parcel.tree, store.pull, PLACE.node)


def test_equal_pieces_of_two_arrays_arrive_in_both() -> None:
    sent, store = message(MANY), Store()
    arrays = {name: Array(np.zeros(MANY)) for name in ("one", "other")}
    sent.content["arrays"] = ArrayRecord(arrays)
    parcel = parcels.pack(sent)
    kinds = [each for each in parcel.parts.values() if isinstance(each, ArrayChunk)]
    assert len({get_object_id(each.deflate()) for each in kinds}) == len(kinds)
    parcels.post([parcel], parcel.parts, store.push, (PLACE, "session"))
    arrived: Message = arrivals.fetch(parcel.head, parcel.tree, store.pull, PLACE.node)
    for each in arrived.content.array_records["arrays"].values():
        np.testing.assert_array_equal(each.numpy(), np.zeros(MANY))


def test_a_large_message_is_fetched_and_read_some_parts_at_a_time() -> None:
    count = 40 * MANY
    sent, store = wire.ask(asked(np.random.default_rng(0).random(count))), Store()
    whole = message(1)
    parcel = parcels.pack(Message(sent, 1, whole.metadata.message_type))
    parcels.post([parcel], parcel.parts, store.push, (PLACE, "session"))
    tracemalloc.start()
    try:
        arrived = arrivals.fetch(parcel.head, parcel.tree, store.pull, PLACE.node)
        read = wire.read_ask(arrived.content)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read.state.arrays["parameters"].size == count
    assert now < 0.1 * 8 * count
    assert peak < 0.3 * 8 * count


HEADS = (
    "{'descr': (), 'fortran_order': False, 'shape': (3,)}",
    "{'descr': ',,', 'fortran_order': False, 'shape': (3,)}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
    "-" * 5000 + "1",
    "\0{",
)


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("size", [24, packed_arrays.LARGE])
def test_a_head_that_numpy_stumbles_over_is_refused(head: str, size: int) -> None:
    length = len(head).to_bytes(2, "little")
    data = b"\x93NUMPY\x01\x00" + length + head.encode() + bytes(size)
    with pytest.raises(IntegrityError, match="cannot be read"):
        wire.read_ask(spoiled(data, (3,)))
