"""``consilium client predict`` and ``gain``: what a learned model is worth here."""

from pathlib import Path
from typing import Any

import click

from client.commands.steward_commands import at_site
from common import terminal
from common.errors import UsageError
from common.terminal import FILE, Terminal


@click.command()
@click.argument("model", metavar="MODEL.json", type=FILE)
@at_site
@click.option(
    "--data",
    "file",
    type=terminal.PLACE,
    help="Another file than that of [data]; of pictures a folder, or one of them.",
)
@click.option("--person", "number", help="One person, with every contribution.")
@click.option(
    "--treatments",
    is_flag=True,
    help="What is expected under each treatment; MODEL.json is a treatments.json.",
)
@click.option(
    "--heat-maps",
    "maps",
    type=terminal.FOLDER,
    help="A folder for pictures of where each of those in --data speaks for a yes.",
)
@click.option(
    "--out",
    type=FILE,
    default="predictions.csv",
    show_default=True,
    help="Where a line for each record goes, for your eyes only.",
)
@terminal.options
def predict(terminal: Terminal, model: Path, path: Path, **given: object) -> None:
    """Say what MODEL.json expects of each record here; nothing is sent."""
    from client import site  # noqa: PLC0415 - pandas loads here
    from client.bedside import predicting, treating  # noqa: PLC0415 - pandas loads here
    from client.numbers import persons  # noqa: PLC0415 - pandas loads here
    from common import personal  # noqa: PLC0415
    from common.learned import model_file  # noqa: PLC0415

    local = site.read(path)
    learned = predicting.read_model(local, model)
    if not model_file.is_signed(model):
        terminal.say(
            "this model is not signed: a simulation's, or nobody vouches for it"
        )
    if words := personal.named(learned.study):
        terminal.say(f"with the {words} that {local.name} learned for itself")
    file, number, out = given["file"], given["number"], Path(str(given["out"]))
    source = Path(str(file)) if file else None
    maps = Path(str(given["maps"])) if given["maps"] else None
    if source and learned.study.kind == "image_network":
        from client.bedside import picture_predicting  # noqa: PLC0415 - pydicom is an extra

        if number:
            raise UsageError(
                "--person looks among the records of site.toml, and not in --data",
                fix="leave out --data; or name one picture:   --data FILE",
            )
        told = picture_predicting.predict(local, learned, source, maps)
        picture_predicting.write(told, out)
        facts = picture_predicting.facts(told, out)
        terminal.result(facts, picture_predicting.text(told, out))
        return
    if maps:
        raise UsageError(
            "--heat-maps are of pictures that an image_network reads from --data",
            fix="--data FOLDER   with a model of kind image_network",
        )
    way: Any = treating if given["treatments"] else predicting
    said = way.predict(local, learned, source)
    if number:
        one = said.of(persons.pseudonym(local.home, str(number)))
        facts = {"ok": True, "records": one.facts()}
        terminal.result(facts, way.text(one))
        return
    way.write(said, out)
    count, none = len(said.outside), sum(bool(each) for each in said.outside)
    facts = {"ok": True, "records": count, "refused": none, "written": str(out)}
    what = f"{count} records, nothing said of {none}; wrote {out}, in their order"
    terminal.result(facts, what)


@click.command()
@click.argument("model", metavar="MODEL.json", type=FILE)
@at_site
@terminal.options
def gain(terminal: Terminal, model: Path, path: Path) -> None:
    """Compare MODEL.json with one of this hospital alone, on its own test people."""
    from client import site  # noqa: PLC0415
    from client.bedside import gaining, predicting  # noqa: PLC0415

    local = site.read(path)
    found = gaining.gain(local, predicting.read_model(local, model))
    terminal.result(found.facts(), found.text())


COMMANDS = (predict, gain)
