"""Certificates of every kind, made on the spot and written where settings can name them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PAST: Final = datetime(2020, 1, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)
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

    def self_signed(self, name: str, host: str) -> Path:
        """A certificate that has signed itself: an authority's own, for a host."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(now - DAY).not_valid_after(now + DAY)
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        file = self.folder / f"{name}.pem"
        file.write_bytes(
            _plain(key) + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        return file

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


def _plain(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
