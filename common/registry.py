"""The models a study may name, each one line, so that adding one touches one file more.

A line gives where the model is and which outcome it takes. Nothing is imported until a
study asks for it: a hospital that fits a logistic regression never loads TensorFlow.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Literal


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a model is, and the kind of outcome that it predicts."""

    module: str
    attribute: str
    outcome: Literal["binary", "number"]


MODELS = {
    "logistic": Entry("common.tasks.linear_models", "LOGISTIC", "binary"),
    "poisson": Entry("common.tasks.linear_models", "POISSON", "number"),
}


def load(kind: str) -> object:
    """Return the model registered as *kind*; the caller narrows its type."""
    entry = MODELS[kind]
    return getattr(import_module(entry.module), entry.attribute)
