"""The operator's side: who is admitted, who is not, and what TLS makes of it."""

import itertools
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from socket import create_connection, create_server
from threading import Thread
from typing import Any

import pytest
from cryptography import x509

from common.errors import IdentityError, IntegrityError, UsageError
from common.trust import certificates, enrolment, identity, private_files, signed, tls
from common.trust.enrolment import Invite, Request
from server.desk import prompts
from server.members import addresses, authority, consortium
from tests.enrolling import NOW, PASSPHRASE, Desk, desk

__all__ = ["desk"]


def sealed_request(changes: dict[str, object], key: identity.SigningKey) -> bytes:
    """Return north's request with *changes*, signed again by *key*."""
    payload = json.loads(Path("north.request").read_bytes())["payload"]
    return signed.sign(payload | changes, key, enrolment.CONTEXTS[Request])


def test_a_hospital_is_admitted(desk: Desk) -> None:
    words = desk.ask()
    assert len(words.split()) == 12
    code, out, err = desk.operator("admit", "north.request", "--words", words)
    assert (code, err) == (0, "")
    assert "admitted north" in out
    code, out, _ = desk.answer()
    assert code == 0
    assert "north is a site of heart-net" in out
    facts = desk.facts("server", "sites", "--dir", "agg")
    (site,) = facts["sites"]
    assert (site["site"], site["state"]) == ("north", "active")
    assert facts["roster"] == 2
    member = consortium.load(Path("agg")).roster().member("north")
    assert member
    assert member.expires == member.admitted + authority.SITE_LIFE
    _, out, _ = desk.operator("sites")
    assert re.search(r"north +\d{4}-\d\d-\d\d  \d{4}-\d\d-\d\d  active", out)


def test_everything_is_private_and_no_secret_is_written_down(desk: Desk) -> None:
    desk.admit()
    written = [
        *Path("agg").iterdir(),
        *Path("north").iterdir(),
        *Path().glob("north.*"),
    ]
    assert {
        each.stat().st_mode & 0o777 for each in written if each.name != ".lock"
    } == {0o600}
    code = json.loads(Path("north.invite").read_bytes())["payload"]["code"]
    assert code not in "".join(each.read_text() for each in Path("agg").iterdir())
    assert b"ENCRYPTED" in Path("agg/ca.key").read_bytes()
    for sent in Path().glob("north.*"):
        assert b"PRIVATE" not in sent.read_bytes()


def test_the_operator_types_yes_and_a_passphrase(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = desk.ask()
    answers = iter(["no", "yes"])
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: next(answers))
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: PASSPHRASE)
    command = ("server", "admit", "north.request", "--dir", "agg")
    code, _, err = desk.run(*command)
    assert code == 6
    assert words in err
    assert "were not confirmed" in err
    assert desk.run(*command)[0] == 0
    assert desk.run("server", "init", "b", "--name", "b", "--host", "localhost")[0] == 0


