"""The dashboard: generated, complete, about metrics that exist, without overlaps."""

import re
from itertools import combinations
from typing import Any

import pytest

from daemon.metrics import catalogue
from tests.deploy.dashboard import COLUMNS, dashboard, text
from tests.deploy.expressions import SUFFIXES, known_names, names_in, unknown_labels
from tests.deploy.test_alerts import RECORDED
from tests.deploy.yamls import REPOSITORY

PANELS = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def test_the_committed_file_is_up_to_date() -> None:
    """After a change of its panels: `make dashboard`."""
    assert (REPOSITORY / "deploy" / "grafana" / "tolokad.json").read_text() == text()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_is_complete(panel: dict[str, Any]) -> None:
    """It has a sentence, a unit, and queries about the chosen deployment, with Grafana's rate interval."""
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    for target in panel["targets"]:
        expression = target["expr"]
        assert target["legendFormat"]
        assert 'job=~"$job"' in expression
        assert names_in(expression) - known_names() - RECORDED == set()
        assert list(unknown_labels(expression)) == []
        assert set(re.findall(r"rate\([^[]+\[([^]]+)\]", expression)) <= {"$__rate_interval"}
        assert expression.count("(") == expression.count(")")


def test_panels_have_their_own_places_and_names() -> None:
    """Ids and titles are unique, nothing overlaps, nothing hangs over the edge."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    assert not [pair for pair in combinations(places, 2) if _overlap(*pair)]


def test_every_metric_of_ours_is_somewhere() -> None:
    """What is measured can be looked at."""
    named = {name for panel in PANELS for target in panel["targets"] for name in names_in(target["expr"])}
    plain = named | {name.removesuffix(suffix) for name in named for suffix in SUFFIXES}
    unseen = {metric.name for metric in catalogue()} - plain
    # Tombstones are counted in what is taken; what is sent again is a doubt's outcome.
    assert unseen <= {"tolokad_items_skipped_total"}


def test_there_is_a_choice_of_deployment_and_replica() -> None:
    """And of the data source, so that the file can be imported anywhere."""
    assert [each["name"] for each in dashboard()["templating"]["list"]] == ["datasource", "job", "instance"]


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (apart_x or apart_y)
