"""The hospital's side: what it believes, what it refuses, and what never leaves."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from client.commands import joining
from client.line import presence
from client.trust import credentials
from common.errors import ConsiliumError, IdentityError, IntegrityError
from common.trust import certificates, enrolment, identity, signed
from common.trust.enrolment import Admission, Invite, Roster
from server.members import authority, consortium
from server.members.authority import Authority
from tests.enrolling import NOW, PASSPHRASE, Desk, desk

__all__ = ["desk"]


def test_joining_says_what_to_do_next(desk: Desk) -> None:
    assert desk.operator("invite", "north")[0] == 0
    code, out, _ = desk.run("client", "join", "north.invite", "--home", "north")
    assert code == 0
    sealed = Path("north.request").read_bytes()
    assert enrolment.spoken(sealed) in out
    assert "Send it to the operator of heart-net" in out
    assert "consilium client admitted north.admitted --home north" in out
    assert sealed == Path("north/request.json").read_bytes()


def test_private_keys_stay_at_home(desk: Desk) -> None:
    desk.admit()
    keys = [
        path.read_text().partition("BEGIN PRIVATE KEY-----\n")[2].splitlines()
        for path in Path("north").iterdir()
    ]
    # The secret is in the first two lines of a key, and its public half in the third.
    secrets = [line for key in keys for line in key[:2] if "-----" not in line]
    assert len(secrets) == 3
    sent = Path("north.request").read_text() + Path("north.admitted").read_text()
    ours = "".join(path.read_text() for path in Path("agg").iterdir())
    assert not [each for each in secrets if each in sent + ours]
    assert not Path("north/pending.key").exists()


def test_an_expired_invite_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.operator("invite", "north", "--days", "1")[0] == 0
    monkeypatch.setattr(joining, "_now", lambda: NOW + timedelta(days=2))
    code, _, err = desk.run("client", "join", "north.invite", "--home", "north")
    assert code == 6
    assert "this invite expired on" in err
    assert not Path("north").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"site":"north"', b'"site":"south"', "the signature on the invite"),
        (b"localhost:9443", b"localhost:9444", "the signature on the invite"),
        (b"invite/1", b"invite/2", "this is no invite"),
        (b"{", b"{ ", "rewrote it"),
    ],
)
def test_a_forged_invite_is_refused(
    desk: Desk, old: bytes, new: bytes, says: str
) -> None:
    assert desk.operator("invite", "north")[0] == 0
    path = Path("north.invite")
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    code, _, err = desk.run("client", "join", path, "--home", "north")
    assert code in {6, 11}
    assert says in err
    assert not Path("north").exists()


def test_an_invite_with_another_authority_inside_is_refused(desk: Desk) -> None:
    assert desk.operator("invite", "north")[0] == 0
    desk.found("other", "other")
    opened = consortium.load(Path("agg"))
    true = enrolment.unseal_invite(Path("north.invite").read_bytes())
    other = certificates.pem(consortium.load(Path("other")).ca)
    forged = true.model_copy(update={"ca": other})
    Path("x.invite").write_bytes(enrolment.seal(forged, opened.signing_key))
    code, _, err = desk.run("client", "join", "x.invite", "--home", "north")
    assert code == 6
    assert "another authority than the one it names" in err


def test_an_identity_is_not_overwritten(desk: Desk) -> None:
    desk.ask()
    code, _, err = desk.run("client", "join", "north.invite", "--home", "north")
    assert code == 2
    assert "holds an identity already" in err
    assert desk.run("client", "renew", "--home", "nowhere")[0] == 2


def test_a_site_that_was_revoked_joins_anew_and_keeps_its_ledger(desk: Desk) -> None:
    desk.admit()
    ledger, old = Path("north/ledger.jsonl"), Path("north/signing.key").read_bytes()
    ledger.touch(mode=0o600)
    ledger.write_text("what has left", encoding="utf-8")
    again = ("client", "join", "north.invite", "--home", "north")
    assert desk.operator("revoke", "north")[0] == 0
    assert desk.operator("invite", "north")[0] == 0
    code, _, err = desk.run(*again)
    assert code == 2
    assert "consilium client join INVITE --home north --anew" in err
    with presence.alone(Path("north")):
        assert desk.run(*again, "--anew")[0] == 4
    assert Path("north/signing.key").read_bytes() == old
    words = str(desk.facts(*again, "--anew")["words"])
    assert desk.operator("admit", "north.request", "--words", words)[0] == 0
    assert desk.answer()[0] == 0
    assert ledger.read_text(encoding="utf-8") == "what has left"
    assert Path("north/former-1/signing.key").read_bytes() == old
    assert credentials.load(Path("north")).roster().version == 4
    assert not [each for each in Path("north").rglob("*") if each.stat().st_mode & 0o77]


def test_a_home_is_of_one_site(desk: Desk) -> None:
    desk.admit()
    assert desk.operator("invite", "south")[0] == 0
    code, _, err = desk.run(
        "client", "join", "south.invite", "--home", "north", "--anew"
    )
    assert code == 2
    assert "the invite is for south, and the ledger here is of north" in err


def test_an_open_home_is_refused(desk: Desk) -> None:
    desk.ask()
    Path("north").chmod(0o755)
    code, _, err = desk.run("client", "renew", "--home", "north")
    assert code == 6
    assert "chmod 0700 north" in err


def test_renewing_before_admission_says_so(desk: Desk) -> None:
    desk.ask()
    code, _, err = desk.run("client", "renew", "--home", "north")
    assert code == 6
    assert "not admitted yet" in err


def changed(update: dict[str, Any], key: identity.SigningKey | None = None) -> None:
    """Write north's admission again with an *update*, signed by the aggregator."""
    path, opened = Path("north.admitted"), consortium.load(Path("agg"))
    payload = json.loads(path.read_bytes())["payload"] | update
    context = enrolment.CONTEXTS[Admission]
    path.write_bytes(signed.sign(payload, key or opened.signing_key, context))


