"""Every kind of model from exports on disk to the report, through the apps."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.registry import MODELS
from common.study import Study
from server.reports import report as pages
from simulations.engines import engine
from simulations.worth import result
from tests import clinics

COLUMNS = {
    "binary": 'column = "ill"',
    "category": 'column = "stage"',
    "number": 'column = "visits"',
    "survival": 'column = "dead"\n\n[columns.death_time]\ncolumn = "days"',
}
KINDS = sorted(set(MODELS) - set(clinics.NEEDS))
"""Those that an export of one table can feed."""

MORE: dict[str, dict[str, Any]] = {
    "linear": {"site_intercepts": True},
    "logistic": {"l1_share": 0.5},
}
"""What is tried beside each kind as it is: an option of its own."""


def study_of(kind: str, more: dict[str, Any]) -> Study:
    outcome = clinics.OUTCOMES[MODELS[kind].outcomes[0]]
    model = {"kind": kind, **clinics.MODELS[kind], **more}
    return clinics.study(outcome=outcome, model=model)


def exports(place: Path, study: Study) -> list[Path]:
    """Write the exports of both sites, which hold every kind of outcome."""
    found = []
    for seed, name in enumerate(study.study.sites):
        draw = np.random.default_rng(seed)
        lines = [
            f"{line},{draw.choice(['none', 'early', 'late'])},{draw.poisson(3)},"
            f"{draw.choice(['yes', 'no'])},{draw.integers(1, 2000)}"
            for line in clinics.lines(120, seed)
        ]
        header = f"{clinics.HEADER},stage,visits,dead,days"
        path = clinics.folder(
            place / name, lines, header=header, approved=study.digest()
        )
        mapping = path.read_text().replace('"north"', f'"{name}"')
        before = '[columns.ill]\ncolumn = "ill"'
        kind = study.outcome.kind
        after = f"[columns.{study.outcome.name}]\n{COLUMNS[kind]}"
        path.write_text(mapping.replace(before, after))
        found.append(path)
    return found


WEIGHTLESS = {"random_forest", "tabular_network"}


@pytest.mark.parametrize(
    ("kind", "more"),
    [*((kind, {}) for kind in KINDS), *MORE.items()],
    ids=[*KINDS, *(f"{kind} with more" for kind in MORE)],
)
def test_from_an_export_to_a_report(
    tmp_path: Path, kind: str, more: dict[str, Any]
) -> None:
    study = study_of(kind, more)
    done = result.simulate(study, exports(tmp_path, study), engine.in_process())
    report = result.report(done, datetime.now(UTC), 1.0, "")
    page = pages.page(report)
    assert report.together
    assert report.together.records > 0
    assert study.outcome.name in page
    gap = report.max_abs_coefficient_difference
    assert gap is None or gap < 1e-6
    assert (gap is None) == (kind in WEIGHTLESS or bool(more))
    if report.coefficients:
        assert all(line.name in page for line in report.coefficients)
