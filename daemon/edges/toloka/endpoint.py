"""Where Toloka is, as whom it is spoken to, and how a connection to it is made."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from pathlib import Path
from typing import Self
from urllib.parse import quote

import certifi
import httpx

from daemon.edges.toloka.clocks import DateClock
from daemon.edges.trust import client_context, complaint
from daemon.errors import ConfigurationError
from daemon.metrics import Metrics
from daemon.ports import Clock
from daemon.settings import TolokaSettings

# Below what servers grant an idle connection, so that it is us who close it.
KEEPALIVE_SECONDS = 4.0
# One connection each; every request is bounded as a whole, so no single step needs a limit of its own.
_LIMITS = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What all lines to Toloka have in common.

    Attributes:
        url: scheme, host and any path in front of `/api/…`, without a slash at its end.
        authorization: gives the value of the `Authorization` header as it is now; raises ConfigurationError.
        account_id: the account to act in (`X-Act-Under-Account-ID`).
        tls: whom to trust.
        proxy: the URL of a proxy on the way.
        clock: this process's.
        toloka_clock: hears every answer's `Date`.
        metrics: counts every request.
    """

    url: str
    authorization: Callable[[], str] = field(repr=False)
    account_id: str | None
    tls: ssl.SSLContext
    proxy: str | None = field(repr=False)
    clock: Clock
    toloka_clock: DateClock
    metrics: Metrics

    @classmethod
    def of(cls, settings: TolokaSettings, clock: Clock, toloka_clock: DateClock, metrics: Metrics) -> Self:
        """The endpoint that the settings describe.

        Raises:
            ConfigurationError: the file of further authorities, or of the proxy, cannot be used.
        """
        proxy = settings.read_proxy()
        return cls(
            url=settings.url,
            authorization=settings.authorization,
            account_id=settings.account_id,
            tls=tls_context(settings.ca_file),
            proxy=None if proxy is None else proxy.get_secret_value(),
            clock=clock,
            toloka_clock=toloka_clock,
            metrics=metrics,
        )

    def client(self) -> httpx.AsyncClient:
        """A client with one connection, which keeps no cookies and follows no redirects.

        Nothing of the process's environment has a say in it.
        """
        return httpx.AsyncClient(
            base_url=self.url,
            headers=self._headers(),
            verify=self.tls,
            proxy=None if self.proxy is None else self._proxy(self.proxy),
            limits=_LIMITS,
            timeout=None,  # noqa: S113 - Line bounds every request as a whole
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def _headers(self) -> dict[str, str]:
        headers = {
            "User-Agent": f"tolokad/{version('tolokad')}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }
        if self.account_id is not None:
            headers["X-Act-Under-Account-ID"] = header_value(self.account_id)
        return headers

    def _proxy(self, url: str) -> httpx.Proxy:
        return httpx.Proxy(url, ssl_context=self.tls if url.startswith("https:") else None)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust the public authorities, and those in the file; the process's certificate variables say nothing.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    try:
        return client_context(certifi.where(), *(() if ca_file is None else (ca_file,)))
    except OSError as error:
        raise ConfigurationError(f"TOLOKAD_TOLOKA__CA_FILE: cannot be used: {complaint(error)}") from None


def header_value(text: str) -> str:
    """Text that can be a header's value.

    Raises:
        ValueError: it holds a line break or something else that no header can; the text is not repeated.
    """
    if not (text.isascii() and text.isprintable()):
        raise ValueError("a header's value must be one line of printable ASCII")
    return text


def path(*segments: str) -> str:
    """A path below the endpoint's URL, each segment percent-encoded, so that none reaches beyond its place.

    Raises:
        ValueError: a segment is empty.
    """
    return "".join(f"/{_segment(segment)}" for segment in segments)


def _segment(segment: str) -> str:
    if not segment:
        raise ValueError("an empty segment in a path")
    encoded = quote(segment, safe="")
    return encoded.replace(".", "%2E") if segment in (".", "..") else encoded
