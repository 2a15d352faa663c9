"""Where in a hospital's file a record stands, for errors that must not quote it."""

import numpy as np
import pandas as pd


def line_of(found: "pd.Series[bool]") -> int:
    """Return the line in the file of the first record that is *found*.

    The index of a series of records is the line on which each of them ends.
    """
    return int(found.index.to_numpy()[np.argmax(found.to_numpy())])
