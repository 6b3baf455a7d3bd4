"""Names of augmenters, ours and those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import dask_augment as da
from dask_augment.augmenters import TABLE
from dask_augment.plans import registry
from dask_augment.plans.plan import PlanError
from run_toys import Excess


@pytest.mark.parametrize("name", sorted(TABLE))
def test_ours(name: str) -> None:
    kind = registry.get(name)
    assert issubclass(kind, da.Augmenter)
    assert (kind.__doc__ or "").strip().splitlines()[0].endswith(".")
    assert name in registry.names()


def test_name_of_an_augmenter() -> None:
    assert registry.name_of(da.Repeat(n=1)) == "repeat"
    assert registry.name_of(da.PhiRotate()) == "phi_rotate"
    assert registry.name_of(Excess()) == "excess"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("phirotate", "did you mean 'phi_rotate'?"),
        ("qqqq", f"there are {registry.names()[0]}, "),
        ("oversmple", "did you mean 'oversample'"),
    ],
)
def test_unknown_name(name: str, hint: str) -> None:
    with pytest.raises(KeyError, match="no augmenter is named") as error:
        registry.get(name)
    assert hint in error.value.args[0]
    assert "'my_file.py:function'" in error.value.args[0]


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("excess", "run_toys:Excess", registry.GROUP),
        EntryPoint("gone", "no_such_package:Thing", registry.GROUP),
        EntryPoint("function", "run_toys:write", registry.GROUP),
        EntryPoint("repeat", "run_toys:Excess", registry.GROUP),
        EntryPoint("attribute", "run_toys:no_such_class", registry.GROUP),
        EntryPoint("broken", "broken_plugin:Thing", registry.GROUP),
        EntryPoint("leaving", "leaving_plugin:Thing", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.GROUP else [])
    registry._plugins.cache_clear()
    yield
    registry._plugins.cache_clear()


def test_of_other_packages(plugins: Any) -> None:
    assert registry.get("excess") is Excess
    assert registry.name_of(Excess()) == "excess"
    assert registry.get("repeat") is da.Repeat, "ours cannot be replaced"
    assert {"excess", "gone", "repeat"} <= set(registry.names())
    with pytest.raises(
        ImportError, match=r"augmenter 'gone' of .* cannot be imported: No module named 'no_such_package'"
    ):
        registry.get("gone")
    with pytest.raises(TypeError, match=r"augmenter 'function' is .*, not a class derived from Augmenter"):
        registry.get("function")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("attribute", "AttributeError: module 'run_toys' has no attribute 'no_such_class'"),
        ("broken", "ZeroDivisionError: division by zero"),
        ("leaving", "SystemExit: 3"),
    ],
)
def test_broken_plugin_is_one_sentence(
    name: str, sentence: str, plugins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_plugin.py").write_text("1 / 0")
    (tmp_path / "leaving_plugin.py").write_text("import sys\nsys.exit(3)")
    with pytest.raises(ImportError, match=f"augmenter '{name}' of .* cannot be imported: {sentence}"):
        registry.get(name)
    with pytest.raises(PlanError, match=rf"step 0 \({name}\): augmenter '{name}' of .* cannot be imported: {sentence}"):
        da.Plan.from_dict({"inputs": {"a": ["a.root"]}, "seed": 1, "steps": [name]})
