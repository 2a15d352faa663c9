"""Masks cancel in the sum and nowhere else, and no cheat opens a site's own vector."""

import dataclasses
import os
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from common.errors import (
    ConsiliumError,
    IdentityError,
    IntegrityError,
    QuorumError,
    Refusal,
)
from common.masked import circle as circles
from common.masked import masking, masks, shamir, unmasking
from common.masked.circle import Circle, Round
from common.masked.stages import Opened, Opening, Summand
from common.trust import signed
from common.trust.identity import public_text
from tests import masked as play
from tests.masked import AGGREGATOR, ASKED, CODING, LEGS, Gone, key_of

A, B, C, D, E = play.names(5)
VECTORS = play.numbers(play.circle(5), 4)


@pytest.fixture(scope="module")
def begun() -> dict:
    return play.advertised(play.circle(5))


@pytest.fixture(scope="module")
def given_out(begun: dict) -> dict:
    return play.shared(begun)


@pytest.fixture(scope="module")
def sent(given_out: dict) -> dict:
    return play.masked(given_out, VECTORS)


@pytest.fixture(scope="module")
def held(begun: dict, sent: dict) -> unmasking.Gathered:
    return play.gathered(play.documents(begun), sent)


@st.composite
def rounds(draw: st.DrawFn) -> tuple[int, Gone]:
    count = draw(st.integers(3, 8))
    of = play.circle(count)
    losses = draw(st.integers(0, count - of.threshold))
    who = draw(st.permutations(play.names(count)))[:losses]
    return count, Gone({name: draw(st.sampled_from(LEGS)) for name in who})


@settings(max_examples=60)
@given(game=rounds(), size=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_the_sum_is_that_of_the_survivors_to_the_last_bit(
    game: tuple[int, Gone], size: int, seed: int
) -> None:
    count, gone = game
    of = play.circle(count)
    vectors = play.numbers(of, size, seed)
    total, alive = play.total(of, vectors, gone)
    assert alive == set(of.sites) - gone.before("upload")
    assert total.tolist() == [
        sum(int(vectors[name][i]) for name in alive) % 2**64 for i in range(size)
    ]


@settings(max_examples=25)
@given(count=st.integers(3, 7), leg=st.sampled_from(LEGS), data=st.data())
def test_one_loss_too_many_ends_the_round(
    count: int, leg: str, data: st.DataObject
) -> None:
    of = play.circle(count)
    losses = count - of.threshold + 1
    who = data.draw(st.permutations(play.names(count)))[:losses]
    if leg == "confirm":  # without a loss before, there is nothing to confirm
        gone = Gone({**dict.fromkeys(who, leg), who[0]: "upload"})
    else:
        gone = Gone(dict.fromkeys(who, leg))
    with pytest.raises(QuorumError, match=f"{of.threshold} are needed"):
        play.total(of, play.numbers(of, 2), gone)


SIZES = {3: 3, 4: 3, 5: 4, 10: 7, 20: 14, 50: 34}


@pytest.mark.parametrize("count", SIZES)
def test_the_threshold(count: int) -> None:
    assert play.circle(count).threshold == SIZES[count]


def test_the_page_gives_thresholds_and_colluders_as_they_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "masking.md").read_text("utf-8")
    assert ", ".join(f"{t} of {n}" for n, t in SIZES.items()) in page
    assert ", ".join(f"{2 * t - n - 1} of {n}" for n, t in SIZES.items()) in page


def test_a_second_circle_has_the_threshold_of_the_first() -> None:
    again = dataclasses.replace(play.circle(7), attempt=2, least=7)
    assert play.circle(7).threshold == 5
    assert again.threshold == 7
    with pytest.raises(QuorumError, match="6 of 7 sites have survived, 7 are needed"):
        play.total(again, play.numbers(again, 1), Gone({A: "upload"}))
    with pytest.raises(IntegrityError, match="7 sites must survive, of 5"):
        masking.seat(dataclasses.replace(play.circle(5), least=7), A, key_of(A))


def test_fifty_sites_take_seconds() -> None:
    of = play.circle(50)
    vectors = play.numbers(of, 100_000)
    gone = Gone({"site-07": "upload", "site-31": "unmask"})
    began = time.process_time()
    total, alive = play.total(of, vectors, gone)
    assert time.process_time() - began < 30  # 4 s when nothing else runs
    expected = np.zeros(100_000, np.uint64)
    for name in alive:
        expected += vectors[name]
    assert (total == expected).all()


