"""Writes four invented hospitals with five kinds of source each, and what is true.

    out/study.toml              what the consortium agreed
    out/truth.json              what a perfect cleaning finds, and what was planted
    out/ashford/site.toml       how this hospital writes, beside its sources; three more

The same seed writes the same bytes. Nobody in it exists.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from common.errors import UsageError
from simulations.invented import (
    fhir,
    mappings,
    omop,
    patient_study,
    pictures,
    recordings,
    stays,
    tables,
)
from simulations.invented.monitors import Recording
from simulations.invented.patient_study import OUTCOME, SIGNALS, WINDOWS, YOUNGEST
from simulations.invented.stays import Stay
from simulations.invented.wards import WARDS, Ward

NOTE = (
    "What a perfect cleaning finds. All people are invented. stays: one for each "
    "person and admission that the study is about, in no order; values in the study's "
    "units, null for a gap; note and abstract as they read with every identifier "
    "masked; picture is the SHA-256 of its 28 x 28 greys. planted: how much of each "
    "kind of damage is in the exports, by variable or as a whole."
)
OLDEST = 90.0
"""What every age above 89 becomes: the oldest are few enough to be known."""
NAMES = tuple(ward.site for ward in WARDS)


def write(out: Path, seed: int) -> Path:
    """Write study, truth and the four hospitals into *out*; return the study's path.

    Raises UsageError for a seed that is negative.
    """
    if seed < 0:
        raise UsageError("a seed is not negative", fix="--seed 1")
    found = {}
    for index, ward in enumerate(WARDS):
        admitted = stays.admit(ward, np.random.default_rng((seed, index)))
        unfit = _unfit(ward, admitted)
        _hospital(out / ward.site, ward, admitted, unfit)
        found[ward.site] = _truth(ward, admitted, unfit)
    study = out / "study.toml"
    _text(study, patient_study.text(NAMES))
    whole = {"note": NOTE, "seed": seed, "hospitals": found}
    _text(out / "truth.json", json.dumps(whole, ensure_ascii=False) + "\n")
    return study


def _hospital(
    folder: Path, ward: Ward, found: Sequence[Stay], unfit: Mapping[str, str]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pictured = [s for place, s in enumerate(found) if place not in _blind(ward, found)]
    match ward.technology:
        case "csv":
            tables.write_csv(folder, ward, found, len(found))
            recordings.write_wide(folder / "monitor.csv", ward, found)
            pictures.write_npz(folder, ward, pictured)
        case "omop":
            omop.write(folder / "omop.sqlite", found)
            recordings.write_long(folder / "monitor.csv", ward, found)
            pictures.write_png(folder, ward, pictured)
        case "fhir":
            fhir.write(folder / "fhir", found)
            recordings.write_wide(folder / "monitor.csv", ward, found)
            pictures.write_png(folder, ward, pictured)
            _letters(folder, found)
        case "parquet":
            tables.write_parquet(folder, ward, found)
            recordings.write_wfdb(folder / "monitor", found)
            pictures.write_dicom(folder / "radiographs", ward, found, unfit)
            _letters(folder, found)
    _text(folder / "site.toml", mappings.text(ward, [*unfit]))


def _letters(folder: Path, found: Sequence[Stay]) -> None:
    for name in ("notes", "literature"):
        (folder / name).mkdir(exist_ok=True)
    for stay in found:
        if stay.filed:
            file = f"{recordings.stem(stay)}.txt"
            _text(folder / "notes" / file, stay.filed.note.said)
            _text(folder / "literature" / file, stay.filed.abstract.said)


def _unfit(ward: Ward, found: Sequence[Stay]) -> dict[str, str]:
    """Return what is wrong with which DICOM file."""
    if ward.technology != "parquet":
        return {}
    places = _alone(found)[3::5]
    return {
        f"IM{place:05d}.dcm": what
        for place, what in zip(places, pictures.UNFIT, strict=False)
    }


def _blind(ward: Ward, found: Sequence[Stay]) -> set[int]:
    """Return the places of the stays of which there is no radiograph."""
    if ward.technology == "parquet":
        return set()
    return set(_alone(found)[2::7][: ward.dirt.unpictured])


def _alone(found: Sequence[Stay]) -> list[int]:
    """Return the places of stays with media whose person has no other record.

    Of a copy there would be another picture, and that is found.
    """
    known = Counter(stay.number for stay in found)
    every = enumerate(found)
    return [n for n, stay in every if stay.filed and known[stay.number] == 1]


def _truth(
    ward: Ward, found: Sequence[Stay], unfit: Mapping[str, str]
) -> dict[str, object]:
    """Return who is in the clean table with which values, and all that was planted."""
    blind = _blind(ward, found) | {int(name[2:7]) for name in unfit}
    kept = [
        _stay(ward, stay, pictured=place not in blind)
        for place, stay in enumerate(found)
        if stay.copy in ("", "twin") and _asked_about(stay)
    ]
    damage: Counter[str] = Counter()
    for stay in found:
        if stay.copy:
            damage[f"copy {stay.copy}"] += 1
        damage.update(f"{why} {name}" for name, why in stay.damage.items())
        if stay.filed:
            damage.update(_identifiers(stay))
    damage["stays"], damage["unpictured"] = len(found), len(blind)
    damage.update(f"picture {what}" for what in unfit.values())
    once = [stay for stay in found if stay.copy in ("", "twin")]
    young = [stay for stay in once if (stay.true["age"] or 0) < YOUNGEST]  # type: ignore[operator]
    damage["too young"] = len(young)
    return {"planted": dict(sorted(damage.items())), "stays": kept}


def _asked_about(stay: Stay) -> bool:
    age = stay.true["age"]
    old = isinstance(age, float) and age >= YOUNGEST
    return old and stay.true[OUTCOME.name] is not None


def _identifiers(stay: Stay) -> Counter[str]:
    written = (stay.filed.note, stay.filed.abstract) if stay.filed else ()
    found: Counter[str] = Counter()
    for each in written:
        found.update({f"identifier {k}": n for k, n in each.identifiers.items()})
    return found


def _stay(ward: Ward, stay: Stay, *, pictured: bool) -> dict[str, object]:
    media = stay.filed
    values = dict(stay.true)
    values["age"] = min(float(values["age"] or 0), OLDEST)
    values |= features(media.recording) if media else dict.fromkeys(WINDOWS)
    seen = pictures.seen(ward, media.picture) if media and pictured else None
    return {
        "person": stay.person,
        "admitted": f"{stay.admitted:%Y-%m-%dT%H:%M}",
        "values": values,
        "note": media.note.masked if media else None,
        "abstract": media.abstract.masked if media else None,
        "picture": sha256(seen.tobytes()).hexdigest() if seen is not None else None,
    }


def features(recording: Recording) -> dict[str, float | None]:
    """Return what the study's windows hold, told sample by sample."""
    found = {}
    for each in SIGNALS:
        channel, take, low, high = WINDOWS[each.name]
        pairs = zip(recording.hours, recording.values[channel], strict=True)
        kept = [(float(h), float(v)) for h, v in pairs if low <= h < high and v == v]  # noqa: PLR0124 - not NaN
        found[each.name] = _taken(take, kept)
    return found


def _taken(take: str, kept: list[tuple[float, float]]) -> float | None:
    if not kept:
        return None
    values = [value for _, value in kept]
    if take == "slope":
        middle = sum(hour for hour, _ in kept) / len(kept)
        wide = sum((hour - middle) ** 2 for hour, _ in kept)
        return sum((hour - middle) * value for hour, value in kept) / wide
    simple = {"mean": sum(values) / len(values), "min": min(values)}
    return {**simple, "max": max(values), "last": values[-1]}[take]


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
