"""The page that says what each method is for, against what the methods say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from dask_augment.plans import registry

PAGE = (Path(__file__).resolve().parents[1] / "docs/methods.md").read_text()


def rows() -> dict[str, list[str]]:
    """Cells of the first table, by the method's name."""
    table = PAGE.split("## Which one")[0].split("|---")[-1].split("\n")[1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table if line.startswith("|")]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_every_method_has_a_row() -> None:
    assert set(rows()) == set(registry.names())


@pytest.mark.parametrize("name", sorted(rows()))
def test_a_row_says_what_the_method_does(name: str) -> None:
    training, analysis, _, _, data = rows()[name]
    kind = registry.get(name)
    assert training == "yes"
    assert analysis == ("yes" if kind.use == "always" else "no")
    if kind.use == "training":
        assert data == "no"
    if kind.makes:
        assert "unchanged" in rows()[name][2]
