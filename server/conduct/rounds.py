"""One study on a Flower Grid: open it at every site, ask round by round, close it.

The roster is fixed when the study opens. From then on every round needs every site of
the roster, and a site that does not answer in time ends the run by name: a model over a
changing set of hospitals would be the model of no set at all.

Each round is in the journal before the next one is asked, so a run that was cut off at
any moment goes on from its last round, to the same model to the last bit.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from flwr.app import RecordDict
from flwr.serverapp import Grid

from common import plan
from common.errors import ConsiliumError, IntegrityError, StudyError
from common.masked import coding
from common.study import Study
from common.task import State, Task, fingerprint, rowwise
from common.tasks.linear import newton
from common.travel import wire
from common.travel.wire import Answer, Place
from common.written.slips import of_key
from server.conduct import aggregation, asking, heads, line, masked_round, roster
from server.conduct.journal import Entry, Journal, Traffic
from server.conduct.line import Line, Tell
from server.conduct.masked_round import Hear, Masks
from server.conduct.roster import Door, Waits
from server.conduct.voice import PLAIN, Voice

LOG = logging.getLogger("consilium.server")
CLOSE_SECONDS = 10.0
"""How long a site is waited for that need only be told that it is over."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a study is run: in whose voice, how long it waits, whom it tells.

    ``waits`` says whether the study still waits for sites that have not opened it when
    so many have, and ``stopped`` whether its operator ended it. ``heads`` is the file
    of the heads that sites showed in all studies; a run without one has a file beside
    its journal. The sites ``without`` whom it runs are not even asked.
    """

    voice: Voice = PLAIN
    waits: Waits = lambda _: False
    tell: Tell = lambda *_: None
    stopped: Callable[[], bool] = lambda: False
    heads: Path | None = None
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a study came to: final states, who took part, and what it cost."""

    states: dict[str, State]
    roster: tuple[str, ...]
    refusals: tuple[str, ...]
    rounds: dict[str, int]
    sent: dict[str, int]
    received: dict[str, int]
    last: tuple[str, ...] = ()
    """The sites in the sum of the last round: who left on the way is not among them."""


@dataclass(frozen=True, slots=True)
class Work:
    """One run of one study: its sites, how they are let in, and what is done."""

    study: Study
    line: Line
    door: Door
    book: Journal
    heads: Path | None
    masks: Masks


@dataclass(frozen=True, slots=True)
class Heard:
    """Of one round: the hash of each answer, and the head of each site's ledger."""

    hashes: dict[str, str] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)

    def of(self, sites: tuple[str, ...]) -> "Heard":
        """Return what was heard of *sites*: in another attempt there may be more."""
        kept = {name: each for name, each in self.hashes.items() if name in sites}
        return Heard(kept, self.heads)


def run(
    study: Study, grid: Grid, journal: Journal | None = None, terms: Terms | None = None
) -> Outcome:
    """Run every task of *study* over the sites on *grid*, from where *journal* is.

    Raises QuorumError when too few sites take part, or one of them stops answering.
    """
    coding.check(study)
    on, book = terms or Terms(), journal or Journal(study.digest())
    deadline = study.rounds.deadline_seconds
    begun = Line(grid, deadline, on.voice, on.tell, on.stopped)
    place, members = Place(book.digest, book.run), on.voice.members
    door = roster.door(study, place, members, on.without)
    kept = on.heads or (book.folder / heads.NAME if book.folder else None)
    masks = Masks(study, begun, door, fixed=_survivors(book))
    work = Work(study, begun, door, book, kept, masks)
    tasks = plan.tasks(study)
    begun.sent, begun.received = dict(book.traffic.sent), dict(book.traffic.received)
    try:
        if not book.roster:
            left_out = (f"{name}: {roster.LEFT_OUT}" for name in sorted(on.without))
            refusals = (*roster.admit(study, door, begun, on.waits), *left_out)
            book.traffic = _traffic(begun)
            book.opened(tuple(sorted(begun.nodes.values())), refusals)
        for task in tasks:
            if not book.finished(task.name):
                _conclude(work, task)
    except ConsiliumError as end:
        if not book.folder or on.stopped():  # nobody goes on: let the sites forget it
            _unheard(end, _over(work))
        raise
    if not book.closed:
        _over(work)
        book.close(_traffic(begun))
    return outcome_of(book)


def _over(work: Work) -> list[str]:
    """Tell every site that may have the study open that it is over; wait a little.

    Flower's run ends after this, and takes with it what was not fetched by then. After
    a restart nobody is on the line any more: whoever is there is told. Returns who of
    the roster has not confirmed it.
    """
    book, door, sites = work.book, work.door, replace(work.line, stopped=lambda: False)
    may = {*door.opened, *door.letters.values()}
    to = {
        node: sites.name(node)
        for node in sites.present()
        if node in may or not door.tries
    }
    until = sites.clock() + min(sites.deadline, CLOSE_SECONDS)
    content = wire.closing(book.digest, book.run)
    silent = line.exchange(sites, content, wire.CLOSE, to, until)
    deaf = sorted({*silent} | ({*book.roster} - {*to.values()}))
    if deaf:
        LOG.warning("%s did not hear that the study is over", ", ".join(deaf))
    return deaf


