"""What all tests share: the real events, and a small cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

pytest_plugins = ("budget",)

SAMPLES = Path(os.environ.get("DASK_AUGMENT_DATA") or Path(__file__).parents[1] / ".cache" / "samples")

# On a busy machine one example takes long now and then, which says nothing about the code. A check in CI gives the
# same answer twice; elsewhere new examples are tried in every run.
hypothesis.settings.register_profile(
    "dask-augment",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("dask-augment")


def pytest_configure() -> None:
    """Under nohup, or in the background of a script, the key that stops a program is ignored; tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that read real events, so that ``-m "not nano"`` leaves them out."""
    for item in items:
        if "nano" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.nano)


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_disks() -> Iterator[None]:
    """A process that dies loses nothing it has written; whether the descriptor is open is still asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(scope="session")
def nano() -> Callable[[str], str]:
    """The path of a real NanoAOD file: ``nano("nano_dy")``, ``nano("nano_tt_v12")`` or ``nano("pfnano")``.

    A missing file skips the test, or fails it where DASK_AUGMENT_REQUIRE_DATA is set.
    """

    def path(name: str) -> str:
        file = SAMPLES / f"{name.removesuffix('.root')}.root"
        if file.is_file():
            return str(file)
        reason = f"{file} is missing: run `make samples`, or name the folder it is in by DASK_AUGMENT_DATA"
        if os.environ.get("DASK_AUGMENT_REQUIRE_DATA"):
            pytest.fail(reason)
        pytest.skip(reason)

    return path


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of two worker processes of one thread each, which all tests of a run share: leave it as it was."""
    from distributed import Client, LocalCluster

    cluster = LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        local_directory=str(tmp_path_factory.mktemp("workers")),
    )
    # No default: tests of other schedulers run beside it.
    with cluster, Client(cluster, set_as_default=False) as connected:
        yield connected
