"""What is wrong is said all at once, by name, with what would be right."""

import pytest

from daemon.errors import ConfigurationError
from daemon.settings import load, variables
from tests.unit.settings.test_settings import REQUIRED

CANARY = "canary-7f3b"
# A variable, a wrong value, and a part of the sentence that says so.
REFUSED = [
    ("KAFKA__BOOTSTRAP_SERVERS", "broker", "host:port"),
    ("KAFKA__BOOTSTRAP_SERVERS", "a:1,,b:2", "host:port"),
    ("KAFKA__BOOTSTRAP_SERVERS", "a:0", "host:port"),
    ("KAFKA__BOOTSTRAP_SERVERS", "a:65536", "host:port"),
    ("KAFKA__BOOTSTRAP_SERVERS", "kafka://a:9092", "host:port"),
    ("KAFKA__BOOTSTRAP_SERVERS", ":9092", "host:port"),
    ("KAFKA__SECURITY_PROTOCOL", "TLS", "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, not 'TLS'"),
    ("KAFKA__GROUP_ID", "a b", "not 'a b'"),
    ("KAFKA__GROUP_ID", "a" * 201, "1 to 200"),
    ("KAFKA__INPUT_TOPIC", "a/b", "a topic name"),
    ("KAFKA__INPUT_TOPIC", "..", "a topic name"),
    ("KAFKA__INPUT_TOPIC", "a" * 250, "a topic name"),
    ("KAFKA__OUTPUT_TOPIC", "__consumer_offsets", "a topic name"),
    ("KAFKA__CREATE_TOPICS", "perhaps", "true or false, not 'perhaps'"),
    ("KAFKA__SESSION_TIMEOUT_SECONDS", "0", "between 1 and 1800, not '0'"),
    ("KAFKA__SESSION_TIMEOUT_SECONDS", "1801", "between 1 and 1800"),
    ("KAFKA__START_FROM", "now", "one of earliest, latest, not 'now'"),
    ("TOLOKA__URL", "toloka.dev", "an https address"),
    ("TOLOKA__URL", "ftp://toloka.dev", "an https address"),
    ("TOLOKA__URL", "https://user@toloka.dev", "without user name"),
    ("TOLOKA__URL", "https://toloka.dev?a=b", "an https address"),
    ("TOLOKA__URL", "https://toloka.dev?", "an https address"),
    ("TOLOKA__URL", "https://toloka.dev#a", "an https address"),
    ("TOLOKA__URL", "https://toloka.dev:port", "an https address"),
    ("TOLOKA__URL", "https://tolo ka.dev", "an https address"),
    ("TOLOKA__URL", "https://", "an https address"),
    ("TOLOKA__URL", "https://toloka.dev\r\nX: y", "an https address"),
    ("TOLOKA__URL", "https://toloka.dev/api/v1", "fragment or the API's own /api/…"),
    ("TOLOKA__URL", "https://toloka.dev/api/app/v1/", "the API's own /api/…"),
    ("TOLOKA__URL", "https://toloka.dev/api/app", "the API's own /api/…"),
    ("TOLOKA__URL", "http://toloka.dev", "must be https"),
    ("TOLOKA__URL", "http://127.0.0.1.evil.example", "must be https"),
    ("TOLOKA__URL", "http://localhost.evil.example", "must be https"),
    ("TOLOKA__URL", "http://0.0.0.0", "must be https"),
    ("TOLOKA__API", "v1", "one of app, tasks"),
    ("TOLOKA__PROJECT_ID", "a/../b", "letters, digits"),
    ("TOLOKA__ACCOUNT_ID", "a\r\nb", "letters, digits"),
    ("TOLOKA__AUTH_SCHEME", "Bearer", "one of auto, OAuth, ApiKey"),
    ("TOLOKA__REQUESTS_PER_SECOND", "0", "above 0"),
    ("TOLOKA__REQUESTS_PER_SECOND", "inf", "above 0"),
    ("TOLOKA__ITEMS_PER_MINUTE", "1.5", "a whole number of at least 1, not '1.5'"),
    ("TOLOKA__ITEMS_PER_DAY", "0", "a whole number of at least 1"),
    (
        "TOLOKA__CA_FILE",
        "/does/not/exist",
        "a readable file, not '/does/not/exist': No such file or directory",
    ),
    ("TOLOKA__CA_FILE", "/", "a readable file, not '/': Is a directory"),
    ("TOLOKA__PROXY", "proxy:3128", "http://[user:password@]host:port"),
    ("TOLOKA__PROXY", "socks5://proxy:1080", "http://[user:password@]host:port"),
    ("TOLOKA__PROXY", "http://proxy/path", "http://[user:password@]host:port"),
    ("SUBMIT__ENABLED", "2", "true or false"),
    ("SUBMIT__MAX_ITEMS", "abc", "a whole number between 1 and 10000, not 'abc'"),
    ("SUBMIT__MAX_ITEMS", "0", "between 1 and 10000, not '0'"),
    ("SUBMIT__MAX_ITEMS", "10001", "between 1 and 10000"),
    ("SUBMIT__MAX_BYTES", "999", "between 1000 and"),
    ("SUBMIT__LINGER_SECONDS", "-1", "between 0 and 3600"),
    ("SUBMIT__LINGER_SECONDS", "nan", "between 0 and 3600"),
    ("SUBMIT__REQUEST_TIMEOUT_SECONDS", "0", "above 0"),
    ("SUBMIT__REQUEST_TIMEOUT_SECONDS", "60.5", "at least twice"),
    ("SUBMIT__QUARANTINE_SECONDS", "39", "must be at least twice TOLOKAD_SUBMIT__REQUEST_TIMEOUT_SECONDS"),
    ("SUBMIT__ITEM_POINTER", "payload", "a JSON Pointer"),
    ("SUBMIT__ITEM_POINTER", "/a~2", "a JSON Pointer"),
    ("SUBMIT__MAX_REJECTED_RATIO", "1.1", "between 0 and 1"),
    ("SUBMIT__REJECTED_WINDOW_ITEMS", "0", "between 1 and"),
    ("TASKS__ASSIGNMENT_STATUSES", "SUBMITTED,ACTIVE", "a comma list"),
    ("TASKS__ASSIGNMENT_STATUSES", "SUBMITTED,submitted", "none twice"),
    ("TASKS__ASSIGNMENT_STATUSES", ",", "a comma list"),
    ("BUDGET__ITEMS_PER_DAY", "0", "a whole number of at least 1"),
    ("BUDGET__MONEY_TOTAL", "0", "a number above 0"),
    ("BUDGET__MONEY_TOTAL", "NaN", "a number above 0"),
    ("COLLECT__INTERVAL_SECONDS", "0", "above 0"),
    ("COLLECT__PAGE_SIZE", "1001", "between 1 and 1000"),
    ("COLLECT__OVERLAP_SECONDS", "-1", "between 0"),
    ("COLLECT__OVERLAP_EVERY_SECONDS", "0", "above 0"),
    ("COLLECT__SWEEP_AFTER_SECONDS", "0", "above 0"),
    ("COLLECT__SWEEP_EVERY_SECONDS", "never", "above 0"),
    ("COLLECT__UNKNOWN_ITEMS", "drop", "one of ignore, publish"),
    ("COLLECT__START_AT", "yesterday", "now, earliest, or a time"),
    ("COLLECT__START_AT", "1700000000", "now, earliest, or a time"),
    ("COLLECT__START_AT", "2927-01-31T12:00:00Z", "not be later than now, not 2927-01-31T12:00:00Z"),
    ("HTTP__HOST", "a host", "a host name or address"),
    ("HTTP__PORT", "65536", "between 0 and 65535"),
    ("LOG__LEVEL", "TRACE", "one of DEBUG, INFO"),
    ("LOG__FORMAT", "xml", "one of auto, console, json"),
    ("SHUTDOWN_SECONDS", "0", "above 0"),
]


