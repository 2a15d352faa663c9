"""From the elements of a DICOM object to the picture that a radiologist sees, 0 to 1.

    counts -> rescale -> window -> black is 0 -> patient's left on the right side

Rescale and window functions are those of DICOM PS3.3 C.11.1 and C.11.2. Without a
window the whole of what the stored bits can say is shown: never the range of one
picture, which would tell two pictures of one person apart from nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

Picture = NDArray[np.float32]
Window = tuple[float, float]
LARGEST = 2**26
"""Pixels of one picture; a header that says more is damaged, or an attack."""
OVERLAYS = range(0x6000, 0x6100)
BLACK_IS_LOW, BLACK_IS_HIGH = ("MONOCHROME2", "RGB"), "MONOCHROME1"
NORMAL = ("L", "F"), ("L", "P")
TURNED = {"R": "L", "H": "F", "A": "P"}


class Unfit(Exception):  # noqa: N818 - it is turned into an error where it is known
    """A picture that may not, or cannot, be used; the text holds nothing of it."""


def require_shown(dataset: Dataset) -> None:
    """Raise Unfit for an object that is no single picture of a sensible size."""
    height, width = _whole(dataset, "Rows"), _whole(dataset, "Columns")
    if "PixelData" not in dataset:
        raise Unfit("has no pixels")
    if not 0 < height * width <= LARGEST:
        raise Unfit("has no size, or one that cannot be")
    if _whole(dataset, "NumberOfFrames", 1) != 1:
        raise Unfit("has several frames")
    overlaid = [tag for tag in dataset.keys() if tag.group in OVERLAYS]  # noqa: SIM118 - a loop over it decodes every element
    if overlaid:
        raise Unfit("has an overlay: something is drawn or written over it")


def picture(dataset: Dataset, window: Window | None) -> Picture:
    """Return the pixels [height, width, channels] from 0 to 1, as seen from the front.

    Raises Unfit for a photometric interpretation that is none of grey or RGB.
    """
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    stored = np.asarray(pixel_array(dataset, raw=False), dtype=np.float64)
    if photometric.startswith("YBR"):
        photometric = "RGB"  # pydicom has converted it
    if photometric not in (*BLACK_IS_LOW, BLACK_IS_HIGH):
        raise Unfit("is neither grey nor RGB")
    if photometric == "RGB":
        shown = stored / (2 ** _whole(dataset, "BitsAllocated") - 1)
    else:
        shown = _windowed(dataset, stored, window)[..., None]
        shown = 1.0 - shown if photometric == BLACK_IS_HIGH else shown
    return np.asarray(_turned(shown, _directions(dataset)), dtype=np.float32)


def _windowed(
    dataset: Dataset,
    stored: NDArray[np.float64],
    window: Window | None,
) -> NDArray[np.float64]:
    """Return grey from 0 to 1 by the window given, the file's own, or all its bits."""
    if "ModalityLUTSequence" in dataset:
        raise Unfit("has a table in the place of a slope")
    slope = _number(dataset, "RescaleSlope", 1.0)
    shift = _number(dataset, "RescaleIntercept", 0.0)
    values = stored * slope + shift
    if window is None and "WindowCenter" not in dataset:
        if "VOILUTSequence" in dataset:
            raise Unfit("has a table in the place of a window: name a `window`")
        low, high = sorted(each * slope + shift for each in _span(dataset))
        return np.clip((values - low) / (high - low), 0.0, 1.0)
    centre, width = window or (
        _number(dataset, "WindowCenter", 0.0),
        _number(dataset, "WindowWidth", 0.0),
    )
    function = str(dataset.get("VOILUTFunction", "LINEAR")) if not window else "LINEAR"
    return _by_window(values, centre, width, function)


def _by_window(
    values: NDArray[np.float64], centre: float, width: float, function: str
) -> NDArray[np.float64]:
    if function == "LINEAR" and width > 1:
        return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0)
    if function == "SIGMOID" and width > 0:
        return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (values - centre) / width)))
    raise Unfit("has a window that is none")


def _span(dataset: Dataset) -> tuple[float, float]:
    """Return the least and the greatest number that the stored bits can say."""
    bits = _whole(dataset, "BitsStored")
    if not 1 < bits <= 32:  # noqa: PLR2004 - bits of a pixel
        raise Unfit("has no number of bits")
    if _whole(dataset, "PixelRepresentation", 0):
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def _directions(dataset: Dataset) -> tuple[str, str]:
    """Return where rows and columns lead: L, R, P, A, H, F; nothing if nobody says."""
    said = dataset.get("PatientOrientation")
    if said and not isinstance(said, str) and len(said) == 2:  # noqa: PLR2004 - a pair
        return str(said[0])[:1].upper(), str(said[1])[:1].upper()
    cosines = dataset.get("ImageOrientationPatient")
    if cosines is None or len(cosines) != 6:  # noqa: PLR2004 - two vectors
        return "", ""
    numbers = [float(each) for each in cosines]
    return _letter(numbers[:3]), _letter(numbers[3:])


def _letter(cosines: Sequence[float]) -> str:
    """Return the direction that a vector leads to most."""
    axis = int(np.argmax(np.abs(cosines)))
    return ("RL", "AP", "FH")[axis][int(cosines[axis] > 0)]


def _turned(
    shown: NDArray[np.float64], directions: tuple[str, str]
) -> NDArray[np.float64]:
    """Return the picture with rows to the patient's left, columns to feet or back."""
    along, down = directions
    if not along and not down:
        return shown
    if (TURNED.get(along, along), TURNED.get(down, down)) not in NORMAL:
        raise Unfit("shows the patient from a side that is not the front")
    shown = shown[:, ::-1] if along in TURNED else shown
    return shown[::-1] if down in TURNED else shown


def _whole(dataset: Dataset, keyword: str, default: int = 0) -> int:
    value = dataset.get(keyword, default)
    return default if value is None else int(value)


def _number(dataset: Dataset, keyword: str, default: float) -> float:
    value = dataset.get(keyword, default)
    first = value[0] if hasattr(value, "__len__") and len(value) else value
    number = default if first is None else float(first)
    if not np.isfinite(number):
        raise Unfit("has a slope or a window that is no number")
    return number