def test_a_passphrase_without_a_terminal_is_asked_from_a_file(desk: Desk) -> None:
    """As a script or a service starts the command: nothing hides what is typed."""
    command = [sys.executable, "-c", "from common.cli import main; main()"]
    command += ["server", "init", "b", "--name", "b", "--host", "localhost"]
    ended = subprocess.run(  # noqa: S603 - the command is ours
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # no terminal to fall back to
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "GetPassWarning" not in ended.stderr
    assert "\nerror: there is nobody to answer\n  fix     --passphrase-file FILE" in (
        ended.stderr
    )
    assert not (desk.folder / "b").exists()


@pytest.mark.parametrize("words", ["", "acorn " * 12, "zipper"])
def test_wrong_words_admit_nobody(desk: Desk, words: str) -> None:
    desk.ask()
    code, _, err = desk.operator("admit", "north.request", "--words", words)
    assert code == 6
    assert "the words are not those of this request" in err
    assert not Path("north.admitted").exists()


def test_a_request_is_admitted_once(desk: Desk) -> None:
    words = desk.ask()
    arguments = ("admit", "north.request", "--words", words)
    assert desk.operator(*arguments)[0] == 0
    code, _, err = desk.operator(*arguments)
    assert code == 6
    assert "used already" in err
    kept = Path("agg/north.admitted").read_bytes()
    assert kept == Path("north.admitted").read_bytes()


def test_an_invite_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    words = desk.ask()
    later = NOW + timedelta(days=8)
    monkeypatch.setattr(prompts, "now", lambda: later)
    assert "invite expired" in desk.operator("sites")[1]
    code, _, err = desk.operator("admit", "north.request", "--words", words)
    assert code == 6
    assert "expired on" in err


def test_a_newer_invite_replaces_an_unused_one(desk: Desk) -> None:
    words = desk.ask()
    assert desk.operator("invite", "north")[0] == 0
    code, _, err = desk.operator("admit", "north.request", "--words", words)
    assert code == 6
    assert "not one that was given out" in err


def test_an_invite_of_one_site_does_not_admit_another(desk: Desk) -> None:
    desk.ask()
    key, tls_key = identity.new_signing_key(), identity.new_tls_key()
    asked = certificates.request(tls_key, "heart-net", "south")
    changes: dict[str, object] = {
        "site": "south",
        "signing_key": identity.public_text(key),
        "certificate_request": asked,
    }
    Path("south.request").write_bytes(sealed_request(changes, key))
    code, _, err = desk.operator("admit", "south.request", "--words", "x")
    assert code == 6
    assert "the invite was for north, the request says south" in err


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("site", "south", "does not belong"),
        ("code", "0" * 32, "not one that was given out"),
        ("code", None, "not one that was given out"),
        ("consortium", "lung-net", "believes in another consortium"),
        ("ca_fingerprint", "0" * 64, "believes in another consortium"),
        ("aggregator", "0" * 64, "believes in another consortium"),
        ("replaces", "0" * 64, "was never admitted"),
    ],
)
def test_a_request_that_was_altered_and_signed_again_is_refused(
    desk: Desk, field: str, value: object, says: str
) -> None:
    desk.ask()
    key = identity.new_signing_key()
    changes = {"signing_key": identity.public_text(key), field: value}
    Path("x.request").write_bytes(sealed_request(changes, key))
    code, _, err = desk.operator("admit", "x.request", "--words", "x")
    assert code == 6
    assert says in err


def test_who_sits_between_is_heard(desk: Desk) -> None:
    """Someone swaps the invite, and asks the true aggregator in north's name."""
    desk.found("heart-net", "evil")
    assert desk.operator("invite", "north")[0] == 0
    true = enrolment.unseal_invite(Path("north.invite").read_bytes())
    evil = consortium.load(Path("evil"))
    ours = {
        "ca": certificates.pem(evil.ca),
        "ca_fingerprint": certificates.fingerprint(evil.ca),
        "aggregator": evil.aggregator,
    }
    swapped = enrolment.seal(true.model_copy(update=ours), evil.signing_key)
    Path("swapped.invite").write_bytes(swapped)
    said = desk.facts("client", "join", "swapped.invite", "--home", "north")["words"]
    code, _, err = desk.operator("admit", "north.request", "--words", said)
    assert code == 6  # what the hospital made itself names the wrong authority
    assert "somebody swapped the invite" in err
    desk.facts("client", "join", "north.invite", "--home", "attacker")
    code, _, err = desk.operator("admit", "north.request", "--words", said)
    assert code == 6  # what the attacker made has other words than those read aloud
    assert "the words are not those of this request" in err


def test_a_wrong_passphrase_opens_nothing(desk: Desk) -> None:
    desk.admit()
    Path("pass").write_text("another passphrase\n")
    code, _, err = desk.operator("revoke", "north")
    assert code == 6
    assert "the key in ca.key does not open" in err
    assert "another passphrase" not in err


def test_a_short_passphrase_is_refused_before_a_key_is_made(desk: Desk) -> None:
    Path("pass").write_text("short\n")
    rest = ("--name", "b", "--host", "localhost", "--passphrase-file", "pass")
    assert desk.run("server", "init", "b", *rest)[0] == 6
    assert not Path("b").exists()


@pytest.mark.parametrize("path", ["agg", "agg/signing.key", "agg/ca.key", "pass"])
def test_what_others_can_read_stops_the_command(desk: Desk, path: str) -> None:
    desk.admit()
    Path(path).chmod(0o755)
    code, _, err = desk.operator("revoke", "north")
    assert code == 6
    assert f"{path} is open to other users of this machine (mode 0755)" in err
    assert f" {path}\n" in err.partition("fix     chmod 0")[2]


