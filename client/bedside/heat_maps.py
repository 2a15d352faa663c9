"""Draws where a picture speaks for the outcome: the picture, and the same in colour.

A heat map is a picture of a patient. It is written at the hospital, for its owner only,
and its name is a number.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import MachineError
from common.release import Array
from common.trust import private_files

HOT = np.array([1.0, 0.2, 0.0])
SHADE = 0.6
"""How much of a pixel the colour covers where the map is 1."""
WIDEST = 320
"""A picture smaller than this is drawn larger, by whole times."""


def write(folder: Path, number: int, picture: NDArray[np.float32], heat: Array) -> Path:
    """Write the *picture* beside itself in the colours of *heat* [h, w]; return where.

    Raises MachineError without Pillow, or where nothing can be written.
    """
    private_files.make_folder(folder)
    path = folder / f"{number:06d}.png"
    private_files.write(path, png(drawn(picture, heat)))
    return path


def drawn(picture: NDArray[np.float32], heat: Array) -> NDArray[np.uint8]:
    """Return both [h, 2 w, 3] of a picture [h, w, 1 or 3] and its map, 0 to 1."""
    grey = np.broadcast_to(picture, (*picture.shape[:2], 3))
    cover = SHADE * heat[..., None]
    both = np.concatenate([grey, grey * (1 - cover) + HOT * cover], axis=1)
    times = max(1, WIDEST // max(picture.shape[:2]))
    large = both.repeat(times, axis=0).repeat(times, axis=1)
    pixels: NDArray[np.uint8] = np.rint(large.clip(0.0, 1.0) * 255).astype(np.uint8)
    return pixels


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return *pixels* [h, w, 3] as a PNG; raise MachineError without Pillow."""
    try:
        from PIL import Image  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise MachineError(
            "heat maps need the package pillow", fix="pip install 'consilium[png]'"
        ) from None
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()
