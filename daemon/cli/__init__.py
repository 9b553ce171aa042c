"""The command line: thin; every command hands its work to a room of its own."""

import argparse
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

from daemon import __doc__ as promise
from daemon import __version__
from daemon.app import checking, running
from daemon.cli import looking, mending, steering
from daemon.cli.answers import Parser, add_json, carried_out, say, settings
from daemon.errors import StartError
from daemon.settings import effective

UNHEALTHY = 1
OPTIMISED = 78
PROBE_SECONDS = 3.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code says how it went (design, section 7)."""
    options = _parser().parse_args(arguments)
    if not __debug__:
        sys.stderr.write("tolokad: not with python -O: the Kafka client's own checks are assertions\n")
        return OPTIMISED
    try:
        return int(options.command(options))
    except StartError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"tolokad: {line}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="tolokad",
        description=promise,
        epilog="Settings come from the environment; config/reference.env lists every variable.",
    )
    parser.set_defaults(command=_run)
    commands = parser.add_subparsers(title="commands", parser_class=Parser, metavar="command")
    commands.add_parser("run", help="run both flows until SIGTERM (the default)").set_defaults(command=_run)
    check = commands.add_parser("check", help="say whether the settings, and with --connect the world, fit")
    check.add_argument("--connect", action="store_true", help="ask Kafka and Toloka, too")
    add_json(check)
    check.set_defaults(command=_check)
    config = commands.add_parser("config", help="print the effective settings, secrets masked")
    add_json(config)
    config.set_defaults(command=_config)
    health = commands.add_parser("healthcheck", help="ask the running daemon whether it lives")
    health.set_defaults(command=_healthcheck)
    version = commands.add_parser("version", help="print the version")
    add_json(version)
    version.set_defaults(command=_version)
    cursor_actions = looking.add_to(commands)
    steering.add_to(commands, cursor_actions)
    mending.add_to(commands)
    return parser


def _run(_: argparse.Namespace) -> int:
    return running.main(settings())


def _check(options: argparse.Namespace) -> int:
    report = carried_out(checking.check(os.environ, connect=options.connect))
    say(options, report.as_json(), report.lines())
    return report.exit_code


def _config(options: argparse.Namespace) -> int:
    shown = effective(settings())
    say(options, shown, (f"{name}={value}" for name, value in shown.items()))
    return 0


def _healthcheck(_: argparse.Namespace) -> int:
    http = settings().http
    host = "127.0.0.1" if http.host in {"0.0.0.0", ""} else http.host  # noqa: S104 - "all addresses" is reached at this one
    address = f"http://[{host}]:{http.port}" if ":" in host else f"http://{host}:{http.port}"
    try:
        # Never by a proxy: it is this machine that is asked.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{address}/livez", timeout=PROBE_SECONDS) as answer:
            healthy = answer.status == 200  # noqa: PLR2004 - HTTP's own number
    except (urllib.error.URLError, OSError) as error:
        sys.stderr.write(f"tolokad: {address}/livez: {error}\n")
        return UNHEALTHY
    return 0 if healthy else UNHEALTHY


def _version(options: argparse.Namespace) -> int:
    say(options, {"version": __version__}, [f"tolokad {__version__}"])
    return 0
