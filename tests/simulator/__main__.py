"""Run the simulator: `python -m tests.simulator --port 8080`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from tests.simulator.faults import Fault
from tests.simulator.knobs import Knobs, patched
from tests.simulator.serving import serve
from tests.simulator.world import MODERATION_PROJECT, default_world


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with a flag for every knob."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description="A Toloka to run against.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, for any free one")
    parser.add_argument("--seed", type=int, default=0, help="of its randomness (default: 0)")
    parser.add_argument("--record", type=Path, help="file to which every new item is appended")
    parser.add_argument("--certfile", type=Path, help="certificate chain, for HTTPS")
    parser.add_argument("--keyfile", type=Path, help="private key, for HTTPS")
    parser.add_argument("--project-id", default=MODERATION_PROJECT, help="id of the text moderation project")
    parser.add_argument("--project-alias", default="", help="another name for it, such as P")
    parser.add_argument("--faults", default="[]", help='JSON array, as in [{"kind": "drop", "every": 5}]')
    knobs = parser.add_argument_group("knobs")
    for knob in fields(Knobs):
        _add_knob(knobs, knob.name, knob.default)
    return parser


def _add_knob(group: argparse._ArgumentGroup, name: str, default: Any) -> None:
    hint = get_type_hints(Knobs, include_extras=True)[name]
    choices = get_args(hint.__origin__) if get_origin(hint.__origin__) is Literal else ()
    shown = "{" + ",".join(map(str, choices)) + "}" if choices else "VALUE"
    text = ",".join(default) if isinstance(default, tuple) else str(default).lower()
    help_text = f"{hint.__metadata__[-1]} (default: {text or 'empty'})"
    group.add_argument(f"--{name.replace('_', '-')}", metavar=shown, help=help_text)


def knobs_of(arguments: argparse.Namespace) -> Knobs:
    """Return the knobs that the command line sets.

    Raises:
        ValueError: a value that a knob cannot have.
    """
    names = [knob.name for knob in fields(Knobs)]
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if "credentials" in given:
        given["credentials"] = given["credentials"].split(",")
    return patched(Knobs(), {name: None if value == "none" else value for name, value in given.items()})


async def run(arguments: argparse.Namespace, knobs: Knobs, faults: list[Fault]) -> None:
    """Serve until SIGTERM or SIGINT; print the address once it listens."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve(
        knobs,
        host=arguments.host,
        port=arguments.port,
        seed=arguments.seed,
        world=default_world(arguments.project_id, arguments.project_alias),
        record=arguments.record,
        ssl_context=_ssl_context(arguments),
    ) as simulator:
        simulator.faults.add(*faults)
        print(simulator.url, flush=True)
        await stopped.wait()


def _ssl_context(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    if arguments.certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.certfile, arguments.keyfile)
    return context


def main() -> None:
    """Read the command line and serve."""
    command_line = parser()
    arguments = command_line.parse_args()
    try:
        knobs = knobs_of(arguments)
        faults = msgspec.json.decode(arguments.faults, type=list[Fault])
    except ValueError as error:
        command_line.error(str(error))
    asyncio.run(run(arguments, knobs, faults))


if __name__ == "__main__":
    main()
