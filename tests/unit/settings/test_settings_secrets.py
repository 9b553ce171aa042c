"""Secrets by value and by file; none is ever shown."""

import os
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from daemon.edges.toloka.clocks import DateClock, SystemClock
from daemon.edges.toloka.endpoint import Endpoint
from daemon.errors import ConfigurationError
from daemon.metrics import Metrics
from daemon.settings import Settings, TolokaSettings, effective, load, variables
from tests.unit.settings.test_settings import REQUIRED
from tests.unit.settings.test_settings_errors import problems

CANARY = "canary-51c0"
SASL = {"TOLOKAD_KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "TOLOKAD_KAFKA__SASL_USERNAME": "user"}
SECRETS = ["TOLOKAD_TOLOKA__TOKEN", "TOLOKAD_KAFKA__SASL_PASSWORD"]
WITHOUT_SECRETS = {key: value for key, value in REQUIRED.items() if key != "TOLOKAD_TOLOKA__TOKEN"} | SASL
WITH_SECRETS = WITHOUT_SECRETS | dict.fromkeys(SECRETS, CANARY)


def in_files(folder: Path, content: bytes = CANARY.encode() + b"\n") -> dict[str, str]:
    """An environment whose secrets stand in files."""
    file = folder / "secret"
    file.write_bytes(content)
    return WITHOUT_SECRETS | {f"{name}_FILE": str(file) for name in SECRETS}


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_secret_can_stand_in_a_file(tmp_path: Path, ending: bytes) -> None:
    """The newline that ends the file is no part of it."""
    settings = load(in_files(tmp_path, CANARY.encode() + ending))
    assert settings.toloka.read_token() == CANARY
    assert settings.kafka.read_sasl_password() == CANARY
    assert settings.toloka.authorization() == f"OAuth {CANARY}"


def test_a_rotated_file_is_read_again(tmp_path: Path) -> None:
    """Rotating a key needs no restart, not even between the two kinds of credential."""
    settings = load(in_files(tmp_path))
    (tmp_path / "secret").write_text("k" * 22 + ".new.key\n")
    assert settings.toloka.authorization() == f"ApiKey {'k' * 22}.new.key"
    assert settings.secrets() == ("k" * 22 + ".new.key",) * 2


def test_a_file_that_goes_away_is_an_error_without_a_secret(tmp_path: Path) -> None:
    """The caller can go on with what it has."""
    settings = load(in_files(tmp_path))
    (tmp_path / "secret").unlink()
    with pytest.raises(ConfigurationError, match="TOLOKAD_TOLOKA__TOKEN_FILE: cannot be read"):
        settings.toloka.read_token()


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"can\nary", b"can\rary", "cänary".encode(), b"can ary", b"\xff\xfe", b"can\0ary"]
)
def test_an_unusable_token_is_refused(tmp_path: Path, content: bytes) -> None:
    """It becomes part of a header."""
    environ = REQUIRED | {"TOLOKAD_TOLOKA__TOKEN": ""}
    file = tmp_path / "token"
    file.write_bytes(content)
    (problem,) = problems(environ | {"TOLOKAD_TOLOKA__TOKEN_FILE": str(file)})
    assert problem.startswith("TOLOKAD_TOLOKA__TOKEN_FILE: ")
    assert "can" not in problem.replace("cannot", "")


@pytest.mark.parametrize("value", ["can\nary", "can ary", "cän", "\n", "can\r\nX-Header: y"])
def test_an_unusable_token_in_a_variable_is_refused(value: str) -> None:
    """As in a file."""
    (problem,) = problems(REQUIRED | {"TOLOKAD_TOLOKA__TOKEN": value})
    assert problem.startswith("TOLOKAD_TOLOKA__TOKEN: must hold printable ASCII")


