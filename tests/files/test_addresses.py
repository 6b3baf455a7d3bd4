"""What of an address may be told."""

from __future__ import annotations

import pytest

from dask_augment.dataset.publication import RunFailed
from dask_augment.files.addresses import confused, told, untold
from dask_augment.files.documents import PlanError
from dask_augment.messages import one_line

ADDRESSES = {
    "http://alice:P%40SS@host/wz.root?X-Amz-Signature=TOKEN": "http://host/wz.root",
    "root://user:pa@ss@host//a/b.root?authz=abc&x=1": "root://host//a/b.root",
    "s3://KEY:SECRET@bucket/x": "s3://bucket/x",
    "HTTPS://U:P@H/x?T": "HTTPS://H/x",
    "http://host?token": "http://host",
    "simplecache::https://u:p@h/x.zip?t=1::zip://y": "simplecache::https://h/x.zip::zip://y",
    "zip://a.root::http://u:p@h/x.zip?tok": "zip://a.root::http://h/x.zip",
    "/data/a?.root": "/data/a?.root",
    "http://h/a@b/c": "http://h/a@b/c",
    "me@here.org": "me@here.org",
    "cannot open 'https://a:b@c/d.root?sig=x' (see https://docs/x#y)": "cannot open 'https://c/d.root' (see https://docs/x#y)",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_users_and_queries_are_cut(address: str) -> None:
    assert told(address) == ADDRESSES[address] == told(told(address))
    assert told({address: [address, (address, 1)]}) == {told(address): [told(address), (told(address), 1)]}


def test_errors_and_what_they_come_from() -> None:
    address = "http://alice:PASSWORD@host/a?TOKEN"
    for kind in (PlanError, RunFailed):
        assert str(kind(f"{address} is wrong")) == "http://host/a is wrong"
    assert one_line(ValueError(address)) == "http://host/a"
    cause = FileNotFoundError(2, "No such file", address)
    error = ValueError(address)
    error.__cause__ = cause
    assert str(untold(error)) == "http://host/a"
    assert str(cause) == "[Errno 2] No such file: 'http://host/a'"


def test_names_of_two_addresses() -> None:
    assert confused(["http://h/a?x", "http://h/a?x", "http://h/b?x"]) is None
    assert confused(["http://h/b", "http://h/a?x", "http://h/a?y"]) == "http://h/a"
    assert confused(["a.root", "b.root"]) is None