def problems(environ: dict[str, str]) -> tuple[str, ...]:
    """The sentences that an environment is refused with."""
    with pytest.raises(ConfigurationError) as caught:
        load(environ)
    return caught.value.problems


def kafka(**given: str) -> dict[str, str]:
    """An environment that is right except for what is given here."""
    return REQUIRED | {f"TOLOKAD_KAFKA__{name}": value for name, value in given.items()}


@pytest.mark.parametrize(("name", "text", "sentence"), REFUSED)
def test_a_wrong_value_is_refused_with_one_sentence(name: str, text: str, sentence: str) -> None:
    """It names the variable, or the one to blame, and says what would be right."""
    blamed = "SUBMIT__QUARANTINE_SECONDS" if sentence == "at least twice" else name
    (problem,) = problems(REQUIRED | {f"TOLOKAD_{name}": text})
    assert problem.startswith(f"TOLOKAD_{blamed}: must ")
    assert sentence in problem
    assert "\n" not in problem


def test_a_long_value_is_not_repeated_in_full() -> None:
    """A certificate pasted into the wrong variable does not fill the screen."""
    (problem,) = problems(REQUIRED | {"TOLOKAD_SUBMIT__MAX_ITEMS": "x" * 5000})
    assert len(problem) < 200


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_what_is_required_is_asked_for(name: str) -> None:
    """Each by itself."""
    (problem,) = problems({key: value for key, value in REQUIRED.items() if key != name})
    assert problem.startswith(f"{name}: is required")


