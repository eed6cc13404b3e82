"""Which file system a folder is on."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.weights.file_system import file_system_of

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /data rw - nfs4 server:/data rw
31 30 8:2 / /data/local rw shared:3 master:1 - xfs /dev/sdb rw
32 22 0:41 / /with\\040blank rw - ceph mon:/ rw
33 22 0:42 / /data/local rw - fuse.sshfs me@host: rw
broken
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me", "ext4"),
        ("/data/models/m2", "nfs4"),
        ("/database", "ext4"),
        ("/data/local/hub", "fuse.sshfs"),  # mounted over xfs
        ("/with blank/hub", "ceph"),
    ],
)
def test_the_longest_mount_point_counts_and_the_last_of_equal_ones(
    folder: str, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert file_system_of(Path(folder), tmp_path / "mountinfo") == kind


def test_it_is_not_known_without_the_kernels_list(tmp_path: Path) -> None:
    assert file_system_of(tmp_path, tmp_path / "nowhere") == ""
    assert file_system_of(tmp_path) != ""  # on this host
