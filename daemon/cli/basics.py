"""Commands that ask nobody: `config`, `version`."""

import argparse

from daemon import __version__
from daemon.cli.answers import say, settings
from daemon.settings import effective


def config(options: argparse.Namespace) -> int:
    """Print the effective settings."""
    shown = effective(settings())
    say(options, shown, (f"{name}={value}" for name, value in shown.items()))
    return 0


def version(options: argparse.Namespace) -> int:
    """Print the version."""
    say(options, {"version": __version__}, [f"tolokad {__version__}"])
    return 0
