"""The command line: thin; every command hands its work to a room of its own."""

import argparse
import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import NoReturn

from daemon import __doc__ as promise
from daemon import __version__
from daemon.app import checking, running
from daemon.errors import StartError
from daemon.logs import configure
from daemon.settings import Settings, effective, load

USAGE = 64
UNHEALTHY = 1
OPTIMISED = 78
PROBE_SECONDS = 3.0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


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
    parser = _Parser(
        prog="tolokad",
        description=promise,
        epilog="Settings come from the environment; config/reference.env lists every variable.",
    )
    parser.set_defaults(command=_run)
    commands = parser.add_subparsers(title="commands", parser_class=_Parser, metavar="command")
    commands.add_parser("run", help="run both flows until SIGTERM (the default)").set_defaults(command=_run)
    check = commands.add_parser("check", help="say whether the settings, and with --connect the world, fit")
    check.add_argument("--connect", action="store_true", help="ask Kafka and Toloka, too")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(command=_check)
    config = commands.add_parser("config", help="print the effective settings, secrets masked")
    config.add_argument("--json", action="store_true", help="print one JSON object")
    config.set_defaults(command=_config)
    health = commands.add_parser("healthcheck", help="ask the running daemon whether it lives")
    health.set_defaults(command=_healthcheck)
    version = commands.add_parser("version", help="print the version")
    version.add_argument("--json", action="store_true", help="print one JSON object")
    version.set_defaults(command=_version)
    return parser


def _settings() -> Settings:
    return load(os.environ)


def _run(_: argparse.Namespace) -> int:
    return running.main(_settings())


def _check(options: argparse.Namespace) -> int:
    # What is found is the answer; what the parts would log on the way is not.
    with configure("CRITICAL", "console", sys.stderr):
        report = asyncio.run(checking.check(os.environ, connect=options.connect))
    if options.json:
        print(json.dumps(report.as_json()))
    else:
        for line in report.lines():
            print(line)
    return report.exit_code


def _config(options: argparse.Namespace) -> int:
    shown = effective(_settings())
    if options.json:
        print(json.dumps(shown))
    else:
        for name, value in shown.items():
            print(f"{name}={value}")
    return 0


def _healthcheck(_: argparse.Namespace) -> int:
    http = _settings().http
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
    print(json.dumps({"version": __version__}) if options.json else f"tolokad {__version__}")
    return 0
