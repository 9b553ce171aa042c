"""Names as a test wants them: put on PYTHONPATH of a program, it asks a file where one host is.

`TEST_HOST` is the name, `TEST_HOST_FILE` holds its address; an empty file means that nobody knows the name.
"""

import os
import socket
from pathlib import Path
from typing import Any

_real = socket.getaddrinfo


def _getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name != os.environ["TEST_HOST"]:
        return _real(host, *arguments, **options)
    if not (address := Path(os.environ["TEST_HOST_FILE"]).read_text(encoding="ascii")):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _real(address, *arguments, **options)


if "TEST_HOST" in os.environ:
    socket.getaddrinfo = _getaddrinfo
