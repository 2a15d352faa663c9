"""What the documents claim is what the program does."""

import ast
import re
from pathlib import Path

import click
import pytest

from client.documents.mapping import (
    Column,
    Csv,
    Fhir,
    Index,
    InFhir,
    InOmop,
    Mapping,
    Parquet,
    Sql,
)
from client.documents.media import Dicom, Png, Signals, Texts, Wfdb
from client.documents.picture_source import Images
from common import study as studies
from common.cli import build
from common.registry import ANALYSES, MODELS
from common.schema import Binary, Category, Image, Number, Prose, Survival
from common.sections.analyses import Analysis, Clusters, TreatmentEffect
from common.sections.cleaning import Cleaning, Quality
from common.sections.disclosure import Disclosure
from common.sections.evaluation import Evaluation
from common.sections.models import (
    Cox,
    Linear,
    Logistic,
    Multinomial,
    Poisson,
    RandomForest,
    RbfSvm,
    Svm,
)
from common.sections.networks import ImageNetwork, TabularNetwork, Training
from common.sections.terms import Privacy, Rounds
from common.study import About, Rule, Study
from server.reports import screen
from simulations.dealt import hospitals
from simulations.engines import engine
from simulations.worth import result

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
IMPORTS_FLOWER = re.compile(r"^(from|import) flwr", re.MULTILINE)
SECONDS = re.compile(r"\d+\.\d s,")


def commands(group: click.Group, path: str = "consilium") -> list[str]:
    """Return every command a person can type."""
    found = []
    for name, command in group.commands.items():
        inner = isinstance(command, click.Group)
        full = f"{path} {name}"
        found += commands(command, full) if inner else [full]
    return found


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 150
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (page.parent / link).exists(), link


def test_the_readme_shows_what_the_demo_prints(tmp_path: Path) -> None:
    study = studies.read(hospitals.write(tmp_path))
    done = result.simulate(study, result.folders(tmp_path), engine.in_process())
    created = result.datetime(2026, 1, 1, tzinfo=result.UTC)
    made = result.report(done, created, 0.3, "")
    printed = [click.unstyle(line) for line in screen.lines(made)]
    block = README.partition("AUC  ")[2].partition("report   ")[0]
    shown = [row for row in f"AUC  {block}".splitlines() if row.strip()]
    stable = {SECONDS.sub("s,", row) for row in printed}
    digits = re.compile(r"\d\.\de-\d+")
    stable = {digits.sub("tiny", row) for row in stable}
    for row in shown:
        assert digits.sub("tiny", SECONDS.sub("s,", row)) in stable, row


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for command in commands(build()):
        assert f"`{command}" in page, command


MODELS_OF_FILES = [
    About,
    Analysis,
    Binary,
    Category,
    Cox,
    Clusters,
    Cleaning,
    Column,
    Disclosure,
    Evaluation,
    Image,
    ImageNetwork,
    Images,
    Linear,
    Mapping,
    Logistic,
    Multinomial,
    Poisson,
    Number,
    Privacy,
    Quality,
    RandomForest,
    RbfSvm,
    Rounds,
    Rule,
    Csv,
    Dicom,
    Png,
    Prose,
    Signals,
    Texts,
    Wfdb,
    Fhir,
    Index,
    InFhir,
    InOmop,
    Parquet,
    Sql,
    Study,
    Survival,
    TreatmentEffect,
    Svm,
    TabularNetwork,
    Training,
]


@pytest.mark.parametrize("model", MODELS_OF_FILES, ids=lambda model: model.__name__)
def test_every_setting_is_documented(model: type) -> None:
    media = model.__module__ == Dicom.__module__
    page = (ROOT / "docs" / ("sources.md" if media else "files.md")).read_text("utf-8")
    for name, field in model.model_fields.items():
        written = field.alias or name
        assert re.search(rf"[`\[.]{written}[`\].\s]", page), written


def test_every_model_is_documented() -> None:
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    for kind in MODELS:
        assert f'"{kind}"' in page


def test_every_analysis_is_a_key_and_is_documented() -> None:
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    assert set(Analysis.model_fields) == set(ANALYSES)
    for name in ANALYSES:
        assert f"`{name}`" in page


def test_the_example_of_a_new_model_is_the_code() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    house = (ROOT / "common" / "tasks" / "linear" / "linear_models.py").read_text(
        encoding="utf-8"
    )
    registry = (ROOT / "common" / "registry.py").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        for part in block.strip().split("\n\n\n"):
            assert part.strip() in house + registry, part


def test_every_room_is_on_the_page_in_its_own_words() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = ("client", "common", "common/tasks", "server", "simulations")
    for path in (path for each in packages for path in (ROOT / each).glob("*/")):
        if (start := path / "__init__.py").exists() and path.name != "tasks":
            said = ast.literal_eval(start.read_text(encoding="utf-8").strip())
            assert f"| `{path.name}/` | {said.replace('``', '`')} |" in page, path


def test_the_files_that_may_import_flower_are_listed() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = page.partition("Flower is\nimported only in ")[2].partition(".\n")[0]
    named = set(re.findall(r"`([\w/]+)\.py`", listed))
    importing = {
        str(path.relative_to(ROOT).with_suffix(""))
        for package in ("client", "common", "server", "simulations")
        for path in (ROOT / package).rglob("*.py")
        if re.search(
            r"^(from|import) flwr", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert importing == named