# What a masked vector shows


def chi_square(vector: np.ndarray) -> float:
    counts = np.bincount(vector.view(np.uint8), minlength=256)
    return float(stats.chisquare(counts).pvalue)


def test_a_masked_vector_is_uniform_and_unrelated_to_the_next() -> None:
    zero = dict.fromkeys(play.names(3), np.zeros(1 << 17, np.uint64))
    seen = []
    for sequence in (1, 2):
        stages = play.masked(
            play.shared(play.advertised(play.circle(3, sequence))), zero
        )
        seen += [stage.reply.vector for stage in stages.values()]
    for each in seen:
        assert chi_square(each) > 1e-6
    for i in range(len(seen)):
        for j in range(i):
            assert chi_square(seen[i] - seen[j]) > 1e-6
            assert chi_square(seen[i] + seen[j]) > 1e-6


def test_the_chi_square_would_see_a_leak() -> None:
    noise = np.random.default_rng(1).integers(0, 2**64, 1 << 17, np.uint64)
    noise[: 1 << 12] = 0
    assert chi_square(noise) < 1e-6


def test_threshold_less_one_masked_vectors_show_no_sum(sent: dict) -> None:
    total = sum((sent[name].reply.vector for name in (A, B, C, D)), np.uint64(0))
    expected = sum((VECTORS[name] for name in (A, B, C, D)), np.uint64(0))
    assert not (total == expected).any()


def test_a_stream_is_aes_in_counter_mode_whatever_the_length() -> None:
    key = bytes(range(32))
    long = np.zeros(masks.BLOCK * 2 + 3, np.uint64)
    long = masks.add(long, [(key, False)])
    short = masks.add(np.zeros(5, np.uint64), [(key, True)])
    assert ((long[:5] + short) == 0).all()
    # FIPS-197, appendix C.3: the cipher itself
    assert long[:2].astype("<u8").tobytes().hex() == "f29000b62a499fd0a9f39a6add2e7780"
    assert not masks.add(long, [(key, True)]).any()


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(ASKED, state="2" * 64),
        dataclasses.replace(ASKED, task="chi_square"),
        dataclasses.replace(ASKED, number=2),
    ],
)
def test_different_questions_do_not_cancel(
    given_out: dict, begun: dict, other: Round
) -> None:
    views = [play.masked(given_out, VECTORS, asked=each) for each in (ASKED, other)]
    forked = {**views[0], C: views[1][C]}
    with pytest.raises(IntegrityError, match=f"{C} signed for another view"):
        play.gathered(play.documents(begun), forked)
    # An aggregator that does not look has the sum of nothing.
    total = sum((stage.reply.vector for stage in forked.values()), np.uint64(0))
    held = play.gathered(play.documents(begun), views[0])
    lying = dataclasses.replace(held, masked=total)
    opens = play.opened(held, views[0], held.confirmations)
    replies = {name: stage.reply for name, stage in opens.items()}
    found = unmasking.unmasked(lying, replies)
    assert not (found == sum(VECTORS.values(), np.uint64(0))).any()
    # And the site that saw another state opens nothing for the others.
    with pytest.raises(IntegrityError, match="the aggregator signed for another view"):
        masking.unmask(
            forked[C], play.survivors(held.view, held.survivors), held.confirmations
        )


def test_nor_do_they_when_every_self_mask_is_known(given_out: dict) -> None:
    views = [
        play.masked(given_out, VECTORS, asked=each)
        for each in (ASKED, dataclasses.replace(ASKED, state="2" * 64))
    ]

    def bare(stages: dict) -> np.ndarray:
        total = sum((stage.reply.vector for stage in stages.values()), np.uint64(0))
        for name, stage in stages.items():
            seed = given_out[name].secrets.seed
            key = masking.self_mask(stage.view.digest(), name, seed)
            total = masks.add(total, [(key, True)])
        return total

    expected = sum(VECTORS.values(), np.uint64(0))
    assert (bare(views[0]) == expected).all()
    assert not (bare({**views[0], C: views[1][C]}) == expected).any()


def test_a_seed_makes_another_mask_in_another_view_and_at_another_site() -> None:
    seed, ours, theirs = bytes(32), "1" * 64, "2" * 64
    made = [
        masking.self_mask(*each, seed) for each in ((ours, A), (theirs, A), (ours, B))
    ]
    assert len(set(made)) == 3


