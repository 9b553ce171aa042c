"""The reference of all variables, and the settings in effect."""

import subprocess
import sys
from pathlib import Path

import pytest

from daemon.settings import Variable, effective, load, reference_env, variables
from tests.unit.settings.test_settings import REQUIRED

REFERENCE = Path(__file__).parents[3] / "config" / "reference.env"


def test_the_committed_reference_is_the_generated_one() -> None:
    """`python -m daemon.settings > config/reference.env` makes it so."""
    assert REFERENCE.read_text(encoding="utf-8") == reference_env()


def test_the_module_writes_the_reference() -> None:
    """The command that the file's first line gives."""
    run = subprocess.run([sys.executable, "-m", "daemon.settings"], capture_output=True, check=True)
    assert run.stdout.decode() == reference_env()


@pytest.mark.parametrize("variable", variables(), ids=lambda variable: variable.name)
def test_every_variable_is_explained(variable: Variable) -> None:
    """It has a meaning, a rule and a line of its own."""
    assert len(variable.description) > 10
    assert variable.rule
    assert reference_env().count(f"\n#{variable.name}=") == 1


def test_the_defaults_of_the_reference_are_the_defaults() -> None:
    """Taking every # away changes nothing."""
    lines = [line[1:] for line in reference_env().splitlines() if line.startswith("#TOLOKAD_")]
    environ = dict(line.split("=", 1) for line in lines)
    assert load(environ | REQUIRED) == load(REQUIRED)


def test_the_reference_is_a_file_of_comments() -> None:
    """Read by a shell or by compose as it is, it sets nothing."""
    assert all(line.startswith("#") or not line for line in reference_env().splitlines())


def test_what_is_in_effect_can_be_given_again() -> None:
    """Every value, defaults included, reads back as itself."""
    given = {
        "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": "a:1,[::1]:2",
        "TOLOKAD_SUBMIT__LINGER_SECONDS": "0.25",
        "TOLOKAD_COLLECT__START_AT": "2026-01-31T12:00:00.5+03:00",
        "TOLOKAD_BUDGET__MONEY_TOTAL": "10.50",
        "TOLOKAD_TASKS__ASSIGNMENT_STATUSES": "ACCEPTED",
        "TOLOKAD_KAFKA__GROUP_ID": "team",
    }
    settings = load(REQUIRED | given)
    shown = effective(settings)
    assert shown["TOLOKAD_COLLECT__START_AT"] == "2026-01-31T09:00:00.500000Z"
    assert shown["TOLOKAD_KAFKA__LEDGER_TOPIC"] == "team.ledger"
    assert list(shown) == [variable.name for variable in variables()]
    assert load(shown | {"TOLOKAD_TOLOKA__TOKEN": REQUIRED["TOLOKAD_TOLOKA__TOKEN"]}) == settings