def test_a_pool_is_required_for_tasks() -> None:
    """And a project is not."""
    (problem,) = problems({**REQUIRED, "TOLOKAD_TOLOKA__PROJECT_ID": "", "TOLOKAD_TOLOKA__API": "tasks"})
    assert problem.startswith("TOLOKAD_TOLOKA__POOL_ID: is required")


def test_tasks_are_at_most_five_thousand() -> None:
    """What is right for one API may be too much for the other."""
    environ = {"TOLOKA__API": "tasks", "TOLOKA__POOL_ID": "1", "SUBMIT__MAX_ITEMS": "5001"}
    (problem,) = problems(REQUIRED | {f"TOLOKAD_{name}": value for name, value in environ.items()})
    assert problem.startswith("TOLOKAD_SUBMIT__MAX_ITEMS: must be at most 5000")
    environ["SUBMIT__MAX_ITEMS"] = "5000"
    load(REQUIRED | {f"TOLOKAD_{name}": value for name, value in environ.items()})


def test_one_flow_must_run() -> None:
    """Either alone will do."""
    off = {"TOLOKAD_SUBMIT__ENABLED": "false", "TOLOKAD_COLLECT__ENABLED": "false"}
    (problem,) = problems(REQUIRED | off)
    assert "TOLOKAD_SUBMIT__ENABLED" in problem
    for name in off:
        load(REQUIRED | {name: "false"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("INPUT_TOPIC", "OUTPUT_TOPIC"),
        ("INPUT_TOPIC", "DEAD_LETTER_TOPIC"),
        ("OUTPUT_TOPIC", "DEAD_LETTER_TOPIC"),
        ("OUTPUT_TOPIC", "LEDGER_TOPIC"),
        ("LEDGER_TOPIC", "CURSOR_TOPIC"),
        ("INPUT_TOPIC", "CURSOR_TOPIC"),
    ],
)
@pytest.mark.parametrize("same", ["some.topic", "some_topic"])
def test_topics_differ(one: str, other: str, same: str) -> None:
    """Also where Kafka would take two names for one."""
    (problem,) = problems(kafka(**{one: "some.topic", other: same}))
    assert problem.startswith(f"TOLOKAD_KAFKA__{other}: must differ from TOLOKAD_KAFKA__{one}")


def test_no_topic_is_that_of_the_spend_guard() -> None:
    """A topic of the spend guard's name is refused by the variable that gave it: no other names it."""
    environ = kafka(GROUP_ID="g", INPUT_TOPIC="g_budget")
    load(environ)
    (problem,) = problems(environ | {"TOLOKAD_BUDGET__ITEMS_TOTAL": "5"})
    assert problem.startswith("TOLOKAD_KAFKA__INPUT_TOPIC: must differ from g.budget")


