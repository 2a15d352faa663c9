"""Takes identifiers out of a text, and lets its words fall into buckets.

    redacted("Seen by Dr. Muster on 3.4.2023")    "Seen by [name] on [date]"

What is left of a text is how often its words fall into each of a few declared buckets,
scaled to length 1: no vocabulary is learnt, so none travels. Redaction by rules
finds what has a form (a title before a name, a date, a number); a name in mid-sentence
stays a word, and is gone only as far as a bucket holds many words. Hashing is not
anonymity: what leaves the hospital is a sum over people, as it is of any variable.

Feature hashing: Weinberger et al., ICML 2009.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from common.release import Array

MONTHS = (
    "jan(?:uary|uar|vier)?|feb(?:ruary|ruar)?|f[ée]v(?:rier)?|m(?:arch|ar|ärz|ars)"
    "|apr(?:il)?|avr(?:il)?|may|mai|june?|juni|juin|july?|juli|juillet|aug(?:ust)?"
    "|ao[uû]t|sept?(?:ember|embre)?|o[ck]t(?:ober|obre)?|nov(?:ember|embre)?"
    "|de[cz](?:ember)?|d[ée]c(?:embre)?"
)
TITLES = (
    "Dr|Prof|Professor|Mr|Mrs|Ms|Miss|Sr|Sister|Nurse|Herr|Frau|Hr|Fr|Mme|Mlle|Monsieur"
)
CALLED = (
    "MRN|NHS|SSN|record|file|case|patient|admission|hospital|Fallnummer|Patientennummer"
    "|dossier"
)
_UPPER, _LOWER = "A-ZÀ-ÖØ-Þ", "a-zß-öø-ÿ"
_NAME = rf"[{_UPPER}](?:[-'\u2019]?[{_UPPER}]?[{_LOWER}]+)+"
_OF = "(?:van|von|de|del|di|da|la|le|der|den|ten|ter)"
RULES = (
    ("[email]", re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    (
        r"\1[number]",
        re.compile(
            rf"\b((?:{CALLED})(?:[ -]?(?:no|nr|number|id|n°))?[.:#]*\s*)"
            r"(?=[\w/-]*\d)[\w/-]*\w",
            re.IGNORECASE,
        ),
    ),
    ("[date]", re.compile(r"\b\d{4}-\d{1,2}-\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?")),
    ("[date]", re.compile(r"\b\d{1,2}[./]\s?\d{1,2}[./]\s?(?:\d{4}|\d{2})\b")),
    (
        "[date]",
        re.compile(
            rf"\b\d{{1,2}}(?:st|nd|rd|th|\.)?\s(?:{MONTHS})\.?,?(?:\s\d{{4}})?\b",
            re.IGNORECASE,
        ),
    ),
    (
        "[date]",
        re.compile(
            rf"\b(?=[{_UPPER}])(?i:{MONTHS})\.?\s\d{{1,2}}(?:st|nd|rd|th)?"
            r"(?:,?\s\d{4})?\b"
        ),
    ),
    ("[phone]", re.compile(r"(?<!\w)\+?\(?\d(?:[ ()/.-]{0,2}\d){6,14}\b")),
    (
        "[name]",
        re.compile(rf"\b(?:{TITLES})\b\.?\s{_NAME}(?:(?:\s{_OF})*\s{_NAME}){{0,2}}"),
    ),
    ("[number]", re.compile(r"\b(?=(?:[\w-]{0,9}\d){5})[\w-]{0,60}\w")),
)
"""What stands for what, in this order: an e-mail address may hold a date."""

WORDS = r"(?u)\b[^\W\d_]{2,}\b"
"""Letters only: no number ever falls into a bucket."""


def redacted(text: str) -> str:
    """Return *text* with what looks like an identifier replaced by what it is."""
    for stands, looks in RULES:
        text = looks.sub(stands, text)
    return text


def hashed(texts: Sequence[str], buckets: int, together: int) -> Array:
    """Return for each text the share of its words in each bucket [texts, buckets].

    Up to *together* words that follow each other count as one too. Each row has length
    1, or is 0 for a text without a word.
    """
    from sklearn.feature_extraction.text import (  # noqa: PLC0415 - takes a second
        HashingVectorizer,
    )

    vectoriser = HashingVectorizer(
        n_features=buckets,
        alternate_sign=False,
        norm="l2",
        ngram_range=(1, together),
        token_pattern=WORDS,
    )
    if not texts:
        return np.zeros((0, buckets))
    found = vectoriser.transform(_each(texts))
    return np.asarray(found.toarray(), dtype=np.float64)


def _each(texts: Iterable[str]) -> Iterator[str]:
    return (redacted(text) for text in texts)
