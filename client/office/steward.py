"""The steward's decisions: see what was asked for, say yes by typing a name, say no."""

from datetime import date
from pathlib import Path

import click

from client import site
from client.books import approvals, home, ledger
from client.books.approvals import HEX, Standing
from client.learning import own_layers
from client.office import balance, changes, desk, dossier
from client.office.desk import Desk
from client.tables import cache
from common import terminal as prompts
from common.errors import Refusal, UsageError
from common.study import Study
from common.terminal import Terminal
from common.told import manifest

DAYS = "90d"
"""How long an approval lasts when nobody says otherwise."""
SENSIBLE = {
    "approved": ("waiting", "expired"),
    "denied": ("waiting",),
    **approvals.ONLY_FROM,
}
"""Which of several versions of a study each decision is about."""
EFFECT = {
    "denied": "this site will refuse it",
    "paused": "this site answers no round of it until it is resumed",
    "resumed": "this site answers again, until the approval ends",
    "revoked": "this site answers no more; only a new approval changes that",
}

NOTICED = "who waits for it notices in seconds"


def show_inbox(terminal: Terminal, path: Path) -> None:
    """List the studies that this site was shown, and how each stands."""
    at = desk.sit(path)
    stand = approvals.standings(at.entries(), at.today)
    asked = {each.digest: each.time for each in at.entries()}
    rows = [
        (each, _on(each, stand.get(each.digest()), at.today))
        for each in home.stored(home.inbox(at.home))
    ]
    rows.sort(key=lambda row: asked.get(row[0].digest(), ""))
    facts = {
        "ok": True,
        "site": at.site.name,
        "studies": [_facts(*row, asked.get(row[0].digest(), "")) for row in rows],
    }
    terminal.result(facts, _table(rows, path))


def approve(
    terminal: Terminal, path: Path, word: str, until: str, typed: str | None
) -> None:
    """Say yes to one version of a study, once a person has typed its name.

    *typed* is the name when a script gives it; otherwise it is asked for.
    """
    at = desk.sit(path)
    study = desk.find(at, word, SENSIBLE["approved"])
    site.invited(at.site, study, at.today)
    last = _last_day(until, study, at.today)
    name = study.study.name
    if typed is None:
        click.echo(_before_yes(at, study, last), err=True)
        question = f"To approve, type the study's name ({name})"
        typed = prompts.typed(question, f"--i-am-approving {name}   in a script")
    if typed != name:
        raise Refusal(
            "nothing was approved: what was typed is not the study's name",
            fix=f"type {name}, letter by letter, if this is what you approve",
            then=f"consilium client review {study.digest()[:HEX]} --site {path}",
        )
    home.keep(home.approved(at.home), study)
    _write(at, study, "approved", until=last.isoformat(), typed=typed)
    seen = "" if study.masked else "; the aggregator sees this site's own sums"
    words = f"until {last}, this version and no other{seen}"
    refused = balance.refusal(at.site, study)
    then = f"its rounds are refused as long as {refused}" if refused else ""
    _tell(terminal, study, "approved", f"{words}; {then or NOTICED}")


def decide(
    terminal: Terminal, path: Path, word: str, decision: str, reason: str
) -> None:
    """Deny, pause, resume or revoke a study: *decision* is the ledger's word for it."""
    at = desk.sit(path)
    study = desk.find(at, word, SENSIBLE[decision])
    _write(at, study, decision, **({"reason": reason} if reason else {}))
    cache.erase(at.home, study.digest())
    if decision in {"denied", "revoked"}:
        own_layers.sweep(at.home, [study.digest()])
    _tell(terminal, study, decision, EFFECT[decision])


def _write(at: Desk, study: Study, decision: str, **facts: str) -> None:
    """Check and write a decision while nobody else can decide."""
    home.keep(home.inbox(at.home), study)
    note = home.about(decision, study, by=at.by, **facts)
    with ledger.writing(at.log) as log:
        found = approvals.standing(log.entries, note.digest, at.today)
        approvals.check(found, decision)
        log.append(note, at.clock)


def _tell(terminal: Terminal, study: Study, decision: str, effect: str) -> None:
    name, digest = study.study.name, study.digest()
    facts = {"ok": True, "study": name, "digest": digest, "decision": decision}
    text = f"{decision}: {name} ({digest[:HEX]}); {effect}"
    terminal.result({**facts, "effect": effect}, text)


def _last_day(text: str, study: Study, today: date) -> date:
    """Return the last day of an approval: never later than the study's own."""
    wanted = desk.day(text, today, ahead=True)
    if wanted < today:
        fix = "--expires 90d, or a day to come"
        raise UsageError(f"an approval cannot end on {wanted}: it is over", fix=fix)
    return min(wanted, study.study.expires)


def _before_yes(at: Desk, study: Study, last: date) -> str:
    """Return what a person should have before them when they type the name."""
    about = study.study
    old = dossier.last_approved(at, study)
    cost = "\n           ".join(balance.question(at.site, study, at.entries()))
    differs = f"{len(changes.between(old, study))} settings differ" if old else ""
    return "\n".join(
        [
            f"{at.site.name} would take part in {about.name}: {about.title}",
            f"  digest   {study.digest()}",
            f"  contact  {about.contact}",
            f"  until    {last}",
            f"  before   {differs or 'no version of it was approved here'}",
            f"  privacy  {manifest.privacy(study)}",
            f"  sums     {manifest.sums(study)}",
            *(f"  of one   {told}" for told in manifest.apart(study)),
            f"  budget   {cost}",
            f"  by       {at.by}, into the ledger",
        ]
    )


def _on(study: Study, found: Standing | None, today: date) -> Standing:
    """Return how a study stands; one that waits for ever ends with the study."""
    stands = found or approvals.standing((), study.digest(), today)
    if stands.state == "waiting" and today > study.study.expires:
        about = study.study
        return Standing(study.digest(), about.name, "expired", until=about.expires)
    return stands


def _facts(study: Study, stands: Standing, asked: str) -> dict[str, object]:
    return {
        "study": study.study.name,
        "title": study.study.title,
        "contact": study.study.contact,
        "digest": study.digest(),
        "state": stands.state,
        "until": str(stands.until) if stands.until else None,
        "by": stands.by or None,
        "reason": stands.reason or None,
        "last": asked or None,
    }


def _table(rows: list[tuple[Study, Standing]], path: Path) -> str:
    if not rows:
        return "the inbox is empty: no study was asked for"
    lines = [f"{'study':<20}{'digest':<14}{'state':<32}title"]
    lines += [
        f"{study.study.name:<20}{study.digest()[:HEX]:<14}{stands.words():<32}"
        f"{study.study.title}"
        for study, stands in rows
    ]
    return "\n".join([*lines, f"next:   consilium client review STUDY --site {path}"])
