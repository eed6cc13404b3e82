"""Everything that the checks judge, frozen. Sizes are bytes; None and "" are not known."""

from __future__ import annotations

from dataclasses import dataclass, field

from launch.hardware.cdi import CdiSpec
from launch.hardware.types import Hardware


@dataclass(frozen=True)
class Image:
    """The platform's image as our lock names it, and what its contract says, where it is here."""

    reference: str = ""
    here: bool = False
    size: int | None = None  # how much it will take, where it is not here
    cuda: str = ""
    hip: str = ""
    archs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine:
    """The container engine."""

    url: str = ""
    error: str = ""
    remedy: str = ""
    podman: bool = False
    version: str = ""
    storage: str = ""
    root: str = ""
    free: int | None = None
    runtimes: tuple[str, ...] = ()
    cdi: bool = False  # it reads CDI specs
    seccomp: bool = True
    open_files: int | None = None  # what a container gets
    builder: str = ""
    ports: tuple[tuple[int, str], ...] = ()  # (host port, container) of what runs
    image: Image = field(default_factory=Image)


@dataclass(frozen=True)
class Device:
    """A device node: who owns it, and whether this user may use it."""

    path: str
    here: bool = False
    gid: int | None = None
    group: str = ""
    usable: bool = False


@dataclass(frozen=True)
class Kernel:
    """What the kernel was told. `iommu` is the default domain type: identity (pass-through), DMA, or ""."""

    numa_balancing: int | None = None
    iommu: str = ""
    iommu_groups: int = 0
    shm: int | None = None
    shm_free: int | None = None
    memlock: int | None = None  # None is unlimited
    release: str = ""  # as uname -r says it


@dataclass(frozen=True)
class Hub:
    """Our token, what the Hub says of it, and the cache. `skew` are seconds we are ahead of the Hub."""

    endpoint: str = ""
    token_from: str = ""  # HF_TOKEN, or the file; "" is no token
    token_mode: int | None = None
    token_broken: bool = False  # it holds what no token has: a blank, a line end, an accent
    reached: bool = False
    error: str = ""
    user: str = ""
    refused: bool = False
    licence: str = ""  # of the model: "open", "accepted", "missing", "unknown model"
    skew: float | None = None
    cache: str = ""
    cache_here: bool = False
    cache_writable: bool = False
    cache_owner: str = ""
    cache_file: str = ""  # a file that stands where the cache's folder is wanted
    cache_free: int | None = None
    strangers: int = 0  # entries of the cache that are another user's
    needed: int | None = None  # bytes of weights still to come
    model: str = ""


@dataclass(frozen=True)
class Certificates:
    """A variable that names a CA bundle, and what is wrong with the file; "" where nothing is."""

    name: str
    path: str
    problem: str = ""


@dataclass(frozen=True)
class Network:
    """The port to serve on, the proxies, the CA bundles."""

    port: int = 8000
    taken: bool = False
    proxies: tuple[tuple[str, str], ...] = ()  # passwords taken out
    no_proxy: str = ""
    certificates: tuple[Certificates, ...] = ()


@dataclass(frozen=True)
class Facts:
    """One host, looked at for one platform."""

    platform: str
    user: str = ""
    uid: int = 0
    groups: tuple[int, ...] = ()
    hardware: Hardware = field(default_factory=Hardware)
    engine: Engine = field(default_factory=Engine)
    devices: tuple[Device, ...] = ()
    specs: tuple[CdiSpec, ...] = ()
    toolkit: str = ""  # where the hook of NVIDIA's container toolkit is
    kernel: Kernel = field(default_factory=Kernel)
    hub: Hub = field(default_factory=Hub)
    network: Network = field(default_factory=Network)
    clock: float = 0.0  # seconds since 1970
    unanswered: tuple[str, ...] = ()  # drivers that did not answer in time
