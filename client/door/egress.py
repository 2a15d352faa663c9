"""THE door: the only module that builds what leaves a hospital.

Everything that leaves passes one of these functions, each building a Flower reply:
``ready`` (the site's name), ``release`` and ``masked`` (summands, exactly as the study
declares them, from enough people; those of a masked study leave under their masks and
in no other way), ``leg`` (what a masked round needs besides) and ``refuse`` (an id, and
whether the study is approved; the reason stays in the site's own log).
At a site with a home, the ledger holds each of them before its reply is built. Where
the study promises privacy, noise is added here, charged, and the answer is stored: a
round that is asked again gets the noise that was paid for.
"""

import logging
import secrets
from dataclasses import dataclass
from pathlib import Path

from flwr.app import Error, Message, RecordDict

from client import site as sites
from client.books import answers, chain, home
from client.books.chain import Note
from client.books.ledger import Clock
from client.books.memory import NOT_OPEN, Turn
from client.door import budget
from client.door import legs as seated
from client.door.opened import Opened
from client.door.seats import Identity
from client.learning import noise, own_layers, training
from client.site import CHECK, Site
from client.table import Table
from client.trust.credentials import Credentials
from common import costs, encoding, plan
from common.errors import NO, ConsiliumError, Refusal, UnseatedError
from common.masked.fixed_point import Ring
from common.release import Array, flatten
from common.study import Study
from common.task import Task
from common.tasks.evaluation import left_out
from common.travel import legs, seal, wire
from common.travel.shown import check_state

LOG = logging.getLogger("consilium.client")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a message asked of which site: enough to write a refusal down."""

    site: str
    digest: str = ""
    study: str = ""
    run: str = ""


def ready(message: Message, opened: Opened, run: str) -> Message:
    """Say that this site takes part: its name and the digest that it approved."""
    enough(opened)
    place = wire.Place(opened.digest, run)
    return Message(wire.ready(place, opened.site.name), reply_to=message)


def leg(message: Message, who: Identity, opened: Opened, clock: Clock) -> Message:
    """Let out what a masked round needs besides its vectors: keys, boxes and shares."""
    seated.only_masked(opened)
    kind, content = message.metadata.message_type, message.content
    say, names = seated.LEGS[kind]
    asked = legs.heard(content, *names)
    among = wire.read_among(content, asked.place)
    sites.admit(opened.site, opened.study, clock().date())
    opened.memory.expects(asked.place, gaps=opened.study.rounds.dropouts > 0)
    said = say(seated.Asked(asked, among, opened, who, clock))
    reply = wire.ready(asked.place, opened.site.name)
    return Message(legs.said(reply, asked.attempt, **said), reply_to=message)


def masked(
    message: Message, question: wire.Ask, who: Identity, opened: Opened, clock: Clock
) -> Message:
    """Let the sums of one round out under their masks."""
    asked = legs.heard(message.content, "boxes")
    opened.seats.require(asked.place, asked.attempt, question.sites)
    vector = _contribution(question, opened, clock)
    turn = seated.Asked(asked, question.sites, opened, who, clock)
    upload, said = seated.masked(question, turn, vector)
    reply = _answer(question, opened, upload.vector)
    return Message(legs.said(reply, asked.attempt, **said), reply_to=message)


def release(
    message: Message, question: wire.Ask, opened: Opened, clock: Clock
) -> Message:
    """Let the sums of one round out, of a study that masks nothing."""
    if opened.study.masked:
        raise Refusal(
            "the sums of a masked study were asked in clear",
            likely="an aggregator that looks for more than the sum",
            fix="ask the aggregator's operator; nothing was computed",
        )
    vector = _contribution(question, opened, clock)
    return Message(_answer(question, opened, vector), reply_to=message)


def _contribution(question: wire.Ask, opened: Opened, clock: Clock) -> Array:
    """Return this site's sums of one round; raise rather than let out more.

    A round that was answered before is not computed again: it has the same answer.
    """
    place, study = question.place, opened.study
    task = plan.find(study, place.task)
    _admitted(opened, clock)
    sites.among(opened.site, study, question.sites)
    _floor(opened, task)
    step, used = opened.step(place.task, place.round), encoding.used(question.state)
    turn = Turn(step, place, used if task.encoded else "")
    gaps = study.rounds.dropouts > 0
    vector = opened.memory.recall(place.run, turn, gaps=gaps)
    if vector is None:
        vector = _computed(question, opened, turn, clock)
        opened.memory.keep(place.run, turn, vector)
    if opened.site.home and (costs.promise(study) or study.masked):
        answers.keep(opened.site.home, turn, vector)
    return vector


def _answer(question: wire.Ask, opened: Opened, vector: Array | Ring) -> RecordDict:
    head = str(chain.head(opened.site.entries())) if opened.site.home else ""
    return wire.answer(wire.Answer(question.place, opened.site.name, vector, head))


def signed(message: Message, reply: Message, home: Credentials) -> Message:
    """Return *reply* under this site's signature; a refusal says nothing to sign."""
    if reply.has_error():
        return reply
    kind, site, key = message.metadata.message_type, home.invite.site, home.signing_key
    return Message(seal.sign(reply.content, kind, site, key), reply_to=message)