def test_another_coding_is_another_view(given_out: dict, sent: dict) -> None:
    boxes = play.boxes_of(given_out)
    other = Summand(ASKED, "e" * 64, VECTORS[A])
    view = masking.mask(given_out[A], boxes[A], other).view
    assert view.digest() != sent[A].view.digest()


# Keys


def resigned(of: Circle, site: str, signer: str, **keys: str) -> bytes:
    fresh = {"box": "1" * 64, "mask": "2" * 64, "seed": "3" * 64} | keys
    payload = {**of.words(), "site": site, "keys": fresh}
    return signed.sign(payload, key_of(signer), circles.KEYS)


def with_another(of: Circle) -> Circle:
    """Return a circle of as many sites, of which one is another hospital's."""
    pinned = {**of.sites, E: public_text(key_of("another"))}
    return dataclasses.replace(of, sites=pinned)


KEY_CHEATS: dict[str, tuple[Callable[[dict], dict[str, bytes]], type, str]] = {
    "made by another": (
        lambda _: {B: resigned(play.circle(5), B, "mallory")},
        IdentityError,
        f"{B}: the signature",
    ),
    "of another site": (lambda said: {B: said[C]}, IdentityError, f"{B}: the sign"),
    "another site's name": (
        lambda _: {B: resigned(play.circle(5), C, B)},
        IntegrityError,
        f"the keys of {B} are for another",
    ),
    "another round": (
        lambda _: {B: resigned(play.circle(5, 2), B, B)},
        IntegrityError,
        f"the keys of {B} are for another round",
    ),
    "another attempt": (
        lambda _: {B: resigned(dataclasses.replace(play.circle(5), attempt=2), B, B)},
        IntegrityError,
        f"the keys of {B} are for another round",
    ),
    "another run": (
        lambda _: {B: resigned(play.circle(5, run="x"), B, B)},
        IntegrityError,
        f"the keys of {B} are for another round",
    ),
    "another roster": (
        lambda _: {B: resigned(with_another(play.circle(5)), B, B)},
        IntegrityError,
        f"the keys of {B} are for another round",
    ),
    "another study": (
        lambda _: {
            B: resigned(dataclasses.replace(play.circle(5), digest="e" * 64), B, B)
        },
        IntegrityError,
        f"the keys of {B} are for another round",
    ),
    "a lower threshold": (
        lambda said: {
            B: signed.sign(
                {**signed.unverified(said[B], circles.KEYS), "threshold": 2},
                key_of(B),
                circles.KEYS,
            )
        },
        IntegrityError,
        f"the keys of {B} are for another round",
    ),
    "used by two": (
        lambda said: {
            B: resigned(
                play.circle(5),
                B,
                B,
                **signed.unverified(said[C], circles.KEYS)["keys"],
            )
        },
        IdentityError,
        f"{B} sent a key that was sent before",
    ),
    "of small order": (
        lambda _: {B: resigned(play.circle(5), B, B, box="0" * 64)},
        IdentityError,
        f"{B}: a public key is one that hides nothing",
    ),
    "no key": (
        lambda _: {B: resigned(play.circle(5), B, B, mask="zz")},
        IntegrityError,
        f"a key of {B} is not 64 digits",
    ),
    "a stranger": (
        lambda _: {"mallory": resigned(play.circle(5), "mallory", "mallory")},
        IntegrityError,
        "mallory is not of this circle",
    ),
    "not mine": (
        lambda _: {A: resigned(play.circle(5), A, A)},
        IdentityError,
        f"{A} is shown keys that it did not send",
    ),
    "changed": (
        lambda said: {B: said[B].replace(b"0", b"1", 1)},
        ConsiliumError,
        f"{B}: ",
    ),
}


@pytest.mark.parametrize("cheat", KEY_CHEATS)
def test_keys_that_are_not_their_sites_are_refused(begun: dict, cheat: str) -> None:
    change, error, match = KEY_CHEATS[cheat]
    said = play.documents(begun)
    with pytest.raises(error, match=match):
        masking.share(begun[A], said | change(said))


