"""Pixels as a model sees them: the study's size and channels, from 0 to 1."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.errors import StudyError
from common.schema import Image
from common.task import Images

WHITE: Final = {"uint8": 255.0, "uint16": 65535.0}
"""What the brightest pixel is, by the type of the numbers."""

Pixels = NDArray[np.generic]


def shaped(pixels: Pixels, image: Image) -> Images:
    """Return *pixels* [pictures, height, width(, channels)] as numbers from 0 to 1.

    Raises StudyError, which says nothing of a pixel, for pictures of another size or
    kind: none is stretched here.
    """
    if pixels.ndim == len(image.shape):
        pixels = pixels[..., None]
    if pixels.shape[1:] != image.shape:
        found, wanted = (
            " x ".join(map(str, each)) for each in (pixels.shape[1:], image.shape)
        )
        raise StudyError(f"pictures are {found}; the study declares {wanted}")
    white = WHITE.get(pixels.dtype.name)
    if white is None:
        known = " or ".join(WHITE)
        raise StudyError(f"pixels are {pixels.dtype.name}, and must be {known}")
    return pixels.astype(np.float32) / np.float32(white)
