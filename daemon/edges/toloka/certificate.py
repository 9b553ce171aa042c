"""Until when the certificate of Toloka's address is good."""

import asyncio
import ssl
from datetime import UTC, datetime

import httpx

from daemon.edges.toloka.endpoint import Endpoint

ANSWER_SECONDS = 10.0


async def certificate_ends(endpoint: Endpoint) -> datetime | None:
    """When it ends; None where there is none, or it cannot be seen.

    The address is asked for nothing in particular, and without a credential: any answer will do.
    """
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            endpoint.client() as client,
            client.stream("HEAD", "/") as answer,
        ):
            tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
            certificate = None if tls is None else tls.getpeercert()
    except (httpx.HTTPError, TimeoutError):
        return None
    ends = (certificate or {}).get("notAfter")
    return None if ends is None else datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)
