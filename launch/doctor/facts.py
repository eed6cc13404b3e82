"""What the checks judge. Sizes are bytes; None and "" mean unknown."""

from __future__ import annotations

from dataclasses import dataclass, field

from launch.hardware.cdi import CdiSpec
from launch.hardware.types import Hardware


@dataclass(frozen=True)
class ImageFacts:
    """The image of the platform as the lock names it, and its capabilities if it is present."""

    reference: str = ""
    present: bool = False
    size: int | None = None  # expected size on disk if it is absent
    cuda: str = ""
    hip: str = ""
    archs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine:
    """The container engine."""

    url: str = ""
    error: str = ""
    fix: str = ""  # of the error
    podman: bool = False
    podman_client: str = ""  # the path of podman's own client
    version: str = ""
    storage: str = ""
    root: str = ""
    free: int | None = None
    runtimes: tuple[str, ...] = ()
    cdi: bool = False  # it reads CDI specs
    seccomp: bool = True
    open_files: int | None = None  # the limit in a container
    builder: str = ""
    ports: tuple[tuple[int, str], ...] = ()  # (host port, container) of running containers
    image: ImageFacts = field(default_factory=ImageFacts)


@dataclass(frozen=True)
class Device:
    """A device node: its group, and whether this user can open it."""

    path: str
    present: bool = False
    gid: int | None = None
    group: str = ""
    usable: bool = False


@dataclass(frozen=True)
class Kernel:
    """Kernel settings. `iommu` is the default domain type: identity (pass-through), DMA, or ""."""

    numa_balancing: int | None = None
    iommu: str = ""
    iommu_groups: int = 0
    shm: int | None = None
    shm_free: int | None = None
    memlock: int | None = None  # None is unlimited
    release: str = ""  # as uname -r prints it


@dataclass(frozen=True)
class HubFacts:
    """The Hub token, what the Hub answers about it, and the cache."""

    endpoint: str = ""
    token_source: str = ""  # HF_TOKEN, or the file; "" without a token
    token_mode: int | None = None
    token_malformed: bool = False  # it contains a blank, a line end, or a character that is not ASCII
    reached: bool = False
    error: str = ""
    user: str = ""
    token_rejected: bool = False
    licence: str = ""  # of the model: "open", "accepted", "missing", "unknown model"
    clock_skew: float | None = None  # seconds that this host is ahead of the Hub
    cache: str = ""
    cache_present: bool = False
    cache_writable: bool = False
    cache_owner: str = ""
    cache_file: str = ""  # a file at the place of the cache's folder
    cache_free: int | None = None
    foreign_entries: int = 0  # entries of the cache that belong to another user
    to_fetch: int | None = None  # bytes of weights that are not in the cache
    model: str = ""


@dataclass(frozen=True)
class Certificates:
    """A variable that names a CA bundle, and the problem with the file; "" if it is usable."""

    name: str
    path: str
    problem: str = ""


@dataclass(frozen=True)
class Network:
    """The port to serve on, the proxies, the CA bundles."""

    port: int = 8000
    port_in_use: bool = False
    proxies: tuple[tuple[str, str], ...] = ()  # without logins
    no_proxy: str = ""
    certificates: tuple[Certificates, ...] = ()


@dataclass(frozen=True)
class Facts:
    """The facts about one host for one platform."""

    platform: str
    user: str = ""
    uid: int = 0
    groups: tuple[int, ...] = ()
    hardware: Hardware = field(default_factory=Hardware)
    engine: Engine = field(default_factory=Engine)
    devices: tuple[Device, ...] = ()
    specs: tuple[CdiSpec, ...] = ()
    toolkit: str = ""  # the path of the hook of NVIDIA's container toolkit
    kernel: Kernel = field(default_factory=Kernel)
    hub: HubFacts = field(default_factory=HubFacts)
    network: Network = field(default_factory=Network)
    clock: float = 0.0  # seconds since 1970
    timed_out: tuple[str, ...] = ()  # drivers that did not answer in time
