"""THE door: the only module that builds what leaves a hospital.

Everything that leaves passes one of three functions, each building a Flower reply:
``ready`` (the site's name), ``release`` (summands, exactly as the study declares them,
from enough people) and ``refuse`` (an id; the reason stays in the site's own log).
"""

import logging
import secrets

from flwr.app import Error, Message

from client import training
from client.memory import Turn
from client.opened import Opened
from client.site import CHECK, Site
from common import plan, wire
from common.errors import ConsiliumError, Refusal
from common.release import flatten
from common.study import Study
from common.task import Task

LOG = logging.getLogger("consilium.client")
REFUSED = 1
"""The error code of every refusal: the server learns that, not why."""


def ready(message: Message, opened: Opened, run: str) -> Message:
    """Say that this site takes part: its name and the digest that it approved."""
    enough(opened)
    place = wire.Place(opened.digest, run)
    return Message(wire.ready(place, opened.site.name), reply_to=message)


def release(message: Message, opened: Opened) -> Message:
    """Let the sums of one round out; raise rather than let out more.

    A round that was answered before is not computed again: the same answer leaves.
    """
    question = wire.read_ask(message.content)
    place = question.place
    task = plan.find(opened.study, place.task)
    _floor(opened, task)
    turn = Turn(opened.step(place.task, place.round), place.state)
    vector = opened.memory.recall(place.run, turn)
    if vector is None:
        summands = training.run(task, opened.study, question.state, opened.design)
        vector = flatten(task.release(opened.study), summands)
        opened.memory.keep(place.run, turn, vector)
    reply = wire.Answer(place, opened.site.name, vector)
    return Message(wire.answer(reply), reply_to=message)


def refuse(message: Message, site: str, reason: Exception) -> Message:
    """Send an id, and write what happened into this site's log under the same id.

    A reason that is not ours may quote a cell, so only its type is written.
    """
    number = secrets.token_hex(4)
    told = reason if isinstance(reason, ConsiliumError) else type(reason).__name__
    LOG.warning("%s refused (id %s): %s", site, number, told)
    return Message(Error(REFUSED, f"refused, id {number}"), reply_to=message)


def enough(opened: Opened) -> None:
    """Raise Refusal unless every task of the study has enough people here."""
    for task in plan.tasks(opened.study):
        _floor(opened, task)


def floor_of(site: Site, study: Study) -> int:
    """Return how few people a sum may stand for: the stricter of site and study."""
    return max(study.disclosure.min_people, site.mapping.min_people)


def _floor(opened: Opened, task: Task) -> None:
    site, floor = opened.site, floor_of(opened.site, opened.study)
    people = opened.table.people[task.rows]
    if people < floor:
        raise Refusal(
            f"{site.name} has fewer people for {task.name} than its floor of {floor}",
            where=site.where("min_people"),
            likely="the cohort is narrow here, or cleaning left most records out",
            fix="see what was left out; a smaller floor is the steward's decision",
            then=f"{CHECK}{site.path}",
        )
