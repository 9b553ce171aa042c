"""A project and its app, asked for before anything else (`GET /app-projects/{id}`, `GET /apps/{id}`)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from daemon.edges.toloka.answers import CODE_LETTERS, text
from daemon.edges.toloka.asking import ask
from daemon.edges.toloka.endpoint import path
from daemon.edges.toloka.transport import Line, Probe
from daemon.model import NotNow
from daemon.ports import TolokaClock

API = ("api", "app", "v0")
# A project that was created a moment ago may not name its app yet.
TRIES = 5
WAIT_SECONDS = 1.0
SHOWN_FIELDS = 8
PROBING = "asking for the project"


@dataclass(frozen=True, slots=True)
class Project:
    """An app project.

    Attributes:
        id: the project's.
        app_id: its app's.
        status: CREATING, READY, ERROR or ARCHIVED (whichever way Toloka spells it).
        item_price: what one item costs, in the account's currency; None where Toloka does not say.
        input_spec: field name to `{type, required, hidden, …}`.
    """

    id: str
    app_id: str
    status: str
    item_price: Decimal | None
    input_spec: Mapping[str, Mapping[str, Any]]

    @property
    def shape(self) -> str:
        """What its app wants of an item, in words."""
        shown = [(name, rule) for name, rule in self.input_spec.items() if not rule.get("hidden", False)]
        if not shown:
            return "its app does not say what an item is made of"
        wanted = [f"{name} ({text(rule.get('type'), CODE_LETTERS)})" for name, rule in shown[:SHOWN_FIELDS]]
        return f"an item has {', '.join(wanted)}{' and more' if len(shown) > SHOWN_FIELDS else ''}"


def probe_of(project_id: str) -> Probe:
    """The question that a line to a project's items asks to see whether Toloka is there."""
    return Probe("project", path(*API, "app-projects", project_id))


def items_path(project_id: str, *rest: str) -> str:
    """The path of a project's items."""
    return path(*API, "app-projects", project_id, "items", *rest)


async def hiding(line: Line, project_id: str, clock: TolokaClock) -> NotNow | None:
    """Why a project's items may be there though Toloka does not show them; None where they are not.

    An archived one may hide them until it is taken out of the archive again.
    """
    about = await ask(line, probe_of(project_id), PROBING, clock)
    if isinstance(about, NotNow):
        return about
    if _status(about) == "ARCHIVED":
        return NotNow("conflict", f"the project {project_id} is archived: what it does not show may be there")
    return None


async def project(line: Line, project_id: str, clock: TolokaClock) -> Project | NotNow:
    """Ask for a project and its app; the answers are the first from which a start learns the time."""
    for tries in range(TRIES):
        if tries:
            await asyncio.sleep(WAIT_SECONDS)
        found = await _project(line, project_id, clock)
        if isinstance(found, Project):
            # A first cursor that is ahead of time would show nothing until then.
            await line.agree_on_time()
        if found is not None:
            return found
    return NotNow("not_found", f"the project {project_id} does not name its app")


async def _project(line: Line, project_id: str, clock: TolokaClock) -> Project | NotNow | None:
    """None where the project does not name its app, or names one that is not there."""
    about = await ask(line, probe_of(project_id), f"the project {project_id}", clock)
    if isinstance(about, NotNow):
        return about
    app_id = about.get("app_id") or _members(about.get("app")).get("id")
    if not isinstance(app_id, str) or not app_id:
        return None
    app = await ask(line, Probe("app", path(*API, "apps", app_id)), f"the app {app_id}", clock)
    if isinstance(app, NotNow):
        return None if app.reason == "not_found" else app
    return Project(
        id=project_id,
        app_id=app_id,
        status=_status(about),
        item_price=_price(about.get("item_price")),
        input_spec=_specification(app.get("input_spec")),
    )


def _status(about: Mapping[str, Any]) -> str:
    status = text(about.get("status"), CODE_LETTERS)
    return "ARCHIVED" if status == "ARCHIVE" else status


def _members(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _specification(value: Any) -> Mapping[str, Mapping[str, Any]]:
    """A rule that is no object says nothing: what breaks it is left to Toloka to refuse."""
    return {name: _rule(rule) for name, rule in _members(value).items() if isinstance(rule, dict)}


def _rule(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """Nor do allowed values say anything that are no list."""
    is_told = isinstance(rule.get("allowed_values", []), list)
    return rule if is_told else {name: said for name, said in rule.items() if name != "allowed_values"}


def _price(value: Any) -> Decimal | None:
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    return price if price.is_finite() and price >= 0 else None
