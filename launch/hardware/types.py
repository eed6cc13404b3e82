"""The facts about a host's hardware, whoever made it. Sizes are bytes; None and "" are not known."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Process:
    """A process that holds memory of a GPU."""

    pid: int
    name: str = ""
    memory: int | None = None


@dataclass(frozen=True)
class Part:
    """What a runtime counts as one device: a whole GPU, or one partition (or die) of an AMD card."""

    node: int
    render: str = ""  # /dev/dri/renderD128
    memory: int | None = None
    cdi: str = ""  # the CDI name that hands over exactly this part


@dataclass(frozen=True)
class Gpu:
    """One physical card. `index` is what `--gpus 0,2` means; `links` are the cards joined to it directly."""

    index: int
    vendor: str  # nvidia or amd
    name: str = ""
    hardware: str = ""  # an id of gpus.yaml or of the recipes' taxonomy; "" is a GPU that nobody listed
    arch: str = ""  # sm_90, gfx942
    uuid: str = ""
    pci: str = ""
    numa: int | None = None
    memory: int | None = None
    used: int | None = None
    links: tuple[int, ...] = ()
    processes: tuple[Process, ...] = ()
    parts: tuple[Part, ...] = ()
    partition: str = ""  # SPX, DPX, QPX, CPX
    memory_partition: str = ""  # NPS1, NPS4
    mig: bool = False
    ecc: bool | None = None
    cdi: str = ""  # the CDI name that hands over exactly this card; "" where no readable spec has one
    problem: str = ""  # why it cannot be used; its other facts may then be missing

    @property
    def key(self) -> str:
        """A name that outlives a restart and a change of order: UUID (NVIDIA) or PCI address (AMD)."""
        return (
            (self.uuid if self.vendor == "nvidia" else self.pci) or self.pci or f"{self.vendor}-{self.index}"
        )

    @property
    def devices(self) -> tuple[str, ...]:
        """The render nodes of all its parts."""
        return tuple(part.render for part in self.parts if part.render)

    @property
    def cdi_names(self) -> tuple[str, ...]:
        """The CDI names that together hand over exactly this card; none where a part of it has none."""
        names = tuple(part.cdi for part in self.parts)
        return names if names and all(names) else ((self.cdi,) if self.cdi else ())

    @property
    def ranks(self) -> int:
        """Devices that a runtime sees in it."""
        return max(1, len(self.parts))


@dataclass(frozen=True)
class Seen:
    """What one vendor's driver says: its version, what it serves, its GPUs, and what went wrong."""

    vendor: str
    driver: str = ""
    runtime: str = ""  # the newest CUDA that the driver serves, "13.0"
    gpus: tuple[Gpu, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cpu:
    """The processor and the memory of the host."""

    model: str = ""
    arch: str = ""
    cores: int = 0
    threads: int = 0
    nodes: int = 1  # NUMA
    memory: int = 0
    available: int = 0
    features: tuple[str, ...] = ()  # of avx2, avx512, avx512_bf16, amx


@dataclass(frozen=True)
class PciGpu:
    """A display or compute device on the PCI bus, whether or not a driver took it."""

    address: str
    vendor: str
    device: int
    driver: str = ""


@dataclass(frozen=True)
class Hardware:
    """All of it."""

    cpu: Cpu = field(default_factory=Cpu)
    nvidia: Seen = field(default_factory=lambda: Seen("nvidia"))
    amd: Seen = field(default_factory=lambda: Seen("amd"))
    pci: tuple[PciGpu, ...] = ()

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs of both vendors."""
        return (*self.nvidia.gpus, *self.amd.gpus)

    def on(self, platform: str) -> Seen:
        """The vendor behind a platform; nobody's GPUs on cpu."""
        return {"cuda": self.nvidia, "rocm": self.amd}.get(platform, Seen(""))
