"""How each hospital that does not exist writes its records, and its map of that."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from common.schema import Binary, Category, Number
from simulations.breast_study import (
    DIAGNOSIS,
    GRADE,
    MEASURES,
    NAMES,
    STATISTICS,
    plain,
)

Declared = Number | Category | Binary
Shown = float | str | None
"""What a record shows of one variable, in the declared unit: a typo may be among it."""

HEAD = """\
# How {site} writes its records: private to the hospital.
# {site} does not exist. The measures and diagnoses are those of real people from the
# Wisconsin Diagnostic Breast Cancer data; everything else in the export is made up.

site = "{site}"

[data]
"""


@dataclass(frozen=True, slots=True)
class Words:
    """What a hospital calls things.

    ``statistics`` are patterns for a measure's word; ``spellings`` say which level each
    way of writing it means. ``name`` and ``note`` head columns that no study declares.
    """

    measures: tuple[str, ...]
    statistics: tuple[str, str, str]
    grade: str
    diagnosis: str
    person: str
    visit: str
    name: str
    note: str
    spellings: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One hospital's habits.

    ``gaps`` is what stands for a missing cell, ``number_gaps`` only where a number
    should be, ``own_gaps`` only for one measure. ``listed`` are the codes that the
    site's map names for the whole file: reading -9 is to cover -9.00 as well.
    """

    site: str
    file: str
    separator: str
    decimal: str
    encoding: str
    declared_encoding: str
    words: Words
    identity: str
    full_names: tuple[str, ...]
    notes: tuple[str, ...]
    day: str
    units: Mapping[str, str]
    gaps: tuple[str, ...]
    listed: tuple[str, ...]
    number_gaps: tuple[str, ...] = ()
    own_gaps: tuple[tuple[str, str], ...] = ()
    absent: str = ""