def test_a_key_of_another_authority_is_refused(desk: Desk) -> None:
    desk.admit()
    desk.found("other", "other")
    code, _, err = desk.operator("revoke", "north", "--ca-key", "other/ca.key")
    assert code == 11
    assert "not the one of this consortium" in err


def test_the_authority_may_be_kept_elsewhere(desk: Desk) -> None:
    desk.admit()
    private_files.make_folder(Path("stick"))
    Path("agg/ca.key").rename("stick/ca.key")
    assert desk.operator("sites")[0] == 0
    code, _, err = desk.operator("revoke", "north")
    assert code == 2
    assert "--ca-key" in err
    assert desk.operator("revoke", "north", "--ca-key", "stick/ca.key")[0] == 0


def serials() -> set[str]:
    """Return the serials of the revocation list."""
    crl = x509.load_pem_x509_crl(Path("agg/crl.pem").read_bytes())
    ca = consortium.load(Path("agg")).ca.public_key()
    assert crl.is_signature_valid(ca)  # type: ignore[arg-type]
    return {f"{each.serial_number:040x}" for each in crl}


def test_a_revoked_site_is_in_the_list_and_in_the_roster(desk: Desk) -> None:
    desk.admit()
    desk.admit("south")
    opened = consortium.load(Path("agg"))
    before = opened.roster()
    assert serials() == set()
    assert desk.operator("revoke", "north")[0] == 0
    after = opened.roster()
    assert after.version == before.version + 1
    states = {each.site: each.state for each in after.members}
    assert states == {"north": "revoked", "south": "active"}
    assert serials() == {each.serial for each in after.members if each.site == "north"}
    assert "revoked" in desk.operator("sites")[1]


def test_revoking_ends_renewed_certificates_and_open_invites(desk: Desk) -> None:
    desk.admit()
    desk.facts("client", "renew", "--home", "north")
    assert desk.operator("admit", "north.request")[0] == 0
    assert desk.answer()[0] == 0
    desk.facts("client", "renew", "--home", "north")
    assert desk.operator("invite", "north")[0] == 0
    assert desk.operator("revoke", "north")[0] == 0
    assert len(serials()) == 2
    assert not [e for e in consortium.load(Path("agg")).book().invited if not e.used]
    code, _, err = desk.operator("admit", "north.request")
    assert code == 6
    assert "was revoked, so there is nothing to renew" in err


def test_a_new_invite_ends_the_old_keys(desk: Desk) -> None:
    desk.admit()
    Path("north").rename("lost")
    desk.admit()
    assert len(serials()) == 1
    member = consortium.load(Path("agg")).roster().member("north")
    assert member
    assert member.serial not in serials()


def test_an_old_renewal_is_worth_nothing(desk: Desk) -> None:
    desk.admit()
    for place in ("first", "second"):
        desk.facts("client", "renew", "--home", "north")
        Path("north.request").rename(place)
        if place == "first":
            assert desk.operator("admit", place)[0] == 0
            assert desk.answer()[0] == 0
    code, _, err = desk.operator("admit", "first")
    assert code == 6
    assert "not by the north that was admitted" in err
    assert desk.operator("admit", "second")[0] == 0


def test_revoking_nobody_suggests_somebody(desk: Desk) -> None:
    desk.admit()
    code, _, err = desk.operator("revoke", "nort")
    assert code == 2
    assert "did you mean north?" in err


def test_the_aggregator_renews_and_is_warned_in_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = consortium.load(Path("agg")).certificate()
    later = NOW + authority.AGGREGATOR_LIFE - timedelta(days=6)
    monkeypatch.setattr(prompts, "now", lambda: later)
    _, _, err = desk.operator("sites")
    assert "the aggregator's certificate expires this week" in err
    assert "consilium server renew --dir agg" in err
    assert desk.operator("renew")[0] == 0
    new = consortium.load(Path("agg")).certificate()
    assert new.public_key() != old.public_key()
    assert desk.operator("sites")[2] == ""
    last = NOW + authority.ROOT_LIFE + timedelta(days=1)
    monkeypatch.setattr(prompts, "now", lambda: last)
    assert "the consortium's authority expired" in desk.operator("sites")[2]


