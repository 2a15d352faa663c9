"""Stock Flower on this machine, as its documentation deploys it: what a round costs.

The yardstick of ``make bench``: SuperLink, one SuperNode a site and ``flwr run``, with
an app that does nothing but add one to a vector. It speaks plainly on loopback, without
TLS, which is in its favour.
"""

import os
import re
import statistics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from common.errors import MachineError
from server.running.processes import Crew, Program
from server.running.service import free_port, listens
from server.running.superlink import QUIET

CONFIG = """\
[project]
name = "stock"
version = "1.0.0"

[tool.flwr.app]
publisher = "bench"

[tool.flwr.app.components]
serverapp = "stock.server:app"
clientapp = "stock.client:app"
"""
SERVER = """\
import time

import numpy as np
from flwr.app import ArrayRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


class Timed(FedAvg):
    def aggregate_train(self, server_round, replies):
        found = super().aggregate_train(server_round, replies)
        print(f"ROUND-ENDED {server_round} {time.time()}", flush=True)
        return found


@app.main()
def main(grid, context):
    sites = int(context.run_config["sites"])
    fewest = {f"min_{what}_nodes": sites for what in ("train", "available")}
    strategy = Timed(fraction_evaluate=0.0, **fewest)
    rounds = int(context.run_config["rounds"])
    print(f"ROUND-ENDED 0 {time.time()}", flush=True)
    strategy.start(grid, ArrayRecord([np.zeros(100)]), num_rounds=rounds)
"""
CLIENT = """\
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message, context):
    (vector,) = message.content["arrays"].to_numpy_ndarrays()
    content = {
        "arrays": ArrayRecord([vector + 1]),
        "metrics": MetricRecord({"num-examples": 1}),
    }
    return Message(RecordDict(content), reply_to=message)
"""
HOME = """\
[superlink]
default = "stock"

[superlink.stock]
address = "127.0.0.1:{port}"
insecure = true
"""
MARK = re.compile(r"ROUND-ENDED (\d+) ([\d.]+)")
SETTLED = 2
"""Rounds before the steady ones: the first finds nothing imported yet."""


def seconds_per_round(folder: Path, sites: int, rounds: int = 3) -> float:
    """Return the median seconds of a steady round of stock Flower over *sites*."""
    app, port = _write(folder, sites, rounds), free_port()
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(HOME.format(port=port), encoding="utf-8")
    nodes = [_supernode(folder, port, number) for number in range(sites)]
    with Crew([_superlink(folder, port), *nodes]) as crew:
        crew.await_ready()
        said = subprocess.run(  # noqa: S603 - Flower's own command
            [_command("flwr"), "run", str(app), "stock", "--stream"],
            env=_settings(home),
            capture_output=True,
            text=True,
            timeout=60 * (rounds + 1),
            check=False,
        ).stdout
    ends = [float(moment) for _, moment in MARK.findall(said)]
    if len(ends) <= rounds:
        raise MachineError("stock Flower did not finish", where=str(folder))
    steady = ends[SETTLED - 1 :]
    pairs = pairwise(steady)
    return statistics.median(after - before for before, after in pairs)


def _write(folder: Path, sites: int, rounds: int) -> Path:
    app = folder / "app"
    (app / "stock").mkdir(parents=True)
    numbers = f"\n[tool.flwr.app.config]\nsites = {sites}\nrounds = {rounds}\n"
    files = {"__init__.py": "", "server.py": SERVER, "client.py": CLIENT}
    for name, text in files.items():
        (app / "stock" / name).write_text(text, encoding="utf-8")
    (app / "pyproject.toml").write_text(CONFIG + numbers, encoding="utf-8")
    return app


def _superlink(folder: Path, port: int) -> Program:
    command = (_command("flower-superlink"), "--insecure", "--host", "127.0.0.1")
    return Program(
        "superlink",
        (*command, "--port", str(port), "--disable-runtime-dependency-installation"),
        _settings(folder / "superlink"),
        folder / "superlink.log",
        lambda: listens(f"127.0.0.1:{port}"),
    )


def _supernode(folder: Path, port: int, number: int) -> Program:
    command = (_command("flower-supernode"), "--insecure")
    where = ("--superlink", f"127.0.0.1:{port}", "--port", str(free_port()))
    name = f"supernode-{number}"
    settings = _settings(folder / name)
    return Program(name, (*command, *where), settings, folder / f"{name}.log", _up)


def _up() -> bool:
    return True  # ``flwr run`` waits for every one of them


def _command(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _settings(home: Path) -> dict[str, str]:
    """Return the settings of a program of Flower's, which looks for others by PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, **QUIET, "PATH": path, "FLWR_HOME": str(home)}
