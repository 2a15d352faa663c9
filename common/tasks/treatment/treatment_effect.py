"""What does a treatment change, as far as the declared covariates can tell?

Augmented inverse probability weighting (Robins, Rotnitzky & Zhao 1994; Glynn & Quinn
2010): right if either the model of treatment or the models of the outcome are. With
them fitted, every number below is a sum over people: the effect and its error, how
alike the arms are before and after weighting, and whether they overlap at all.
"""

import numpy as np
from scipy.special import expit

from common.encoding import Encoding, shapes
from common.release import Array, Field, Release, Summands
from common.schema import Number
from common.study import Study
from common.task import Findings, Found, Rows, Shapes, State, Task
from common.tasks import named
from common.tasks.treatment import balanced, effects, effects_shown
from common.tasks.treatment.treatment_models import (
    TREATMENT_MODELS,
    asked,
    covariates,
    expected,
    parts,
    scale,
    seen,
    width,
)

LEAST = 0.01
"""A chance of treatment is taken as no smaller, nor nearer to 1 (Crump et al. 2009)."""

Groups = tuple[tuple[str, str, int], ...]


def shows(study: Study) -> Shapes:
    """Show the sites the encoding and the weights of the three models."""
    return {**shapes(study), "weights": (width(study),)}


def groups(study: Study) -> Groups:
    """Return (title, variable, level) of everybody, then of each subgroup."""
    found = [("everybody", "", 0)]
    for name in asked(study).subgroups:
        variable = named.declared(study, name)
        of = name if isinstance(variable, Number) else f"{name} ="
        texts = enumerate(variable.coded)
        found += [(f"{of} {text}", name, code) for code, text in texts]
    return tuple(found)


def release(study: Study) -> Release:
    """Declare sums of estimates by group, of covariates by arm, and who overlaps."""
    several, width = len(groups(study)), len(covariates(study))
    chance = "records by arm and tenth of the chance of treatment"
    return {
        "arms": Field("records by group and arm", (several, 2), "count"),
        "outcome": Field("sums of the outcome and its square", (several, 2, 2), "sum"),
        "scores": Field("sums of both estimates of the outcome", (several, 2), "sum"),
        "products": Field("sums of their squares and product", (several, 3), "sum"),
        "overlap": Field(chance, (2, 10), "count"),
        "weight": Field("sums of weights and of their squares", (2, 2), "sum"),
        "plain": Field("sums of covariates and their squares", (2, 2, width), "sum"),
        "weighted": Field("weighted sums of covariates", (2, width), "sum"),
    }


def start(study: Study, found: Found) -> State:
    """Show the models that were fitted."""
    fitted = found[TREATMENT_MODELS.name].arrays
    return State({name: fitted[name] for name in shows(study)})


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Add up this site's people."""
    x, treated, outcome = seen(study, rows)
    arms = np.column_stack([1.0 - treated, treated])
    chance, *models = parts(state.arrays["weights"])
    share = expit(x @ chance).clip(LEAST, 1.0 - LEAST)
    weights = arms / np.column_stack([1.0 - share, share])
    guess = np.column_stack([expected(study, x @ each) for each in reversed(models)])
    scores = guess + weights * (outcome[:, None] - guess)
    inside, plain = _inside(study, rows), x[:, :-1]
    both = np.column_stack([outcome, outcome**2])
    products = np.column_stack([scores**2, scores.prod(axis=1)])
    moments = np.stack([arms.T @ plain, arms.T @ plain**2], axis=1)
    return {
        "arms": np.rint(inside.T @ arms),
        "outcome": np.einsum("ng,na,nk->gak", inside, arms, both),
        "scores": inside.T @ scores,
        "products": inside.T @ products,
        "overlap": np.array([_tenths(share, arm) for arm in arms.T]),
        "weight": np.column_stack([weights.sum(axis=0), (weights**2).sum(axis=0)]),
        "plain": moments,
        "weighted": weights.T @ plain,
    }


def finish(study: Study, state: State, total: Summands) -> State:
    """Keep the sums: one round is enough."""
    del study
    return State({**total, **Encoding.of(state.arrays).arrays()}, done=True)


