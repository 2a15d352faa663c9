"""Ray as tests use it: started once for a module, and forgiven what it leaves open."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from common.errors import MachineError
from simulations.engines import cluster


@contextmanager
def forgiven() -> Iterator[None]:
    """Let Ray open its logs and leave its processes as it does: they are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def loaded() -> None:
    """Load Ray as the engine does, before anybody else; skip where it is lacking."""
    try:
        cluster.load()
    except MachineError:
        pytest.skip("needs consilium[ray]; `make test-all` installs it")


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Yield Ray, running; skip where it is not installed."""
    loaded()
    running = cluster.running()
    with forgiven():
        module = running.__enter__()
    yield module
    with forgiven():
        running.__exit__(None, None, None)
