"""A control plane on loopback: etcd, API server, controller manager and scheduler, without any node.

It ends with the test run, also if that is killed, and keeps everything in one temporary folder.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

START, STOP = 60, 10  # seconds
USERS = {  # token: user, group
    "admin-token": ("admin", "system:masters"),
    "guest-token": ("guest", "guests"),
}
KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "{url}", certificate-authority: "{ca}"}}}}]
users: [{{name: test, user: {{token: "{token}"}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test, namespace: default}}}}]
current-context: test
"""


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane."""

    url: str
    folder: Path
    server: subprocess.Popen[bytes]

    def kubeconfig(self, token: str = "admin-token", url: str = "") -> Path:
        """Write a configuration for a user of USERS, or for a token that the server does not know."""
        path = self.folder / f"{token}.{abs(hash(url))}.yaml"
        path.write_text(KUBECONFIG.format(url=url or self.url, ca=self.folder / "ca.crt", token=token))
        return path


@contextmanager
def control_plane(programs: Path, folder: Path) -> Iterator[ControlPlane]:
    """Start the four programs, wait until the API server is ready, and end them afterwards."""
    _certificates(folder)
    (folder / "tokens.csv").write_text(
        "".join(f'{token},{user},{user},"{group}"\n' for token, (user, group) in USERS.items())
    )
    client, peer, port = free_port(), free_port(), free_port()
    url, etcd = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{client}"
    with ExitStack() as running:
        running.enter_context(process(folder, _etcd(programs, folder, etcd, f"http://127.0.0.1:{peer}")))
        server = running.enter_context(process(folder, _api_server(programs, folder, etcd, port)))
        _wait(url, folder, server)
        made = ControlPlane(url, folder, server)
        for name, more in _controllers(folder).items():
            common = [
                "--kubeconfig",
                str(made.kubeconfig()),
                "--leader-elect=false",
                "--port=0",
                "--secure-port=0",
            ]
            running.enter_context(process(folder, [str(programs / name), *common, *more]))
        yield made


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _etcd(programs: Path, folder: Path, client: str, peer: str) -> list[str]:
    urls = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
    cluster = ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
    return [str(programs / "etcd"), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", *urls, *cluster]


def _api_server(programs: Path, folder: Path, etcd: str, port: int) -> list[str]:
    flags = {
        "etcd-servers": etcd,
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": port,
        "insecure-port": 0,
        "tls-cert-file": folder / "server.crt",
        "tls-private-key-file": folder / "server.key",
        "cert-dir": folder,
        "token-auth-file": folder / "tokens.csv",
        "authorization-mode": "RBAC",
        "service-cluster-ip-range": "10.0.0.0/24",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": folder / "server.key",
        "service-account-signing-key-file": folder / "server.key",
        "allow-privileged": "true",
        "endpoint-reconciler-type": "none",
    }
    return [str(programs / "kube-apiserver"), *(f"--{name}={value}" for name, value in flags.items())]


def _controllers(folder: Path) -> dict[str, list[str]]:
    """Return the arguments of the programs that act on objects. Nodes on paper report nothing for an hour."""
    key = f"--service-account-private-key-file={folder / 'server.key'}"
    flex = f"--flex-volume-plugin-dir={folder / 'flex'}"
    quiet = [
        "--node-monitor-grace-period=1h",
        "--node-startup-grace-period=1h",
        "--pvclaimbinder-sync-period=1s",
    ]
    return {"kube-controller-manager": [key, flex, *quiet], "kube-scheduler": []}


def _certificates(folder: Path) -> None:
    """Make one self-signed certificate, which is its own authority."""
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=kube-apiserver",
    ]
    files = ["-keyout", str(folder / "server.key"), "-out", str(folder / "server.crt"), "-addext", names]
    subprocess.run([*words, *files], check=True, capture_output=True, timeout=60)
    (folder / "ca.crt").write_bytes((folder / "server.crt").read_bytes())


@contextmanager
def process(folder: Path, command: list[str], path: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with its output in a file. `setpriv` ends it if the test run is killed."""
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        words = ["setpriv", "--pdeathsig", "KILL", *command]
        process = subprocess.Popen(
            words, stdout=log, stderr=log, start_new_session=True, cwd=folder, env=_environment(path)
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP)


def _environment(path: str) -> dict[str, str]:
    return {**os.environ, **({"PATH": path} if path else {})}


def _wait(url: str, folder: Path, server: subprocess.Popen[bytes]) -> None:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": "Bearer admin-token"})
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(request, context=context, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError((folder / "kube-apiserver.log").read_text()[-2000:])
