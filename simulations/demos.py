"""What ``demo`` and ``simulate run`` show: scores, what left, where the report is."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from textwrap import wrap

from common import study as studies
from common.errors import UsageError
from common.learned import model_file
from common.study import Study
from common.terminal import Terminal
from common.travel import wire
from common.written import slips
from server.conduct import journal as journals
from server.reports import report as reports
from server.reports import results, screen
from server.reports.report import Report
from simulations.dealt import heart, heart_richer, hospitals
from simulations.engines.engine import Engine
from simulations.worth import result
from simulations.worth.result import Simulation

OURS = (
    "Real patients: 569 people of the Wisconsin breast cancer data. The split into "
    "four hospitals, their dialects and their planted mistakes are ours."
)
DELTA = 1e-5
WRITTEN = {
    "hospitals",
    "heart",
    "report.json",
    "report.html",
    model_file.NAME,
    model_file.ARRAYS,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the demo promises each person, if anything, and if it asks for more."""

    epsilon: float | None = None
    noise: str = "site"
    richer: bool = False


def run(
    terminal: Terminal, out: Path, data: Path | None, engine: Engine, wish: Wish
) -> None:
    """Run the demo into *out*: on our split, or on the heart files in *data*."""
    begun = time.perf_counter()
    _ours(out)
    if data is None:
        terminal.say(OURS)
        place = out / "hospitals"
        study = _promising(hospitals.write(place), wish)
        done = _run(terminal, study, place, engine)
        made = _report(done, OURS, begun)
    else:
        terminal.say(heart.NOTE)
        place = out / "heart"
        written = heart_richer if wish.richer else heart
        study = _promising(written.write(data, place), wish)
        done = _run(terminal, study, place, engine)
        made = _report(done, heart.NOTE, begun)
        if wish.richer:
            made = heart_richer.benchmark(made, data, out / "splits")
        elif wish.epsilon is None:
            made = heart.benchmark(made, place)
    path, folder = quote(str(place / "study.toml")), quote(str(place))
    then = f"consilium simulate run {path} --data {folder}"
    _show(terminal, (done, made), out, then)


def study(
    terminal: Terminal, path: Path, data: Path, out: Path, engine: Engine
) -> None:
    """Run the study at *path* over the hospitals in *data*; report into *out*."""
    begun = time.perf_counter()
    again = f"consilium simulate run {quote(str(path))} --data {quote(str(data))}"
    with slips.locating(path, again):
        done = _run(terminal, path, data, engine)
    _show(
        terminal,
        (done, _report(done, "", begun)),
        out,
        f"consilium client check --study {quote(str(path))} --site SITE.toml",
    )


def resumed(terminal: Terminal, path: Path, folder: Path) -> None:
    """Say what the *folder* holds that keeps each round of the study at *path*."""
    terminal.say(_found(studies.read(path), folder))


def _promising(path: Path, wish: Wish) -> Path:
    """Let the study at *path* promise what was wished, and every hospital grant it."""
    if wish.epsilon is None:
        return path
    promise = f'epsilon = {wish.epsilon!r}\ndelta = {DELTA!r}\nnoise = "{wish.noise}"\n'
    colluders = "colluders = 1\n" if wish.noise == "shared" else ""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join(line for line in lines if not line.startswith("privacy ="))
    path.write_text(f"{kept}\n[privacy]\n{promise}{colluders}", encoding="utf-8")
    grant = f'epsilon = {wish.epsilon!r}\ndelta = {DELTA!r}\nnoise = "any"\n'
    for site in path.parent.glob("*/site.toml"):
        with site.open("a", encoding="utf-8") as file:
            file.write(f"\n[budget]\n{grant}")
    return path


def _ours(out: Path) -> None:
    """Refuse to write into a folder that holds anything but an earlier demo."""
    foreign = out.exists() and {path.name for path in out.iterdir()} - WRITTEN
    if foreign:
        raise UsageError(
            f"{out} holds other files; the demo would write among them",
            fix="consilium demo --out ANOTHER-FOLDER",
        )


def _run(terminal: Terminal, path: Path, data: Path, engine: Engine) -> Simulation:
    study = studies.read(path)
    folders = result.folders(data)
    with terminal.progress(study.study.name):
        return result.simulate(study, folders, engine)


def _found(study: Study, folder: Path) -> str:
    """Say what a journal holds before the run, and thus what the run will do."""
    with journals.held(folder, study.digest(), wire.PROTOCOL) as book:
        if book.closed:
            return f"{folder}: {book.words()} and is over; no site is asked again"
        if book.roster:
            return f"resuming from {folder}: {book.words()}"
        return f"each round is kept in {folder}"


def _report(done: Simulation, note: str, begun: float) -> Report:
    now = datetime.now(UTC)
    return result.report(done, now, time.perf_counter() - begun, note)


def _show(
    terminal: Terminal, ran: tuple[Simulation, Report], out: Path, then: str
) -> None:
    done, made = ran
    page = reports.write(made, out)
    every = results.learned(done.study, done.outcome, made)
    kept = [f"model     {model_file.write(each, out)}" for each in every]
    compared = made.benchmark
    published = []
    if compared:
        notes = [line for note in compared.notes for line in wrap(note, screen.WIDTH)]
        published = ["", *heart.table(compared), "", *notes]
    text = [
        *screen.lines(made),
        *published,
        "",
        f"report    {page}",
        *kept,
        f"next      {then}",
    ]
    terminal.result(made.model_dump(mode="json"), "\n".join(text))
