import errno

import pytest
from invoke.exceptions import Exit

from commands.task import one_of, pairs, verb, whole_number
from errors import Failed, Refused


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


def test_pairs_need_a_value():
    assert pairs("--env", ["A=b=c"]) == (("A", "b=c"),)
    with pytest.raises(Refused, match="a value is missing"):
        pairs("--env", ["A"])


def test_one_of_names_the_known_ones():
    with pytest.raises(Refused, match="cpu"):
        one_of("platform", "cpo", ("cpu", "cuda"))


@pytest.mark.parametrize("word", ["-1", "x", "", None, "1.5"])
def test_what_is_no_number_from_nought_on_is_refused(word):
    with pytest.raises(Refused, match="--timeout"):
        whole_number("--timeout", word)
