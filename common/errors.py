"""Every way this system says no, as one tree, so that each no has one exit code.

    ConsiliumError            1   an internal fault (a bug of ours)
    ├── UsageError            2   the command line is wrong
    ├── StudyError            3   a study or configuration file is invalid
    ├── MachineError          4   this machine lacks something: a package, a port, space
    ├── NetworkError          5   the other side cannot be reached
    ├── IdentityError         6   a key, certificate or signature is wrong
    ├── Refusal               7   a site's own rules say no
    │   └── UnseatedError         ... or it restarted, and the round begins again
    ├── BudgetError           8   the privacy budget would be exceeded
    ├── DataError             9   the records or their mapping are wrong
    ├── QuorumError          10   too few sites, or waited too long
    └── IntegrityError       11   something is not what was declared or sealed

An error says what happened in the user's own names, where, the likely cause, one fix
that can be pasted and the next command. It never carries a value out of a record.
"""

from collections.abc import Iterable
from typing import ClassVar

NO = "refused"
"""What the other side is told of a no, beside its id."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it (128 + SIGINT)."""


class ConsiliumError(Exception):
    """A no with everything a person needs to turn it into a yes."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        likely: str = "",
        fix: str = "",
        then: str = "",
    ) -> None:
        """Say *what* happened, and what helps: all in words, never in cell values."""
        super().__init__(what)
        self.what = what
        self.hints = {"where": where, "likely": likely, "fix": fix, "then": then}

    def __str__(self) -> str:
        """Return the error as the few aligned lines that a terminal shows."""
        lines = [self.what]
        for name, text in self.hints.items():
            if text:
                indented = text.replace("\n", "\n" + " " * 10)
                lines.append(f"  {name:<8}{indented}")
        return "\n".join(lines)

    def facts(self) -> dict[str, str | int]:
        """Return the error as plain data, for ``--json``."""
        given = {name: text for name, text in self.hints.items() if text}
        return {
            "kind": type(self).__name__,
            "exit_code": self.exit_code,
            "what": self.what,
            **given,
        }


class UsageError(ConsiliumError):
    """The command line is wrong."""

    exit_code = 2


class StudyError(ConsiliumError):
    """A study or configuration file is invalid."""

    exit_code = 3


class MachineError(ConsiliumError):
    """The machine lacks something the command needs."""

    exit_code = 4


class NetworkError(ConsiliumError):
    """The other side cannot be reached."""

    exit_code = 5


class IdentityError(ConsiliumError):
    """A key, certificate or signature is wrong."""

    exit_code = 6


class Refusal(ConsiliumError):  # noqa: N818 - the field's word, see the glossary
    """A site's own rules say no; of why, the other side is *told* these words alone."""

    exit_code = 7

    def __init__(self, what: str, *, told: str = NO, **hints: str) -> None:
        """Say *what* to this side, with the hints of any error."""
        super().__init__(what, **hints)
        self.told = told


class UnseatedError(Refusal):
    """A *site* has no place in this attempt at a masked round."""

    def __init__(self, what: str, *, site: str = "", **hints: str) -> None:
        """Say *what*, with the hints of any error; the aggregator also says who."""
        super().__init__(what, **hints)
        self.site = site


class BudgetError(ConsiliumError):
    """The privacy budget would be exceeded."""

    exit_code = 8


class DataError(ConsiliumError):
    """The records or their mapping are wrong."""

    exit_code = 9


class QuorumError(ConsiliumError):
    """Too few sites answered, or the *missing* ones were waited for too long."""

    exit_code = 10

    def __init__(self, what: str, *, missing: Iterable[str] = (), **hints: str) -> None:
        """Say *what*, and who is *missing*, with the hints of any error."""
        super().__init__(what, **hints)
        self.missing = tuple(sorted(missing))


class IntegrityError(ConsiliumError):
    """Something is not what was declared or sealed."""

    exit_code = 11
