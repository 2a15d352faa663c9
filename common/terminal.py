"""How every command speaks: data on stdout, talk on stderr, and errors that help."""

import getpass
import json
import logging
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from common.errors import INTERRUPTED, ConsiliumError, MachineError, UsageError

LOG = logging.getLogger("consilium")
STDOUT = 1
SHOWN = {
    "--site": "SITE.toml",
    "--study": "STUDY.toml",
    "--home": "HOME",
    "--dir": "DIR",
}
"""Options whose value an error may not know; what was typed takes its place."""
FILE = click.Path(path_type=Path, dir_okay=False)
PLACE = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, file_okay=False)
OUT = click.option(
    "--out",
    type=FOLDER,
    default=".",
    show_default=True,
    help="Where to write it.",
)


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a person asked of the output: data or text, more or less talk, colour."""

    json: bool
    quiet: bool
    verbose: bool
    color: bool

    def say(self, text: str) -> None:
        """Tell the person something that is not the result."""
        if not self.quiet:
            click.echo(text, err=True, color=self.color)

    def result(self, data: object, text: str) -> None:
        """Print the result: *data* as JSON when asked for, otherwise *text*."""
        whole = json.dumps(data, indent=2, ensure_ascii=False) if self.json else text
        try:
            click.echo(whole, color=self.color)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read our output (head, a pager) has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)

    @contextmanager
    def progress(self, title: str) -> Generator[None]:
        """Show what the log says meanwhile: one moving line, or a line an event."""
        live = self.color and not (self.quiet or self.verbose or self.json)
        LOG.setLevel(logging.WARNING if self.quiet else logging.INFO)
        LOG.propagate, before = False, LOG.propagate
        with _moving(title) if live else _lines() as stream:
            handler = logging.StreamHandler(stream)
            LOG.addHandler(handler)
            try:
                yield
            finally:
                LOG.removeHandler(handler)
                LOG.propagate = before


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the four options that every command has, as one ``terminal``."""

    def run(
        *, as_json: bool, quiet: bool, verbose: bool, no_color: bool, **rest: object
    ) -> None:
        plain = no_color or "NO_COLOR" in os.environ or not sys.stderr.isatty()
        command(Terminal(as_json, quiet, verbose, not plain), **rest)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    if hasattr(command, "__click_params__"):
        run.__click_params__ = command.__click_params__  # type: ignore[attr-defined]
    for option in (
        click.option("--no-color", is_flag=True, help="Plain text, as under NO_COLOR."),
        click.option("-v", "--verbose", is_flag=True, help="Every event, and traces."),
        click.option("-q", "--quiet", is_flag=True, help="Only results and refusals."),
        click.option(
            "--json", "as_json", is_flag=True, help="Data on stdout, as JSON."
        ),
    ):
        option(run)
    return run


def run(root: click.Group, arguments: list[str]) -> int:
    """Run the command line and return its exit code; nothing escapes as a trace."""
    try:
        code = root.main(args=arguments, prog_name="consilium", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as wanted:
        click.echo(wanted.format_message(), err=True)
        return UsageError.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("interrupted: nothing more was sent", err=True)
        return INTERRUPTED
    except Exception as ended:  # noqa: BLE001 - the last resort of the program
        error = _ours(ended, verbose="-v" in arguments or "--verbose" in arguments)
        _fill_in(error, arguments)
        return _failed(error, as_json="--json" in arguments)
    return code if isinstance(code, int) else 0


def _ours(ended: Exception, *, verbose: bool) -> ConsiliumError:
    """Return whatever ended the command as an error that helps."""
    if isinstance(ended, ConsiliumError):
        return ended
    if isinstance(ended, OSError):
        named = f"{ended.filename}: " if ended.filename else ""
        return MachineError(
            f"{named}{(ended.strerror or type(ended).__name__).lower()}",
            likely="a folder or file that cannot be written or read here",
            fix="choose another place, or mend its permissions",
        )
    if isinstance(ended, click.ClickException):
        context = getattr(ended, "ctx", None)
        command = context.command_path if context else "consilium"
        return UsageError(_lower(ended.format_message()), then=f"{command} --help")
    return _crash(ended, verbose=verbose)


def _fill_in(error: ConsiliumError, arguments: list[str]) -> None:
    """Put what the person typed into the commands to come: they are to be pasted."""
    for option, given in pairwise(arguments):
        if shown := SHOWN.get(option):
            error.hints |= {
                hint: text.replace(
                    f"{option} {shown}", f"{option} {shlex.quote(given)}"
                )
                for hint, text in error.hints.items()
            }


def typed(
    question: str, instead: str, *, hidden: bool = False, twice: bool = False
) -> str:
    """Return what a person types; *instead* is what a script gives on the command line.

    Raises UsageError with it when there is nobody to type, or no terminal that hides
    what is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            answer: str = click.prompt(
                question, err=True, hide_input=hidden, confirmation_prompt=twice
            )
    except (click.exceptions.Abort, getpass.GetPassWarning) as gone:
        if isinstance(gone, click.exceptions.Abort) and sys.stdin.isatty():
            raise
        click.echo(err=True)  # what follows does not stand behind the question
        raise UsageError("there is nobody to answer", fix=instead) from None
    return answer


def _failed(error: ConsiliumError, *, as_json: bool) -> int:
    if as_json:
        click.echo(
            json.dumps({"ok": False, "error": error.facts()}, ensure_ascii=False)
        )
    click.echo(f"error: {error}", err=True)
    return error.exit_code


def _crash(fault: Exception, *, verbose: bool) -> ConsiliumError:
    """Write where it happened, but not the message: it may quote a record."""
    frames = "".join(traceback.format_tb(fault.__traceback__))
    trace = f"{frames}{type(fault).__name__} (its message may quote data: withheld)\n"
    path = Path("consilium-crash.txt").resolve()
    kept = _kept(path, trace)
    if verbose or not kept:
        click.echo(trace, err=True)
    return ConsiliumError(
        f"an internal fault: {type(fault).__name__}",
        where=str(path) if kept else "the lines above",
        likely="a mistake in Consilium; nothing was sent after it",
        fix="report it with those lines: they hold code and no data",
    )


def _kept(path: Path, trace: str) -> bool:
    """Return whether the trace could be written: a second fault would tell more."""
    try:
        path.write_text(trace, encoding="utf-8")
    except OSError:
        return False
    return True


@contextmanager
def _moving(title: str) -> Generator[Any]:
    from rich.console import Console  # noqa: PLC0415 - only a live terminal needs it

    with Console(stderr=True).status(title) as status:
        yield _Line(lambda text: status.update(f"{title}: {text}"))


@contextmanager
def _lines() -> Generator[Any]:
    yield sys.stderr


@dataclass(frozen=True, slots=True)
class _Line:
    """Enough of a text stream for a log handler to write one moving line to."""

    show: Callable[[str], None]

    def write(self, text: str) -> None:
        if text.strip():
            self.show(text.strip())

    def flush(self) -> None:
        """Nothing is held back."""


def _lower(text: str) -> str:
    return (text[:1].lower() + text[1:]).rstrip(".")