def test_a_setup_is_not_begun_again(begun: dict, given_out: dict) -> None:
    said = play.documents(begun)
    assert masking.share(given_out[A], said) is given_out[A]
    with pytest.raises(IntegrityError, match="asked twice in one round"):
        masking.share(given_out[A], {k: v for k, v in said.items() if k != E})


def test_the_floors_are_the_sites() -> None:
    with pytest.raises(Refusal, match="4 sites are fewer than the floor of 5"):
        masking.seat(play.circle(4), A, key_of(A), 5)
    of, vectors = play.circle(5), play.numbers(play.circle(5), 1)
    strict = {
        name: dataclasses.replace(
            stage, seat=masking.seat(of, name, key_of(name), fewest=5)
        )
        for name, stage in play.advertised(of).items()
    }
    with pytest.raises(QuorumError, match="4 of 5 sites have sent keys, 5 are needed"):
        play.shared({name: strict[name] for name in (A, B, C, D)})
    given_out = play.shared(strict)
    with pytest.raises(QuorumError, match="4 of 5 sites have shared, 5 are needed"):
        play.masked({name: given_out[name] for name in (A, B, C, D)}, vectors)
    sent = play.masked(given_out, vectors)
    with pytest.raises(QuorumError, match="4 of 5 sites have survived, 5 are needed"):
        masking.confirm(sent[A], play.survivors(sent[A].view, [A, B, C, D]))


@pytest.mark.parametrize("count", [1, 2, 51])
def test_two_sites_are_no_circle_and_fifty_one_are_too_many(count: int) -> None:
    with pytest.raises(IntegrityError, match=f"3 to 50 sites can mask, not {count}"):
        masking.seat(play.circle(count), A, key_of(A))


def test_a_site_sits_only_with_its_own_key_and_no_two_share_one() -> None:
    of = play.circle(3)
    with pytest.raises(IdentityError, match=f"another key for {A}"):
        masking.seat(of, A, key_of(B))
    with pytest.raises(IdentityError, match="another key for mallory"):
        masking.seat(of, "mallory", key_of("mallory"))
    double = dataclasses.replace(of, sites={**of.sites, C: of.sites[B]})
    with pytest.raises(IntegrityError, match="have the same key"):
        masking.seat(double, A, key_of(A))


# Boxes

BOX_CHEATS: dict[str, tuple[Callable[[dict, dict], dict[str, bytes]], type, str]] = {
    "changed": (
        lambda boxes, _: {B: boxes[A][B][:-1] + bytes([boxes[A][B][-1] ^ 1])},
        IdentityError,
        f"{B}: a box does not open",
    ),
    "of another sender": (
        lambda boxes, _: {B: boxes[A][C]},
        IdentityError,
        f"{B}: a box does not open",
    ),
    "for another receiver": (
        lambda boxes, _: {B: boxes[C][B]},
        IdentityError,
        f"{B}: a box does not open",
    ),
    "my own, sent back": (
        lambda boxes, _: {B: boxes[B][A]},
        IdentityError,
        f"{B}: a box does not open",
    ),
    "cut off": (
        lambda boxes, _: {B: boxes[A][B][:5]},
        IdentityError,
        f"{B}: a box does not open",
    ),
    "of another round": (
        lambda _, other: {B: other[A][B]},
        IdentityError,
        f"{B}: a box does not open",
    ),
    "from a stranger": (
        lambda boxes, _: {"mallory": boxes[A][B]},
        IntegrityError,
        "mallory is not of this circle",
    ),
    "from myself": (
        lambda boxes, _: {A: boxes[A][B]},
        IdentityError,
        f"{A} shared without having sent keys",
    ),
}


@pytest.mark.parametrize("cheat", BOX_CHEATS)
def test_boxes_that_are_not_their_sites_are_refused(
    given_out: dict, cheat: str
) -> None:
    change, error, match = BOX_CHEATS[cheat]
    boxes = play.boxes_of(given_out)
    other = play.boxes_of(play.shared(play.advertised(play.circle(5, 2))))
    with pytest.raises(error, match=match):
        masking.mask(
            given_out[A],
            boxes[A] | change(boxes, other),
            Summand(ASKED, CODING, VECTORS[A]),
        )


