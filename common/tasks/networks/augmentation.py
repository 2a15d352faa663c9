"""Pictures mirrored and shifted while a network learns: a public draw by person.

The draw follows from the study's seed, the round and who somebody is, as that of
dropout does: it is the same wherever a person is, and a study is repeated to the last
bit. Each picture is moved by itself, before its gradient is clipped, so that a promise
costs the same.
"""

import numpy as np

from common.arithmetic import trees
from common.release import Array
from common.sections.networks import MOST, ImageNetwork
from common.task import Images, Keys

APART = 2**46
"""Beyond all seeds of other draws by person, those of dropout among them."""
MIRRORED = 0.5
"""The chance of being mirrored, where a study asks for it."""


def moved(images: Images, key: Keys, model: ImageNetwork, step: int) -> Images:
    """Return *images* [records, high, wide, channels] as round *step* shows them.

    Each is mirrored left to right with a chance of a half where the *model* says
    ``flip``, and brought up to ``shift`` pixels from its place both ways, what is then
    empty being black.
    """
    if not (model.flip or model.shift):
        return images
    drawn = trees.draws(key, APART + model.training.seed * MOST + step, 3)
    mirrored, down, right = drawn
    if model.flip:
        chosen = mirrored[:, None, None, None] < MIRRORED
        images = np.where(chosen, images[:, :, ::-1], images)
    return _shifted(images, (down, right), model.shift) if model.shift else images


def _shifted(images: Images, drawn: tuple[Array, Array], most: int) -> Images:
    """Return each picture cut out of itself within a black margin of *most* pixels."""
    _, high, wide, _ = images.shape
    around = np.pad(images, [(0, 0), (most, most), (most, most), (0, 0)])
    top, left = ((each * (2 * most + 1)).astype(np.int64) for each in drawn)
    rows, columns = top[:, None] + np.arange(high), left[:, None] + np.arange(wide)
    every = np.arange(len(images))[:, None, None]
    cut: Images = around[every, rows[:, :, None], columns[:, None, :]]
    return cut
