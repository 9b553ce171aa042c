"""The command that all others are for: `run`."""

import argparse

from daemon.app import running
from daemon.cli.answers import settings


def run(_: argparse.Namespace) -> int:
    """Run both flows until told to stop."""
    return running.main(settings())
