"""Where in a hospital's file a record stands, for errors that must not quote it."""

import numpy as np
import pandas as pd


def line_of(found: "pd.Series[bool]") -> int:
    """Return the line in the file of the first record that is *found*.

    The index is the record's place in the file, and the header is line 1. A cell that
    spans lines moves what follows it.
    """
    return int(found.index.to_numpy()[np.argmax(found.to_numpy())]) + 2
