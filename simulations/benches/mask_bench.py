"""What masks cost: a round of large sums beside the same round in clear.

The round is one of the real apps on the in-process Grid, through every door and with
every signature. Once it is masked and a site falls silent in it, once it is in clear
and nobody does; each is compared with the plain loop over the same records. It is
measured for a network, where sites compute, and at its dearest for 100 tables of
100 x 100 counts, where they hardly do.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations, islice
from pathlib import Path

import numpy as np
from flwr.app import Context, Message

import client.app
from client import site
from client.door.opened import Opened
from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import plan
from common.errors import IntegrityError
from common.masked import masks
from common.sections.terms import FEWEST
from common.study import Study
from common.task import Split, State
from common.travel import seal, wire
from server.conduct import question, rounds
from server.conduct import voice as voices
from server.conduct.rounds import Terms
from server.conduct.voice import Voice
from simulations import plain
from simulations.benches import wide
from simulations.benches.measure import Line, at_most
from simulations.engines import engine
from simulations.engines.engine import InProcess

REPEATS = 3
SITES, PEOPLE, COLUMNS, LEVELS, PAIRS = 10, 2000, 15, 100, 100
TASK, SILENT = "chi_square", 3
"""The task of counts that is measured, and the node that is silent in it."""
NETWORK, WIDTH, LAYERS, LEARNING = "tabular_network", 100, [1000, 900], 500
"""A network of a million weights, and how many people learn it."""
GRACE = 0.2
"""Seconds for which the silent one is waited: no processor works meanwhile."""
ROUND_RATIO, DEAREST, RATE = 1.5, 2.5, 25e6
EXACT = 1e-9
BOTH = (True, False)
PEERS, VALUES = 10, 1_000_000


@dataclass(slots=True)
class Timed:
    """Sites by their nodes that note when the task begins, and when the study is over.

    Seconds are the processor's, of all sites and the aggregator: they share a process.
    Each message is signed and checked, as where somebody stands between. With *silent*
    one site is not heard in the task.
    """

    measured: str
    paths: Mapping[int, Path]
    silent: bool
    begun: float = 0.0
    ended: float = 0.0

    def answer(self, message: Message, context: Context) -> Message | None:
        """Return what a site says, signed."""
        kind, node = message.metadata.message_type, message.metadata.dst_node_id
        task = "" if kind == wire.OPEN else wire.read_place(message.content).task
        if task == self.measured and not self.begun:
            self.begun = time.process_time()
        if task != self.measured and self.begun and not self.ended:
            self.ended = time.process_time()
        own = engine.key_of(engine.AGGREGATOR).public_key()
        seal.verify(message.content, kind, seal.AGGREGATOR, own)
        reply = client.app.app(message, context)
        if self.silent and (task, kind, node) == (self.measured, wire.ROUND, SILENT):
            return None
        if reply.has_content():
            path = self.paths[node]
            key, name = engine.key_of(str(path)), path.parent.name
            reply.content["seal"] = seal.sign(reply.content, kind, name, key)["seal"]
        return reply

    def voice(self, grid: InProcess) -> Voice:
        """Return how the aggregator on *grid* speaks and checks."""
        own = engine.key_of(engine.AGGREGATOR)
        keys = {
            path.parent.name: engine.key_of(str(path)).public_key()
            for path in self.paths.values()
        }
        return replace(
            voices.simulated(str(grid.keys["key"]), str(grid.keys["pinned"])),
            say=lambda content, kind: seal.sign(content, kind, seal.AGGREGATOR, own),
            check=lambda name, content, kind: seal.verify(
                content, kind, name, keys[name]
            ),
        )


def lines() -> list[Line]:
    """Measure a whole round, and the masks by themselves."""
    network = [_network_of(masked=each) for each in BOTH]
    counts = [study_of(SITES, PAIRS, masked=each) for each in BOTH]
    what = f"a round of {SITES} sites x 1,000,000"
    learned = _round_cost(NETWORK, network, _learners())
    counted = _round_cost(TASK, counts, tables_of(SITES))
    return [
        at_most(f"{what} weights, masked / in clear", *learned, ROUND_RATIO),
        at_most(f"{what} counts, masked / in clear", *counted, DEAREST),
        rate(),
    ]


def _round_cost(
    task: str, studies: Sequence[Study], tables: Sequence[Table]
) -> tuple[str, float]:
    """Return what a masked round with a dropout costs, as the same in clear is 1."""
    masked, clear = studies
    left = [table for node, table in enumerate(tables, 1) if node != SILENT]
    pairs = []
    for _ in range(REPEATS + 1):  # the first one warms up
        one = _timed(task, masked, tables, left)
        pairs.append((one, _timed(task, clear, tables, tables)))
    ours, theirs = (statistics.median(each) for each in zip(*pairs[1:], strict=True))
    figure = f"{ours / theirs:.2f} ({ours:.2f} CPU s / {theirs:.2f} CPU s)"
    return figure, ours / theirs


def rate() -> Line:
    """Measure how fast one core masks a vector for ten peers."""
    vector = np.zeros(VALUES, np.uint64)
    streams = [(bytes([number]) * masks.KEY, number % 2 > 0) for number in range(PEERS)]
    took = []
    for _ in range(REPEATS):
        begun = time.process_time()
        masks.add(vector, streams)
        took.append(time.process_time() - begun)
    found = VALUES / statistics.median(took)
    figure = f"{found / 1e6:.0f} M a second"
    return Line(
        f"values masked for {PEERS} peers, per core",
        figure,
        f">= {RATE / 1e6:g} M",
        found >= RATE,
    )


def _timed(
    task: str, study: Study, tables: Sequence[Table], summed: Sequence[Table]
) -> float:
    """Return the seconds of one round; IntegrityError unless it is over *summed*."""
    with opened(study, tables) as paths:
        silent = len(summed) < len(tables)
        timed = Timed(task, dict(enumerate(paths, start=1)), silent)
        grid = InProcess(paths, next(engine.RUN), timed.answer)
        engine.become(grid.run.run_id)
        found = rounds.run(study, grid, terms=Terms(timed.voice(grid)))
    for name, array in _expected(task, study, tables, summed).arrays.items():
        if not np.allclose(found.states[task].arrays[name], array, rtol=0, atol=EXACT):
            raise IntegrityError(f"{name} differs: no figure is printed")
    return timed.ended - timed.begun


def _expected(
    task: str, study: Study, tables: Sequence[Table], summed: Sequence[Table]
) -> State:
    """Return what one round over *summed* makes of what all *tables* had begun."""
    measured = plan.find(study, task)
    state = plan.begin(study, measured, plain.run(study, tables))
    designs = map(Design, summed)
    answers = [training.run(measured, study, state, each) for each in designs]
    return measured.finish(study, state, plain.total(measured, study, answers))


@contextmanager
def opened(study: Study, tables: Sequence[Table]) -> Iterator[list[Path]]:
    """Yield the settings of sites that hold *tables* open; wait for nobody long."""
    patience = question.GRACE
    with tempfile.TemporaryDirectory() as folder:
        paths = [_site(Path(folder), name, study) for name in study.study.sites]
        for path, table in zip(paths, tables, strict=True):
            held = Opened(site.read(path), study, study.digest(), table, Design(table))
            client.app.SHELF.hold(held)
        question.GRACE = GRACE
        logging.disable(logging.WARNING)  # who is silent is known
        try:
            yield paths
        finally:
            question.GRACE = patience
            logging.disable(logging.NOTSET)


def _site(folder: Path, name: str, study: Study) -> Path:
    path = folder / name / "site.toml"
    path.parent.mkdir()
    words = (f'site = "{name}"', f'approved = ["{study.digest()}"]')
    records = ("[data]", 'file = "x.csv"', 'person = "p"')  # never read: they are open
    path.write_text("\n".join([*words, *records, ""]), encoding="utf-8")
    return path


def study_of(sites: int, pairs: int, *, masked: bool) -> Study:
    """Return a study of many counts; where it is *masked* one site may be silent."""
    names = [f"v{number}" for number in range(COLUMNS)]
    levels = [f"l{number}" for number in range(LEVELS)]
    asked: dict[str, object] = {"quorum": sites, "secure_aggregation": masked}
    outcome = {"kind": "binary", "levels": ["no", "yes"], "positive": "yes"}
    known = wide.study(1, sites, outcome, {"kind": "logistic", "ridge": 1.0})
    return Study.model_validate(
        known.model_dump(include={"format", "privacy", "study", "outcome"})
        | {
            "variables": [
                {"kind": "category", "name": name, "levels": levels} for name in names
            ],
            "analysis": {"chi_square": list(islice(combinations(names, 2), pairs))},
            "rounds": asked | ({"dropouts": 1} if masked and sites > FEWEST else {}),
        }
    )


def _network_of(*, masked: bool) -> Study:
    outcome = {"kind": "binary", "levels": ["no", "yes"], "positive": "yes"}
    training = {"steps": 1, "optimizer": "plain"}
    model = {"kind": NETWORK, "dense": LAYERS, "training": training}
    study = wide.study(WIDTH, SITES, outcome, model)
    rounds_ = {"quorum": SITES, "secure_aggregation": masked, "dropouts": int(masked)}
    return Study.model_validate(study.model_dump(by_alias=True) | {"rounds": rounds_})


def _learners() -> list[Table]:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, LEARNING).astype(np.float64)
    train = np.arange(LEARNING) % 10 > 0
    each: dict[Split, int] = {"train": LEARNING // SITES, "test": LEARNING // SITES}
    dealt = wide.dealt(wide.values(LEARNING, WIDTH, draw), y, train, SITES)
    return [replace(table, people=each) for table in dealt]


def tables_of(sites: int) -> list[Table]:
    """Return the records of so many sites."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, LEVELS, (PEOPLE, COLUMNS)).astype(np.float64)
    y = draw.integers(0, 2, PEOPLE).astype(np.float64)
    each: dict[Split, int] = {"train": PEOPLE // sites, "test": 0}
    dealt = wide.dealt(x, y, np.ones(PEOPLE, dtype=bool), sites)
    return [replace(table, people=each) for table in dealt]
