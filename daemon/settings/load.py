"""From the environment to settings, or to everything that is wrong with it at once."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from daemon.errors import ConfigurationError
from daemon.settings.kinds import UNREADABLE
from daemon.settings.root import PREFIX, Settings
from daemon.settings.rules import broken
from daemon.settings.variables import Variable, variables

# Kubernetes sets TOLOKAD_SERVICE_HOST, TOLOKAD_PORT_8080_TCP and more for a Service named tolokad.
KUBERNETES_PREFIXES = (f"{PREFIX}SERVICE_", f"{PREFIX}PORT")
TASKS_MAX_BYTES = "1000000"
ECHOED_LETTERS = 60


def load(environ: Mapping[str, str]) -> Settings:
    """Read and check every `TOLOKAD_` variable.

    An empty value counts as not set.

    Raises:
        ConfigurationError: one sentence for each thing that is wrong, beginning with the variable's name and
            never holding a secret.
    """
    known = {variable.name: variable for variable in variables()}
    unknown = sorted(name for name in environ if _is_ours(name) and name not in known)
    given = {name: environ[name] for name in known if environ.get(name)}
    settings, unreadable = _parsed(_with_dependent_defaults(given))
    problems = [
        (name, _refusal(known[name], given[name], why)) for name, why in unreadable.items() if name in given
    ]
    problems += _broken_rules(settings, unreadable)
    if unknown or problems:
        order = list(known)
        sentences = sorted(problems, key=lambda problem: order.index(problem[0]))
        raise ConfigurationError(*_misspelt(unknown, order), *(f"{name}: {text}" for name, text in sentences))
    return settings


def _is_ours(name: str) -> bool:
    return name.upper().startswith(PREFIX) and not name.startswith(KUBERNETES_PREFIXES)


def _misspelt(unknown: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    for name in unknown:
        nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0)[0]
        shown = name if name.isprintable() else ascii(name)
        yield f"{shown}: is not a variable of tolokad; the nearest is {nearest}"


def _refusal(variable: Variable, value: str, why: str) -> str:
    reason = f": {why}" if why else ""
    if variable.quiet:
        return f"must be {variable.rule}{reason}"
    shown = value if len(value) <= ECHOED_LETTERS else value[:ECHOED_LETTERS] + "…"
    return f"must be {variable.rule}, not {shown!r}{reason}"


def _broken_rules(settings: Settings, unreadable: Collection[str]) -> list[tuple[str, str]]:
    """Rules that do not hold, less those that rest on a value which could not be read."""
    return [
        (PREFIX + rule.variable, rule.text)
        for rule in broken(settings)
        if not any(PREFIX + name in unreadable for name in (rule.variable, *rule.others))
    ]


def _with_dependent_defaults(given: Mapping[str, str]) -> dict[str, str]:
    """Fill in the defaults that depend on another variable, as if they had been given."""
    group = given.get("TOLOKAD_KAFKA__GROUP_ID", "tolokad")
    defaults = {
        "TOLOKAD_KAFKA__LEDGER_TOPIC": f"{group}.ledger",
        "TOLOKAD_KAFKA__CURSOR_TOPIC": f"{group}.cursors",
    }
    if given.get("TOLOKAD_TOLOKA__API", "").casefold() == "tasks":
        defaults["TOLOKAD_SUBMIT__MAX_BYTES"] = TASKS_MAX_BYTES
    if given.get("TOLOKAD_KAFKA__SECURITY_PROTOCOL", "").upper().startswith("SASL_"):
        defaults["TOLOKAD_KAFKA__SASL_MECHANISM"] = "PLAIN"
    return defaults | dict(given)


class _Given(EnvSettingsSource):
    """The library's reading of an environment, applied to the one we were handed."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(Settings)
        # The library compares in lower case; that names were exact has been seen to.
        self.env_vars = {name.lower(): value for name, value in given.items()}


def _parsed(given: Mapping[str, str]) -> tuple[Settings, Mapping[str, str]]:
    """The settings without the values that cannot be read, and the variables that held those.

    Of each why it cannot, where that may be told.
    """
    try:
        return Settings(**_Given(given)()), {}
    except ValidationError as error:
        # Without input and context: the library's own would hold secrets.
        details = error.errors(include_input=False, include_context=False, include_url=False)
    wrong = {
        variable.name: detail["msg"] if detail["type"] == UNREADABLE else ""
        for variable in variables()
        for detail in details
        if detail["loc"][: len(variable.place)] == variable.place
    }
    settings, _ = _parsed({name: value for name, value in given.items() if name not in wrong})
    return settings, wrong
