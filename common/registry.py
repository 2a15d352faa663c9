"""The models a study may name, each one line, so that adding one touches one file more.

A line gives where the model is and which outcome it takes. Nothing is imported until a
study asks for it: a hospital that fits a logistic regression never loads TensorFlow.
"""

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Literal


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a model is, the kind of outcome it predicts, and the lowest such value.

    ``private`` is where its form is for studies that promise privacy.
    """

    module: str
    attribute: str
    outcome: Literal["binary", "number"]
    lowest: float = -math.inf
    private: tuple[str, str] | None = None


MODELS = {
    "logistic": Entry(
        "common.tasks.linear_models",
        "LOGISTIC",
        "binary",
        private=("common.tasks.noisy_descent", "PRIVATE_LOGISTIC"),
    ),
    "poisson": Entry("common.tasks.linear_models", "POISSON", "number", 0.0),
}


def load(kind: str) -> object:
    """Return the model registered as *kind*; the caller narrows its type."""
    entry = MODELS[kind]
    return getattr(import_module(entry.module), entry.attribute)


def load_private(kind: str) -> object:
    """Return the private form of the model *kind*, None where there is none yet."""
    private = MODELS[kind].private
    return getattr(import_module(private[0]), private[1]) if private else None