def read(study: Study, state: State) -> Findings:
    """Return the effect in each group, the balance of covariates, and the overlap."""
    number = isinstance(study.outcome, Number)
    told: list[Findings] = []
    every = zip(_hidden(study, state), _bare(study, state), strict=True)
    for place, (few, bare) in enumerate(every):
        found = effects.estimated(_sums(study, state, place), binary=not number)
        found |= {"crude": None} if bare else {}
        group: Findings = {"group": groups(study)[place][0]}
        told.append(group | ({"withheld": True} if few else found))
    return {
        "treatment": asked(study).treatment,
        "effects": told,
        "differences": effects.apart(told, [name for _, name, _ in groups(study)]),
        "balance": balanced.told(study, state.arrays),
        "overlap": effects.overlap(state.arrays),
    }


def _tenths(share: Array, arm: Array) -> Array:
    """Return how many of an *arm* have a chance of treatment in each tenth."""
    tenths = (share * 10).astype(np.int64)
    return np.bincount(tenths, arm, minlength=10).astype(np.float64)


def _inside(study: Study, rows: Rows) -> Array:
    """Return who is in which group [people, groups], of those who have a treatment."""
    known = ~np.isnan(named.values(study, _clean(rows), [asked(study).treatment])[:, 0])
    found = [np.ones(int(known.sum()))]
    for _, name, level in groups(study)[1:]:
        codes = named.codes(study, _clean(rows), name)[known]
        found.append((codes == level).astype(np.float64))
    return np.column_stack(found)


def _clean(rows: Rows) -> Rows:
    return Rows(rows.values, rows.y)


def _sums(study: Study, state: State, place: int) -> effects.Sums:
    """Return the sums of one group, in the units of the outcome."""
    arrays, (middle, half) = state.arrays, scale(study)
    return effects.Sums(
        arms=arrays["arms"][place],
        outcome=arrays["outcome"][place],
        scores=arrays["scores"][place],
        products=arrays["products"][place],
        middle=middle,
        half=half,
    )


def _hidden(study: Study, state: State) -> list[bool]:
    """Return which groups have an arm of too few, or would tell of one that has.

    What is left of everybody, with those whose level is not known, is of nobody or of
    enough in both arms.
    """
    least, arms = study.disclosure.cell, state.arrays["arms"]
    hidden = [bool(few.any()) for few in arms < least]
    for places in _by_variable(study):
        told = [place for place in places if not hidden[place]]
        told.sort(key=lambda place: arms[place].sum(), reverse=True)
        while told and _few(arms[0] - arms[told].sum(axis=0), least):
            hidden[told.pop()] = True
    return hidden


def _few(left: Array, least: int) -> bool:
    return bool(left.any() and (left < least).any())


def _by_variable(study: Study) -> list[list[int]]:
    """Return the places of the subgroups of each variable."""
    names = [name for _, name, _ in groups(study)]
    return [
        [place for place, each in enumerate(names) if each == name]
        for name in dict.fromkeys(names[1:])
    ]


def _bare(study: Study, state: State) -> list[bool]:
    """Return of which groups the arms as they are would tell a count of too few.

    Their difference and their sizes give how many of each have a binary outcome, and
    the other groups of a variable, with everybody, give it of one that is left out.
    """
    few = [_rare(study, state, place) for place in range(len(groups(study)))]
    for places in _by_variable(study):
        if any(few[place] for place in places):
            few = [each or place in places for place, each in enumerate(few)]
    return few


def _rare(study: Study, state: State, place: int) -> bool:
    if isinstance(study.outcome, Number):
        return False
    arms, having = state.arrays["arms"][place], state.arrays["outcome"][place, :, 0]
    cells = np.rint(np.concatenate([having, arms - having]))
    return bool(((cells > 0) & (cells < study.disclosure.cell)).any())


TREATMENT_EFFECT = (
    TREATMENT_MODELS,
    Task(
        name="treatment_effect",
        rows="train",
        encoded=True,
        shows=shows,
        release=release,
        start=start,
        local=local,
        finish=finish,
        read=read,
        show=lambda study, state: effects_shown.sheets(study, read(study, state)),
    ),
)
"""The models first, then what they say."""
