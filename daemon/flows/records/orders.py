"""Pure: keys in the cursor topic that are no project's cursor: what operators have said and done."""

_PREFIX = b"control/"
_PAUSE = b"control/pause/"
_REPLAY = b"control/replay/"


def is_order(key: bytes) -> bool:
    """Whether a record of the cursor topic is an operator's word and no cursor."""
    return key.startswith(_PREFIX)


def pause_key(flow: str) -> bytes:
    """The key that says, as long as it has a value, that a flow is paused."""
    return _PAUSE + flow.encode()


def paused_flow(key: bytes) -> str | None:
    """The flow that a record pauses or resumes; None where it speaks of something else."""
    return key.removeprefix(_PAUSE).decode() if key.startswith(_PAUSE) else None


def replay_key(topic: str, partition: int, chunk: int) -> bytes:
    """The key of a bitmap, which says what of a chunk of a partition's dead letters was sent back already."""
    return _REPLAY + f"{topic}/{partition}/{chunk}".encode()


def replayed_chunk(key: bytes, topic: str) -> tuple[int, int] | None:
    """The partition and chunk whose bitmap a record holds; None where it speaks of something else."""
    prefix = _REPLAY + f"{topic}/".encode()
    if not key.startswith(prefix):
        return None
    partition, chunk = key.removeprefix(prefix).decode().split("/")
    return int(partition), int(chunk)
