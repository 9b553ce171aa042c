#!/usr/bin/env python3
"""Asks the broker behind `--bootstrap-server` for its versions, as the tool of this name does."""

import socket
import struct
import sys

host, _, port = sys.argv[-1].rpartition(":")
with socket.create_connection((host, int(port)), timeout=5) as connection:
    # ApiVersions, version 0, correlation id 1, a client without a name.
    connection.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
    answer = connection.recv(10)
sys.exit(0 if len(answer) == 10 and struct.unpack(">iih", answer)[2] == 0 else 1)
