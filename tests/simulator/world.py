"""What stands in Toloka before the first request: apps and projects, under ids that tests know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.simulator.pools import Pool, default_pools

MODERATION_APP = "9lVb3mXeQ7RtWc52KzUn"
IMAGE_APP = "aT6yRw0NfPq8JdLx41Gs"
FORM_APP = "hM2kZc95VoBi7EuXtW3r"

MODERATION_PROJECT = "Qm7vXK2sTz4LbN9wRfYd"
IMAGE_PROJECT = "b3HnW8qPz6JtVx1CkRs5"
FORM_PROJECT = "Uc4TgY7mLd0ZrQ2wXe9K"
CREATING_PROJECT = "Jk1RpN5xVb8WsDq3MzT6"
ERROR_PROJECT = "e7GzLt2YhXw4QoCv9Nm0"
ARCHIVE_PROJECT = "Xs5BdFq8KpTj1RnUy3Wz"
ARCHIVED_PROJECT = "w0VcMh6ZrLk2GtPb7JxQ"
SHARED_PROJECT = "Ny9QfTe3SvDx5KwHm1Ra"
SHARED_ACCOUNT = "ACC9"

Spec = dict[str, dict[str, Any]]


def _spec(kind: str, *, required: bool = True, **constraints: Any) -> dict[str, Any]:
    return {"type": kind, "required": required, "hidden": False, **constraints}


CONFIDENCE = _spec("float", required=False, min_value=0, max_value=1)


@dataclass(frozen=True)
class App:
    """A ready-to-go solution; both specs map a field to {type, required, hidden, …}."""

    id: str
    name: str
    input_spec: Spec
    output_spec: Spec
    default_item_price: float = 0.05


@dataclass
class Project:
    """A project of an app; its status is CREATING, READY, ERROR, ARCHIVE or ARCHIVED."""

    id: str
    app: App
    status: str = "READY"
    account: str = ""
    created_us: int = 1_633_254_554_028_000
    item_price: float = 0.05


@dataclass
class World:
    """All apps and projects; an alias is another name under which a project answers."""

    apps: dict[str, App]
    projects: dict[str, Project]
    aliases: dict[str, str] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=default_pools)

    def project(self, name: str) -> Project | None:
        """Return the project of this id or alias."""
        return self.projects.get(self.aliases.get(name, name))


MODERATION = App(
    MODERATION_APP,
    "Text moderation",
    {"id": _spec("string", required=False), "text": _spec("string")},
    {"result": _spec("array_string", allowed_values=["OK", "BAD"]), "confidence": CONFIDENCE},
)
IMAGE = App(
    IMAGE_APP,
    "Image classification",
    {"id": _spec("string", required=False), "image_url": _spec("url")},
    {"result": _spec("string", allowed_values=["CAT", "DOG"]), "confidence": CONFIDENCE},
)
FORM = App(
    FORM_APP,
    "Every type of field",
    {
        "id": _spec("string", required=False),
        "name": _spec("string", min_length=1, max_length=64),
        "age": _spec("integer", min_value=0, max_value=150),
        "score": _spec("float", required=False, min_value=0, max_value=1),
        "adult": _spec("boolean", required=False),
        "colour": _spec("string", required=False, allowed_values=["red", "green", "blue"]),
        "level": _spec("integer", required=False, allowed_values=[1, 2, 3]),
        "tags": _spec("array_string", required=False, min_size=1, max_size=3),
        "links": _spec("array_url", required=False),
        "meta": _spec("json", required=False),
        "place": _spec("coordinates", required=False, current_location=False),
        "secret": _spec("string", required=False) | {"hidden": True},
    },
    {
        "verdict": _spec("boolean"),
        "marks": _spec("array_integer", min_value=1, max_value=5),
        "scan": _spec("file", required=False),
        "confidence": CONFIDENCE,
    },
)


def default_world(project_id: str = MODERATION_PROJECT, alias: str = "") -> World:
    """Return the usual apps and projects.

    Args:
        project_id: the id of the text moderation project.
        alias: one more name for it.
    """
    projects = [
        Project(project_id, MODERATION),
        Project(IMAGE_PROJECT, IMAGE),
        Project(FORM_PROJECT, FORM),
        Project(CREATING_PROJECT, MODERATION, "CREATING"),
        Project(ERROR_PROJECT, MODERATION, "ERROR"),
        Project(ARCHIVE_PROJECT, MODERATION, "ARCHIVE"),
        Project(ARCHIVED_PROJECT, MODERATION, "ARCHIVED"),
        Project(SHARED_PROJECT, MODERATION, account=SHARED_ACCOUNT),
    ]
    apps = {each.id: each for each in (MODERATION, IMAGE, FORM)}
    return World(apps, {each.id: each for each in projects}, {alias: project_id} if alias else {})
