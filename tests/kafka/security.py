"""Encryption, users and access rules for the listener that clients use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

SCRAM_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_PLAIN_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"
_AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"


@dataclass(frozen=True)
class Security:
    """How the client listener is protected; the internal one stays open to its owner on loopback.

    Attributes:
        users: passwords by name, for PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 alike; with users the
            protocol is SASL_SSL or SASL_PLAINTEXT, without it is SSL or PLAINTEXT.
        keystore_pem: the broker's private key (PKCS#8) and certificates; see `pem_keystore`.
        client_ca_pem: demand client certificates signed by this CA (mutual TLS).
        authorizer: refuse what no `Acl` allows. Users of the internal listener may do anything;
            so may a client without SASL and certificate, who is the same user ANONYMOUS.
    """

    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    keystore_pem: bytes | None = field(default=None, repr=False)
    client_ca_pem: bytes | None = None
    authorizer: bool = False

    @property
    def protocol(self) -> str:
        """The client listener's security protocol, as Kafka's clients name it."""
        encrypted = self.keystore_pem is not None
        if self.users:
            return "SASL_SSL" if encrypted else "SASL_PLAINTEXT"
        return "SSL" if encrypted else "PLAINTEXT"

    def properties(self, listener: str, folder: Path) -> dict[str, str]:
        """The server properties for the listener; key material is written to the folder."""
        prefix = f"listener.name.{listener.lower()}"
        return {**self._tls(prefix, folder), **self._sasl(prefix), **self._authorizer()}

    def scram_arguments(self) -> list[str]:
        """What the storage format command needs to create the SCRAM users (KIP-900)."""
        return [
            part
            for name, password in self.users.items()
            for mechanism in SCRAM_MECHANISMS
            for part in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]

    def _tls(self, prefix: str, folder: Path) -> dict[str, str]:
        if self.keystore_pem is None:
            return {}
        keystore = _private_file(folder / "keystore.pem", self.keystore_pem)
        settings = {f"{prefix}.ssl.keystore.type": "PEM", f"{prefix}.ssl.keystore.location": str(keystore)}
        if self.client_ca_pem is not None:
            truststore = _private_file(folder / "client-ca.pem", self.client_ca_pem)
            settings[f"{prefix}.ssl.client.auth"] = "required"
            settings[f"{prefix}.ssl.truststore.type"] = "PEM"
            settings[f"{prefix}.ssl.truststore.location"] = str(truststore)
        return settings

    def _sasl(self, prefix: str) -> dict[str, str]:
        if not self.users:
            return {}
        plain = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        scram = {
            f"{prefix}.{name.lower()}.sasl.jaas.config": f"{_SCRAM_MODULE} required;"
            for name in SCRAM_MECHANISMS
        }
        return {
            f"{prefix}.sasl.enabled.mechanisms": ",".join(("PLAIN", *SCRAM_MECHANISMS)),
            f"{prefix}.plain.sasl.jaas.config": f"{_PLAIN_MODULE} required {plain};",
            **scram,
        }

    def _authorizer(self) -> dict[str, str]:
        if not self.authorizer:
            return {}
        return {"authorizer.class.name": _AUTHORIZER, "super.users": "User:ANONYMOUS"}


def pem_keystore(certificate: trustme.LeafCert) -> bytes:
    """A certificate with its key in the one PEM form that Kafka reads (KIP-651): PKCS#8, key first."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pkcs8 + b"".join(part.bytes() for part in certificate.cert_chain_pems)


def _private_file(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
