"""Keys, signatures and words: each check raises, and none says what it protects."""

import hashlib
import json
import os
import stat
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from common.errors import (
    IdentityError,
    IntegrityError,
    MachineError,
    UsageError,
)
from common.trust import certificates, enrolment, identity, private_files, signed, words
from common.trust.enrolment import Admission, Invite, Member, Request, Roster
from server.members import authority as authorities

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = identity.new_signing_key()
PUBLIC = identity.public_text(KEY)
HEX, PEM = "a" * 64, "pem"
CONTEXT = "consilium/example/1"
SITE = {"consortium": "heart-net", "site": "north"}
MEMBER = Member(
    site="north",
    serial="0" * 40,
    tls_fingerprint=HEX,
    signing_key=PUBLIC,
    admitted=NOW,
    expires=NOW,
)
DOCUMENTS = [
    Invite(
        **SITE,
        url="https://x:1",
        ca=PEM,
        ca_fingerprint=HEX,
        aggregator=PUBLIC,
        code="c" * 32,
        expires=NOW,
    ),
    Request(
        **SITE,
        ca_fingerprint=HEX,
        aggregator=HEX,
        code="c" * 32,
        certificate_request=PEM,
        signing_key=PUBLIC,
        made=NOW,
    ),
    Roster(consortium="heart-net", version=7, issued=NOW, members=(MEMBER,)),
    Admission(
        **SITE, request=HEX, certificate=PEM, ca=PEM, aggregator=PUBLIC, roster="{}"
    ),
]
KINDS = [type(each) for each in DOCUMENTS]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)
payloads = st.dictionaries(st.text(st.characters(codec="utf-8")), values, max_size=4)


