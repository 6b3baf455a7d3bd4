"""What a quiet run of one plan over real events published, once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import truth as real


@pytest.fixture(scope="session")
def truth(nano: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> real.Truth:
    """See :class:`truth.Truth`."""
    return real.published(nano, tmp_path_factory.mktemp("truth"))
