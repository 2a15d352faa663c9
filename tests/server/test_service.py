"""The service tells the SuperLink who may connect, and keeps its own house in order."""

import socket
from pathlib import Path

import pytest

from common.errors import MachineError, UsageError
from server import consortium, logs, service, superlink
from server.processes import Crew
from server.service import Members
from server.superlink import Link
from tests.enrolling import Desk, desk

__all__ = ["desk"]


def known(link: Link) -> list[str]:
    return sorted(each.site for each in superlink.registered(link).values())


def test_the_superlink_is_told_of_every_member_again(desk: Desk) -> None:
    """Of one that is admitted later; and of all, when its database is another."""
    desk.admit("north")
    opened = consortium.load(Path("agg"))
    link = superlink.prepare(desk.folder / "superlink", service.free_port())
    members = Members()
    with Crew([superlink.program(link)]) as crew:
        crew.await_ready()
        service._tell(opened, link, crew, members)
        assert known(link) == ["north"]
        assert not any(each.connected for each in superlink.registered(link).values())
        desk.admit("south")
        service._tell(opened, link, crew, members)
        assert known(link) == ["north", "south"]
        crew.kill("superlink")
        superlink.forget(link)
        before = members.told
        crew.start("superlink")
        service._tell(opened, link, crew, members)  # it is not up yet
        assert members.told == before
        crew.await_ready()
        service._tell(opened, link, crew, members)
        assert known(link) == ["north", "south"]


@pytest.mark.parametrize(
    "written", ["9443", "host:", ":9443", "h:port", "h:0", "h:70000"]
)
def test_what_is_no_address_is_said(written: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        service.address(written)


def test_a_port_that_is_taken_is_said_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(MachineError, match="nobody can listen on"):
            service.require_free(where)
    service.require_free(where)


def test_one_service_at_a_time_and_the_other_is_named(tmp_path: Path) -> None:
    named = pytest.raises(MachineError, match=r"process \d+")
    with service._only(tmp_path), named as no, service._only(tmp_path):
        pass
    assert "server status" in no.value.hints["then"]
    with service._only(tmp_path):
        pass


def test_a_log_that_has_grown_is_laid_aside_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"first\n")
        logs.shorten(tmp_path, 6)
        assert log.read_bytes() == b"first\n"
        logs.shorten(tmp_path, 5)
        writer.write(b"second\n")
    assert (tmp_path / "gateway.log.1").read_bytes() == b"first\n"
    assert log.read_bytes() == b"second\n"