@given(payloads)
def test_what_was_signed_comes_back(payload: dict[str, object]) -> None:
    sealed = signed.sign(payload, KEY, CONTEXT)
    assert signed.verify(sealed, KEY.public_key(), CONTEXT) == payload
    assert signed.sign(payload, KEY, CONTEXT) == sealed


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: type(each).__name__)
@given(place=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a_flipped_byte_anywhere_is_refused(
    document: Invite | Request | Roster | Admission, place: int, flip: int
) -> None:
    sealed = bytearray(enrolment.seal(document, KEY))
    sealed[place % len(sealed)] ^= flip
    with pytest.raises((IdentityError, IntegrityError)):
        enrolment.unseal(bytes(sealed), type(document), PUBLIC)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_words(noise: bytes) -> None:
    for kind in KINDS:
        with pytest.raises(IntegrityError):
            enrolment.unseal(noise, kind, PUBLIC)


@pytest.mark.parametrize("made", DOCUMENTS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("read", KINDS, ids=lambda each: each.__name__)
def test_a_signature_on_one_kind_is_worth_nothing_on_another(
    made: Invite | Request | Roster | Admission,
    read: type[Invite],
) -> None:
    sealed = enrolment.seal(made, KEY)
    if type(made) is read:
        assert enrolment.unseal(sealed, read, PUBLIC) == made
        return
    with pytest.raises(IntegrityError, match="this is no"):
        enrolment.unseal(sealed, read, PUBLIC)
    renamed = json.loads(sealed) | {"context": enrolment.CONTEXTS[read]}
    with pytest.raises(IdentityError, match="signature"):
        enrolment.unseal(signed.canonical(renamed), read, PUBLIC)


def test_another_key_is_refused() -> None:
    sealed = signed.sign({}, identity.new_signing_key(), CONTEXT)
    with pytest.raises(IdentityError, match="the signature on the example is wrong"):
        signed.verify(sealed, KEY.public_key(), CONTEXT)


SEALED = signed.sign({"a": 1}, KEY, CONTEXT)
DAMAGED = {
    "a line end": SEALED + b"\n",
    "a space": SEALED.replace(b":", b": ", 1),
    "too deep": b"[" * 100_000,
    "a list": b"[1]",
    "not a number": b'{"context":NaN}',
    "empty": b"{}",
    "more": signed.canonical(json.loads(SEALED) | {"more": 1}),
    "no payload": signed.canonical(json.loads(SEALED) | {"payload": 1}),
    "too large": SEALED + b" " * signed.LARGEST,
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_document_has_one_spelling(damage: str) -> None:
    with pytest.raises(IntegrityError):
        signed.verify(DAMAGED[damage], KEY.public_key(), CONTEXT)


@pytest.mark.parametrize(
    "value", [2.0**53, "x" * signed.LARGEST], ids=["2**53", "long"]
)
def test_what_could_not_be_read_is_not_signed(value: object) -> None:
    with pytest.raises(IntegrityError):
        signed.sign({"a": value}, KEY, CONTEXT)


@pytest.mark.parametrize("signature", [None, 7, "", "zz", "AB" * 64, "ab" * 63])
def test_what_is_no_signature_is_refused(signature: object) -> None:
    whole = json.loads(signed.sign({}, KEY, CONTEXT)) | {"signature": signature}
    with pytest.raises(IdentityError):
        signed.verify(signed.canonical(whole), KEY.public_key(), CONTEXT)


def test_a_signature_has_one_spelling() -> None:
    whole = json.loads(signed.sign({}, KEY, CONTEXT))
    for other in (whole["signature"].upper(), f" {whole['signature']}"):
        sealed = signed.canonical(whole | {"signature": other})
        with pytest.raises(IdentityError, match="carries no signature"):
            signed.verify(sealed, KEY.public_key(), CONTEXT)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": "Kanarienvogel"}, "version"),
        ({"\x1b[2JKanarienvogel": 1}, "a surplus field"),
    ],
    ids=["value", "name"],
)
def test_what_a_stranger_wrote_is_not_shown(
    change: dict[str, object], says: str
) -> None:
    payload = DOCUMENTS[2].model_dump(mode="json") | change
    sealed = signed.sign(payload, KEY, enrolment.CONTEXTS[Roster])
    with pytest.raises(IntegrityError) as refused:
        enrolment.unseal(sealed, Roster, PUBLIC)
    assert says in str(refused.value)
    assert "Kanarienvogel" not in str(refused.value)


@given(st.integers(1, 5), st.integers(1, 5))
def test_a_roster_never_goes_back(kept: int, offered: int) -> None:
    known, other = (
        enrolment.seal(Roster(consortium="x", version=version, issued=day), KEY)
        for version, day in ((kept, NOW), (offered, NOW + timedelta(days=1)))
    )
    if offered > kept:
        assert enrolment.newer(known, other, PUBLIC).version == offered
    else:
        with pytest.raises(IntegrityError, match="is not newer"):
            enrolment.newer(known, other, PUBLIC)
    assert enrolment.newer(known, known, PUBLIC).version == kept
    assert enrolment.newer(None, other, PUBLIC).version == offered


def test_the_words_are_short_and_far_apart() -> None:
    assert len(words.WORDS) == len(set(words.WORDS)) == 256
    assert len({word[:3] for word in words.WORDS}) == 256
    assert all(word.isascii() and word.islower() for word in words.WORDS)
    assert max(map(len, words.WORDS)) <= 8
    for word in words.WORDS:  # no word becomes another by one wrong letter
        masked = {word[:i] + "." + word[i + 1 :] for i in range(len(word))}
        dropped = {word[:i] + word[i + 1 :] for i in range(len(word))}
        for other in set(words.WORDS) - {word}:
            wrong = {other[:i] + "." + other[i + 1 :] for i in range(len(other))}
            assert not masked & wrong
            assert other not in dropped


@given(st.binary(max_size=40))
def test_twelve_words_are_ninety_six_bits(data: bytes) -> None:
    digest = hashlib.sha256(data).digest()
    said = words.spoken(digest).split()
    assert bytes(words.WORDS.index(word) for word in said) == digest[:12]


def test_words_are_heard_however_they_are_typed() -> None:
    said = words.spoken(bytes(range(12)))
    assert words.heard(f"  {said.upper().replace(' ', ' - ')}\n") == said


@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o600), (0o700, 0o640)])
def test_a_key_that_others_can_read_is_refused(
    tmp_path: Path, folder: int, file: int
) -> None:
    place = tmp_path / "keys"
    private_files.make_folder(place)
    path = place / "signing.key"
    private_files.write(path, identity.pem(KEY))
    path.chmod(file)
    place.chmod(folder)
    with pytest.raises(IdentityError) as refused:
        identity.read_signing_key(path)
    fix = refused.value.hints["fix"]
    assert fix in {f"chmod 0700 {place}", f"chmod 0600 {path}"}
    _, mode, named = fix.split()
    Path(named).chmod(int(mode, 8))
    identity.read_signing_key(path)


