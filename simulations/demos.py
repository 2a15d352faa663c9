"""What ``demo`` and ``simulate run`` show: scores, what left, where the report is."""

import time
from datetime import UTC, datetime
from pathlib import Path

from common import study as studies
from common.errors import UsageError
from common.terminal import Terminal
from server import report as reports
from server.report import Report, Score
from simulations import hospitals, result

OURS = (
    "Real patients: 569 people of the Wisconsin breast cancer data. The split into "
    "four hospitals, their dialects and their planted mistakes are ours."
)
PRIVACY = 'privacy = "none": no noise is added in this study; sums leave exact.'
POOLED = "pooled needs all records in one place: possible only in this simulation"


def run(terminal: Terminal, out: Path, data: Path | None) -> None:
    """Run the demo into *out*: on our split, or on the heart files in *data*."""
    begun = time.perf_counter()
    place = out / "hospitals"
    _ours(out)
    if data is None:
        terminal.say(OURS)
        study, note = hospitals.write(place), OURS
    else:
        from simulations import heart  # noqa: PLC0415 - only where its files are

        study, note = heart.write(data, place), heart.NOTE
        terminal.say(note)
    made = _run(terminal, study, place, note, begun)
    if data is not None:
        from simulations import heart  # noqa: PLC0415

        made = heart.benchmark(made, place)
    _show(terminal, made, out, f"consilium simulate run {study} --data {place}")


def study(terminal: Terminal, path: Path, data: Path, out: Path) -> None:
    """Run the study at *path* over the hospitals in *data*; report into *out*."""
    made = _run(terminal, path, data, "", time.perf_counter())
    _show(
        terminal, made, out, f"consilium client check --study {path} --site SITE.toml"
    )


def _ours(out: Path) -> None:
    """Refuse to write into a folder that holds anything but an earlier demo."""
    if out.exists() and any(out.iterdir()) and not (out / "hospitals").is_dir():
        raise UsageError(
            f"{out} holds other files; the demo would write among them",
            fix="consilium demo --out ANOTHER-FOLDER",
        )


def _run(terminal: Terminal, path: Path, data: Path, note: str, begun: float) -> Report:
    study = studies.read(path)
    folders = result.folders(data)
    with terminal.progress(study.study.name):
        done = result.simulate(study, folders)
    now = datetime.now(UTC)
    return result.report(done, now, time.perf_counter() - begun, note)


def _show(terminal: Terminal, made: Report, out: Path, then: str) -> None:
    page = reports.write(made, out)
    lines = [
        *_scores(made),
        *_summary(made),
        "",
        f"what left   {made.sentence}",
        f"privacy     {PRIVACY}",
        f"report      {page}",
        f"next        {then}",
    ]
    terminal.result(made.model_dump(mode="json"), "\n".join(lines))


def _scores(made: Report) -> list[str]:
    if not any(site.together for site in made.sites):
        return []
    head = f"{'':<16}{'people':>7}  {'alone':<18}{'together':<18}{'pooled*':<18}"
    auc, accuracy = ["AUC" + head[3:]], ["accuracy" + head[8:]]
    for site in made.sites:
        kinds = (site.alone, site.together, site.pooled)
        name = f"  {site.name:<14}{site.rows:>7}  "
        auc.append(name + "".join(f"{_auc(kind):<18}" for kind in kinds))
        accuracy.append(name + "".join(f"{_accuracy(kind):<18}" for kind in kinds))
    both = (made.together, made.pooled)
    tested = sum(site.test for site in made.sites)
    whole = f"  {'all test people':<16}{tested:>5}  {'':<18}"
    auc.append(whole + "".join(f"{_auc(kind):<18}" for kind in both))
    accuracy.append(whole + "".join(f"{_accuracy(kind):<18}" for kind in both))
    star = f"* {POOLED}; 95 % intervals in brackets"
    return [*auc, "", *accuracy, "", star, ""]


def _auc(score: Score | None) -> str:
    return _value(score.auc, score.auc_interval) if score else ""


def _accuracy(score: Score | None) -> str:
    return _value(score.accuracy, score.accuracy_interval) if score else ""


def _value(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "one class only"
    return f"{value:.3f} [{interval[0]:.2f}-{interval[1]:.2f}]"


def _summary(made: Report) -> list[str]:
    lines = [
        f"{made.rounds} rounds of {made.task}, {made.seconds:.1f} s, "
        f"{made.bytes_per_site:,} bytes per hospital"
    ]
    if made.max_abs_coefficient_difference is not None:
        lines.append(
            "largest difference of a coefficient to scikit-learn on pooled rows: "
            f"{made.max_abs_coefficient_difference:.1e}"
        )
    return lines
