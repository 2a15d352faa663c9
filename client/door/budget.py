"""The privacy budget at this site: looked at before records are, and again to charge.

    expect   before the records are read: would the whole study fit?
    admit    the run is let in, and what it may cost is held for it
    afford   before a round is computed: may this one be charged?
    charge   the release is in the ledger, on the disk; only then is there a reply
    close    what the run did not use is free again

Each asks what the ledger would say with one more line, by the arithmetic of
client/books/spending.py, and writes that line while nobody else can write. A site
without a home, in a simulation, keeps its lines in memory as long as the study is open.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import date

from client import site as sites
from client.books import answers, chain, home, ledger, spending
from client.books.chain import Entry, Facts, Note
from client.books.ledger import Clock, Log
from client.books.memory import Turn
from client.books.spending import Ceiling
from client.door import once
from client.door.opened import Opened
from client.learning import own_layers
from client.site import Site
from common import costs, privacy
from common.errors import BudgetError, Refusal
from common.promise import parts
from common.release import Array, length
from common.study import Study
from common.task import Task, fingerprint


class Loose:
    """Lines of a site without a home: written nowhere, and gone with the study."""

    def __init__(self, kept: list[Entry]) -> None:
        """Go on from the lines in *kept*."""
        self._kept = kept

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every line so far."""
        return tuple(self._kept)

    def append(self, note: Note, clock: Clock) -> Entry:
        """Return *note* as a line, remembered."""
        entry = chain.seal(note, chain.head(self._kept), clock())
        self._kept.append(entry)
        return entry


def expect(
    local: Site, study: Study, run: str, held: Opened | None, clock: Clock
) -> None:
    """Raise unless the site's policy and budget allow the whole of a *run*.

    Raises Refusal for what the policy forbids, BudgetError for what does not fit.
    """
    _policy(local, study)
    entries = local.entries() or (tuple(held.book) if held else ())
    once.begin(local, entries, study, run)
    if costs.promise(study):
        _fitting(local, entries, _admission(study, run), clock)


def admit(opened: Opened, run: str, clock: Clock) -> None:
    """Let *run* in: hold for it what it may cost, and take up its last answer.

    Raises BudgetError when it does not fit any more.
    """
    note, promised = _admission(opened.study, run), costs.promise(opened.study)
    with writing(opened) as log:
        once.begin(opened.site, log.entries, opened.study, run)
        if promised:
            _fitting(opened.site, log.entries, note, clock)
        again = once.running(log.entries, clock().date()).get(opened.digest) == run
        if not again or run not in opened.memory.last:
            log.append(note, clock)  # but not at each knock of one that is in
        entries = log.entries
    opened.memory.begin(run)
    if (promised or opened.study.masked) and opened.site.home:
        _resume(opened, run, entries, clock().date())


def afford(opened: Opened, task: Task, turn: Turn, clock: Clock) -> None:
    """Raise unless one release of *task* may be charged now.

    Raises BudgetError when it does not fit, Refusal when the ledger says no
    (client/door/once.py).
    """
    entries = opened.site.entries() or tuple(opened.book)
    _chargeable(opened, entries, _released(opened, task, turn, None), clock)


def charge(opened: Opened, task: Task, turn: Turn, answer: Array, clock: Clock) -> None:
    """Make a release durable before its reply exists; after a crash it still counts.

    Approval and budget are looked at once more while nobody else can write: a steward
    who said stop has been heard, and nothing is spent twice.
    """
    site, note = opened.site, _released(opened, task, turn, answer)
    with writing(opened) as log:
        if site.home:
            sites.approval(site, opened.study, log.entries, clock().date())
        _chargeable(opened, log.entries, note, clock)
        log.append(note, clock)


def close(opened: Opened, run: str, clock: Clock) -> None:
    """End *run* for good: free what it did not use, and forget its answer."""
    own_layers.close(opened.owner, run)
    if opened.site.home:
        note = home.about("closed", opened.study, run=run)
        with writing(opened) as log:
            log.append(note, clock)
            entries = log.entries
        _forget(opened, entries, clock().date())


def granted(local: Site, entries: Sequence[Entry]) -> Ceiling:
    """Return what all studies together may spend at this site."""
    own = local.mapping.budget
    return spending.ceiling(Ceiling(own.epsilon, own.delta), entries)


@contextmanager
def writing(opened: Opened) -> Generator[Log | Loose]:
    """Let nobody else write into the ledger meanwhile, and yield it."""
    if opened.site.home is None:
        yield Loose(opened.book)
        return
    with ledger.writing(home.log(opened.site.home)) as log:
        yield log


