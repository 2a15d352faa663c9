"""Whether what some cells say fits a variable: its range, its unit, its levels.

What the records spell is never repeated: a spelling in a guess is one of ours, or a
unit that many cells share.
"""

import json

import numpy as np
import pandas as pd

from client.guessing import vocabulary
from client.guessing.guess import Variable
from common.release import Array
from common.schema import Binary, Category, Image, Number, Prose

Fits = tuple[float, tuple[str, ...]]
"""Which share of the values fits, and what has to be said of them."""
FIT, FEW, COMMON = 0.9, 12, 5
"""Which share of the values must fit, how many spellings a variable with levels may
have, and in how many cells a unit must stand to be repeated."""


def fits(
    variable: Variable,
    said: "pd.Series[str]",
    units: "pd.Series[str] | None" = None,
    *,
    least: float = FIT,
) -> Fits | None:
    """Return how well the cells *said* fit *variable*; None where they do not.

    *units* runs along with *said*, where the source says the unit of each value;
    *least* is the share that has to fit.
    """
    there = said.fillna("").str.strip() != ""
    text = said[there].str.strip()
    if isinstance(variable, Prose):
        return (1.0, ()) if len(text) else None
    if isinstance(variable, Image):
        return None
    if not isinstance(variable, Number):
        return _levels(variable, text) or _unspelled(variable, text)
    named = None if units is None else units[there].fillna("").str.strip()
    if named is None or not named.any():
        return _number(variable, text, least)
    return _by_unit(variable, text, named)


def why(found: Fits, before: str) -> str:
    """Return why a guess was made, in words for a comment."""
    share, _ = found
    if not share:
        return f"{before}; say how it spells each level"
    only = "only " if share < FIT else ""
    return f"{before}; {only}{share:.0%} of the values fit"


def _number(variable: Number, text: "pd.Series[str]", least: float) -> Fits | None:
    """Return the share of values within the range in the unit that fits best."""
    best, share = _best(variable, _numbers(text))
    if share < least:
        return None
    other = () if best == variable.unit else (f'unit = "{best}"',)
    return share, (*other, *_codes(variable, best, text))


def _by_unit(
    variable: Number, text: "pd.Series[str]", units: "pd.Series[str]"
) -> Fits | None:
    """Return the share that fits where each cell has a unit, and what units mean."""
    named: dict[str, str] = {}
    fitting = 0.0
    for unit, some in text.groupby(units):
        name = str(unit)
        own = name if name in (variable.unit, *variable.units) else ""
        best, share = _best(variable, _numbers(some), own)
        fitting += share * len(some)
        if name and not own and share >= FIT and len(some) >= COMMON:
            named[name] = best
    share = fitting / len(text)
    if share < FIT:
        return None
    pairs = ", ".join(f'{json.dumps(n)} = "{unit}"' for n, unit in named.items())
    return share, (f"unit_names = {{ {pairs} }}",) if pairs else ()


def _numbers(text: "pd.Series[str]") -> Array:
    plain = text.str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(plain, errors="coerce")
    return numbers.dropna().to_numpy(dtype=np.float64)


def _best(variable: Number, known: Array, own: str = "") -> tuple[str, float]:
    """Return the unit in which most values lie in the range, and which share does."""
    if not len(known):
        return variable.unit, 0.0
    low, high = variable.range
    shares = {}
    for unit in (own,) if own else (variable.unit, *variable.units):
        factor, offset = variable.conversion(unit)
        values = known * factor + offset
        shares[unit] = float(((values >= low) & (values <= high)).mean())
    best = max(shares, key=lambda unit: shares[unit])
    return best, shares[best]


def _codes(variable: Number, unit: str, text: "pd.Series[str]") -> tuple[str, ...]:
    """Return a line with the codes for no value that are used and fit no range."""
    (low, high), (factor, offset) = variable.range, variable.conversion(unit)
    used = sorted(set(vocabulary.MISSING) & {*text})
    numbers = pd.to_numeric(pd.Series(used, dtype="str"), errors="coerce")
    known = zip(used, (numbers * factor + offset).tolist(), strict=True)
    codes = ", ".join(f'"{said}"' for said, it in known if not low <= it <= high)
    return (f"missing = [{codes}]",) if codes else ()


def _unspelled(variable: Category | Binary, text: "pd.Series[str]") -> Fits | None:
    """Return lines to fill in, where few spellings are used and none is known here.

    What the records spell is not repeated: nobody knows yet what it is.
    """
    if not 1 < text.nunique() <= FEW:
        return None
    pairs = ", ".join(f'"… {level}" = "{level}"' for level in variable.levels)
    return 0.0, (f"levels = {{ {pairs} }}",)


def _levels(variable: Category | Binary, text: "pd.Series[str]") -> Fits | None:
    """Return the share of cells that spell a level, and the spellings that do."""
    meant = {
        said: level
        for level in reversed(variable.levels)
        for said in vocabulary.spellings(level)
    }
    folded = {said.casefold(): level for said, level in meant.items()}
    share = float(text.str.casefold().isin(folded).mean()) if len(text) else 0.0
    if share < FIT:
        return None
    used = sorted(said for said in {*text} if said.casefold() in folded)
    pairs = [(said, folded[said.casefold()]) for said in used]
    spelled = [f'"{s}" = "{level}"' for s, level in pairs if s not in variable.levels]
    return share, (f"levels = {{ {', '.join(spelled)} }}",) if spelled else ()
