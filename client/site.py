"""A hospital's own rules: where its records are, what it approved, its floors."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from client.books import approvals, home, ledger
from client.books.chain import Entry
from client.documents.mapping import Mapping
from common.errors import Refusal
from common.study import Study
from common.written import toml_file, toml_lines

CHECK = "consilium client check --study STUDY.toml --site "


@dataclass(frozen=True, slots=True)
class Site:
    """One hospital: its mapping, the file that says so, and the hash of that file."""

    path: Path
    mapping: Mapping
    sealed: str = ""

    @property
    def name(self) -> str:
        """The site's name in the roster."""
        return self.mapping.site

    @property
    def asset(self) -> str:
        """What the records are called: files, folders and databases."""
        return ", ".join(each.called for each in self.mapping.named.values())

    @property
    def data_file(self) -> Path:
        """The one export, looked up beside ``site.toml``."""
        return self.path.parent / self.asset

    @property
    def home(self) -> Path | None:
        """The folder of the ledger and the inbox; a simulated site needs none."""
        inside = self.mapping.home
        return self.path.parent / inside if inside else None

    def entries(self) -> tuple[Entry, ...]:
        """Return the site's ledger, checked; empty for a site without a home."""
        return ledger.read(home.log(self.home)) if self.home else ()

    def where(self, *keys: str) -> str:
        """Return file and line of a key in ``site.toml``."""
        text = self.path.read_text(encoding="utf-8")
        return f"{self.path} line {toml_lines.line_of(text, keys)}"


def read(path: Path) -> Site:
    """Return the site in *path*; raise StudyError with file, line and fix."""
    sealed = seal(path)
    return Site(path, toml_file.read(path, Mapping, then=f"{CHECK}{path}"), sealed)


def seal(path: Path) -> str:
    """Return the hash of the file at *path*; of none where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def admit(site: Site, study: Study, today: date) -> None:
    """Raise Refusal unless this site is invited, and approved exactly this study.

    No answer is no: a site without ``approved`` approves nothing. *today* is a date in
    UTC: a study ends with the day on which it expires.
    """
    invited(site, study, today)
    approval(site, study, site.entries(), today)


def invited(site: Site, study: Study, today: date) -> None:
    """Raise Refusal unless *study* is still open and names this site."""
    if today > study.study.expires:
        raise Refusal(
            f"study {study.study.name} expired on {study.study.expires}",
            likely="the consortium did not renew it",
            fix="a new version with a later `expires`, to be reviewed again",
            then=f"{CHECK}{site.path}",
        )
    if site.name not in study.study.sites:
        raise Refusal(
            f"{site.name} is not invited to study {study.study.name}",
            where=site.where("site"),
            likely="the study's roster spells this site differently",
            fix=f'add "{site.name}" to study.sites, or correct `site` in site.toml',
            then=f"{CHECK}{site.path}",
        )
    fewest = study.disclosure.min_sites
    few = study.needed - study.rounds.dropouts
    if site.home and study.privacy == "none" and few < fewest:
        raise Refusal(
            f"{study.study.name} may run with fewer than {fewest} sites, and is exact",
            likely=f"a sum over {few} sites: each of two learns the other",
            fix=f"in the study:   [rounds]\nquorum = {fewest}        # or, for all to "
            "see, a smaller min_sites in [disclosure]",
            then=f"{CHECK}{site.path}",
        )


def floor(site: Site, study: Study) -> int:
    """Return how few people a sum may stand for: the stricter of site and study."""
    return max(study.disclosure.min_people, site.mapping.min_people)


def among(site: Site, study: Study, roster: Collection[str]) -> None:
    """Raise Refusal unless this site and enough others of *study* are in *roster*."""
    strangers = set(roster) - set(study.study.sites)
    few = len(set(roster)) < study.needed
    if strangers or few or site.name not in roster or len(set(roster)) < len(roster):
        raise Refusal(
            f"a round of {study.study.name} is asked of other sites than it may be",
            likely="an aggregator that leaves sites out, or adds some",
            fix="ask the aggregator's operator; nothing was computed",
        )


def approval(site: Site, study: Study, entries: Iterable[Entry], today: date) -> None:
    """Raise Refusal unless exactly *study* is approved, as the ledger's *entries* say.

    What the steward decided in the ledger comes first; ``approved`` in ``site.toml``
    speaks only where the ledger says nothing of this digest.
    """
    digest = study.digest()
    decided = approvals.standing(entries, digest, today).state != "waiting"
    if decided:
        approvals.approved(entries, digest, today)
    elif digest not in (site.mapping.approved or ()):
        review = f"consilium client review {digest[: approvals.HEX]} --site {site.path}"
        raise Refusal(
            f"{site.name} has not approved this version of study {study.study.name}",
            told=approvals.TOLD["waiting"],
            where=site.where("approved"),
            likely="the study changed after it was approved, or was never reviewed",
            fix="the steward reads it, and decides"
            if site.home
            else f'after reading it, above [data]:   approved = ["{digest}"]',
            then=review if site.home else f"{CHECK}{site.path}",
        )