def _unheard(end: ConsiliumError, deaf: list[str]) -> None:
    """Say in the error that ended a study who does not know of its end."""
    if deaf:
        held = f"{', '.join(deaf)} did not hear it, and keeps the study open"
        end.hints["likely"] = "; ".join(filter(None, [end.hints["likely"], held]))


def _conclude(work: Work, task: Task) -> None:
    """Run one task to its end, from the last round of it that is in the journal."""
    study, book, sites = work.study, work.book, work.line
    states = {name: entry.state for name, entry in book.last.items()}
    last = book.last.get(task.name)
    state = last.state if last else rowwise(plan.begin(study, task, states))
    first = last.round + 1 if last else 1
    for number in range(first, study.rounds.maximum + 1):
        begun = sites.clock()
        state = _round(work, task, number, state)
        took = 1000 * (sites.clock() - begun)
        there = len(book.last[task.name].answers)
        LOG.info("%s: round %d, %d sites, %.0f ms", task.name, number, there, took)
        if state.done:
            return
    part = newton.part(task.name)
    end = StudyError(
        f"{task.name} did not settle in {study.rounds.maximum} rounds",
        likely="a variable separates the outcome perfectly; ridge is too small",
        fix=f"in [{part}]:   ridge = 1.0   # or, in [rounds], a larger maximum",
    )
    raise of_key(f"{part}.ridge", end)


def _round(work: Work, task: Task, number: int, state: State) -> State:
    """Ask one round of every site, add the answers, and record the next state."""
    book, sites = work.book, work.book.roster
    place = Place(
        book.digest,
        book.run,
        task.name,
        number,
        state=fingerprint(state.arrays),
        roster=wire.roster(sites),
        sequence=1 + sum(entry.round for entry in book.last.values()),
    )
    heard, question = Heard(), wire.Ask(place, state, sites)
    hear = _hearing(work, heard, heads.known(work.heads))
    if work.study.masked:
        total = masked_round.total(work.masks, task, question, hear)
        heard = heard.of(work.masks.fixed[1])
    else:
        said = asking.answers(question, work.door, work.line)
        answers = (hear(*each) for each in said)
        release, combine = task.release(work.study), task.combine(work.study)
        limits = coding.limits(work.study, task)
        total = aggregation.total(release, place, answers, combine, limits)
    heads.remember(work.heads, heard.heads)
    reached = rowwise(task.finish(work.study, state, total))
    book.add(Entry(task.name, number, reached, heard.hashes), _traffic(work.line))
    return reached


def _survivors(book: Journal) -> tuple[int, tuple[str, ...]]:
    """Return the last round's number in the run, and whose answers are in its sum."""
    done = sum(entry.round for entry in book.last.values())
    last = list(book.last.values())[-1:]
    return done, tuple(sorted(name for each in last for name in each.answers))


def _hearing(work: Work, heard: Heard, before: Mapping[str, str]) -> Hear:
    """Return what reads a site's answer, once it is its own, and notes its hash.

    Its ledger must go on from the head that was known *before* it was asked.
    """

    def hear(name: str, said: RecordDict) -> Answer:
        answer = _from(name, said)
        work.line.voice.check(name, said, wire.ROUND)
        heads.follows(name, before, answer.head)
        heard.heads[name] = answer.head
        heard.hashes[name] = ""
        if work.book.folder:
            heard.hashes[name] = fingerprint({"vector": answer.vector})
        return answer

    return hear


def _from(name: str, said: RecordDict) -> Answer:
    try:
        answer = wire.read_answer(said)
    except IntegrityError as torn:
        raise IntegrityError(f"{name}: {torn.what}") from None
    if answer.site != name:
        raise IntegrityError(f"{name} answered in the name of {answer.site}")
    return answer


def _traffic(sites: Line) -> Traffic:
    return Traffic(dict(sites.sent), dict(sites.received))


def outcome_of(book: Journal) -> Outcome:
    """Return what a run came to that *book* has to its end."""
    sent, received = book.traffic.sent, book.traffic.received
    return Outcome(
        states={name: entry.state for name, entry in book.last.items()},
        roster=book.roster,
        refusals=book.refusals,
        rounds={name: entry.round for name, entry in book.last.items()},
        sent={name: sent[name] for name in book.roster},
        received={name: received[name] for name in book.roster},
        last=_survivors(book)[1],
    )
