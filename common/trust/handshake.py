"""Why a TLS handshake came to nothing, in words that help the person who reads them.

probe(tls.site_context(own, ca), "aggregator.example", 9443)   # an error, or nothing
"""

import socket
import ssl

from common.errors import ConsiliumError, IdentityError, NetworkError

ALERTS = {
    "CERTIFICATE_REQUIRED": "this side showed no certificate",
    "CERTIFICATE_REVOKED": "this side's certificate was revoked",
    "CERTIFICATE_EXPIRED": "this side's certificate has expired",
    "BAD_CERTIFICATE": "this side's certificate is not valid yet, or is damaged",
    "UNKNOWN_CA": "this side's certificate is of another consortium",
    "UNSUPPORTED_CERTIFICATE": "this side's certificate is not for this role",
    "PROTOCOL_VERSION": "one of the two sides does not speak TLS 1.3",
}
"""What the other side's alert means to a person on this side."""

MENDS = {
    "EXPIRED": "consilium client renew --home HOME   and ask the operator to admit it",
    "REVOKED": "ask the operator; with a new invite:   consilium client join INVITE "
    "--home HOME --anew",
}
"""What helps a hospital whose certificate the other side calls so."""

VERDICTS = {
    9: "the other side's certificate is not valid yet",
    10: "the other side's certificate has expired",
    12: "the list of revoked certificates is out of date",
    18: "the other side's certificate is of another consortium",
    19: "the other side's certificate is of another consortium",
    20: "the other side's certificate is of another consortium",
    23: "the other side's certificate was revoked",
    26: "the other side's certificate is not for this role",
    62: "the other side's certificate is for another host",
    64: "the other side's certificate is for another address",
}
"""What OpenSSL's verdict on the other side's certificate means, by its number."""

TURNED_AWAY = {
    "revoked": "this hospital was revoked",
    "expired": "this hospital's certificate has expired",
    "unknown": "this hospital is not on the consortium's roster",
    "replaced": "this hospital's certificate was replaced by a newer one",
}
"""What the aggregator's door says to whom TLS lets pass, and what it means there."""

WAIT = 5.0
LISTEN = 1.0
"""Seconds to connect, and to listen for a refusal after the handshake."""


def probe(context: ssl.SSLContext, host: str, port: int) -> None:
    """Shake hands with *host* and listen: raise what is wrong, in words.

    In TLS 1.3 a client learns that it is refused only when it next reads; a client that
    writes first may find the connection gone, and never read why.
    """
    try:
        with (
            socket.create_connection((host, port), WAIT) as raw,
            context.wrap_socket(raw, server_hostname=host) as line,
        ):
            line.settimeout(LISTEN)
            if line.recv(1) == b"":
                raise NetworkError(f"{host}:{port} closed the connection at once")
    except TimeoutError:
        _unless_connected(host, port)
    except OSError as reason:
        raise explain(reason, f"{host}:{port}") from reason


def _unless_connected(host: str, port: int) -> None:
    """Raise NetworkError when *host* cannot be reached; a silent one is a good one."""
    try:
        socket.create_connection((host, port), WAIT).close()
    except OSError as reason:
        raise explain(reason, f"{host}:{port}") from reason


def turned_away(word: str) -> IdentityError | None:
    """Return why the aggregator's door refuses this hospital, if *word* says so."""
    if word not in TURNED_AWAY:
        return None
    kept = "consilium client admitted FILE --home HOME   keeps the newer one"
    return IdentityError(
        TURNED_AWAY[word],
        where="at the aggregator's door",
        fix=kept
        if word == "replaced"
        else MENDS.get(word.upper(), "ask the aggregator's operator"),
    )


def explain(reason: OSError, where: str) -> ConsiliumError:
    """Return *reason* as an error that says what is wrong and what helps."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        what = VERDICTS.get(reason.verify_code, "the other side's certificate is wrong")
        return IdentityError(
            what,
            where=where,
            likely=reason.verify_message,
            fix="do not go on; ask the operator for the address and the fingerprint",
        )
    if isinstance(reason, ssl.SSLError):
        alert = (reason.reason or "").partition("ALERT_")[2] or (reason.reason or "")
        known = [text for name, text in ALERTS.items() if alert.endswith(name)]
        mends = [text for name, text in MENDS.items() if alert.endswith(name)]
        what = known[0] if known else "the other side refused this side's certificate"
        return IdentityError(
            what,
            where=where,
            likely=(reason.reason or "no reason was given").lower().replace("_", " "),
            fix=mends[0] if mends else "ask the operator to admit this side anew",
        )
    return NetworkError(
        "the other side cannot be reached",
        where=where,
        likely=type(reason).__name__,
        fix="check the address, the firewall, and that the other side is running",
    )