def test_no_certificate_outlives_the_authority() -> None:
    root = authority.new_authority(identity.new_tls_key(), "x", NOW)
    late = NOW + authority.ROOT_LIFE - timedelta(days=1)
    leaf = authority.site_leaf("x", "y")
    made = authority.certify(root, leaf, identity.new_tls_key().public_key(), late)
    assert made.not_valid_after_utc == root.certificate.not_valid_after_utc


@pytest.mark.parametrize("name", ["consortium.json", "book.json"])
def test_an_edited_folder_is_said(desk: Desk, name: str) -> None:
    Path("agg", name).write_text("{}" if name == "consortium.json" else "{")
    code, _, err = desk.operator("sites")
    assert code == 11
    assert f"{name} was damaged or edited" in err


def test_an_edited_roster_is_refused(desk: Desk) -> None:
    path = Path("agg/roster.json")
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":9'))
    assert desk.operator("sites")[0] == 6


def test_a_folder_is_used_once_and_named(desk: Desk) -> None:
    rest = ("--name", "b", "--host", "localhost", "--passphrase-file", "pass")
    assert desk.run("server", "init", "agg", *rest)[0] == 2
    code, _, err = desk.run("server", "sites", "--dir", "nowhere")
    assert code == 2
    assert "consilium server init nowhere" in err
    assert desk.operator("invite", "North!")[0] == 2
    assert desk.operator("invite", "north", "--out", "nowhere")[0] == 4


@pytest.mark.parametrize(
    ("written", "url", "hosts"),
    [
        (["a.example.org"], "https://a.example.org:9443", ["a.example.org"]),
        (["10.0.0.5:443", "x"], "https://10.0.0.5:443", ["10.0.0.5", "x"]),
        (["::1"], "https://[::1]:9443", ["::1"]),
        (["[::1]:7", "x:7", "x"], "https://[::1]:7", ["::1", "x"]),
    ],
    ids=["name", "address", "v6", "v6 and port"],
)
def test_hosts_are_read(written: list[str], url: str, hosts: list[str]) -> None:
    about = addresses.about("heart-net", written)
    assert (about.url, list(about.hosts)) == (url, hosts)


@pytest.mark.parametrize("written", ["", "a b", "https://a", "a:0", "a:x", "a:70000"])
def test_what_is_no_host_is_said(written: str) -> None:
    with pytest.raises(UsageError, match="is no host"):
        addresses.about("heart-net", [written])


@dataclass(frozen=True)
class Ends:
    """The files of both ends of a connection, each a key and its certificate."""

    root: authority.Authority
    other: authority.Authority
    folder: Path

    def certified(
        self, name: str, by: authority.Authority, leaf: authority.Leaf, days: int = 0
    ) -> tuple[Path, int]:
        """Write a key with a certificate of *days* ago; return file and serial."""
        key = identity.new_tls_key()
        when = NOW - timedelta(days=days)
        made = authority.certify(by, leaf, key.public_key(), when)
        path = self.folder / f"{name}.pem"
        both = identity.pem(key) + certificates.pem(made).encode()
        private_files.write(path, both)
        return path, made.serial_number

    def trusted(self, name: str, by: authority.Authority) -> Path:
        """Write the certificate of an authority."""
        path = self.folder / f"{name}.pem"
        private_files.write(path, certificates.pem(by.certificate).encode())
        return path


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    """Make two authorities of the same name."""
    place = tmp_path / "tls"
    private_files.make_folder(place)
    long_ago = NOW - timedelta(days=200)
    roots = [
        authority.new_authority(identity.new_tls_key(), "heart-net", long_ago)
        for _ in range(2)
    ]
    return Ends(roots[0], roots[1], place)


def handshake(server: ssl.SSLContext, site: ssl.SSLContext, host: str) -> list[str]:
    """Return what each end that refused said, the aggregator first."""
    refused: dict[str, str] = {}

    def serve() -> None:
        connection, _ = listener.accept()
        connection.settimeout(5)
        with connection:
            try:
                with server.wrap_socket(connection, server_side=True) as secured:
                    secured.sendall(b"welcome")
            except OSError as refusal:
                refused["aggregator"] = str(refusal)

    with create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        try:
            with (
                create_connection(listener.getsockname(), timeout=5) as plain,
                site.wrap_socket(plain, server_hostname=host) as secured,
            ):
                assert secured.version() == "TLSv1.3"
                assert secured.recv(7) == b"welcome"
        except OSError as refusal:
            refused["site"] = str(refusal)
        thread.join()
    return [refused[end] for end in ("aggregator", "site") if end in refused]


