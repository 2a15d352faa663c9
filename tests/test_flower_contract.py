"""What we use of Flower beyond its documented interface is there, and as we know it."""

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import flwr
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.app.message.arraychunk import ArrayChunk

from client.line.node import RUN_OVER
from common.travel import direct, parcels
from server.gate.gateway import FLEET
from server.running import lean_superlink, superlink
from simulations.engines import engine

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "flower-internals.md").read_text(encoding="utf-8")
PUBLIC = {"flwr.app", "flwr.clientapp", "flwr.serverapp"}


def internals() -> set[tuple[str, str, str]]:
    """Return (module, name, file) of everything undocumented that we import."""
    found = set()
    for package in ("client", "common", "server", "simulations"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                module = node.module if isinstance(node, ast.ImportFrom) else None
                if module and module.startswith("flwr.") and module not in PUBLIC:
                    file = path.relative_to(ROOT).as_posix()
                    found |= {(module, each.name, file) for each in node.names}
    return found


PARTS = "flwr.supercore.inflatable.inflatable_protobuf_utils"
SIGNATURES = {
    "flwr.supernode.fleet_http_client.FleetHttpClient": (
        "(base_url, *, interceptors, verify, timeout, retry_invoker)"
    ),
    "flwr.supercore.runtime.RuntimeHttpClient": (
        "(base_url, *, interceptors, verify, timeout, retry_invoker)"
    ),
    "flwr.supercore.control.control_http_client.ControlHttpClient": (
        "(base_url, *, interceptors, verify, timeout, retry_invoker)"
    ),
    "flwr.supernode.node_auth_http_interceptor.NodeAuthHttpInterceptor": (
        "(private_key, public_key)"
    ),
    "flwr.supercore.primitives.asymmetric.public_key_to_bytes": "(public_key)",
    "flwr.common.serde.message_from_proto": "(message_proto)",
    "flwr.common.serde.message_to_proto": "(message)",
    "flwr.common.serde.run_from_proto": "(run_proto)",
    "flwr.app.message.remove_content_from_message": "(message)",
    "flwr.supercore.inflatable.inflatable_object.get_all_nested_objects": "(obj)",
    "flwr.supercore.inflatable.inflatable_object.get_object_tree": "(obj)",
    "flwr.supercore.inflatable.inflatable_object.no_object_id_recompute": "()",
    f"{PARTS}.make_pull_object_fn_protobuf": ("(pull_object_protobuf, node, run_id)"),
    f"{PARTS}.make_push_object_fn_protobuf": (
        "(push_object_protobuf, node, run_id, session_id)"
    ),
    "flwr.supercore.inflatable.inflatable_utils.inflate_object_from_contents": (
        "(object_id, object_contents, *, keep_object_contents, objects)"
    ),
    "flwr.supercore.inflatable.inflatable_utils.pull_objects": (
        "(object_ids, pull_object_fn, *, max_concurrent_pulls, max_time, "
        "max_tries_per_object, initial_backoff, backoff_cap)"
    ),
    "flwr.superlink.cli.flower_superlink": "()",
    "flwr.supercore.interceptors.RuntimeTokenHttpInterceptor": "(token)",
    "flwr.supercore.interceptors.RuntimeVersionHttpInterceptor": "(component_name)",
    "flwr.supercore.interceptors.SuperExecAuthHttpInterceptor": (
        "(*, master_secret, protected_methods)"
    ),
}


def find(module: str, name: str) -> Any:
    return pkgutil.resolve_name(f"{module}:{name}")


def names(function: Any) -> str:
    """Return the names of a function's parameters, without types and defaults."""
    parts, starred = [], False
    for each in inspect.signature(function).parameters.values():
        if each.kind is each.KEYWORD_ONLY and not starred:
            parts, starred = [*parts, "*"], True
        parts.append(each.name)
    return f"({', '.join(parts)})"


def test_flower_is_of_the_one_version_that_is_known() -> None:
    assert flwr.__version__ == direct.FLOWER
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"flwr=={direct.FLOWER}" in wanted["project"]["dependencies"]
    assert f"Flower {direct.FLOWER}, exactly" in PAGE


def listed() -> list[tuple[str, str, str]]:
    """Return (module, name, file) of every cell of the page's table."""
    found = []
    for row in PAGE.splitlines():
        cells = [re.findall(r"`([^`]+)`", cell) for cell in row.split("|")[1:3]]
        if not row.startswith("| `"):
            continue
        (first, *names), files = cells
        pairs = [(first, name) for name in names] or [tuple(first.rsplit(".", 1))]
        found += [(*pair, file) for pair in pairs for file in files]
    return found


@pytest.mark.parametrize(("module", "name"), sorted({row[:2] for row in listed()}))
def test_what_is_listed_is_used(module: str, name: str) -> None:
    files = {
        file for each, other, file in internals() if (each, other) == (module, name)
    }
    assert files == {
        file for each, other, file in listed() if (each, other) == (module, name)
    }


@pytest.mark.parametrize(("module", "name", "file"), sorted(internals()))
def test_an_internal_exists_and_is_listed(module: str, name: str, file: str) -> None:
    find(module, name)
    rows = [row for row in PAGE.splitlines() if f"`{file}`" in row]
    whole = [row for row in rows if f"`{module}.{name}`" in row]
    parts = [row for row in rows if f"`{module}`" in row and f"`{name}`" in row]
    assert whole or parts, f"{module}.{name} in {file}"


@pytest.mark.parametrize("path", sorted(SIGNATURES))
def test_an_internal_is_called_as_we_call_it(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert names(find(module, name)) == SIGNATURES[path]


def test_a_message_takes_the_name_we_give_it() -> None:
    engine.become(1)
    message = Message(RecordDict(), dst_node_id=1, message_type="query.round")
    packed = parcels.pack(message)
    assert message.metadata.message_id == packed.tree.object_id
    assert packed.head.metadata.message_id == packed.tree.object_id


def test_flower_has_the_paths_that_the_gateway_lets_through() -> None:
    client = find("flwr.supernode.fleet_http_client", "FleetHttpClient")
    source = inspect.getsource(client)
    for path in FLEET:
        assert f'path="{path}"' in source, path


def test_a_message_of_a_run_that_has_ended_is_known_by_its_code() -> None:
    codes = find("flwr.supercore.error", "ApiErrorCode")
    assert codes.FLEET_RUN_STATUS_NOT_ALLOWED == RUN_OVER
    catalog = find("flwr.supercore.error.catalog", "API_ERROR_MAP")
    assert catalog[codes.FLEET_RUN_STATUS_NOT_ALLOWED].http_status_code == 403


def test_the_superlink_knows_its_options(tmp_path: Path) -> None:
    link = superlink.prepare(tmp_path, 1)
    command = superlink.program(link).command
    text = subprocess.run(  # noqa: S603
        [*command[:3], "--help"],
        env=dict(superlink.program(link).environment),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for option in command[3:]:
        assert not option.startswith("--") or option in text, option
    assert command[:3] == (sys.executable, "-m", "server.running.lean_superlink")


OPENED = """
import sys
from server.running import lean_superlink
lean_superlink.lean()
from flwr.supercore.object_store.sql_object_store import SqlObjectStore
store = SqlObjectStore(sys.argv[1])
store.initialize()
for name in ("cache_size", "mmap_size", "busy_timeout", "synchronous", "journal_mode"):
    (row,) = store.query(f"PRAGMA {name}")
    print(*row.values())
"""


def test_the_superlink_holds_little_of_its_database(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENED, str(tmp_path / "state.db")]
    said = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    off = {"OFF": "0"}
    wanted = [off.get(each, each) for each in lean_superlink.LEAN.values()]
    assert said.stdout.split()[-5:] == [*wanted, "wal"]


def test_flower_takes_the_pieces_that_we_cut() -> None:
    engine.become(1)
    arrays = ArrayRecord({"x": Array(np.arange(parcels.PIECE / 4))})
    content = RecordDict({"arrays": arrays})
    message = Message(content, dst_node_id=1, message_type="query.round")
    parts = parcels.pack(message).parts.values()
    sizes = [len(each.data) for each in parts if isinstance(each, ArrayChunk)]
    assert max(sizes) == parcels.PIECE


def test_only_its_owner_reads_the_superlinks_secrets(tmp_path: Path) -> None:
    link = superlink.prepare(tmp_path / "superlink", 1)
    assert link.folder.stat().st_mode & 0o777 == 0o700
    for path in (link.secret, link.key):
        assert path.stat().st_mode & 0o777 == 0o600
    assert superlink.prepare(link.folder, 1).secret.read_bytes() == (
        link.secret.read_bytes()
    )