@pytest.mark.parametrize("size", [0, shamir.BYTES, 2 * shamir.BYTES + 1])
def test_a_box_with_another_number_of_shares_is_refused(
    given_out: dict, size: int
) -> None:
    """Sealed by the true sender: what it holds is still not two shares."""
    own, there = given_out[A], given_out[B]
    purpose = {"for": "shares", "keys": own.seen, "from": B, "to": A}
    peer = bytes.fromhex(there.keys[A].box)
    key = masks.agreed(there.secrets.box, peer, purpose)
    box = masks.boxed(key, bytes(size), purpose, os.urandom)
    boxes = play.boxes_of(given_out)[A] | {B: box}
    with pytest.raises(IntegrityError, match=f"{B}: a box does not hold two shares"):
        masking.mask(own, boxes, Summand(ASKED, CODING, VECTORS[A]))


def test_sites_that_were_shown_different_keys_open_no_box_of_each_other(
    begun: dict,
) -> None:
    said = play.documents(begun)
    most = {name: each for name, each in said.items() if name != E}
    ours, theirs = masking.share(begun[A], most), masking.share(begun[B], said)
    assert E not in ours.reply
    boxes = dict.fromkeys((B, C, D), theirs.reply[A])
    with pytest.raises(IdentityError, match=f"{B}: a box does not open"):
        masking.mask(ours, boxes, Summand(ASKED, CODING, VECTORS[A]))


def test_who_sent_no_keys_has_no_box(begun: dict) -> None:
    stages = {name: begun[name] for name in (A, B, C, D)}
    given_out = play.shared(stages)
    boxes = play.boxes_of(given_out)[A] | {E: b"x"}
    with pytest.raises(IdentityError, match=f"{E} shared without having sent keys"):
        masking.mask(given_out[A], boxes, Summand(ASKED, CODING, VECTORS[A]))


def test_a_contribution_is_masked_once(given_out: dict, sent: dict) -> None:
    boxes = play.boxes_of(given_out)[A]
    again = masking.mask(sent[A], boxes, Summand(ASKED, CODING, VECTORS[B]))
    assert again is sent[A]
    with pytest.raises(IntegrityError, match="asked twice in one round"):
        masking.mask(
            sent[A],
            boxes,
            Summand(dataclasses.replace(ASKED, state="2" * 64), CODING, VECTORS[A]),
        )
    fewer = {peer: box for peer, box in boxes.items() if peer != B}
    with pytest.raises(IntegrityError, match="asked twice in one round"):
        masking.mask(sent[A], fewer, Summand(ASKED, CODING, VECTORS[A]))


@pytest.mark.parametrize("wrong", [np.zeros(4), np.zeros((2, 2), np.uint64)])
def test_only_encoded_numbers_are_masked(given_out: dict, wrong: np.ndarray) -> None:
    boxes = play.boxes_of(given_out)[A]
    with pytest.raises(IntegrityError, match="only encoded numbers"):
        masking.mask(given_out[A], boxes, Summand(ASKED, CODING, wrong))


def test_masking_leaves_the_summand_alone_and_forgets_its_secrets(
    sent: dict,
) -> None:
    assert (VECTORS[A] == play.numbers(play.circle(5), 4)[A]).all()
    held = {field.name for field in dataclasses.fields(sent[A])}
    assert "secrets" not in held
    text = repr(sent[A]) + repr(play.advertised(play.circle(3))[A])
    assert "b'" not in text
    assert "secrets=" not in text


# Survivors


def test_survivor_lists_that_differ_open_nothing(sent: dict) -> None:
    view = sent[A].view
    lists = {A: [A, B, C, D], B: [A, B, C, D], C: [A, B, C, E], D: [A, B, C, D]}
    after = {
        name: masking.confirm(sent[name], play.survivors(view, alive))
        for name, alive in lists.items()
        if name in alive
    }
    confirmations = {name: stage.reply for name, stage in after.items()}
    document = play.survivors(view, lists[A])
    with pytest.raises(IntegrityError, match=f"{C} signed for other survivors"):
        masking.unmask(after[A], document, confirmations)
    three = {name: confirmations[name] for name in (A, B, D)}
    with pytest.raises(QuorumError, match="3 of 5 sites have confirmed, 4 are needed"):
        masking.unmask(after[A], document, three)


