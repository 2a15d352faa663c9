"""Names and addresses as an operator types them, checked before anything is made."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from common.errors import UsageError
from server.members.consortium import About

PORT: Final = 9443
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)*", re.IGNORECASE
)
_PORT = re.compile(r"[0-9]{1,5}")


def about(name: str, written: Iterable[str]) -> About:
    """Return the consortium's name, its url from the first host, and all its hosts."""
    require_name("a consortium", name)
    parts = [_split(each) for each in written]
    host, port = parts[0]
    shown = f"[{host}]" if ":" in host else host
    hosts = tuple(dict.fromkeys(each for each, _ in parts))
    return About(consortium=name, url=f"https://{shown}:{port}", hosts=hosts)


def require_name(what: str, name: str) -> None:
    """Raise UsageError unless *name* is fit for file names and certificates."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{what}'s name is made of small letters, digits and hyphens",
            fix="for example: north-hospital",
        )


def port(url: str) -> int:
    """Return the port in a consortium's url."""
    return urlsplit(url).port or PORT


def listening(url: str) -> str:
    """Return where an aggregator listens to which sites connect by *url*.

    That is every address of the machine, unless *url* names its loopback.
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        host = "127.0.0.1"
    if not (_is_address(host) and ipaddress.ip_address(host).is_loopback):
        host = "0.0.0.0"  # noqa: S104 - behind its own certificate check
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port(url)}"


def _split(written: str) -> tuple[str, int]:
    """Return host and port of ``host``, ``host:port``, ``::1`` or ``[::1]:port``."""
    bare = written.removeprefix("[").removesuffix("]")
    if _is_address(bare):
        return bare, PORT
    host, _, port = written.rpartition(":")
    if not host:
        host, port = written, str(PORT)
    host = host.removeprefix("[").removesuffix("]")
    good = _is_address(host) or _HOST.fullmatch(host)
    if not good or not _PORT.fullmatch(port) or not 0 < int(port) < 1 << 16:
        raise UsageError(
            f"{written} is no host",
            fix="for example: aggregator.example.org:9443 or 192.0.2.7",
        )
    return host, int(port)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
