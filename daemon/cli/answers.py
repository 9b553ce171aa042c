"""How a command is started and how it answers: lines for people, or one JSON document."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from daemon.cli.streams import complain
from daemon.logs import configure
from daemon.settings import Settings, load

FOUND_SOMETHING = 1

T = TypeVar("T")


def settings() -> Settings:
    """The settings that the environment holds.

    Raises:
        ConfigurationError: naming everything that is wrong with them.
    """
    return load(os.environ)


def carried_out(work: Coroutine[Any, Any, T]) -> T:
    """Do a command's work to its end; what the parts would log on the way is no answer."""
    with configure("CRITICAL", "console", sys.stderr):
        return asyncio.run(work)


def say(options: argparse.Namespace, document: object, lines: Iterable[str]) -> None:
    """Answer with one JSON document, if that was asked for, or else with lines."""
    if options.json:
        print(json.dumps(document))
        return
    for line in lines:
        print(line)


def remark(text: str) -> None:
    """Say something that is no part of the answer."""
    complain(f"tolokad: {text}\n")
