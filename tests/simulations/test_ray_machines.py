"""Ray over two machines: hospitals on both, and one machine lost in the middle."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message

from common.errors import NetworkError
from common.travel import wire
from simulations.engines import actors, cluster, engine
from simulations.engines.actors import OnRay
from tests import clinics, outcomes, rays

NAMES = ("east", "north", "south", "west")


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield a cluster of two nodes, each with processes of its own, to be joined."""
    rays.loaded()
    folder = tempfile.mkdtemp(prefix="ray-")
    (Path(folder) / "ray").mkdir()
    monkeypatch.setenv("RAY_TMPDIR", folder)
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

    with rays.forgiven():
        head = {"num_cpus": 1, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=head)
        made.other = made.add_node(num_cpus=1)
    monkeypatch.setenv(cluster.ADDRESS, made.address)
    yield made
    with rays.forgiven():
        made.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


class Struck(OnRay):
    """A grid that loses a machine when every hospital has answered some rounds."""

    machines: Any
    left = 4 * len(NAMES)

    def _call(self, message: Message) -> str:
        asked = message.metadata.message_type == wire.ROUND
        self.left -= asked
        if asked and self.left == 0:
            self.machines.remove_node(self.machines.other, allow_graceful=False)
        return super()._call(message)

    def places(self, ray: Any) -> set[str]:
        """Return on which machines the hospitals are."""
        asked = [
            each.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id())
            for each in self._hospitals.values()
        ]
        return set(ray.get(asked))


@pytest.mark.slow
def test_a_machine_that_is_lost_changes_no_bit(machines: Any, tmp_path: Path) -> None:
    study = clinics.study(
        study={**clinics.ABOUT, "sites": list(NAMES)},
        rounds={"quorum": 4, "deadline_seconds": 240},
    )
    assert study.masked
    sites = clinics.hospitals(tmp_path, study)
    with rays.forgiven(), cluster.running() as ray:
        grid = Struck(ray, sites, study)
        grid.machines = machines
        assert len(grid.places(ray)) == 2
        found = engine.conduct(grid, grid.keys, study)
        assert len(grid.places(ray)) == 1
    assert grid.rejoined
    outcomes.same(found, engine.run(study, sites))


def test_an_address_at_which_nobody_answers_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rays.loaded()
    monkeypatch.setenv(cluster.ADDRESS, "127.0.0.1:9")
    with (
        pytest.raises(NetworkError, match=r"no Ray answers at 127\.0\.0\.1:9"),
        rays.forgiven(),
    ):
        actors.on_ray(kill_one=False)(clinics.study(), [])
