"""A learned model as an ONNX graph, from the hospital's own values to the prediction.

Input ``values`` [people, variables], doubles in the order of the study: a number in its
declared unit, a category as the index of its level, a gap as NaN. Output ``expected``
[people], or [people, levels] of a category; of a time until an event a hazard ratio
against somebody with average values. Filling, coding and standardising are part
of the graph.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from common import personal
from common.encoding import columns
from common.errors import StudyError
from common.learned import onnx_pictures
from common.learned.model_file import Learned
from common.release import Array
from common.schema import Category
from common.study import Study
from common.tasks.linear import intercepts, svm
from common.tasks.networks import network_kind, tabular_network

OPSETS = {"": 17, "ai.onnx.ml": 3}
IR = 9
"""The format's version: runtimes of 2023 and later read it."""

Constants = dict[str, np.ndarray]


def of(learned: Learned) -> bytes:
    """Return the graph of *learned*; raise StudyError for a kind that has none yet."""
    study = learned.study
    kind = study.kind
    if kind == "image_network":
        return onnx_pictures.of(learned)
    if kind not in HEADS:
        able = ", ".join([*HEADS, "image_network"])
        raise StudyError(f"{kind} cannot be exported to ONNX yet; {able} can")
    nodes, constants = _design(study, learned.arrays)
    nodes += HEADS[kind](study, learned.arrays, constants)
    packed: bytes = _model(study, nodes, constants).SerializeToString()
    return packed


