"""A learned image network as an ONNX graph, from pixels of 0 to 1 to the probability.

Input ``pictures`` [pictures, height, width, channels], 32-bit, as the study declares
them. Output ``expected`` [pictures]. ONNX has channels first: they move in the graph.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from common import personal
from common.learned.model_file import Learned
from common.sections.networks import ImageNetwork
from common.tasks.networks import image_network, network_kind

OPSET, IR = 17, 9
EPSILON = 1e-3
"""What Keras adds to the variance of a group of channels."""

Weights = NDArray[np.float32]


class Graph:
    """Nodes one after the other, each named by its place, and their constants."""

    def __init__(self) -> None:
        """Begin at the pictures."""
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.reached = "pictures"

    def then(self, kind: str, *constants: np.ndarray, **said: Any) -> None:  # noqa: ANN401 - as ONNX
        """Add a node of *kind* that takes what was reached, and *constants*."""
        made = f"{kind}_{len(self.nodes)}"
        names = [f"{made}_{place}" for place in range(len(constants))]
        self.constants |= dict(zip(names, constants, strict=True))
        self.nodes.append(
            helper.make_node(kind, [self.reached, *names], [made], **said)
        )
        self.reached = made


def of(learned: Learned) -> bytes:
    """Return the graph of the image network *learned*."""
    study = learned.study
    model, image = image_network.asked(study)
    layers = image_network.weights(study)
    parts = network_kind.cut(learned.arrays["parameters"], layers)
    left = iter([np.asarray(each, dtype=np.float32) for each in parts])
    graph = Graph()
    graph.then("Transpose", perm=[0, 3, 1, 2])
    for place in range(len(model.blocks)):
        _block(graph, model, place, left)
    graph.then("Transpose", perm=[0, 2, 3, 1])
    if model.head == "average":
        graph.then("ReduceMean", axes=[1, 2], keepdims=0)
    else:
        graph.then("Flatten")
    for place in range(len(model.dense) + 1):
        if place:
            graph.then("Relu")
        graph.then("Gemm", next(left), next(left))
    graph.then("Sigmoid")
    graph.then("Squeeze", np.array([1], dtype=np.int64))
    made = _model(graph, learned, image.shape)
    packed: bytes = made.SerializeToString()
    return packed


def _block(
    graph: Graph, model: ImageNetwork, place: int, left: Iterator[Weights]
) -> None:
    """Add a convolution, its groups, ReLU and what is left of each 2 x 2."""
    _convolution(graph, model, place, left)
    if model.groups:
        _groups(graph, model, model.blocks[place], left)
    graph.then("Relu")
    if model.pool != "stride":
        kind = "AveragePool" if model.pool == "average" else "MaxPool"
        graph.then(kind, kernel_shape=[2, 2], strides=[2, 2])


def _convolution(
    graph: Graph, model: ImageNetwork, place: int, left: Iterator[Weights]
) -> None:
    """Add a convolution, or one by channel and one across channels."""
    pads = "SAME_UPPER" if model.padding == "same" else "VALID"
    step = 2 if model.pool == "stride" else 1
    said: dict[str, Any] = {"auto_pad": pads, "strides": [step, step]}
    if model.convolution == "separable" and place:
        own = next(left).transpose(2, 3, 0, 1).copy()
        graph.then("Conv", own, group=len(own), **said)
        said = {}
    kernel, bias = next(left), next(left)
    graph.then("Conv", kernel.transpose(3, 2, 0, 1).copy(), bias, **said)


def _groups(
    graph: Graph, model: ImageNetwork, filters: int, left: Iterator[Weights]
) -> None:
    """Add the normalisation by groups of channels."""
    size = f"size_{len(graph.nodes)}"
    graph.nodes.append(helper.make_node("Shape", [graph.reached], [size]))
    graph.then("Reshape", np.array([0, model.groups, -1], dtype=np.int64))
    ones = np.ones(model.groups, dtype=np.float32)
    graph.then("InstanceNormalization", ones, ones * 0, epsilon=EPSILON)
    graph.nodes.append(
        helper.make_node("Reshape", [graph.reached, size], [f"{size}_back"])
    )
    graph.reached = f"{size}_back"
    graph.then("Mul", next(left).reshape(filters, 1, 1))
    graph.then("Add", next(left).reshape(filters, 1, 1))


def _model(graph: Graph, learned: Learned, shape: tuple[int, ...]) -> ModelProto:
    study, single = learned.study, TensorProto.FLOAT
    pictures = helper.make_tensor_value_info("pictures", single, ["n", *shape])
    expected = helper.make_tensor_value_info("expected", single, ["n"])
    last = helper.make_node("Identity", [graph.reached], ["expected"])
    tensors = [numpy_helper.from_array(a, n) for n, a in graph.constants.items()]
    drawn = helper.make_graph(
        [*graph.nodes, last], study.study.name, [pictures], [expected], tensors
    )
    opsets = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(
        drawn, producer_name="consilium", opset_imports=opsets, ir_version=IR
    )
    helper.set_model_props(made, personal.about(study))
    made.doc_string = personal.told(study)
    checker.check_model(made)
    return made
