from __future__ import annotations

from email.message import Message

import pytest

from errors import Failed
from launch.http.ranges import UnexpectedStatus
from launch.http.retry import TransientError
from launch.weights.manifest import Entry
from launch.weights.sources.hub_files import HubFiles

ENTRY = Entry("model.safetensors", 5, "0" * 64)


@pytest.mark.parametrize(
    ("url", "code", "kind"),
    [
        ("http://hub/a/b/resolve/c/model.safetensors", "", Failed),
        ("http://hub/signed?until=1", "", TransientError),  # a storage on the Hub's own host
        ("http://hub/new/name/resolve/c/model.safetensors", "GatedRepo", Failed),  # a renamed model
        ("http://storage/signed?until=1", "", TransientError),
    ],
)
def test_explain_tells_an_expired_storage_url_from_a_refusal(
    url: str, code: str, kind: type[Exception]
) -> None:
    headers = Message()
    headers["X-Error-Code"] = code
    redirected = url != "http://hub/a/b/resolve/c/model.safetensors"
    error = HubFiles("http://hub", "a/b", "c").explain(ENTRY, UnexpectedStatus(403, headers, url), redirected)
    assert isinstance(error, kind)
