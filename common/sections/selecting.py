"""Which settings a study can have chosen for it, and what to write instead."""

from collections.abc import Iterable

from common.registry import MODELS
from common.sections.models import ModelChoice, Selection
from common.written.slips import noted

PAID = ("ridge", "depth")
"""What can be selected under a promise: a private forest tries no columns."""
OUT = "take [selection] out"


def check(
    model: ModelChoice | None, asked: Selection, *, exact: bool, width: int
) -> None:
    """Raise ValueError, noting the key, for a setting that cannot be selected so.

    *width* is how many columns the variables make.
    """
    key = asked.key
    able = [
        name
        for name, entry in MODELS.items()
        if key in entry.tried and (exact or entry.private)
    ]
    if not exact and key not in PAID:
        what = f'of {key} has no private form yet: it takes privacy = "none"'
        raise _refused(key, what, _other(model, exact=exact))
    if model is None or model.kind not in able:
        kind = model.kind if model else "no model"
        what = f"of {key} is for {', '.join(able)}, not {kind}"
        raise _refused(key, what, _other(model, exact=exact))
    if key == "columns" and max(asked.values) > width:
        what = f"tries {max(asked.values):g} columns, of {width}"
        fits = sorted({each for each in asked.values if each < width} | {width})
        raise _refused(key, what, _listed(key, fits))
    _among(getattr(model, key), asked)


def _among(own: float | None, asked: Selection) -> None:
    """Refuse candidates without the model's *own*, which of sizes is the largest."""
    key, values = asked.key, asked.values
    different = sorted(set(values))
    if own not in values or len(different) < len(values):
        said = f"that of [model], {own:g}," if own is not None else "one in [model]"
        what = f"names different values of {key}, and {said} among them"
        if own is None:
            raise _refused(key, what, f"in [model]:   {key} = {max(values):g}")
        able = sorted({*different, own})
        raise _refused(key, what, _listed(key, able if able[1:] else _around(key, own)))
    if key != "ridge" and own != max(values):
        what = f"takes the largest {key} in [model], {max(values)}, not {own}"
        raise _refused(key, what, f"in [model]:   {key} = {max(values)}")


def _other(model: ModelChoice | None, *, exact: bool) -> str:
    """Return a setting of this *model* that can be selected, where there is one."""
    if model is None or not (exact or MODELS[model.kind].private):
        return OUT
    tried = [each for each in MODELS[model.kind].tried if exact or each in PAID]
    owned = {key: own for key in tried if (own := getattr(model, key, None))}
    return next((_listed(key, _around(key, own)) for key, own in owned.items()), OUT)


def _around(key: str, own: float) -> tuple[float, ...]:
    """Return candidates about a model's *own* value, the largest of a size."""
    if key == "ridge":
        return tuple(sorted({own, (own or 1.0) / 10, (own or 1.0) * 10}))
    return max(own // 2, 1), own


def _listed(key: str, values: Iterable[float]) -> str:
    shown = ", ".join(f"{each:g}" for each in values)
    return f"{key} = [{shown}]"


def _refused(key: str, what: str, fix: str) -> ValueError:
    return noted(f"selection.{key}", f"selection {what}", fix)