def test_a_list_that_a_site_did_not_confirm_opens_nothing(
    sent: dict, held: unmasking.Gathered
) -> None:
    less = play.survivors(held.view, [A, B, C, D])
    after = {name: masking.confirm(sent[name], less) for name in (A, B, C, D)}
    signed_by = {name: stage.reply for name, stage in after.items()}
    with pytest.raises(IntegrityError, match="this site did not confirm"):
        masking.unmask(sent[A], less, signed_by)  # it is at the list of all
    whole = play.survivors(held.view, held.survivors)
    with pytest.raises(IntegrityError, match="this site did not confirm"):
        masking.unmask(after[A], whole, held.confirmations)


def test_a_second_list_is_not_confirmed(sent: dict) -> None:
    view = sent[A].view
    first = play.survivors(view, [A, B, C, D])
    after = masking.confirm(sent[A], first)
    assert masking.confirm(after, first) is after
    with pytest.raises(IntegrityError, match="asked twice in one round"):
        masking.confirm(after, play.survivors(view, [A, B, C, E]))
    with pytest.raises(IntegrityError, match="confirmed already"):
        masking.confirm(sent[A], play.survivors(view, view.sharers))


def doctored(view: circles.View, **change: object) -> bytes:
    payload = {**circles.statement(view, [A, B, C, D]), **change}
    return signed.sign(payload, AGGREGATOR, circles.SURVIVORS)


LIST_CHEATS: dict[str, tuple[Callable[[circles.View], bytes], type, str]] = {
    "too short": (
        lambda view: play.survivors(view, [A, B, C]),
        QuorumError,
        "3 of 5 sites have survived, 4 are needed",
    ),
    "one alone": (lambda view: play.survivors(view, [A]), QuorumError, "1 of 5"),
    "one twice": (
        lambda view: doctored(view, survivors=[A, A, B, C, D]),
        IntegrityError,
        "the aggregator signed for other survivors",
    ),
    "a stranger": (
        lambda view: play.survivors(view, [A, B, C, D, "mallory"]),
        IntegrityError,
        "mallory shared nothing",
    ),
    "not of me": (
        lambda view: play.survivors(view, [B, C, D, E]),
        IntegrityError,
        f"{A} is asked to open for others only",
    ),
    "alive and dropped": (
        lambda view: doctored(view, dropped=[D]),
        IntegrityError,
        "the aggregator signed for another view",
    ),
    "no list": (
        lambda view: doctored(view, survivors="all"),
        IntegrityError,
        "lists no survivors",
    ),
    "by a site": (
        lambda view: circles.survivors_document(view, [A, B, C, D], key_of(B)),
        IdentityError,
        "the aggregator: the signature",
    ),
    "a confirmation": (
        lambda view: circles.confirm(view, [A, B, C, D], AGGREGATOR),
        IntegrityError,
        "the aggregator: this is no survivors",
    ),
    "of another round": (
        lambda view: play.survivors(
            dataclasses.replace(view, circle=play.circle(5, 2)), [A, B, C, D]
        ),
        IntegrityError,
        "the aggregator signed for another view",
    ),
    "a lower threshold": (
        lambda view: doctored(view, threshold=2, survivors=[A, B]),
        IntegrityError,
        "the aggregator signed for another view",
    ),
}


@pytest.mark.parametrize("cheat", LIST_CHEATS)
def test_a_list_that_is_none_is_refused(sent: dict, cheat: str) -> None:
    change, error, match = LIST_CHEATS[cheat]
    with pytest.raises(error, match=match):
        masking.confirm(sent[A], change(sent[A].view))


def test_confirmations_that_are_none_are_refused(
    sent: dict, held: unmasking.Gathered
) -> None:
    whole = play.survivors(held.view, held.survivors)
    good = dict(held.confirmations)
    with pytest.raises(IdentityError, match=f"{B}: the signature"):
        masking.unmask(sent[A], whole, good | {B: good[C]})
    with pytest.raises(IntegrityError, match=f"{B}: this is no confirmation"):
        masking.unmask(sent[A], whole, good | {B: whole})
    with pytest.raises(IntegrityError, match="mallory confirmed, and did not survive"):
        masking.unmask(sent[A], whole, good | {"mallory": good[B]})
    with pytest.raises(QuorumError, match="3 of 5 sites have confirmed"):
        masking.unmask(sent[A], whole, {name: good[name] for name in (A, B, C)})


