"""Compare the throughput of `serve-weights` with nginx serving the same files, for 8 clients at once, on loopback.

    .venv/bin/python benchmarks/serve_weights.py [--mib 512] [--clients 8] [--rounds 3] [--folder DIR]

Each client is a curl process that reads its own file and throws it away. The files are in the page cache, so that the
programs limit the speed and not the disk. The two servers take turns; each round starts with the other one. nginx sends
with sendfile, which is its default in Debian; serve-weights copies, because it compares the file's state with
the listed one before each piece that it sends.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.fetch import served

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20
MODEL = "bench/eight"
CONFIGURATION = """
daemon off; pid {work}/nginx.pid; error_log {work}/error.log;
worker_processes auto; events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3;
  uwsgi_temp_path {work}/t4; scgi_temp_path {work}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--mib", type=int, default=512, help="MiB that each client reads")
    options.add_argument("--clients", type=int, default=8)
    options.add_argument("--rounds", type=int, default=3, help="runs of each server; the median counts")
    options.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="where the files are")
    given = options.parse_args()
    if not shutil.which("nginx"):
        sys.exit("nginx is not installed")
    with tempfile.TemporaryDirectory(dir=given.folder) as work:
        compare(Path(work), given.mib, given.clients, given.rounds)


def compare(work: Path, mib: int, clients: int, rounds: int) -> None:
    """Print the median throughput of both servers."""
    names = write_files(work / "served" / MODEL, clients, mib)
    results: dict[str, list[float]] = {"serve-weights": [], "nginx": []}
    with served(work / "served") as hub, nginx(work, work / "served") as plain:
        urls = {"serve-weights": f"{hub}/{MODEL}/resolve/main", "nginx": f"{plain}/{MODEL}"}
        for number in range(rounds):
            for server in list(urls)[:: 1 if number % 2 else -1]:
                results[server].append(clients * mib / seconds([f"{urls[server]}/{name}" for name in names]))
    print(f"{clients} clients, {mib} MiB each, median of {rounds} on {os.cpu_count()} cores")
    reference = statistics.median(results["nginx"])
    for server, rates in results.items():
        rate = statistics.median(rates)
        print(
            f"{server:14}{rate:8.0f} MiB/s{rate / reference:7.2f}x   ({min(rates):.0f} to {max(rates):.0f})"
        )


def write_files(folder: Path, count: int, mib: int) -> list[str]:
    """Write a file for each client; return their names."""
    folder.mkdir(parents=True)
    names = [f"model-{number:05d}.safetensors" for number in range(count)]
    for name in names:
        with (folder / name).open("wb") as stream:
            for _ in range(mib):
                stream.write(os.urandom(MIB))
    return names


def seconds(urls: list[str]) -> float:
    """Return how long it takes to read all files, one client for each."""
    start = time.monotonic()
    clients = [subprocess.Popen(["curl", "-sfL", "-o", "/dev/null", url]) for url in urls]
    codes = [client.wait() for client in clients]  # of all, also after a failure
    if any(codes):
        sys.exit("a client failed")
    return time.monotonic() - start


@contextmanager
def nginx(work: Path, root: Path) -> Iterator[str]:
    """Run nginx as this user in the foreground; yield its URL once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = work / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""
    file.write_text(user + CONFIGURATION.format(work=work, port=port, root=root))
    process = subprocess.Popen(["nginx", "-p", str(work), "-c", str(file)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
