"""The command line by itself: what it says, what it takes, and how little it opens."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from daemon import __version__
from daemon.cli import main
from daemon.cli.commands import FLOWS, parser
from daemon.cli.health import HOST, PORT
from daemon.metrics import labels
from daemon.settings import HttpSettings

# What takes long to import, and what none of the light commands needs.
HEAVY = ("aiokafka", "asyncio", "httpx", "prometheus_client", "pydantic", "structlog")


def commands(place: argparse.ArgumentParser, *words: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command below a parser, with the words that lead to it."""
    further = [action for action in place._actions if isinstance(action, argparse._SubParsersAction)]
    if not further or not words:
        yield " ".join(words) or "tolokad", place
    for action in further:
        for word, command in action.choices.items():
            yield from commands(command, *words, word)


COMMANDS = dict(commands(parser()))
# These begin no daemon and ask no one, or are asked by a machine.
WITHOUT_JSON = {"tolokad", "run", "healthcheck"}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_work(name: str) -> None:
    """What a command line asks for is there, in the room that it names."""
    room, _, function = COMMANDS[name].get_default("work").partition(".")
    assert callable(getattr(import_module(f"daemon.cli.{room}"), function))


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WITHOUT_JSON))
def test_each_command_explains_itself(name: str) -> None:
    """Its help has a paragraph and an example that can be carried out, and it answers in JSON."""
    command = COMMANDS[name]
    assert command.description
    assert "--json" in command.format_help()
    if name == "version":
        return
    _, *examples = (command.epilog or "").splitlines()
    assert examples
    for example in examples:
        words = example.partition("|")[0].split()
        assert words[0] == "tolokad"
        assert parser().parse_args(words[1:]).work == command.get_default("work")


@pytest.mark.parametrize("arguments", [("--help",), ("ledger", "show", "--help"), ("healthcheck",)])
def test_light_commands(arguments: tuple[str, ...]) -> None:
    """Help and the probe that a container runs every few seconds import nothing that takes long."""
    program = (
        "import sys\nfrom daemon.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print('opened', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "TOLOKAD_HTTP__HOST": "127.0.0.1", "TOLOKAD_HTTP__PORT": "1"},
    )
    assert ended.stdout.splitlines()[-1] == "opened", ended.stdout


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [("run", 0, "tolokad: stopped before anything had begun\n"), ("audit", -signal.SIGTERM, "")],
)
def test_a_signal_that_comes_before_the_daemon_listens(command: str, code: int, said: str) -> None:
    """To open the house takes a second: whoever asks for an end meanwhile is told that it is a clean one."""
    program = (
        "import os, signal, sys\nfrom daemon import cli\n"
        "cli.import_module = lambda _: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, command], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (code, said)


def test_the_version_is_told_by_an_option_too(capsys: pytest.CaptureFixture[str]) -> None:
    """People try `--version` first."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    told = capsys.readouterr().out
    assert (ended.value.code, main(["version"])) == (0, 0)
    assert told == capsys.readouterr().out == f"tolokad {__version__}\n"


def test_what_is_said_twice_agrees() -> None:
    """The defaults that `healthcheck` has without the settings are the settings'; so are the flows' names."""
    assert HttpSettings(host=HOST, port=int(PORT)) == HttpSettings()
    assert FLOWS == labels.FLOWS


@pytest.mark.parametrize("wrong", ["1200", "a:1", "1:-2", ":"])
def test_a_place_is_partition_and_offset(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A record is named as 3:1200; what is not ends with the exit code for wrong usage and says how."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["ledger", "show", f"--offset={wrong}"])
    assert ended.value.code == 64
    assert "must be" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("cursor", "set", "--to", ""),
        ("cursor", "set", "--to", "0001-01-01"),
        ("cursor", "set", "--to", "0001-01-01T00:00:00+10:00"),
        ("cursor", "set", "--to", "\udcff"),
        ("dlq", "list", "--since", "0001-01-01T00:00:00+10:00"),
    ],
)
def test_a_time_or_id_that_cannot_be_is_wrong_usage(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said at once, and not by a traceback."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == 64
    assert "must be a time" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(RuntimeError("x"), 70), (KeyboardInterrupt(), 130)])
def test_a_command_that_fails_is_told_from_one_that_found_something(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 is an answer: a defect and Ctrl-C have codes of their own."""

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr("daemon.cli.basics.version", fail)
    assert main(["version"]) == code


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_answer_in_letters_that_the_locale_has_not(encoding: str) -> None:
    """It is written all the same: an answer that cannot be shown would be taken for a defect."""
    settings = {
        "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "TOLOKAD_TOLOKA__PROJECT_ID": "p",
        "TOLOKAD_TOLOKA__TOKEN": "t",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "daemon", "check"],
        capture_output=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": encoding, **settings},
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout == rb"\u2713 settings: all values are usable" + b"\n"


@pytest.mark.parametrize("word", ["version", "--help", "--version"])
def test_a_reader_that_has_had_enough_ends_a_command_without_a_word(word: str) -> None:
    """As `tolokad dlq list | head -1` does."""
    arguments = [sys.executable, "-m", "daemon", word]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == (b"", 141)


@pytest.mark.parametrize("word", ["version", "--help"])
def test_an_answer_that_cannot_be_written_is_told_from_a_defect(word: str) -> None:
    """A full disk is named."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "daemon", word], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (ended.returncode, ended.stderr) == (
        141,
        b"tolokad: the answer cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize(("word", "code"), [("nonsense", 64), ("config", 78), ("healthcheck", 1)])
def test_an_exit_code_says_what_a_full_disk_does_not_take(word: str, code: int) -> None:
    """What is wrong cannot be told, and is no other mistake for that."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "daemon", word],
            stderr=full,
            env={"PYTHONPATH": ":".join(sys.path), "TOLOKAD_HTTP__PORT": "0"},
            check=False,
        )
    assert ended.returncode == code


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_defect(closed: str) -> None:
    """Whoever wants only the exit code gets it."""
    command = f"exec {sys.executable} -m daemon version {closed}"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