def test_an_admission_of_someone_else_is_refused(desk: Desk) -> None:
    words = desk.ask()
    assert desk.operator("admit", "north.request", "--words", words)[0] == 0
    changed({}, identity.new_signing_key())
    code, _, err = desk.answer()
    assert code == 6
    assert "the signature on the admission is wrong" in err


def unlocked() -> Authority:
    """Return the authority, as the operator opens it."""
    opened = consortium.load(Path("agg"))
    return consortium.unlock(opened, Path("agg/ca.key"), PASSPHRASE.encode())


def certificate(desk: Desk, change: str) -> str:
    """Return a certificate for north with one thing wrong."""
    if change == "authority":
        desk.found("other", "other")
        opened = consortium.load(Path("other"))
        path = Path("other/ca.key")
        root = consortium.unlock(opened, path, PASSPHRASE.encode())
    else:
        root = unlocked()
    own = credentials.load(Path("north")).tls_key()
    key = identity.new_tls_key() if change == "key" else own
    name = "south" if change == "name" else "north"
    leaf = authority.site_leaf("heart-net", name)
    when = NOW - timedelta(days=91) if change == "expired" else NOW
    made = authority.certify(root, leaf, key.public_key(), when)
    return certificates.pem(made)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("authority", "not one that this consortium's authority gave"),
        ("key", "not for the key that was made here"),
        ("name", "names another site"),
        ("expired", "out of date"),
        ("none of it", "does not list this site with its own keys"),
    ],
)
def test_a_wrong_certificate_is_refused(desk: Desk, change: str, says: str) -> None:
    words = desk.ask()
    assert desk.operator("admit", "north.request", "--words", words)[0] == 0
    changed({"certificate": certificate(desk, change)})
    code, _, err = desk.answer()
    assert code == 6
    assert says in err
    assert not Path("north/tls.pem").exists()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("request", "0" * 64, "answers another request"),
        ("site", "south", "for another site or consortium"),
        ("consortium", "lung-net", "for another site or consortium"),
        ("aggregator", "0" * 64, "for another site or consortium"),
        ("certificate", "nothing", "this is no certificate"),
        ("roster", "{}", "this is no signed roster"),
    ],
)
def test_a_wrong_admission_is_refused(
    desk: Desk, field: str, value: str, says: str
) -> None:
    words = desk.ask()
    assert desk.operator("admit", "north.request", "--words", words)[0] == 0
    changed({field: value})
    code, _, err = desk.answer()
    assert code in {6, 11}
    assert says in err
    assert not Path("north/tls.pem").exists()


def test_an_admission_with_another_authority_is_refused(desk: Desk) -> None:
    words = desk.ask()
    assert desk.operator("admit", "north.request", "--words", words)[0] == 0
    desk.found("other", "other")
    changed({"ca": certificates.pem(consortium.load(Path("other")).ca)})
    code, _, err = desk.answer()
    assert code == 6
    assert "another authority than the invite did" in err


