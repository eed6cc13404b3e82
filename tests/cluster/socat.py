#!/usr/bin/python3
"""A stand-in for socat, which this kubelet starts in the network of a pod: `socat - TCP4:localhost:PORT`.

It copies bytes between its standard streams and the port. Newer kubelets leave that to the container runtime.
"""

import os
import select
import socket
import sys


def main() -> None:
    _, host, port = sys.argv[2].split(":")
    try:
        connection = socket.create_connection((host, int(port)))
    except OSError as error:
        sys.exit(f"socat: connect {host}:{port}: {error.strerror}")
    sides = [0, connection.fileno()]
    while True:
        for ready in select.select(sides, [], [])[0]:
            data = os.read(ready, 1 << 16)
            if ready == 0 and not data:
                connection.shutdown(socket.SHUT_WR)
                sides.remove(0)
            elif not data:
                return
            elif ready == 0:
                connection.sendall(data)
            else:
                sys.stdout.buffer.write(data)
                sys.stdout.flush()


main()
