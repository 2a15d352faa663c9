"""``consilium study``: start a study file, check it, and print its schema."""

import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from common import terminal
from common.errors import UsageError
from common.terminal import Terminal

if TYPE_CHECKING:
    from common.told.statement import Language

TEMPLATE = """\
# A study: the one file that the consortium agrees on. `consilium study check` reads it.
format = 1
privacy = "none"            # written out on purpose: sums leave exact, without noise
                            # or promise privacy: see the end of this file

[study]
name = "{name}"
title = "What this study finds out, in one line"
purpose = "Why these hospitals do it, and what the result may be used for"
contact = "you@consortium.example"
expires = 2030-12-31
sites = ["hospital-a", "hospital-b", "hospital-c"]

[[variables]]
kind = "number"
name = "age"
unit = "a"
range = [18, 110]           # plausible values: outside becomes missing, and is counted
missing = "median"          # or "mean", or "exclude"
typical = [55, 15]          # optional: published mean and deviation; under a promise of
                            # privacy nothing is then spent on learning them

[[variables]]
kind = "number"
name = "cholesterol"
unit = "mg/dL"
range = [50, 700]
units = {{ "mmol/L" = 38.67 }}  # how other units become the declared one

[[variables]]
kind = "category"
name = "sex"
levels = ["female", "male"]  # the first is the reference in the model
missing = "mode"            # or "level", or "exclude"

[[cohort]]
variable = "age"
at_least = 18

[outcome]
kind = "binary"
name = "disease"
levels = ["absent", "present"]
positive = "present"

[model]
kind = "logistic"
ridge = 1.0                 # lambda in loss + lambda/2 |w|^2; scikit-learn's 1/C

[rounds]
quorum = 3                  # so many sites at least, or the study does not run

[evaluation]
test = 0.3                  # share of people who test, always the same people

# [analysis]                # optional; see docs/analyses.md
# quantiles = [0.25, 0.5, 0.75]
# association = true        # one test of each variable with the outcome

# [privacy]                 # instead of privacy = "none"; see docs/privacy.md
# epsilon = 1.0             # what this study may cost each person, all rounds together
# delta = 1e-5              # below 1 / expected_people
# noise = "site"            # each site's own sums keep the promise; "shared" has less
#                           # noise: only the sum over honest sites keeps it, where
#                           # colluders = 1 says how many of the quorum are not honest
# expected_people = 500     # optional: about how many train, from what is public
"""


@click.group()
def study() -> None:
    """Write and check the study that hospitals approve."""


@study.command()
@click.argument("name")
@terminal.options
def new(terminal: Terminal, name: str) -> None:
    """Write NAME.toml, a commented study to start from."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", name):
        raise UsageError(
            f"{name!r} cannot name a study",
            fix="use small letters, digits and hyphens, as in heart-2026",
        )
    path = Path(f"{name}.toml")
    if path.exists():
        raise UsageError(f"{path} exists already", fix="choose another name")
    path.write_text(TEMPLATE.format(name=name), encoding="utf-8")
    text = f"wrote {path}\nnext:   consilium study check {path}"
    terminal.result({"ok": True, "study": str(path)}, text)


@study.command()
@click.argument("path", metavar="STUDY.toml", type=click.Path(path_type=Path))
@terminal.options
def check(terminal: Terminal, path: Path) -> None:
    """Say whether STUDY.toml is valid, and what would leave each site."""
    from common import study  # noqa: PLC0415
    from common.told import advice, manifest  # noqa: PLC0415
    from common.written import slips  # noqa: PLC0415

    checked = study.read(path)
    with slips.locating(path, f"{study.CHECK}{path}"):
        leaves = manifest.lines(checked)
    doubts = advice.doubts(checked, datetime.now(tz=UTC).date())
    facts = {
        "ok": True,
        "study": checked.study.name,
        "digest": checked.digest(),
        "privacy": checked.model_dump(mode="json")["privacy"],
        "masked": checked.masked,
        "leaves": [line.facts() for line in leaves],
        "doubts": doubts,
    }
    valid = "\n".join([f"{path} is valid", *(f"but {each}" for each in doubts)])
    text = f"{valid}\n\n{manifest.text(checked, leaves)}"
    terminal.result(facts, text)


@study.command()
@terminal.options
def schema(terminal: Terminal) -> None:
    """Print the JSON Schema of a study file, for an editor that completes keys."""
    import json  # noqa: PLC0415

    from common.study import Study  # noqa: PLC0415

    described = Study.model_json_schema()
    terminal.result(described, json.dumps(described, indent=2))


@study.command()
@click.argument("path", metavar="MODEL.json", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "form",
    type=click.Choice(["sklearn-json", "onnx", "keras", "card"]),
    required=True,
    help="What for: scikit-learn's numbers, an ONNX graph, or a card to read.",
)
@terminal.OUT
@terminal.options
def export(terminal: Terminal, path: Path, form: str, out: Path) -> None:
    """Write the learned model MODEL.json in another form."""
    from common import personal  # noqa: PLC0415
    from common.learned import exporting, model_file  # noqa: PLC0415

    learned = model_file.read(path)
    written = exporting.write(learned, form, out)
    lacks = personal.told(learned.study)
    facts = {"ok": True, "digest": learned.study.digest(), "written": str(written)}
    facts |= {"lacks": lacks} if lacks else {}
    terminal.result(facts, "\n".join(filter(None, [f"wrote {written}", lacks])))


@study.command()
@click.argument("path", metavar="STUDY.toml", type=click.Path(path_type=Path))
@click.option(
    "--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True
)
@terminal.options
def privacy(terminal: Terminal, path: Path, lang: "Language") -> None:
    """State what STUDY.toml promises each person, as NIST SP 800-226 asks."""
    from common import study  # noqa: PLC0415
    from common.told import statement  # noqa: PLC0415

    stated = study.read(path)
    facts = {
        "ok": True,
        "study": stated.study.name,
        "digest": stated.digest(),
        "statement": [asdict(each) for each in statement.answers(stated, lang)],
    }
    terminal.result(facts, statement.text(stated, lang))
