"""No cluster: a client of an earlier test that is still connected would take the work."""

from __future__ import annotations

from collections.abc import Iterator

import dask
import dask.threaded
import pytest


@pytest.fixture(autouse=True)
def in_this_process() -> Iterator[None]:
    # The other way to shuffle needs the workers of that client.
    with dask.config.set({"scheduler": dask.threaded.get, "dataframe.shuffle.method": "tasks"}):
        yield