def test_who_has_dropped_out_confirms_nothing(sent: dict) -> None:
    view, alive = sent[A].view, [A, B, C, D]
    document = play.survivors(view, alive)
    after = {name: masking.confirm(sent[name], document) for name in alive}
    signed_by = {name: stage.reply for name, stage in after.items()}
    signed_by[E] = circles.confirm(view, alive, key_of(E))
    with pytest.raises(IntegrityError, match=f"{E} confirmed, and did not survive"):
        masking.unmask(after[A], document, signed_by)


def opened_of(victim: str, colluders: set[str], way: dict[str, str]) -> tuple[int, int]:
    """Return how many seed and key shares of *victim* an aggregator can get.

    Each honest site is shown that all have survived, or all but the victim, as *way*
    says, by an aggregator with as many signatures as it can find.
    """
    stages = play.advertised(play.circle(5))
    sent = play.masked(play.shared(stages), VECTORS)
    held = play.gathered(play.documents(stages), sent)
    less = play.survivors(held.view, set(held.survivors) - {victim})
    whole = play.survivors(held.view, held.survivors)
    lost = {
        name: masking.confirm(sent[name], less) for name in way if way[name] == "lost"
    }
    signed_by = {name: stage.reply for name, stage in lost.items()} | {
        name: circles.confirm(held.view, set(held.survivors) - {victim}, key_of(name))
        for name in colluders
    }
    seeds = keys = len(colluders)
    for name in way:
        if name not in lost:
            done = masking.unmask(sent[name], whole, held.confirmations)
            seeds += victim in done.reply.seeds
        elif len(signed_by) >= held.view.circle.threshold:
            done = masking.unmask(lost[name], less, signed_by)
            keys += victim in done.reply.keys
    return seeds, keys


def test_no_two_lists_open_one_site_with_as_many_colluders_as_promised() -> None:
    for first, second in product(["alive", "lost"], repeat=2):
        way = {C: first, D: second, E: "alive"}
        seeds, keys = opened_of(E, {A, B}, way)
        assert seeds < 4 or keys < 4


def test_one_colluder_more_could() -> None:
    assert opened_of(E, {A, B, C}, {D: "lost", E: "alive"}) == (4, 4)


# Opening


def test_a_site_opens_once(sent: dict, held: unmasking.Gathered) -> None:
    whole = play.survivors(held.view, held.survivors)
    done = masking.unmask(sent[A], whole, held.confirmations)
    assert masking.unmask(done, whole, held.confirmations) is done
    less = play.survivors(held.view, [A, B, C, D])
    with pytest.raises(IntegrityError, match="asked twice in one round"):
        masking.unmask(done, less, held.confirmations)
    with pytest.raises(IntegrityError, match="no use for them"):
        masking.confirm(done, less)


@settings(max_examples=15)
@given(st.sets(st.sampled_from([B, C, D, E]), max_size=1))
def test_never_both_kinds_of_share_for_one_site(gone: set[str]) -> None:
    stages = play.advertised(play.circle(5))
    sent = play.masked(play.shared(stages), VECTORS, gone)
    held = play.gathered(play.documents(stages), sent)
    after, confirmations = play.confirmed(held, sent)
    for done in play.opened(held, after, confirmations).values():
        assert set(done.reply.seeds) == set(held.survivors)
        assert set(done.reply.keys) == gone
        assert not set(done.reply.seeds) & set(done.reply.keys)
        assert set(dataclasses.asdict(done)) == {"heard", "reply"}


def test_stages_come_in_their_order(
    begun: dict, given_out: dict, sent: dict, held: unmasking.Gathered
) -> None:
    summand = Summand(ASKED, CODING, VECTORS[A])
    whole = play.survivors(held.view, held.survivors)
    for early in (
        lambda: masking.mask(begun[A], play.boxes_of(given_out)[A], summand),
        lambda: masking.confirm(given_out[A], whole),
        lambda: masking.unmask(given_out[A], whole, held.confirmations),
        lambda: masking.share(sent[A], play.documents(begun)),
    ):
        with pytest.raises(IntegrityError, match="no use for them"):
            early()


# The aggregator's half


def replies(held: unmasking.Gathered, sent: dict) -> dict[str, Opening]:
    opened = play.opened(held, sent, held.confirmations)
    return {name: stage.reply for name, stage in opened.items()}


