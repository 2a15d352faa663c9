"""A study begun anew among fewer sites, when one of them is gone: a run of its own.

Nothing of the run before is used again: the sites compute anew, with fresh noise that
each of them charges. Every message of the new run names the smaller roster, under the
aggregator's signature, and every site holds it against the study's quorum.

Exact sums are not tried again once their sites have been asked: of two sums, with a
site and without it, the difference is that site's own. Each site would refuse.
"""

import json
from collections.abc import Collection
from dataclasses import replace

from common.errors import ConsiliumError, QuorumError, StudyError, UsageError
from common.trust import private_files
from common.written.slips import key_of
from server.conduct import studies
from server.conduct.studies import WITHOUT, Submitted


def retry(given: Submitted, without: Collection[str]) -> None:
    """Let a study begin anew *without* these sites; one that runs is ended first.

    Raises UsageError when it may not be, or when too few sites would be left.
    """
    studies.require_open(given)
    _named(given, without)
    _floor(given, without)
    _exact(given, without)
    private_files.write(given.folder / WITHOUT, json.dumps(sorted(without)).encode())
    if studies.progress(given).phase in studies.OPEN:
        studies.mark(given, "retry")
    else:
        studies.anew(given)


def forget(given: Submitted) -> None:
    """Take the operator's word back: the run of now has come to its end."""
    for word in (WITHOUT, "retry"):
        (given.folder / word).unlink(missing_ok=True)


def left_out(given: Submitted) -> frozenset[str]:
    """Return the sites that the run of now leaves out."""
    path = given.folder / WITHOUT
    return frozenset(json.loads(private_files.read(path)) if path.exists() else ())


def advised(given: Submitted, error: ConsiliumError) -> dict[str, str | int]:
    """Return *error* as plain data, with what its operator can do next.

    When sites are missing whom the study can do without, that is to try without them.
    """
    given = replace(given, folder=given.folder.resolve())  # it is read anywhere
    if isinstance(error, StudyError):  # as it is, it would end the same way
        return {**error.facts(), **_another(given, error)}
    facts = {**error.facts(), **_where(given, error), "then": given.command("submit")}
    if not (isinstance(error, QuorumError) and error.missing):
        return facts
    gone = {*error.missing, *left_out(given)}
    try:
        _floor(given, gone)
        _exact(given, gone)
    except UsageError:
        return facts
    command = " ".join([given.command("retry"), *_options(gone)])
    return facts | {"fix": f"{facts.get('fix', 'wait for them')}; or   {command}"}


def _another(given: Submitted, error: StudyError) -> dict[str, str]:
    """Return what of the study ended it, and how another version of it is submitted."""
    command = f"consilium server submit STUDY.toml --dir {given.aggregator}"
    return {
        **_where(given, error),
        "then": f"a new version, for each steward to approve:   {command}",
    }


def _where(given: Submitted, error: ConsiliumError) -> dict[str, str]:
    """Return which key of the study an error is about, if it is about one."""
    key = key_of(error)
    return {"where": f"{key} of {given.name}"} if key else {}


def _options(sites: Collection[str]) -> list[str]:
    return [f"--without {site}" for site in sorted(sites)]


def _named(given: Submitted, without: Collection[str]) -> None:
    sites = given.study.study.sites
    if strangers := sorted(set(without) - set(sites)):
        raise UsageError(
            f"{', '.join(strangers)} is no site of {given.name}",
            fix=f"--without one of {', '.join(sites)}",
        )


def _floor(given: Submitted, without: Collection[str]) -> None:
    left, needed = len(given.study.study.sites) - len(set(without)), given.study.needed
    if left < needed:
        raise UsageError(
            f"{left} sites would be left, and {given.name} needs {needed}",
            likely="the quorum of the study; and sums of fewer than three are not "
            "masked",
            fix="a new version with a smaller quorum in [rounds], for each steward to "
            "approve",
        )


def _exact(given: Submitted, without: Collection[str]) -> None:
    if given.study.privacy == "none" and studies.written(given):
        raise UsageError(
            f"the sums of {given.name} are exact, and its sites were asked already",
            likely="the same sums over fewer sites would tell, by the difference, what "
            f"{', '.join(sorted(without))} answered: each site would refuse",
            fix="a new version of the study that does not name "
            f"{', '.join(sorted(without))}, for each steward to approve",
        )
