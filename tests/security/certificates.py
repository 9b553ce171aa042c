"""Certificates of every kind, made on the spot and written where settings can name them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import trustme
from cryptography.hazmat.primitives import serialization

PAST: Final = datetime(2020, 1, 1, tzinfo=UTC)
PASS_PHRASE: Final = b"open sesame"


@dataclass(frozen=True)
class Authority:
    """An authority whose certificates are files in a folder of its own.

    Attributes:
        folder: made where it is missing.
    """

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca.cert_pem.write_to_path(str(self.file))

    @property
    def file(self) -> Path:
        """The file to trust it by."""
        return self.folder / "authority.pem"

    def certificate(self, name: str, *hosts: str, **options: Any) -> Path:
        """A certificate for these hosts, and its key, in one file.

        Args:
            name: the file's, and the subject's common name.
            hosts: names and addresses.
            options: of `trustme.CA.issue_cert`.
        """
        issued = self.ca.issue_cert(*(hosts or (f"{name}.invalid",)), common_name=name, **options)
        file = self.folder / f"{name}.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(str(file))
        return file

    def expired(self, name: str, *hosts: str) -> Path:
        """As `certificate`, and out of date."""
        return self.certificate(name, *hosts, not_before=datetime(2019, 1, 1, tzinfo=UTC), not_after=PAST)

    def locked(self, name: str) -> Path:
        """As `certificate`, with a key that wants a pass phrase."""
        issued = self.ca.issue_cert(f"{name}.invalid", common_name=name)
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        locked = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASS_PHRASE),
        )
        file = self.folder / f"{name}.pem"
        file.write_bytes(locked + issued.cert_chain_pems[0].bytes())
        return file
