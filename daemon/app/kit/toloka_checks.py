"""What `tolokad check --connect` looks at in Toloka: address, credential, project or pool, clock, limits."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal

from daemon.app.kit.checks import CONFIGURATION, NOT_PERMITTED, Check
from daemon.app.service import Service
from daemon.app.starting import insist_on_a_price
from daemon.app.world import connect_toloka, open_service
from daemon.edges.toloka.certificate import certificate_ends
from daemon.edges.toloka.endpoint import Endpoint
from daemon.errors import StartError, UnavailableAtStart
from daemon.flows.batches.spending import Limits, item_limits
from daemon.flows.records.codec import iso
from daemon.metrics import Metrics
from daemon.settings import Settings, TolokaSettings

# Toloka's times are compared with its own clock alone; a machine that is off so far is off in its logs, too.
CLOCK_SECONDS = 60
# What Toloka allows one client.
MOST_REQUESTS_PER_SECOND = 300
# Time enough to have a certificate renewed.
CERTIFICATE_DAYS = 14


async def toloka_checks(settings: Settings) -> AsyncIterator[Check]:
    """The address and its certificate, the credential, the project or pool, the clock and the limits."""
    toloka, metrics = settings.toloka, Metrics()
    try:
        endpoint = connect_toloka(settings, metrics, lambda _: None)
    except StartError as error:
        # Nobody was asked, so nobody has answered.
        yield Check.failed("toloka", error)
        return
    async with AsyncExitStack() as stack:
        try:
            service = await open_service(settings, endpoint, metrics, stack)
        except StartError as error:
            failed = {UnavailableAtStart.exit_code: "toloka", NOT_PERMITTED: "credential"}
            name = failed.get(error.exit_code, "project")
            if name != "toloka":
                yield Check("toloka", f"{toloka.url} answers")
            yield Check.failed(name, error)
            return
        yield Check("toloka", f"{toloka.url} answers{await _certificate(endpoint)}")
        yield Check("credential", f"accepted ({toloka.auth_scheme})")
        yield _project(service)
        if settings.budget.limited:
            yield budget_check(settings, service.item_price)
        yield _clock(endpoint)
        yield _limits(toloka)


async def _certificate(endpoint: Endpoint) -> str:
    """What is to be said of the certificate, which was found to be good."""
    ends = await certificate_ends(endpoint)
    if ends is None:
        return ""
    soon = (ends - datetime.now(UTC)).days < CERTIFICATE_DAYS
    return f", with a certificate that is trusted until {iso(ends)}{': renew it soon' if soon else ''}"


def _project(service: Service) -> Check:
    if service.closed is not None:
        return Check("project", f"{service.about}: {service.closed}", CONFIGURATION)
    price = "" if service.item_price is None else f"; an item costs {service.item_price}"
    return Check("project", f"{service.about}{price}")


def budget_check(settings: Settings, item_price: Decimal | None) -> Check:
    """How many items the spend guard allows, all limits together."""
    try:
        insist_on_a_price(settings, item_price)
    except StartError as error:
        return Check.failed("budget", error)
    limits = item_limits(settings.budget, item_price) or Limits(None, None)
    bounds = {"a day": limits.per_day, "in all": limits.total}
    told = [f"{items} items {when}" for when, items in bounds.items() if items is not None]
    return Check("budget", f"{' and '.join(told)} are submitted, then it holds")


def _clock(endpoint: Endpoint) -> Check:
    off = (datetime.now(UTC) - endpoint.toloka_clock.now()).total_seconds()
    far = abs(off) > CLOCK_SECONDS
    way_out = ": set this machine's clock" if far else ""
    return Check("clock", f"{round(off):+d} s from Toloka's{way_out}", CONFIGURATION if far else 0)


def _limits(toloka: TolokaSettings) -> Check:
    limits = f"{toloka.requests_per_second:g} requests a second, {toloka.items_per_minute} items a minute"
    above = toloka.requests_per_second > MOST_REQUESTS_PER_SECOND
    advice = f"; Toloka refuses more than {MOST_REQUESTS_PER_SECOND} requests a second" if above else ""
    return Check("limits", f"{limits} and {toloka.items_per_day} a day, shared by all replicas{advice}")
