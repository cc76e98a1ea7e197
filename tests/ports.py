"""Ports for servers and process groups of the tests."""

import socket

PORTS = iter(range(9_000, 12_000))
"""Below those that runs under SLURM meet at, and those that systems give to outgoing connections."""
_held: list[socket.socket] = []


def free_port() -> int:
    """Returns a TCP port that nobody listens on and no other process that runs tests was given.

    Who is given a port listens there only seconds later: until this process ends, the UDP port of the same
    number is held as a sign that it is taken.
    """
    for port in PORTS:
        sign = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as found:
            try:
                sign.bind(("127.0.0.1", port))
                found.bind(("127.0.0.1", port))
            except OSError:
                sign.close()
                continue
        _held.append(sign)
        return port
    raise RuntimeError("no port is free")