@pytest.mark.parametrize(
    ("given", "blamed"),
    [
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "u"}, "SASL_PASSWORD"),
        ({"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_PASSWORD": CANARY}, "SASL_USERNAME"),
        ({"SASL_USERNAME": "u"}, "SASL_USERNAME"),
        ({"SASL_PASSWORD": CANARY}, "SASL_PASSWORD"),
        ({"SASL_MECHANISM": "PLAIN"}, "SASL_MECHANISM"),
        ({"SECURITY_PROTOCOL": "SSL", "SASL_PASSWORD": CANARY}, "SASL_PASSWORD"),
        ({"SSL_CAFILE": __file__}, "SSL_CAFILE"),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CERTFILE": __file__}, "SSL_KEYFILE"),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_KEYFILE": __file__}, "SSL_CERTFILE"),
    ],
)
def test_credentials_of_kafka_belong_together(given: dict[str, str], blamed: str) -> None:
    """What is missing is asked for; what would have no effect is refused rather than ignored."""
    (problem,) = problems(kafka(**given))
    assert problem.startswith(f"TOLOKAD_KAFKA__{blamed}: ")
    assert CANARY not in problem


def test_everything_wrong_is_said_at_once() -> None:
    """Single values, unknown names, what is missing and what does not fit together."""
    environ = {
        "TOLOKAD_SUBMIT__MAX_ITEMS": "many",
        "TOLOKAD_HTTP__PORT": "-1",
        "TOLOKAD_SUBMIT__QUARANTINE_SECONDS": "1",
        "TOLOKAD_KAFKA__OUTPUT_TOPIC": "moderation.items",
        "TOLOKAD_KAFKA__SASL_USERNAME": "u",
        "TOLOKAD_COLLECT__PAGESIZE": "5",
    }
    names = [problem.partition(":")[0].removeprefix("TOLOKAD_") for problem in problems(environ)]
    assert names == [
        "COLLECT__PAGESIZE",
        "KAFKA__BOOTSTRAP_SERVERS",
        "KAFKA__SASL_USERNAME",
        "KAFKA__OUTPUT_TOPIC",
        "TOLOKA__PROJECT_ID",
        "TOLOKA__TOKEN",
        "SUBMIT__MAX_ITEMS",
        "SUBMIT__QUARANTINE_SECONDS",
        "HTTP__PORT",
    ]


def test_a_rule_is_silent_about_a_value_that_could_not_be_read() -> None:
    """A wrong timeout is not also blamed on the quarantine, nor a wrong group on its topics."""
    environ = {"TOLOKAD_SUBMIT__REQUEST_TIMEOUT_SECONDS": "x", "TOLOKAD_SUBMIT__QUARANTINE_SECONDS": "1"}
    assert len(problems(REQUIRED | environ)) == 1
    assert len(problems(kafka(GROUP_ID="no group"))) == 1


@pytest.mark.parametrize("variable", variables(), ids=lambda variable: variable.name)
def test_a_misspelt_name_is_refused_with_the_right_one(variable: object) -> None:
    """Whichever the variable and whichever the slip."""
    name = getattr(variable, "name", "")
    middle = len(name) - 3
    slips = {
        name.replace("__", "_") if "__" in name else name.replace("_", "__"),
        name[:middle] + name[middle + 1 :],
        name[:middle] + name[middle + 1] + name[middle] + name[middle + 2 :],
        name + "S",
        name.lower(),
        name.capitalize(),
    } - {known.name for known in variables()}
    for slip in slips:
        (problem,) = problems(REQUIRED | {slip: CANARY})
        assert problem == f"{slip}: is not a variable of tolokad; the nearest is {name}"


@pytest.mark.parametrize(
    "name", ["TOLOKAD_TEST_SPEED", "TOLOKAD_", "TOLOKAD_KAFKA", "TOLOKAD__KAFKA__GROUP_ID"]
)
def test_any_other_name_of_ours_is_refused(name: str) -> None:
    """A whole section as JSON is no variable either."""
    (problem,) = problems(REQUIRED | {name: CANARY})
    assert problem.startswith(f"{name}: is not a variable of tolokad; the nearest is TOLOKAD_")


def test_a_name_with_control_characters_cannot_break_the_line() -> None:
    """The environment may hold anything."""
    (problem,) = problems(REQUIRED | {"TOLOKAD_\nok": "1"})
    assert "\n" not in problem


def test_names_of_others_are_ignored() -> None:
    """Toloka's other tools have variables, too."""
    load(REQUIRED | {"TOLOKA_TOKEN": "x", "TOLOKADKAFKA": "x", "PATH": "/bin"})