def test_an_admission_can_be_given_twice(desk: Desk) -> None:
    desk.admit()
    assert desk.answer()[0] == 0


def test_an_older_admission_is_refused_after_a_renewal(desk: Desk) -> None:
    desk.admit()
    old = Path("north.admitted").read_bytes()
    before = credentials.load(Path("north"))
    desk.facts("client", "renew", "--home", "north")
    assert before.certificate()  # the old certificate serves until the new one is here
    assert desk.operator("admit", "north.request")[0] == 0
    assert desk.answer()[0] == 0
    after = credentials.load(Path("north"))
    assert identity.public_text(after.signing_key) == identity.public_text(
        before.signing_key
    )
    Path("north.admitted").write_bytes(old)
    assert desk.answer()[0] == 6


def roster(version: int, name: str = "heart-net") -> bytes:
    """Return an empty roster that the aggregator has signed."""
    key = consortium.load(Path("agg")).signing_key
    made = Roster(consortium=name, version=version, issued=NOW)
    return enrolment.seal(made, key)


@pytest.mark.parametrize(
    ("version", "refused"), [(1, True), (2, True), (3, False), (9, False)]
)
def test_a_roster_never_goes_back(desk: Desk, version: int, *, refused: bool) -> None:
    desk.admit()
    home = credentials.load(Path("north"))
    kept = home.sealed_roster()
    try:
        home.accept_roster(roster(version))
    except IntegrityError as no:
        assert refused, no  # noqa: PT017 - the table says which
        assert home.sealed_roster() == kept
    else:
        assert not refused
        assert home.sealed_roster() == roster(version)


def test_an_older_roster_in_an_admission_is_refused(desk: Desk) -> None:
    desk.admit()
    credentials.load(Path("north")).accept_roster(roster(9))
    desk.facts("client", "renew", "--home", "north")
    assert desk.operator("admit", "north.request")[0] == 0
    code, _, err = desk.answer()
    assert code == 11
    assert "roster version 3 is not newer than the one kept here, version 9" in err


def test_the_roster_of_another_consortium_is_refused(desk: Desk) -> None:
    desk.ask()
    home = credentials.load(Path("north"))
    assert home.sealed_roster() is None
    with pytest.raises(IdentityError, match="another consortium"):
        home.accept_roster(roster(1, "lung-net"))


def test_a_revoked_site_learns_it_from_the_roster(desk: Desk) -> None:
    desk.admit()
    assert desk.operator("revoke", "north")[0] == 0
    newest = credentials.load(Path("north")).accept_roster(
        consortium.load(Path("agg")).sealed_roster()
    )
    member = newest.member("north")
    assert member
    assert member.state == "revoked"


def test_no_error_shows_what_was_wrong(desk: Desk) -> None:
    assert desk.operator("invite", "north")[0] == 0
    payload = json.loads(Path("north.invite").read_bytes())["payload"]
    key = consortium.load(Path("agg")).signing_key
    odd = payload | {"code": "Kanarienvogel"}
    sealed = signed.sign(odd, key, enrolment.CONTEXTS[Invite])
    with pytest.raises(ConsiliumError) as refused:
        enrolment.unseal_invite(sealed)
    assert "Kanarienvogel" not in str(refused.value)
    assert "code" in str(refused.value)


def test_the_request_of_another_home_is_not_replaced_in_silence(desk: Desk) -> None:
    desk.ask()
    again = ("client", "join", "north.invite", "--home", "other")
    code, _, err = desk.run(*again)
    assert code == 0
    assert "north.request was the request of other keys, and is replaced" in err
    Path("north.request").write_bytes(b"no request")
    code, _, err = desk.run(*again[:-1], "third")
    assert (code, err) == (0, "")


def test_what_a_join_that_was_cut_off_has_left_is_laid_aside(desk: Desk) -> None:
    """The first of the former identity's files was moved, and then the power went."""
    desk.admit()
    desk.found(name="other-net", folder="new")
    (Path("north") / "request.json").unlink()
    invite = ("server", "invite", "north", "--dir", "new", "--out", "new")
    assert desk.run(*invite)[0] == 0
    joined = desk.facts("client", "join", "new/north.invite", "--home", "north")
    admit = ("server", "admit", "north.request", "--words", joined["words"])
    secret = ("--dir", "new", "--passphrase-file", "pass")
    assert desk.run(*admit, *secret)[0] == 0
    assert desk.answer()[0] == 0
    assert (Path("north") / "former-1" / "roster.json").exists()
