"""What the tests of faults share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies loses nothing it has written, so waiting for the disk would only make these tests slow."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
