"""The models and analyses a study may name, each a line: adding one touches few files.

A line gives where the model is and which outcomes it takes. Nothing is imported until a
study asks for it: a hospital that fits a logistic regression never loads TensorFlow.
"""

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

Kind = Literal["binary", "category", "number", "survival"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a model is, the kinds of outcome it predicts, and the lowest such value.

    ``tried`` names the settings of which one may be selected. ``private`` is where its
    form is for studies that promise privacy, and ``one_shot`` where the form is that
    takes one release.
    """

    module: str
    attribute: str
    outcomes: tuple[Kind, ...]
    lowest: float = -math.inf
    tried: tuple[str, ...] = ()
    private: tuple[str, str] | None = None
    one_shot: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Where an analysis is, and where its form is for studies that promise privacy.

    Without one ``unable`` says why.
    """

    module: str
    attribute: str
    private: tuple[str, str] | None = None
    unable: str = ""


MODELS = {
    "cox": Entry(
        "common.tasks.linear.cox",
        "COX",
        ("survival",),
        private=("common.tasks.private.private_cox", "PRIVATE_COX"),
    ),
    "linear": Entry(
        "common.tasks.linear.least_squares",
        "LINEAR",
        ("number",),
        tried=("ridge",),
        private=("common.tasks.private.private_linear", "PRIVATE_LINEAR"),
    ),
    "logistic": Entry(
        "common.tasks.linear.linear_models",
        "LOGISTIC",
        ("binary",),
        tried=("ridge",),
        private=("common.tasks.private.noisy_descent", "PRIVATE_LOGISTIC"),
        one_shot=("common.tasks.private.one_shot", "ONE_SHOT"),
    ),
    "multinomial": Entry(
        "common.tasks.linear.multinomial",
        "MULTINOMIAL",
        ("category",),
        tried=("ridge",),
        private=("common.tasks.private.private_multinomial", "PRIVATE_MULTINOMIAL"),
    ),
    "poisson": Entry(
        "common.tasks.linear.linear_models",
        "POISSON",
        ("number",),
        0.0,
        tried=("ridge",),
        private=("common.tasks.private.private_poisson", "PRIVATE_POISSON"),
    ),
    "random_forest": Entry(
        "common.tasks.forests.random_forest",
        "RANDOM_FOREST",
        ("binary", "category", "number"),
        tried=("depth", "columns"),
        private=("common.tasks.private.private_forest", "PRIVATE_FOREST"),
    ),
    "image_network": Entry(
        "common.tasks.networks.image_network",
        "IMAGE_NETWORK",
        ("binary",),
        private=("common.tasks.networks.image_network", "PRIVATE_IMAGE_NETWORK"),
    ),
    "tabular_network": Entry(
        "common.tasks.networks.tabular_network",
        "TABULAR_NETWORK",
        ("binary",),
        private=("common.tasks.networks.tabular_network", "PRIVATE_TABULAR_NETWORK"),
    ),
    "rbf_svm": Entry(
        "common.tasks.linear.svm",
        "RBF_SVM",
        ("binary",),
        tried=("ridge", "features"),
        private=("common.tasks.private.private_svm", "PRIVATE_RBF_SVM"),
    ),
    "svm": Entry(
        "common.tasks.linear.svm",
        "SVM",
        ("binary",),
        tried=("ridge",),
        private=("common.tasks.private.private_svm", "PRIVATE_SVM"),
    ),
}

ANALYSES = {
    "survival": Asked(
        "common.tasks.analyses.survival",
        "SURVIVAL",
        private=("common.tasks.private.private_survival", "PRIVATE_SURVIVAL"),
    ),
    "quantiles": Asked(
        "common.tasks.analyses.quantiles",
        "QUANTILES",
        private=("common.tasks.private.private_quantiles", "PRIVATE_QUANTILES"),
    ),
    "chi_square": Asked(
        "common.tasks.analyses.chi_square",
        "CHI_SQUARE",
        private=("common.tasks.private.private_chi_square", "PRIVATE_CHI_SQUARE"),
    ),
    "correlation": Asked(
        "common.tasks.analyses.correlation",
        "CORRELATION",
        private=("common.tasks.private.private_correlation", "PRIVATE_CORRELATION"),
    ),
    "compare": Asked(
        "common.tasks.analyses.compare",
        "COMPARE",
        private=("common.tasks.private.private_compare", "PRIVATE_COMPARE"),
    ),
    "association": Asked(
        "common.tasks.analyses.association",
        "ASSOCIATION",
        private=("common.tasks.private.private_association", "PRIVATE_ASSOCIATION"),
    ),
    "pca": Asked(
        "common.tasks.analyses.pca",
        "PCA",
        private=("common.tasks.private.private_pca", "PRIVATE_PCA"),
    ),
    "clusters": Asked(
        "common.tasks.analyses.clusters",
        "CLUSTERS",
        private=("common.tasks.private.private_clusters", "PRIVATE_CLUSTERS"),
    ),
    "treatment_effect": Asked(
        "common.tasks.treatment.treatment_effect",
        "TREATMENT_EFFECT",
        unable="noise takes its models of who is treated, and of what becomes of them, "
        "towards nothing, so that unlike arms would be compared as they are, and no "
        "interval would hold that",
    ),
}


def load(kind: str) -> object:
    """Return the model registered as *kind*; the caller narrows its type."""
    entry = MODELS[kind]
    return getattr(import_module(entry.module), entry.attribute)


def load_analysis(name: str, *, private: bool) -> object:
    """Return the task of the analysis *name*; None where it has no private form."""
    entry = ANALYSES[name]
    place = entry.private if private else (entry.module, entry.attribute)
    return getattr(import_module(place[0]), place[1]) if place else None


def load_private(kind: str, *, one_shot: bool = False) -> object:
    """Return the private form of the model *kind*, None where there is none yet."""
    entry = MODELS[kind]
    private = entry.one_shot if one_shot else entry.private
    return getattr(import_module(private[0]), private[1]) if private else None
