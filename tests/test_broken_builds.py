"""Each check of the masks is needed: take it out, and a test of the hostile kit fails.

A copy of the code is broken in one line, and the tests that should see it are run over
the copy. A kit that passes on a broken build would prove nothing.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("client", "common", "server", "simulations", "tests")
MASKING = "tests/common/test_masking.py"
KIT, ONCE = "tests/test_hostile_masks.py", "tests/client/test_once.py"


@dataclass(frozen=True)
class Break:
    """One line of a file that is another, and which tests have to see it."""

    file: str
    true: str
    broken: str
    tests: str
    chosen: str


BREAKS = {
    "swapped keys": Break(
        "common/masked/circle.py",
        "return signed.verify(document, identity.public_key(key), context)",
        "return signed.unverified(document, context)",
        *(MASKING, "keys_that_are_not_their_sites"),
    ),
    "one key for two sites": Break(
        "common/masked/circle.py",
        "if used[each.box] > 1 or used[each.mask] > 1:",
        "if False:",
        *(MASKING, "keys_that_are_not_their_sites"),
    ),
    "an unknown participant": Break(
        "common/masked/circle.py",
        "if strangers := sorted(here - set(circle.sites)):",
        "if strangers := []:",
        *(MASKING, "keys_that_are_not_their_sites or a_list_that_is_none"),
    ),
    "sites that the study does not name": Break(
        "client/door/legs.py",
        "    sites.among(opened.site, opened.study, asked.sites)\n",
        "",
        *(KIT, "says_no_before_it_opens"),
    ),
    "a changed roster": Break(
        "client/books/memory.py",
        "if place.roster != before.roster:",
        "if False:",
        *(KIT, "says_no_before_it_opens"),
    ),
    "other sites than the masks are for": Break(
        "client/door/seats.py",
        "if set(self._held(place, attempt).seat.circle.sites) != set(sites):",
        "if False:",
        *(KIT, "other_sites_than_its_masks"),
    ),
    "split survivor views": Break(
        "common/masked/masking.py",
        "    circles.read_confirmations(view, survivors, confirmations)\n",
        "",
        *(MASKING, "confirmations_that_are_none"),
    ),
    "few confirmations": Break(
        "common/masked/masking.py",
        '    circles.enough(view.circle, confirmations, "have confirmed", '
        "masked.seat.fewest)\n",
        "",
        *(KIT, "says_no_before_it_opens"),
    ),
    "a list that was not confirmed": Break(
        "common/masked/masking.py",
        "if survivors != agreed:",
        "if False:",
        *(MASKING, "did_not_confirm"),
    ),
    "alive and dropped": Break(
        "common/masked/masking.py",
        "dropped = sorted(set(view.sharers) - set(survivors))",
        "dropped = sorted(view.sharers)",
        *(MASKING, "never_both_kinds"),
    ),
    "a second opening": Break(
        "common/masked/stages.py",
        "if stage.heard != heard:",
        "if False:",
        *(MASKING, "opens_once or second_list"),
    ),
    "a second opening after a restart": Break(
        "client/door/once.py",
        "if _differ(each.facts, note.facts, name):",
        "if False:",
        *(ONCE, "opened_for_one_list"),
    ),
    "a setup that is begun again": Break(
        "client/door/seats.py",
        "if known and circle.attempt <= known.seat.circle.attempt:",
        "if False:",
        *(KIT, "no_second_seat"),
    ),
    "a lower threshold": Break(
        "common/sections/terms.py",
        "2 * sites // 3 + 1",
        "2 * sites // 3",
        *(MASKING, "the_threshold"),
    ),
    "another clip or modulus": Break(
        "common/masked/circle.py",
        "list(self.sharers), *asked, self.coding]",
        "list(self.sharers), *asked]",
        *(MASKING, "another_coding"),
    ),
    "a state for each site": Break(
        "common/masked/circle.py",
        "asked = [self.round.task, self.round.number, self.round.state]",
        "asked = [self.round.task, self.round.number]",
        *(MASKING, "different_questions"),
    ),
    "a task for each site": Break(
        "common/masked/circle.py",
        "asked = [self.round.task, self.round.number, self.round.state]",
        "asked = [self.round.number, self.round.state]",
        *("tests/test_hostile_tasks.py", "another_task"),
    ),
    "batch normalisation accepted": Break(
        "common/tasks/networks/layer_rules.py",
        "    if kind in PLAIN and not layer.weights:",
        '    if kind in PLAIN or kind.__name__ == "BatchNormalization":',
        *("tests/test_book_keeping.py", "without_a_rule"),
    ),
    "charged after it was sent": Break(
        "client/door/egress.py",
        "    budget.charge(opened, task, turn, vector, clock)\n",
        "    import threading\n"
        "    late = (opened, task, turn, vector, clock)\n"
        "    threading.Timer(0.2, budget.charge, late).start()\n",
        *("tests/client/test_budget.py", "charge"),
    ),
    "a round of two": Break(
        "common/sections/terms.py",
        "FEWEST, MOST = 3, 50",
        "FEWEST, MOST = 2, 50",
        MASKING,
        "no_circle",
    ),
    "one survivor": Break(
        "common/masked/circle.py",
        "if len(here) < needed:",
        "if False:",
        *(KIT, "says_no_before_it_opens"),
    ),
    "the site's own floor": Break(
        "common/masked/masking.py",
        "circles.read_survivors(stage.view, document, stage.seat.fewest)",
        "circles.read_survivors(stage.view, document)",
        *(MASKING, "floors_are_the_sites"),
    ),
    "replayed shares": Break(
        "common/masked/masking.py",
        'return {"for": "shares", "keys": seen, "from": sender, "to": receiver}',
        'return {"for": "shares", "from": sender, "to": receiver}',
        *(MASKING, "boxes_that_are_not or shown_different_keys"),
    ),
    "a share of another seed": Break(
        "common/masked/unmasking.py",
        "if committed != held.keys[site].seed:",
        "if False:",
        *(MASKING, "moves_a_seed"),
    ),
    "a dropout's masks stay in the sum": Break(
        "common/masked/unmasking.py",
        "[*_self_masks(held, openings), *_pair_masks(held, openings)]",
        "[*_self_masks(held, openings)]",
        *(MASKING, "the_sum_is_that_of_the_survivors"),
    ),
    "a seat in another attempt": Break(
        "client/door/seats.py",
        "if held is None or held.seat.circle.attempt != attempt:",
        "if held is None:",
        *(KIT, "says_no_before_it_opens"),
    ),
    "the same sums among fewer sites": Break(
        "client/door/once.py",
        '    "roster": "was answered here among other sites before",\n',
        "",
        *(ONCE, "without_one_of_the_sites"),
    ),
    "an aggregator that keeps every vector": Break(
        "server/conduct/asking.py",
        "WINDOW = 4",
        "WINDOW = 50",
        *("tests/server/test_masked_memory.py", "does_not_grow"),
    ),
    "in clear": Break(
        "common/masked/masking.py",
        "masks.add(summand.vector, _streams(stage, view))",
        "summand.vector.copy()",
        *("tests/simulations/test_masked_study.py", "uniform_and_never_the_same"),
    ),
    "beyond the limit": Break(
        "common/masked/fixed_point.py",
        "if not (np.abs(numbers) <= part.limit).all():",
        "if False:",
        *("tests/common/test_fixed_point.py", "refused_by_name_and_not_clipped"),
    ),
}


def ran(place: Path, tests: str, chosen: str) -> int:
    """Run the *chosen* ones of *tests* over the code in *place*; return the code."""
    own = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", tests, "-k", chosen]
    done = subprocess.run(  # noqa: S603 - pytest, over a copy of our own code
        [*command, "-m", "", "-p", "no:cacheprovider", "-p", "no:randomly"],
        cwd=place,
        env=own,
        capture_output=True,
        check=False,
        timeout=300,
    )
    return done.returncode


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the code and of its tests."""
    place = tmp_path_factory.mktemp("build")
    for part in PARTS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, place / part, ignore=ignored)
    for name in ("pyproject.toml", "docs", "README.md"):
        (place / name).symlink_to(ROOT / name)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_build_is_seen(copy: Path, case: str) -> None:
    each = BREAKS[case]
    path = copy / each.file
    text = path.read_text()
    assert each.true in text, "the line is another by now"
    path.write_text(text.replace(each.true, each.broken))
    try:
        assert ran(copy, each.tests, each.chosen) == pytest.ExitCode.TESTS_FAILED
    finally:
        path.write_text(text)


@pytest.mark.slow
def test_the_true_build_passes(copy: Path) -> None:
    """Or the others fail for another reason."""
    for tests in {each.tests for each in BREAKS.values()}:
        chosen = [each.chosen for each in BREAKS.values() if each.tests == tests]
        assert ran(copy, tests, " or ".join(chosen)) == pytest.ExitCode.OK


@pytest.mark.parametrize("case", BREAKS)
def test_every_line_that_is_broken_is_there(case: str) -> None:
    """The others are slow, and would not be missed for days."""
    assert BREAKS[case].true in (ROOT / BREAKS[case].file).read_text("utf-8")
