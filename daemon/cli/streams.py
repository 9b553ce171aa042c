"""The standard streams, which may be closed or full: an exit code says how it went all the same."""

import errno
import os
import sys
from typing import Final, TextIO

# Nobody reads, a full disk, a quota, a limit, a terminal that has gone.
UNWRITABLE: Final = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def open_what_is_closed() -> None:
    """Let a stream that was closed lead nowhere; what is opened next would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def silence(stream: TextIO) -> None:
    """See that what is left unwritten is not tried again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(text: str) -> None:
    """Say something on standard error, if it can be written to."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)
