"""`python -m tests.kafka`: one broker in the foreground, until SIGINT or SIGTERM."""

import argparse
import signal
import sys
from pathlib import Path
from typing import NoReturn

from tests.kafka.broker import EmbeddedKafka
from tests.kafka.errors import KafkaUnavailableError
from tests.kafka.jars import DEFAULT_VERSION, VERSIONS
from tests.kafka.ports import free_port


def main() -> int:
    """Run a broker; returns 0 when told to stop, 69 when it could not start or ended by itself."""
    arguments = _arguments()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, _leave)
    kafka = EmbeddedKafka(
        arguments.version,
        port=arguments.port or free_port(),
        data=arguments.data,
        properties=dict(arguments.property),
    )
    try:
        return _serve(kafka)
    except KafkaUnavailableError as error:
        print(error, file=sys.stderr)
        return 69
    finally:
        kafka.close()


def _serve(kafka: EmbeddedKafka) -> int:
    try:
        kafka.start()
        print(f"Kafka {kafka.version} on {kafka.bootstrap_servers}, log in {kafka.log_path}", flush=True)
        exit_code = kafka.wait()
    except KeyboardInterrupt:
        kafka.stop()
        return 0
    raise KafkaUnavailableError(f"the broker ended by itself with exit code {exit_code}")


def _leave(_signal_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kafka", description=__doc__)
    parser.add_argument("--version", choices=VERSIONS, default=DEFAULT_VERSION)
    parser.add_argument("--port", type=int, help="for clients; a free one by default")
    parser.add_argument(
        "--data", type=Path, help="keep everything in this folder; a temporary one by default"
    )
    parser.add_argument("--property", type=_pair, action="append", default=[], metavar="NAME=VALUE")
    return parser.parse_args()


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