def test_a_password_may_hold_any_letters() -> None:
    """Only the token becomes part of a header."""
    password = "pä ss'\"\\"
    assert load(WITH_SECRETS | {SECRETS[1]: password}).kafka.read_sasl_password() == password
    (problem,) = problems(WITH_SECRETS | {SECRETS[1]: "a\nb"})
    assert problem.startswith("TOLOKAD_KAFKA__SASL_PASSWORD: must hold one line of text")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_given_twice_is_refused(name: str, tmp_path: Path) -> None:
    """Nobody should have to guess which of the two counts."""
    environ = in_files(tmp_path) | {name: CANARY}
    (problem,) = problems(environ)
    assert problem == f"{name}: is given twice, with {name}_FILE: use one"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("path", "why"),
    [
        (CANARY, "No such file or directory"),
        (CANARY * 500, "File name too long"),
        ("/" + CANARY, "No such file or directory"),
        ("/", "Is a directory"),
    ],
)
def test_a_secret_given_in_place_of_its_file_is_not_repeated(name: str, path: str, why: str) -> None:
    """The commonest slip of all; why the file cannot be read is said without it."""
    environ = {key: value for key, value in WITH_SECRETS.items() if key != name}
    (problem,) = problems(environ | {f"{name}_FILE": path})
    assert problem == f"{name}_FILE: must be a readable file: {why}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    """At start, not at the first request."""
    environ = in_files(tmp_path)
    (tmp_path / "secret").chmod(0)
    assert len(problems(environ)) == 2


@pytest.mark.parametrize("proxy", [f"http://user:{CANARY}@proxy:3128", f"http://{CANARY}@proxy:3128/"])
def test_a_proxy_is_shown_without_its_credentials(proxy: str) -> None:
    """Its host is worth seeing, the rest is not."""
    settings = load(REQUIRED | {"TOLOKAD_TOLOKA__PROXY": proxy})
    assert settings.toloka.proxy is not None
    assert settings.toloka.proxy.get_secret_value() == proxy
    assert effective(settings)["TOLOKAD_TOLOKA__PROXY"] == "http://********@proxy:3128"
    assert CANARY not in repr(settings) + str(settings)


def test_a_proxy_can_stand_in_a_file(tmp_path: Path) -> None:
    """Its address may hold a password, which is left out of the log like any other."""
    file = tmp_path / "proxy"
    file.write_text(f"http://user:{CANARY}@proxy:3128\n")
    settings = load(REQUIRED | {"TOLOKAD_TOLOKA__PROXY_FILE": str(file)})
    assert Endpoint.of(settings.toloka, SystemClock(), DateClock(SystemClock()), Metrics()).proxy == (
        f"http://user:{CANARY}@proxy:3128"
    )
    assert CANARY in settings.secrets()


@pytest.mark.parametrize(
    ("besides", "problem"),
    [
        ({}, "_FILE: must hold http://[user:password@]host:port"),
        (
            {"TOLOKAD_TOLOKA__PROXY": "http://proxy:3128"},
            ": is given twice, with TOLOKAD_TOLOKA__PROXY_FILE: use one",
        ),
    ],
)
def test_a_proxys_file_that_cannot_be_used(besides: dict[str, str], problem: str, tmp_path: Path) -> None:
    """What stands in it is not repeated."""
    file = tmp_path / "proxy"
    file.write_text(f"socks5://user:{CANARY}@proxy:1080")
    environ = REQUIRED | besides | {"TOLOKAD_TOLOKA__PROXY_FILE": str(file)}
    assert problems(environ) == (f"TOLOKAD_TOLOKA__PROXY{problem}",)


def test_the_secrets_for_the_log_to_leave_out() -> None:
    """A proxy's password is one in both of its forms."""
    environ = WITH_SECRETS | {"TOLOKAD_TOLOKA__PROXY": "http://user:p%40ss@proxy:3128"}
    assert set(load(environ).secrets()) == {CANARY, "p%40ss", "p@ss"}


def test_no_secret_in_any_form_of_the_settings() -> None:
    """Neither the table for people nor Python's own forms of it."""
    settings = load(WITH_SECRETS)
    shown = effective(settings)
    assert {name for name, value in shown.items() if value == "********"} == set(SECRETS)
    assert (
        CANARY
        not in f"{settings!r} {settings} {shown} {settings.model_dump()} {settings.toloka.token_secret}"
    )
    assert CANARY not in settings.model_dump_json()


@pytest.mark.parametrize("variable", variables(), ids=lambda variable: variable.name)
def test_no_secret_in_an_error_about_anything(variable: object) -> None:
    """A wrong value beside the secrets, in every section, does not bring them out."""
    name = getattr(variable, "name", "")
    with pytest.raises(ConfigurationError) as caught:
        load(WITH_SECRETS | {name: "\udcff\n"})
    error = caught.value
    chain = f"{error} {error!r} {error.__cause__!r} {error.__context__!r} {error.problems}"
    assert CANARY not in chain
    assert all(re.match(r"TOLOKAD_\w+: ", problem) for problem in error.problems)


@pytest.mark.parametrize("kind", [Settings, TolokaSettings])
def test_what_a_variable_held_is_not_repeated_by_the_librarys_own_error(kind: type[BaseModel]) -> None:
    """Wherever one is raised, it may end up in a log."""
    with pytest.raises(ValidationError) as raised:
        kind.model_validate({"toloka": CANARY, "token": [CANARY]})
    assert CANARY not in str(raised.value)