def _policy(local: Site, study: Study) -> None:
    """Raise Refusal for a promise that is less than this site asks for."""
    rules, kept = local.mapping.budget, costs.promise(study)
    if kept is None and rules.require:
        raise Refusal(
            f"{study.study.name} promises no privacy, and {local.name} requires it",
            where=local.where("budget", "require"),
            likely='the study says privacy = "none": its sums would leave exact',
            fix="ask the consortium for a version with a [privacy] of its own",
        )
    if kept and kept.noise == "shared" and rules.noise == "site":
        raise Refusal(
            f"{study.study.name} shares its noise among sites, and {local.name} adds "
            "its own",
            where=local.where("budget", "noise"),
            likely='the study says noise = "shared": alone, a site adds too little',
            fix='ask the consortium for a version with   noise = "site"; or, if the '
            'steward trusts the masks, in [budget] of site.toml   noise = "any"',
        )


def _fitting(local: Site, entries: Sequence[Entry], note: Note, clock: Clock) -> None:
    """Raise BudgetError when the lines with *note* after them are too much."""
    today, under = clock().date(), granted(local, entries)
    after = (*entries, chain.seal(note, chain.head(entries), clock()))
    events = spending.committed(spending.accounts(after, today))
    if spending.fits(events, under):
        return
    total = privacy.epsilon_of(events, under.delta)
    none = under.epsilon <= 0.0
    raise BudgetError(
        f"{note.study} does not fit into the privacy budget of {local.name}",
        where=local.where("budget"),
        likely=f"no budget was granted here yet, and this takes epsilon {total:.3g}"
        if none
        else f"with it epsilon would be {total:.3g} of {under.epsilon:g}, at delta "
        f"{under.delta:g}",
        fix="in site.toml:   [budget]\nepsilon = 3.0        # the steward's decision"
        if none
        else "the steward may grant more; or a study with a smaller epsilon",
        then=f"consilium client budget --site {local.path}",
    )


def _chargeable(
    opened: Opened, entries: Sequence[Entry], note: Note, clock: Clock
) -> None:
    """Raise unless *note* may be the next release of its run."""
    once.release(opened.site, entries, opened.study, note)
    if costs.promise(opened.study):
        _fitting(opened.site, entries, note, clock)


def _admission(study: Study, run: str) -> Note:
    """Return the line that lets *run* in, with what it may cost each split."""
    planned = spending.admission(study) if costs.promise(study) else {}
    return home.about("admitted", study, run=run, **planned)


def _released(opened: Opened, task: Task, turn: Turn, answer: Array | None) -> Note:
    """Return the line of a release, with what it costs under a promise.

    Without one it holds the hash of the *answer*, once that is known.
    """
    study, place = opened.study, turn.place
    facts: dict[str, str | int] = {
        "task": task.name,
        "round": place.round,
        "numbers": length(task.release(study)),
        "people": opened.table.people[task.rows],
        "run": place.run,
        "sequence": place.sequence,
        "state": place.state,
        "roster": place.roster,
    }
    if turn.encoding:
        facts |= {"encoding": turn.encoding}
    if costs.promise(study):
        facts |= {"split": task.rows, **_cost(study, task)}
    elif answer is not None:
        facts |= {"answer": fingerprint({"answer": answer})}
    return home.about("released", study, **facts)


def _cost(study: Study, task: Task) -> Facts:
    """Return what a release costs, and what it would by this site's noise alone."""
    event = costs.charges(study)[task.name]
    written, count = spending.written(event), parts(study)
    return written | spending.alone(event, count) if count > 1 else written


def _resume(opened: Opened, run: str, entries: Sequence[Entry], today: date) -> None:
    """Take up the last answer to *run*, when the ledger holds its charge."""
    _forget(opened, entries, today)
    site = opened.site
    kept = answers.find(site.home, opened.digest) if site.home else None
    if kept and kept[0].place.run == run and _charged(entries, kept[0]):
        opened.memory.take_up(run, *kept)


def _charged(entries: Sequence[Entry], turn: Turn) -> bool:
    place = turn.place
    wanted: dict[str, str | int]
    wanted = {"run": place.run, "sequence": place.sequence}
    wanted |= {"state": place.state}
    return any(
        (entry.kind, entry.digest) == ("released", place.digest)
        and wanted.items() <= dict(entry.facts).items()
        for entry in entries
    )


def _forget(opened: Opened, entries: Sequence[Entry], today: date) -> None:
    """Forget the answers of runs that are over."""
    if opened.site.home:
        answers.drop(opened.site.home, once.running(entries, today))