def test_a_wrong_share_is_seen_and_its_holders_are_named(
    sent: dict, held: unmasking.Gathered
) -> None:
    good = replies(held, sent)
    seeds = dict(good[B].seeds) | {C: bytes(shamir.BYTES - 1) + b"\1"}
    lie = {**good, B: Opening(seeds, good[B].keys)}
    with pytest.raises(IdentityError, match=f"the shares of {C} do not fit") as said:
        unmasking.unmasked(held, lie)
    assert B in str(said.value)


def moved(share: bytes, place: int, by: int) -> bytes:
    """Return a share that moves the secret, of shares at 1 to 4, by a little."""
    weight = shamir._weights((1, 2, 3, 4), shamir.PRIME)[place]
    value = int.from_bytes(share, "big") + by * pow(weight, -1, shamir.PRIME)
    return (value % shamir.PRIME).to_bytes(shamir.BYTES, "big")


def test_a_share_that_moves_a_seed_by_one_is_seen(
    sent: dict, held: unmasking.Gathered
) -> None:
    good = replies(held, sent)
    for by in (0, 1):
        seeds = dict(good[B].seeds) | {C: moved(good[B].seeds[C], 2, by)}
        lie = {**good, B: Opening(seeds, good[B].keys)}
        if by == 0:
            unmasking.unmasked(held, lie)
            continue
        with pytest.raises(IdentityError, match=f"the shares of {C} do not fit"):
            unmasking.unmasked(held, lie)


def test_a_wrong_share_of_a_dropped_sites_key_is_seen(begun: dict) -> None:
    sent = play.masked(play.shared(begun), VECTORS, {E})
    held = play.gathered(play.documents(begun), sent)
    after, confirmations = play.confirmed(held, sent)
    good = {
        name: stage.reply
        for name, stage in play.opened(held, after, confirmations).items()
    }
    # By eight, since X25519 does not look at a key's last three bits.
    for wrong in (bytes(shamir.BYTES), moved(good[B].keys[E], 2, 8)):
        lie = {**good, B: Opening(good[B].seeds, {E: wrong})}
        with pytest.raises(IdentityError, match=f"the shares of {E} do not fit"):
            unmasking.unmasked(held, lie)


def test_other_shares_than_those_asked_for_are_refused(
    sent: dict, held: unmasking.Gathered
) -> None:
    good = replies(held, sent)
    less = {who: share for who, share in good[B].seeds.items() if who != C}
    for lie in (Opening(less, {}), Opening(good[B].seeds, {C: b"x"})):
        with pytest.raises(IntegrityError, match=f"{B} opened other shares"):
            unmasking.unmasked(held, {**good, B: lie})


@pytest.mark.parametrize("share", [b"", b"x" * 65, b"x" * 10**6])
def test_what_is_no_share_is_refused_by_the_name_of_who_opened_it(
    sent: dict, held: unmasking.Gathered, share: bytes
) -> None:
    """Before anything is computed of it: numbers may be as long as a message."""
    good = replies(held, sent)
    lie = Opening({**good[B].seeds, C: share}, good[B].keys)
    with pytest.raises(IntegrityError, match=f"{B} opened what is no share"):
        unmasking.unmasked(held, {**good, B: lie})


def test_vectors_that_do_not_fit_are_refused_by_name(sent: dict, begun: dict) -> None:
    def with_b(reply: object) -> dict:
        return {**sent, B: dataclasses.replace(sent[B], reply=reply)}

    said, upload = play.documents(begun), sent[B].reply
    short = dataclasses.replace(upload, vector=upload.vector[:3])
    floats = dataclasses.replace(upload, vector=upload.vector.astype(float))
    for wrong in (short, floats):
        with pytest.raises(IntegrityError, match=f"{B} did not send 4 numbers"):
            play.gathered(said, with_b(wrong))
    twice = [(B, upload), (B, upload)]
    keys = circles.read_keys(play.circle(5), said)
    with pytest.raises(IntegrityError, match=f"{B} sent a vector unasked, or twice"):
        unmasking.gathered(sent[A].view, keys, twice, 4)


def test_a_site_that_leaves_somebody_out_is_named(given_out: dict) -> None:
    boxes = {name: dict(stage.reply) for name, stage in given_out.items()}
    del boxes[B][D]
    with pytest.raises(IntegrityError, match=f"{B} sent no box for {D}"):
        unmasking.routed(play.circle(5), boxes)


def test_the_last_stage_holds_nothing_else() -> None:
    assert [field.name for field in dataclasses.fields(Opened)] == ["heard", "reply"]
