"""Reading the branches of a part: how often a file is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from dask_augment.inputs.paths import is_url
from dask_augment.inputs.root_files import Tree
from run_toys import write

NAMES = [f"x{number}" for number in range(20)]


class Spy:
    """A tree that remembers how many branches it was asked for at once."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self.asked: list[int] = []

    def arrays(self, names: list[str], **how: Any) -> Any:
        self.asked.append(len(names))
        return self._tree.arrays(names, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tree, name)


@pytest.mark.parametrize(
    ("place", "asked"), [("", [16, 4]), ("root://eos//", [20]), ("https://a/", [20])], ids=["here", "xrootd", "http"]
)
def test_from_afar_all_branches_are_asked_for_at_once(place: str, asked: list[int], tmp_path: Path) -> None:
    """Each question is a journey; here few branches at a time take less memory."""
    path = write(tmp_path / "a.root", more={name: np.arange(12.0) for name in NAMES})
    with uproot.open(path) as file:
        spy = Spy(file["Events"])
        columns = Tree(file, spy, afar=is_url(f"{place}{path}")).read(NAMES, 3, 9)
    assert spy.asked == asked
    assert {name: values.to_list() for name, values in columns.items()} == {name: list(range(3, 9)) for name in NAMES}
