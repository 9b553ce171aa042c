"""Which release each broker is: none says so in words, but the newest metadata format that it knows tells.

The client's own question (ApiVersions) is of an older version, whose answer has no features in it.
"""

import asyncio
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from daemon import __version__
from daemon.edges.kafka import kafka_client
from daemon.edges.kafka.questions import Question

# The first metadata.version that a release knows (org.apache.kafka.server.common.MetadataVersion).
RELEASES: Final[Mapping[int, str]] = {
    1: "3.0 to 3.2",
    4: "3.3",
    8: "3.4",
    9: "3.5",
    12: "3.6",
    15: "3.7",
    20: "3.8",
    21: "3.9",
    22: "4.0",
    26: "4.1",
    28: "4.2",
    30: "4.3",
}
NEWEST_FORMAT: Final = 31
_FEATURE: Final = "metadata.version"
_FEATURES_TAG: Final = 0
_text = CompactString("utf-8")
_features = CompactArray(("name", _text), ("min", Int16), ("max", Int16), ("tags", TaggedFields))


class _Answer(Response):  # type: ignore[misc] # aiokafka has no types
    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "api_versions",
            CompactArray(("key", Int16), ("min", Int16), ("max", Int16), ("tags", TaggedFields)),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class _Versions(RequestStruct):  # type: ignore[misc] # as above
    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(("name", _text), ("version", _text), ("tags", TaggedFields))

    def parse_response_header(self, buffer: BytesIO | bytes) -> Any:
        """This one answer has a header of the old form, always: whoever asks may be of any age."""
        return ResponseHeader_v0.decode(buffer)


async def releases(admin: AIOKafkaAdminClient) -> Mapping[int, str]:
    """The release of each broker by its id, such as `4.1`.

    Raises:
        Transient: a broker does not answer.
    """
    with kafka_client.translated("asking the brokers for their versions"):
        async with asyncio.timeout(kafka_client.ANSWER_SECONDS):
            brokers = (await admin.describe_cluster())["brokers"]
            return {broker["node_id"]: await _release(admin, broker["node_id"]) for broker in brokers}


async def _release(admin: AIOKafkaAdminClient, node_id: int) -> str:
    try:
        answer = await admin._send_request_to_node(node_id, Question(_Versions, "tolokad", __version__, {}))  # noqa: SLF001 - see above
    except NotImplementedError:
        # What the client says where no version of a request is known to both sides.
        return "older than 2.4"
    tagged = answer.tags.get(_FEATURES_TAG)
    features = [] if tagged is None else _features.decode(BytesIO(tagged)) or []
    return named(next((newest for name, _, newest, _ in features if name == _FEATURE), None))


def named(newest_format: int | None) -> str:
    """The release whose newest metadata format this is."""
    if newest_format is None:
        return "not shown"
    if newest_format > NEWEST_FORMAT:
        return f"newer than {RELEASES[max(RELEASES)]}"
    return RELEASES[max((first for first in RELEASES if first <= newest_format), default=min(RELEASES))]
