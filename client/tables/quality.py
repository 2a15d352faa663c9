"""Whether records are good enough to be added up with others: shares, and drift."""

import numpy as np

from client.numbers import ways
from client.site import CHECK, Site
from client.tables.work import Work
from common.errors import DataError
from common.schema import Number
from common.study import Study


def require(site: Site, study: Study, work: Work) -> None:
    """Raise DataError when a variable lacks too many values, or drifts too far.

    A variable that the mapping calls absent lacks nothing: the study knows.
    """
    for name in work.frame:
        mapped = site.mapping.columns[ways.mapped_as(study, str(name))]
        if not mapped.absent and len(work.frame):
            _require_present(
                site, study, str(name), float(work.frame[name].isna().mean())
            )
    for variable in study.variables:
        if isinstance(variable, Number) and study.quality.drift is not None:
            drifted = drift(variable, work.frame[variable.name].to_numpy())
            _require_usual(site, study, variable, drifted)


def drift(variable: Number, values: np.ndarray) -> float:
    """Return how many typical deviations the mean lies from the typical mean.

    0 for a variable of which nothing typical is declared, or that has no value.
    """
    known = values[~np.isnan(values)]
    if variable.typical is None or not len(known):
        return 0.0
    mean, deviation = variable.typical
    return float(abs(known.mean() - mean) / deviation)


def _require_present(site: Site, study: Study, name: str, share: float) -> None:
    most = study.quality.missing_of.get(name, study.quality.missing)
    if share <= most:
        return
    raise DataError(
        f"{site.name}: {share:.0%} of the records have no {name}; the study takes "
        f"{most:.0%} at most",
        where=site.where("columns", name),
        likely="another column, a wrong window, or codes that are not mapped",
        fix=f"correct [columns.{name}], or, if it was never measured:   absent = true",
        then=f"{CHECK}{site.path}",
    )


def _require_usual(site: Site, study: Study, variable: Number, drifted: float) -> None:
    most = study.quality.drift
    if most is None or drifted <= most:
        return
    raise DataError(
        f"{site.name}: the mean of {variable.name} lies {drifted:.1f} typical "
        f"deviations from the typical mean; the study takes {most:g}",
        where=site.where("columns", variable.name),
        likely="another unit within the range, other people, or a wrong column",
        fix=f"check the unit and the column of [columns.{variable.name}]",
        then=f"{CHECK}{site.path}",
    )
