import errno

import pytest
from invoke.exceptions import Exit

from commands.task import verb
from errors import Failed


def test_an_error_ends_as_its_message_and_exit_code():
    @verb()
    def fails(c):
        """Fail."""
        raise Failed("no", fix="try again")

    with pytest.raises(Exit) as end:
        fails.body(None)
    assert (end.value.code, str(end.value)) == (1, "error: no\n  next: try again")


def test_what_nobody_foresaw_is_one_message_too():
    @verb()
    def breaks(c):
        """Break."""
        raise ZeroDivisionError("by nought")

    with pytest.raises(Exit, match="ZeroDivisionError: by nought"):
        breaks.body(None)


def test_a_full_disk_is_foreseen():
    @verb()
    def fills(c):
        """Fill the disk."""
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/x")

    with pytest.raises(Exit, match="no space left on the disk\n  why: /tmp/x\n  next: df -h"):
        fills.body(None)
