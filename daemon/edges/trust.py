"""Contexts of TLS in which nothing of the process's environment has a say.

The standard library's own would take authorities from SSL_CERT_FILE and SSL_CERT_DIR, and write the keys of
every connection to the file that SSLKEYLOGFILE names.
"""

import ssl
from pathlib import Path


def client_context(*authorities: Path | str) -> ssl.SSLContext:
    """Certificates and host names are verified, against the authorities in these files or folders alone.

    Raises:
        OSError: a file is missing, or holds no certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for place in map(Path, authorities):
        if place.is_dir():
            context.load_verify_locations(capath=place)
        else:
            context.load_verify_locations(cafile=place)
    return context


def system_authorities() -> tuple[Path, ...]:
    """Where this system keeps the authorities that it trusts, as far as it has any."""
    paths = ssl.get_default_verify_paths()
    places = (Path(paths.openssl_cafile), Path(paths.openssl_capath))
    return tuple(place for place in places if place.exists())


def complaint(error: OSError) -> str:
    """What was wrong with a file, in words that an operator knows."""
    return error.strerror if not isinstance(error, ssl.SSLError) and error.strerror else "is not in PEM form"
