"""Flower's way into the aggregator: ``server.app:app`` runs one study to its end.

The study arrives as canonical JSON in the run's configuration; what it came to is left
in the context's state, where Flower keeps it and the command line finds it. With a
``journal`` folder in the configuration the run outlives the process; with the folder of
a ``consortium`` every message is signed, and ``submitted`` is where progress is told.
"""

import json
from pathlib import Path

from flwr.app import ConfigRecord, Context, UserConfig
from flwr.serverapp import Grid, ServerApp

from common.study import Study
from common.task import State
from common.travel import packed_arrays, wire
from server.conduct import heads, journal, retry, rounds, studies
from server.conduct import voice as voices
from server.conduct.rounds import Outcome, Terms
from server.conduct.studies import Submitted
from server.members import consortium

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the configured study over *grid*."""
    config = context.run_config
    study = Study.model_validate_json(str(config["study"]))
    folder, terms = config.get("journal"), _terms(config, study)
    if folder is None:
        _keep(context, rounds.run(study, grid, terms=terms))
        return
    with journal.held(Path(str(folder)), study.digest(), wire.PROTOCOL) as book:
        _keep(context, rounds.run(study, grid, book, terms))


def _terms(config: UserConfig, study: Study) -> Terms:
    """Return the terms of a run: those of a consortium, or of a simulation."""
    if "consortium" not in config:
        keys = [str(config[name]) for name in ("key", "pinned") if name in config]
        return Terms(voices.simulated(*keys)) if keys else Terms()
    folder = Path(str(config["consortium"]))
    voice = voices.of(consortium.load(folder))
    if "submitted" not in config:
        return Terms(voice, heads=folder / heads.NAME)
    given = Submitted(Path(str(config["submitted"])), study)
    return Terms(
        voice,
        studies.waits(given),
        studies.tells(given),
        lambda: studies.marked(given, "stop") or studies.marked(given, "retry"),
        folder / heads.NAME,
        retry.left_out(given),
    )


def _keep(context: Context, outcome: Outcome) -> None:
    about = {
        "roster": outcome.roster,
        "refusals": outcome.refusals,
        "rounds": outcome.rounds,
        "sent": outcome.sent,
        "received": outcome.received,
        "last": outcome.last,
    }
    context.state["outcome"] = ConfigRecord({"about": json.dumps(about)})
    for name, state in outcome.states.items():
        arrays = state.arrays.items()
        packed = {key: packed_arrays.packed(array) for key, array in arrays}
        context.state[f"state {name}"] = packed_arrays.record(packed)


def outcome_of(context: Context) -> Outcome:
    """Return what a finished study left in *context*."""
    about = json.loads(str(context.state.config_records["outcome"]["about"]))
    states = {
        key.removeprefix("state "): State(
            {name: packed_arrays.read(array) for name, array in record.items()},
            done=True,
        )
        for key, record in context.state.array_records.items()
    }
    return Outcome(
        states=states,
        roster=tuple(about["roster"]),
        refusals=tuple(about["refusals"]),
        rounds=about["rounds"],
        sent=about["sent"],
        received=about["received"],
        last=tuple(about["last"]),
    )
