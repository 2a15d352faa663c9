"""One study on a Flower Grid: open it at every site, ask round by round, close it.

The roster is fixed when the study opens. From then on every round needs every site of
the roster, and a site that does not answer in time ends the run by name: a model over a
changing set of hospitals would be the model of no set at all.

Each round is in the journal before the next one is asked, so a run that was cut off at
any moment goes on from its last round, to the same model to the last bit.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from flwr.app import RecordDict
from flwr.serverapp import Grid

from common import plan, wire
from common.errors import ConsiliumError, IntegrityError, QuorumError, StudyError
from common.study import Study
from common.task import State, Task, fingerprint, rowwise
from common.wire import Answer, Place
from server import aggregation, line, roster
from server.journal import Entry, Journal, Traffic
from server.line import Line
from server.roster import Door

LOG = logging.getLogger("consilium.server")
TRIES = 3
"""How often a site may lose one round: by restarting, or by saying no to it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a study came to: final states, who took part, and what it cost."""

    states: dict[str, State]
    roster: tuple[str, ...]
    refusals: tuple[str, ...]
    rounds: dict[str, int]
    sent: dict[str, int]
    received: dict[str, int]


@dataclass(frozen=True, slots=True)
class Work:
    """One run of one study: its sites, how they are let in, and what is done."""

    study: Study
    line: Line
    door: Door
    book: Journal


def run(study: Study, grid: Grid, journal: Journal | None = None) -> Outcome:
    """Run every task of *study* over the sites on *grid*, from where *journal* is.

    Raises QuorumError when too few sites take part, or one of them stops answering.
    """
    book = journal or Journal(study.digest())
    begun = Line(grid, study.rounds.deadline_seconds)
    door = roster.door(study, Place(book.digest, book.run))
    work = Work(study, begun, door, book)
    tasks = plan.tasks(study)
    begun.sent, begun.received = dict(book.traffic.sent), dict(book.traffic.received)
    try:
        if not book.finished(tasks[-1].name):
            _assemble(work)
        for task in tasks:
            if not book.finished(task.name):
                _conclude(work, task)
    except ConsiliumError:
        if not book.folder:  # nobody will go on with it: let the sites forget it
            _dismiss(work)
        raise
    _close(work)
    return _outcome(book)


def _dismiss(work: Work) -> None:
    """Tell the sites that a run has failed, and wait for none of them."""
    sites = work.line
    if sites.nodes:
        content = wire.closing(work.book.digest, work.book.run)
        line.post(sites, content, wire.CLOSE, sites.nodes)


def _assemble(work: Work) -> None:
    """Open the study: at whoever takes part, or again at those who did."""
    book, sites = work.book, work.line
    if book.roster:
        roster.rejoin(work.door, sites, book.roster, sites.until())
        return
    refusals = roster.admit(work.study, work.door, sites)
    book.traffic = _traffic(sites)
    book.opened(tuple(sorted(sites.nodes.values())), refusals)


def _conclude(work: Work, task: Task) -> None:
    """Run one task to its end, from the last round of it that is in the journal."""
    study, book, sites = work.study, work.book, work.line
    states = {name: entry.state for name, entry in book.last.items()}
    last = book.last.get(task.name)
    state = last.state if last else rowwise(task.start(study, states))
    first = last.round + 1 if last else 1
    for number in range(first, study.rounds.maximum + 1):
        begun = sites.clock()
        state = _round(work, task, number, state)
        took = 1000 * (sites.clock() - begun)
        LOG.info(
            "%s: round %d, %d sites, %.0f ms", task.name, number, len(sites.nodes), took
        )
        if state.done:
            return
    raise StudyError(
        f"{task.name} did not settle in {study.rounds.maximum} rounds",
        likely="a variable separates the outcome perfectly; ridge is too small",
        fix="in [model]:   ridge = 1.0        # or, in [rounds], a larger maximum",
    )


def _round(work: Work, task: Task, number: int, state: State) -> State:
    """Ask one round of every site, add the answers, and record the next state."""
    book = work.book
    place = Place(book.digest, book.run, task.name, number, fingerprint(state.arrays))
    answers = _answers(work, wire.Ask(place, state))
    release = task.release(work.study)
    total = aggregation.total(release, place, answers.values())
    reached = rowwise(task.finish(work.study, state, total))
    hashes = {
        name: fingerprint({"vector": answer.vector})
        for name, answer in answers.items()
        if book.folder
    }
    book.add(Entry(task.name, number, reached, hashes), _traffic(work.line))
    return reached


def _answers(work: Work, question: wire.Ask) -> dict[str, Answer]:
    """Return the answer of every site of the roster, by name.

    A site that says no may have restarted and lost the study: it is opened there again,
    and the same round is asked again.
    """
    sites, content, until = work.line, wire.ask(question), work.line.until()
    answers: dict[str, Answer] = {}
    for _ in range(TRIES):
        roster.rejoin(work.door, sites, work.book.roster, until)
        to = {node: name for node, name in sites.nodes.items() if name not in answers}
        heard = line.exchange(sites, content, wire.ROUND, to, until)
        line.count(sites, heard)
        answers |= {name: _from(name, said) for name, said in heard.said.items()}
        if len(answers) == len(work.book.roster):
            return answers
        if heard.silent:
            break
        for node in [node for node, name in to.items() if name in heard.failed]:
            del sites.nodes[node]
    raise _incomplete(question.place, heard, sites.deadline)


def _from(name: str, said: RecordDict) -> Answer:
    try:
        answer = wire.read_answer(said)
    except IntegrityError as torn:
        raise IntegrityError(f"{name}: {torn.what}") from None
    if answer.site != name:
        raise IntegrityError(f"{name} answered in the name of {answer.site}")
    return answer


def _incomplete(place: Place, heard: line.Heard, deadline: float) -> QuorumError:
    silent = f"no answer from {', '.join(heard.silent)} within {deadline:g} s"
    failed = [f"{name}: {reason}" for name, reason in sorted(heard.failed.items())]
    return QuorumError(
        f"round {place.round} of {place.task} is incomplete",
        likely="; ".join([*failed, *([silent] if heard.silent else [])]),
        fix="each site's own log says under that id what happened",
        then="consilium client check   (at the site), then run the study again",
    )


def _close(work: Work) -> None:
    """Tell the sites that it is over, and record that they were told.

    After a restart nobody is on the line any more: whoever is there is told.
    """
    book, sites = work.book, work.line
    if book.closed:
        return
    to: Mapping[int, str] = sites.nodes
    if not to:
        to = {node: f"node {node}" for node in sites.grid.get_node_ids()}
    content = wire.closing(book.digest, book.run)
    heard = line.exchange(sites, content, wire.CLOSE, to, sites.until())
    line.count(sites, heard)
    book.close(_traffic(sites))


def _traffic(sites: Line) -> Traffic:
    return Traffic(dict(sites.sent), dict(sites.received))


def _outcome(book: Journal) -> Outcome:
    sent, received = book.traffic.sent, book.traffic.received
    return Outcome(
        states={name: entry.state for name, entry in book.last.items()},
        roster=book.roster,
        refusals=book.refusals,
        rounds={name: entry.round for name, entry in book.last.items()},
        sent={name: sent[name] for name in book.roster},
        received={name: received[name] for name in book.roster},
    )
