"""A small chest radiograph of an invented person: two dark lungs, and what clouds them.

It is drawn, not photographed: ribs as stripes, a heart that grows with the hidden state
of the heart, and an opacity at a base that grows with the state of the lungs.
"""

import numpy as np
from numpy.typing import NDArray

from simulations.invented.patients import Person

SIZE = 28
GREY, LUNG, BONE = 190.0, 120.0, 14.0
Picture = NDArray[np.uint8]


def draw(person: Person, rng: np.random.Generator) -> Picture:
    """Return the picture [28, 28], 0 black to 255 white, seen from the front."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1) * 2 - 1
    _, heart, lungs = person.state
    left = _blob(x + 0.45, y + 0.05, 0.33, 0.75)
    right = _blob(x - 0.45, y + 0.05, 0.33, 0.75)
    picture = GREY - LUNG * np.clip(left + right, 0, 1)
    picture += BONE * np.sin(14 * y + 2 * np.abs(x))
    picture += 90 * _blob(x - 0.15, y - 0.35, 0.28 + 0.05 * heart, 0.3)
    side = rng.choice([-0.45, 0.45])
    cloud = np.clip(35 + 45 * lungs, 0, None)
    picture += cloud * _blob(x - side, y - 0.45, 0.3, 0.25)
    picture += 8 * rng.standard_normal((SIZE, SIZE))
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def _blob(
    x: NDArray[np.float64], y: NDArray[np.float64], wide: float, high: float
) -> NDArray[np.float64]:
    """Return a soft ellipse around zero, 1 within and 0 without."""
    distance = np.hypot(x / max(wide, 0.05), y / high)
    return np.asarray(1.0 / (1.0 + np.exp(8.0 * (distance - 1.0))))