Change = Callable[[Ends, ssl.SSLContext], ssl.SSLContext]
HOSTS = ["localhost", "127.0.0.1"]
NORTH = authority.site_leaf("heart-net", "north")


def connect(
    ends: Ends, own: Path | None, revoked: dict[int, object], host: str = "localhost"
) -> list[str]:
    """Let a site that shows *own* connect to the aggregator."""
    leaf = authority.aggregator_leaf(HOSTS)
    served, _ = ends.certified("aggregator", ends.root, leaf)
    ca, crl = ends.trusted("ca", ends.root), ends.folder / "crl.pem"
    listed = dict.fromkeys(revoked, NOW)
    private_files.write(crl, authority.revocations(ends.root, listed, 2, NOW))
    context = tls.aggregator_context(served, ca, crl)
    if own is None:
        site = ssl.create_default_context(cafile=str(ca))
    else:
        site = tls.site_context(own, ca)
    return handshake(context, site, host)


@pytest.mark.parametrize("host", HOSTS)
def test_a_site_connects(ends: Ends, host: str) -> None:
    own, _ = ends.certified("site", ends.root, NORTH)
    _, another = ends.certified("another", ends.root, NORTH)
    assert connect(ends, own, {another: NOW}, host) == []


def test_a_revoked_site_is_refused(ends: Ends) -> None:
    own, serial = ends.certified("site", ends.root, NORTH)
    assert "certificate revoked" in connect(ends, own, {serial: NOW})[0]


def test_an_expired_site_is_refused(ends: Ends) -> None:
    own, _ = ends.certified("site", ends.root, NORTH, days=91)
    assert "certificate has expired" in connect(ends, own, {})[0]


def test_a_site_of_another_authority_is_refused(ends: Ends) -> None:
    own, _ = ends.certified("site", ends.other, NORTH)
    assert "CERTIFICATE_VERIFY_FAILED" in connect(ends, own, {})[0]


def test_the_aggregators_certificate_is_no_sites(ends: Ends) -> None:
    own, _ = ends.certified("site", ends.root, authority.aggregator_leaf(HOSTS))
    assert "unsuitable certificate purpose" in connect(ends, own, {})[0]


def test_who_shows_no_certificate_is_refused(ends: Ends) -> None:
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in connect(ends, None, {})[0]


def test_another_name_of_the_aggregator_is_refused(ends: Ends) -> None:
    own, _ = ends.certified("site", ends.root, NORTH)
    assert "Hostname mismatch" in connect(ends, own, {}, "evil.example.org")[-1]


def impostor(ends: Ends, by: authority.Authority, leaf: authority.Leaf) -> list[str]:
    """Let a true site connect to who is not the aggregator."""
    own, _ = ends.certified("site", ends.root, NORTH)
    served, _ = ends.certified("impostor", by, leaf)
    ca, crl = ends.trusted("ca", ends.root), ends.folder / "crl.pem"
    private_files.write(crl, authority.revocations(ends.root, {}, 1, NOW))
    context = tls.aggregator_context(served, ca, crl)
    return handshake(context, tls.site_context(own, ca), "localhost")


def test_a_site_refuses_an_impostor(ends: Ends) -> None:
    leaf = authority.aggregator_leaf(HOSTS)
    assert "CERTIFICATE_VERIFY_FAILED" in impostor(ends, ends.other, leaf)[-1]
    assert "CERTIFICATE_VERIFY_FAILED" in impostor(ends, ends.root, NORTH)[-1]