def _model(study: Study, nodes: list[NodeProto], constants: Constants) -> ModelProto:
    double, width = TensorProto.DOUBLE, len(study.variables)
    graph = helper.make_graph(
        nodes,
        study.study.name,
        [helper.make_tensor_value_info("values", double, ["people", width])],
        [helper.make_tensor_value_info("expected", double, _shape(study))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid(name, number) for name, number in OPSETS.items()]
    made = helper.make_model(
        graph, producer_name="consilium", opset_imports=opsets, ir_version=IR
    )
    helper.set_model_props(made, personal.about(study))
    made.doc_string = personal.told(study)
    checker.check_model(made)
    return made


def _shape(study: Study) -> list[str | int]:
    """Return the shape of what is expected: of a category, a chance for each level."""
    levels = study.outcome.levels if isinstance(study.outcome, Category) else ()
    return ["people", len(levels)] if levels else ["people"]


def _design(
    study: Study, arrays: Mapping[str, Array]
) -> tuple[list[NodeProto], Constants]:
    """Return the nodes that make the standardised design from the values."""
    plan, scale = columns(study), arrays["scale"]
    constants: Constants = {
        "variable": np.array([each.variable for each in plan], dtype=np.int64),
        "level": np.array([float(each.level) for each in plan]),
        "is_level": np.array([each.kind == "level" for each in plan]),
        "is_gap": np.array([each.kind == "gap" for each in plan]),
        "centre": arrays["centre"],
        "fill": arrays["fill"],
        "varies": scale > 0.0,
        "scale": np.where(scale > 0.0, scale, 1.0),
        "zero": np.zeros(1),
    }
    node = helper.make_node
    return [
        node("Gather", ["values", "variable"], ["picked"], axis=1),
        node("IsNaN", ["picked"], ["gap"]),
        node("Cast", ["gap"], ["missing"], to=TensorProto.DOUBLE),
        node("Equal", ["picked", "level"], ["same"]),
        node("Cast", ["same"], ["indicator"], to=TensorProto.DOUBLE),
        node("Where", ["is_level", "indicator", "picked"], ["raw"]),
        node("Where", ["gap", "fill", "raw"], ["filled"]),
        node("Where", ["is_gap", "missing", "filled"], ["whole"]),
        node("Sub", ["whole", "centre"], ["moved"]),
        node("Div", ["moved", "scale"], ["spread"]),
        node("Where", ["varies", "spread", "zero"], ["design"]),
    ], constants


def _linear(
    study: Study, arrays: Mapping[str, Array], constants: Constants
) -> list[NodeProto]:
    """Return the nodes of a linear predictor and of its inverse link."""
    kind = study.kind
    weights = intercepts.elsewhere(study, arrays["weights"])
    constants |= {"weights": weights[:-1], "intercept": weights[-1:]}
    return [
        helper.make_node("MatMul", ["design", "weights"], ["product"]),
        helper.make_node("Add", ["product", "intercept"], ["eta"]),
        helper.make_node(LINKS[kind], ["eta"], ["expected"]),
    ]


def _levels(
    study: Study, arrays: Mapping[str, Array], constants: Constants
) -> list[NodeProto]:
    """Return the nodes of a score for each level, and of their probabilities."""
    weights = arrays["weights"].reshape(-1, len(columns(study)) + 1)
    constants |= {"weights": weights[:, :-1].T.copy(), "intercept": weights[:, -1]}
    return [
        helper.make_node("MatMul", ["design", "weights"], ["product"]),
        helper.make_node("Add", ["product", "intercept"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["expected"], axis=1),
    ]


def _hazard(
    study: Study, arrays: Mapping[str, Array], constants: Constants
) -> list[NodeProto]:
    """Return the nodes of the hazard ratio, as it is said at a hospital."""
    del study
    constants |= {"weights": arrays["weights"]}
    return [
        helper.make_node("MatMul", ["design", "weights"], ["eta"]),
        helper.make_node("Exp", ["eta"], ["expected"]),
    ]


def _kernel(
    study: Study, arrays: Mapping[str, Array], constants: Constants
) -> list[NodeProto]:
    """Return the nodes of random features, and of a machine over them."""
    spread, offset = svm.drawn(study)
    weights = arrays["weights"] * math.sqrt(2.0 / len(offset))
    constants |= {"spread_by": spread, "offset": offset, "weights": weights[:-1]}
    constants |= {"intercept": arrays["weights"][-1:]}
    return [
        helper.make_node("MatMul", ["design", "spread_by"], ["turned"]),
        helper.make_node("Add", ["turned", "offset"], ["angle"]),
        helper.make_node("Cos", ["angle"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node("Add", ["product", "intercept"], ["eta"]),
        helper.make_node("Sigmoid", ["eta"], ["expected"]),
    ]


def _dense(
    study: Study, arrays: Mapping[str, Array], constants: Constants
) -> list[NodeProto]:
    """Return the nodes of dense layers with ReLU between them, and one chance."""
    layers = tabular_network.weights(study)
    parts = network_kind.cut(arrays["parameters"], layers)
    nodes, reached = list[NodeProto](), "design"
    residual = tabular_network.asked(study).residual
    for place in range(len(parts) // 2):
        weights, bias = parts[2 * place : 2 * place + 2]
        constants |= {f"weights_{place}": weights.T.copy(), f"bias_{place}": bias}
        inside, outside = f"product_{place}", f"layer_{place}"
        nodes += [
            helper.make_node("MatMul", [reached, f"weights_{place}"], [inside]),
            helper.make_node("Add", [inside, f"bias_{place}"], [outside]),
        ]
        if place + 1 < len(parts) // 2:
            nodes.append(helper.make_node("Relu", [outside], [f"relu_{place}"]))
            same = residual and weights.shape[0] == weights.shape[1]
            if same:
                added = [reached, f"relu_{place}"]
                nodes.append(helper.make_node("Add", added, [f"sum_{place}"]))
            reached = f"sum_{place}" if same else f"relu_{place}"
    constants |= {"last": np.array([1], dtype=np.int64)}
    return [
        *nodes,
        helper.make_node("Sigmoid", [outside], ["chance"]),
        helper.make_node("Squeeze", ["chance", "last"], ["expected"]),
    ]


def _forest(
    study: Study, arrays: Mapping[str, Array], constants: Constants
) -> list[NodeProto]:
    """Return the nodes of all trees: one operator, and a squeeze of one target."""
    levels = len(study.outcome.levels) if study.outcome.kind == "category" else 1
    last, given = "Identity", ["wide"]
    if levels == 1:
        last, given = "Squeeze", ["wide", "last"]
        constants |= {"last": np.array([1], dtype=np.int64)}
    return [
        helper.make_node(
            "TreeEnsembleRegressor",
            ["design"],
            ["mean"],
            domain="ai.onnx.ml",
            n_targets=levels,
            aggregate_function="AVERAGE",
            **_trees(study, arrays),
        ),
        helper.make_node("Cast", ["mean"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node(last, given, ["expected"]),
    ]


def _trees(study: Study, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Return every node of every tree; the branch that is true goes below the cut."""
    feature, threshold, leaf = (arrays[n] for n in ("feature", "threshold", "leaf"))
    count, size = leaf.shape[:2]
    column = np.full((count, size), -1.0)
    column[:, : feature.shape[1]] = feature
    cut = np.zeros((count, size))
    cut[:, : threshold.shape[1]] = threshold
    split = column >= 0
    tree, node = (part.ravel() for part in np.indices((count, size)))
    flat, ends = split.ravel(), ~split
    chosen = np.where(split, column, 0).astype(np.int64)
    number = study.outcome.kind == "number"
    whole = leaf[..., 0] if number else leaf.sum(axis=2)
    told = leaf if study.outcome.kind == "category" else leaf[..., 1:]
    says = (told / np.maximum(whole, 1.0)[..., None])[ends]
    targets = says.shape[1]
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": node.tolist(),
        "nodes_featureids": chosen.ravel().tolist(),
        "nodes_modes": ["BRANCH_LT" if each else "LEAF" for each in flat],
        "nodes_values_as_tensor": numpy_helper.from_array(cut.ravel(), "cuts"),
        "nodes_truenodeids": np.where(flat, 2 * node + 1, 0).tolist(),
        "nodes_falsenodeids": np.where(flat, 2 * node + 2, 0).tolist(),
        "target_treeids": np.repeat(tree[ends.ravel()], targets).tolist(),
        "target_nodeids": np.repeat(node[ends.ravel()], targets).tolist(),
        "target_ids": list(range(targets)) * len(says),
        "target_weights_as_tensor": numpy_helper.from_array(says.ravel(), "says"),
    }


LINKS = {
    "logistic": "Sigmoid",
    "svm": "Sigmoid",
    "poisson": "Exp",
    "linear": "Identity",
}
Head = Callable[[Study, Mapping[str, Array], Constants], list[NodeProto]]
HEADS: dict[str, Head] = {
    **dict.fromkeys(LINKS, _linear),
    "cox": _hazard,
    "multinomial": _levels,
    "random_forest": _forest,
    "rbf_svm": _kernel,
    "tabular_network": _dense,
}
"""The last nodes of each kind of model."""
