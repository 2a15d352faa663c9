"""What is large goes back to the machine when it is let go; glibc keeps it otherwise.

A hospital's process stays for months. Each of its threads would hold on to the pieces
of messages that it carried, and each round of a large network would leave holes.
"""

import ctypes
from typing import Final

THRESHOLD, ARENAS = -3, -8
"""How ``malloc.h`` numbers M_MMAP_THRESHOLD and M_ARENA_MAX."""
LARGE, FEW = 2**20, 2
"""Bytes from which on memory is a mapping of its own; and how many heaps there are."""
SET: Final = ((THRESHOLD, LARGE), (ARENAS, FEW))


def return_large() -> bool:
    """Have large memory returned from now on; say whether this machine's C can."""
    try:
        setting = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False  # another C library, which has ways of its own
    return all(setting(name, value) for name, value in SET)