def test_an_older_tls_is_refused(ends: Ends) -> None:
    own, _ = ends.certified("site", ends.root, NORTH)
    served, _ = ends.certified("agg", ends.root, authority.aggregator_leaf(HOSTS))
    ca, crl = ends.trusted("ca", ends.root), ends.folder / "crl.pem"
    private_files.write(crl, authority.revocations(ends.root, {}, 1, NOW))
    old = ssl.create_default_context(cafile=str(ca))
    old.load_cert_chain(own)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    refusals = handshake(tls.aggregator_context(served, ca, crl), old, "localhost")
    assert "UNSUPPORTED_PROTOCOL" in refusals[0]


def test_without_a_revocation_list_nobody_connects(ends: Ends) -> None:
    own, _ = ends.certified("site", ends.root, NORTH)
    served, _ = ends.certified("agg", ends.root, authority.aggregator_leaf(HOSTS))
    ca = ends.trusted("ca", ends.root)
    context = tls.aggregator_context(served, ca, ca)
    refusals = handshake(context, tls.site_context(own, ca), "localhost")
    assert "unable to get certificate CRL" in refusals[0]


def test_a_readable_tls_key_is_refused(ends: Ends) -> None:
    own, _ = ends.certified("site", ends.root, NORTH)
    own.chmod(0o644)
    with pytest.raises(IdentityError, match="open to other users"):
        tls.site_context(own, ends.trusted("ca", ends.root))


def test_what_the_commands_write_is_what_tls_takes(desk: Desk) -> None:
    desk.admit()
    agg, north = Path("agg"), Path("north")

    def tried() -> list[str]:
        served = agg / "tls.pem", agg / "ca.pem", agg / "crl.pem"
        site = tls.site_context(north / "tls.pem", north / "ca.pem")
        return handshake(tls.aggregator_context(*served), site, "localhost")

    assert tried() == []
    assert desk.operator("renew")[0] == 0
    desk.facts("client", "renew", "--home", "north")
    assert desk.operator("admit", "north.request")[0] == 0
    assert desk.answer()[0] == 0
    assert tried() == []
    assert desk.operator("revoke", "north")[0] == 0
    assert "certificate revoked" in tried()[0]


def test_an_invite_is_the_aggregators(desk: Desk) -> None:
    assert desk.operator("invite", "north")[0] == 0
    opened = consortium.load(Path("agg"))
    sealed = Path("north.invite").read_bytes()
    invite = enrolment.unseal(sealed, Invite, opened.aggregator)
    assert invite.ca_fingerprint == certificates.fingerprint(opened.ca)
    with pytest.raises(IntegrityError):
        enrolment.unseal_request(sealed)


def test_a_passphrase_that_others_can_read_is_no_matter_of_invites(desk: Desk) -> None:
    Path("pass").chmod(0o644)
    code, _, err = desk.operator("revoke", "north")
    assert code == 6
    assert "chmod 0600 pass" in err
    assert "who may have read it must not have ca.key too" in err
    assert "invite" not in err


class Dies(BaseException):
    """The power goes."""


@pytest.mark.parametrize("write", range(1, 6))
def test_an_admission_that_was_cut_off_is_given_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    """The papers are five files: it ends before any of them is written."""
    words = desk.ask()
    for _ in ("its first", "its renewal"):
        admit = ("admit", "north.request", "--words", words)
        _dies_before(write, monkeypatch)
        with pytest.raises(Dies):
            desk.operator(*admit)
        monkeypatch.undo()
        monkeypatch.chdir(desk.folder)
        code, _, err = desk.operator(*admit)
        assert code == 0, err
        assert desk.answer()[0] == 0
        assert not Path("agg/north.admitting").exists()
        words = str(desk.facts("client", "renew", "--home", "north")["words"])


def _dies_before(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the power go before the file of this *number* has its name."""
    replace, count = private_files.replace_parts, itertools.count(1)

    def dies(*given: Any) -> None:
        if next(count) == number:
            raise Dies
        replace(*given)

    monkeypatch.setattr(private_files, "replace_parts", dies)


def test_who_was_revoked_meanwhile_is_not_admitted_by_what_was_cut_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit = ("admit", "north.request", "--words", desk.ask())
    _dies_before(5, monkeypatch)
    with pytest.raises(Dies):
        desk.operator(*admit)
    monkeypatch.undo()
    monkeypatch.chdir(desk.folder)
    assert desk.operator("revoke", "north")[0] == 0
    code, _, err = desk.operator(*admit)
    assert code == 6
    assert "the invite of north was used already" in err
