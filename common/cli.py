"""The command ``consilium``: each role's commands from its own package.

The packages are named as text and loaded when the command starts, because this module
lies below them all. Those modules import only click at the top, and their heavy parts
when a command runs: help answers at once.
"""

import os
import sys
from importlib import import_module

import click

from common import __version__, terminal

COMMANDS = (
    ("simulations.cli", "demo"),
    ("common.study_commands", "study"),
    ("simulations.cli", "simulate"),
    ("client.cli", "client"),
    ("server.cli", "server"),
)
ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "1",
}
"""Flower and Ray call home by default; a hospital's machine does not.

Keras would run on what its user chose for other work, and our rules are those of
TensorFlow, which tells of the processor unasked.
"""


def build() -> click.Group:
    """Return the whole command."""
    root = click.Group(
        "consilium",
        help="Federated learning for hospitals: only sums leave the ward.",
        epilog="First time here?   consilium demo",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root = click.version_option(__version__, prog_name="consilium")(root)
    for module, name in COMMANDS:
        root.add_command(getattr(import_module(module), name))
    return root


def main() -> None:
    """Run ``consilium`` and exit with its code."""
    os.environ.update(ENVIRONMENT)
    sys.exit(terminal.run(build(), sys.argv[1:]))