def refuse(message: Message, asked: Asked, reason: Exception, clock: Clock) -> Message:
    """Send an id, and write what happened into this site's log under the same id.

    Of the steward's decision the aggregator learns which it is, for whom it waits; of
    all else, nothing. A reason that is not ours may quote a cell, so only its type is
    written.
    """
    number, again = secrets.token_hex(4), ""
    word = reason.told if isinstance(reason, Refusal) else NO
    try:
        again = _write_refusal(asked, number, reason, clock)
    except Exception as fault:  # noqa: BLE001 - a refusal is sent, come what may
        told = _told(fault, asked.site)
        LOG.error("%s is not in the ledger: %s", number, told)  # noqa: TRY400 - no trace
    number = again or number
    told = _told(reason, asked.site)
    LOG.log(_level(word, again), "%s refused (id %s): %s", asked.site, number, told)
    code = legs.UNSEATED if isinstance(reason, UnseatedError) else wire.REFUSED
    return Message(Error(code, f"{word}, id {number}"), reply_to=message)


def enough(opened: Opened) -> None:
    """Raise Refusal unless every task has enough people here, and the cohort's rest."""
    for task in plan.tasks(opened.study):
        _floor(opened, task)
    _left_out(opened)
    if few_outside(opened.site, opened.study, opened.table):
        raise Refusal(
            f"the cohort leaves out too few people at {opened.site.name}",
            where=opened.site.where("min_people"),
            likely="a study of all people, less this one, would tell of those few",
            fix="another cohort; or, in the study, for all to see:\n[disclosure]\n"
            "min_outside = 0",
            then=f"{CHECK}{opened.site.path}",
        )


def short(site: Site, study: Study, table: Table, task: Task) -> bool:
    """Return whether *table* has fewer people for *task* than the floor."""
    return table.people[task.rows] < sites.floor(site, study)


def few_left_out(study: Study, table: Table) -> bool:
    """Return whether too few records train here for what is told without this site."""
    return int(table.train.sum()) < left_out.fewest(study)


def few_outside(site: Site, study: Study, table: Table) -> bool:
    """Return whether the cohort leaves out some people, but fewer than the floor.

    With noise the difference of two studies tells no more than each was to cost.
    """
    said = study.disclosure.min_outside
    fewest = sites.floor(site, study) if said is None else said
    return study.privacy == "none" and 0 < table.outside < fewest


def _computed(question: wire.Ask, opened: Opened, turn: Turn, clock: Clock) -> Array:
    """Return the sums of one round, with their noise, once they are in the ledger."""
    study, task = opened.study, plan.find(opened.study, turn.place.task)
    budget.afford(opened, task, turn, clock)
    check_state(task, study, question.state)
    own = own_layers.begin(opened.owner, turn, question.state)
    summands, reached = training.learn(task, study, question.state, opened.design, own)
    vector = flatten(task.release(study), summands)
    if costs.promise(study):
        deviation = costs.deviation(study, task)
        vector = noise.add(vector, deviation, costs.noisy(task).clip(study))
    budget.charge(opened, task, turn, vector, clock)
    own_layers.keep(opened.owner, turn, task, question.state, reached)
    return vector


def _admitted(opened: Opened, clock: Clock) -> None:
    """Raise Refusal unless the steward still approves: of an answer kept here, too."""
    ask = sites.admit if opened.site.home else sites.invited
    ask(opened.site, opened.study, clock().date())


def _write_refusal(asked: Asked, number: str, reason: Exception, clock: Clock) -> str:
    """Write a refusal into the ledger, once for each reason that a run is given.

    Returns the id under which it stands there already, or nothing. A text that is not
    ours may quote a cell. Runs that were never let in are one: whoever asks may not
    fill the disk with their names.
    """
    local = sites.read(Path(asked.site))
    known = {e.facts.get("run") for e in local.entries() if e.kind == "admitted"}
    run = asked.run if asked.run in known else ""
    facts = {"id": number, "run": run, "reason": type(reason).__name__}
    if isinstance(reason, ConsiliumError):
        facts |= {"reason": reason.what, "where": reason.hints["where"]}
    note = Note("refused", asked.digest, asked.study, facts)
    before = home.once(local.home, note, ("run", "reason"), clock)
    return str(before.facts["id"]) if before else ""


def _level(word: str, again: str) -> int:
    """Return how loud a refusal is: one that everybody waits for is told once."""
    if again and word != NO:
        return logging.DEBUG
    return logging.INFO if word == NOT_OPEN else logging.WARNING


def _told(reason: Exception, site: str) -> str:
    ours = isinstance(reason, ConsiliumError)
    return str(reason).replace("SITE.toml", site) if ours else type(reason).__name__


def _floor(opened: Opened, task: Task) -> None:
    site, study = opened.site, opened.study
    if short(site, study, opened.table, task):
        floor = sites.floor(site, study)
        raise Refusal(
            f"{site.name} has fewer people for {task.name} than its floor of {floor}",
            where=site.where("min_people"),
            likely="a narrow cohort; cleaning left most out; or few of them test",
            fix="see what was left out; a smaller floor is the steward's decision",
            then=f"{CHECK}{site.path}",
        )


def _left_out(opened: Opened) -> None:
    if few_left_out(opened.study, opened.table):
        site, fewest = opened.site, left_out.fewest(opened.study)
        raise Refusal(
            f"{site.name} may be left out, and fewer than {fewest} records train here",
            likely="what is told without some sites tells of them, column by column",
            fix="in [evaluation]: a larger leave_out; or fewer variables",
            then=f"{CHECK}{site.path}",
        )