def test_an_open_folder_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with pytest.raises(IdentityError, match="open to other users"):
        private_files.make_folder(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a private folder below others that one may walk through."""
    made = tmp_path / "srv" / "clinic" / "state"
    private_files.make_folder(made)
    private_files.write(made / "signing.key", identity.pem(KEY))
    for above in made.parents[:3]:
        above.chmod(0o755)
    return made


@pytest.mark.parametrize("up", range(3))
@pytest.mark.parametrize("mode", [0o757, 0o777])
def test_who_may_replace_the_folder_of_a_key_is_kept_out(
    home: Path, up: int, mode: int
) -> None:
    """Not the folder alone matters: who may write above it can move it away."""
    identity.read_signing_key(home / "signing.key")
    above = home.parents[up]
    above.chmod(mode)
    with pytest.raises(IdentityError, match="may replace") as refused:
        identity.read_signing_key(home / "signing.key")
    with pytest.raises(IdentityError, match="may replace"):
        private_files.make_folder(home)
    assert refused.value.hints["fix"] == f"chmod go-w {above}"
    above.chmod(stat.S_IMODE(above.stat().st_mode) & ~0o022)
    identity.read_signing_key(home / "signing.key")


def test_a_link_to_the_folder_of_a_key_is_looked_at_on_both_sides(
    home: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    link = shared / "state"
    link.symlink_to(home)
    identity.read_signing_key(link / "signing.key")
    shared.chmod(0o777)
    with pytest.raises(IdentityError, match="may replace"):
        identity.read_signing_key(link / "signing.key")
    shared.chmod(0o755)
    home.parent.chmod(0o777)
    with pytest.raises(IdentityError, match="may replace"):
        identity.read_signing_key(link / "signing.key")


def test_a_place_where_each_removes_his_own_alone_is_good_enough(home: Path) -> None:
    home.parent.chmod(0o1777)
    identity.read_signing_key(home / "signing.key")


def test_a_group_of_ones_own_may_write_above_and_another_may_not(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.parent.chmod(0o775)
    identity.read_signing_key(home / "signing.key")
    monkeypatch.setattr(os, "getegid", lambda: home.stat().st_gid + 1)
    with pytest.raises(IdentityError, match="may replace"):
        identity.read_signing_key(home / "signing.key")


def test_a_file_is_written_for_its_owner_even_over_a_stale_one(tmp_path: Path) -> None:
    (tmp_path / f".a.{os.getpid()}.new").write_text("half")
    (tmp_path / "a").touch(mode=0o666)
    private_files.write(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        private_files.read(tmp_path / "nothing")
    with pytest.raises(UsageError, match="cannot be read"):
        private_files.content(tmp_path)
    with pytest.raises(MachineError, match="cannot be written"):
        private_files.write(tmp_path / "no" / "a", b"")
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="cannot be made"):
        private_files.make_folder(tmp_path / "file" / "x")


def test_a_passphrase_opens_its_key_and_no_other_does(tmp_path: Path) -> None:
    path, key = tmp_path / "ca.key", identity.new_tls_key()
    tmp_path.chmod(0o700)
    private_files.write(path, identity.pem(key, b"a long passphrase"))
    assert b"ENCRYPTED" in path.read_bytes()
    opened = identity.read_tls_key(path, b"a long passphrase")
    assert opened.private_numbers() == key.private_numbers()
    for wrong in (None, b"a wrong passphrase"):
        with pytest.raises(IdentityError, match="does not open"):
            identity.read_tls_key(path, wrong)
    with pytest.raises(IdentityError, match="at least 12"):
        identity.pem(key, b"short")


def test_a_key_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    private_files.write(tmp_path / "a", identity.pem(KEY))
    private_files.write(tmp_path / "b", identity.pem(identity.new_tls_key()))
    with pytest.raises(IdentityError, match="no TLS key"):
        identity.read_tls_key(tmp_path / "a")
    with pytest.raises(IdentityError, match="no signing key"):
        identity.read_signing_key(tmp_path / "b")


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31, "x" * 64])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(IdentityError, match="64 hexadecimal digits"):
        identity.public_key(text)


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (timedelta(days=31), None),
        (timedelta(days=30), "expires soon"),
        (timedelta(days=8), "expires soon"),
        (timedelta(days=7), "expires this week"),
        (timedelta(days=1), "1 day left"),
        (timedelta(hours=5), "5 hours left"),
        (timedelta(0), "expired on 2027-02-20 12:00 UTC"),
        (timedelta(days=-3), "expired on 2027-02-20 12:00 UTC"),
    ],
)
def test_an_end_is_announced(left: timedelta, says: str | None) -> None:
    key = identity.new_tls_key()
    ca = authorities.new_authority(key, "heart-net", NOW)
    leaf = authorities.site_leaf("heart-net", "north")
    made = authorities.certify(ca, leaf, key.public_key(), NOW)
    warning = certificates.expiry_warning(made, made.not_valid_after_utc - left)
    assert (warning is None) == (says is None)
    assert (says or "") in (warning or "")


@pytest.mark.parametrize(
    ("issuer", "site", "later", "says"),
    [
        ("ours", "north", timedelta(0), None),
        ("theirs", "north", timedelta(0), "not one that this consortium"),
        ("ours", "south", timedelta(0), "names another site"),
        ("ours", "north", timedelta(days=91), "out of date"),
        ("ours", "north", timedelta(days=-1), "out of date"),
    ],
)
def test_a_site_certificate_is_judged(
    issuer: str, site: str, later: timedelta, says: str | None
) -> None:
    roots = {
        name: authorities.new_authority(identity.new_tls_key(), "heart-net", NOW)
        for name in ("ours", "theirs")
    }
    key = identity.new_tls_key().public_key()
    leaf = authorities.site_leaf("heart-net", site)
    made = authorities.certify(roots[issuer], leaf, key, NOW)
    uri = certificates.site_uri("heart-net", "north")
    expected = pytest.raises(IdentityError, match=says) if says else nullcontext()
    with expected:
        certificates.check_site(made, roots["ours"].certificate, uri, NOW + later)


def test_the_aggregators_certificate_is_no_sites() -> None:
    root = authorities.new_authority(identity.new_tls_key(), "heart-net", NOW)
    leaf = authorities.aggregator_leaf(["localhost", "127.0.0.1"])
    made = authorities.certify(root, leaf, identity.new_tls_key().public_key(), NOW)
    with pytest.raises(IdentityError):
        certificates.check_site(made, root.certificate, "consilium://x/y", NOW)


def test_a_request_proves_its_key_and_its_name() -> None:
    key = identity.new_tls_key()
    text = certificates.request(key, "heart-net", "north")
    assert certificates.requested(text, "heart-net", "north") == key.public_key()
    with pytest.raises(IdentityError, match="does not belong"):
        certificates.requested(text, "heart-net", "south")
    for broken in ("", text[:90] + "A" + text[91:], text.replace("M", "N", 1)):
        with pytest.raises(IdentityError):
            certificates.requested(broken, "heart-net", "north")
    with pytest.raises(IdentityError, match="no certificate"):
        certificates.read("nothing")


def test_only_p256_is_certified() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(IdentityError, match="not for an ECDSA P-256 key"):
        certificates.requested(certificates.request(key, "x", "y"), "x", "y")
