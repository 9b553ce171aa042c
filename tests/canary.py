"""A credential that stands nowhere else, and the search for it in everything that a run leaves behind."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

# Looks like one of Toloka's API keys.
CANARY: Final = "C4narY" + "x" * 16 + ".never.shown-anywhere"
CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search came to.

    Attributes:
        files: how many were searched.
        size: how many bytes they have.
        hits: where it was found.
    """

    files: int = 0
    size: int = 0
    hits: tuple[str, ...] = ()

    def __add__(self, other: "Searched") -> "Searched":
        return Searched(self.files + other.files, self.size + other.size, self.hits + other.hits)

    def __str__(self) -> str:
        found = f"{len(self.hits)} hits {list(self.hits[:5])}" if self.hits else "0 hits"
        return f"the credential was looked for in {self.size:,} bytes of {self.files:,} files: {found}"


def search(paths: Iterable[Path], secret: str = CANARY) -> Searched:
    """Look for the secret in these files and in all files below these folders."""
    files = list(chain.from_iterable(map(_files, paths)))
    return sum((_search(file, secret.encode()) for file in files), Searched())


def topic_bytes(broker: Path) -> Iterator[Path]:
    """The files in which a broker keeps what was ever written to any topic, aborted records included.

    Args:
        broker: its folder, `EmbeddedKafka.folder`.
    """
    return broker.glob("data/*/*.log")


def _files(path: Path) -> Iterator[Path]:
    return (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else iter([path])


def _search(file: Path, secret: bytes) -> Searched:
    size, hits, tail = 0, 0, b""
    try:
        with file.open("rb") as opened:
            while chunk := opened.read(CHUNK_BYTES):
                size += len(chunk)
                hits += (tail + chunk).count(secret)
                tail = chunk[-len(secret) + 1 :]
    except FileNotFoundError:
        # The broker has deleted a segment meanwhile.
        return Searched()
    return Searched(1, size, (str(file),) * hits)
