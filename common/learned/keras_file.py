"""A learned image network as a file of Keras: it loads without Consilium.

    keras.models.load_model("model.keras").predict(pictures)    # from 0 to 1

The file holds the layers by name and the weights as HDF5: no code, no pickle. Beside
them, in ABOUT, stand the study's digest and what the model lacks, if anything.
"""

import json
import tempfile
import zipfile
from pathlib import Path

from common import personal
from common.errors import MachineError, StudyError
from common.learned.model_file import Learned
from common.tasks.networks import image_network, network_kind

ABOUT = "consilium.json"


def of(learned: Learned) -> bytes:
    """Return the network, which gives probabilities [pictures, 1], as a `.keras` file.

    Raises StudyError for another kind of model, MachineError without TensorFlow.
    """
    study = learned.study
    if study.kind != "image_network":
        raise StudyError(
            f"{study.kind} has no file of Keras; image_network has",
            fix="consilium study export MODEL.json --to onnx",
        )
    try:
        import keras  # noqa: PLC0415 - TensorFlow

        from common.tasks.networks import keras_layers  # noqa: PLC0415 - TensorFlow
    except ImportError:
        raise MachineError(
            "an image_network runs on TensorFlow, which is not installed",
            fix="pip install 'consilium[networks]'",
        ) from None
    model = keras_layers.build(*image_network.asked(study))
    parts = network_kind.cut(learned.arrays["parameters"], image_network.weights(study))
    model.set_weights(parts)
    model.add(keras.layers.Activation("sigmoid"))
    # Keras writes to a path only; what it writes are weights, and no record.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(ABOUT, json.dumps(personal.about(study)))
        return path.read_bytes()
