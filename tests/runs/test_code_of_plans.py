"""Code and published data sets: changed code is another plan, and none is run that a manifest only names."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from dask_augment.dataset.layout import MANIFEST
from dask_augment.dataset.publication import OtherPlan
from dask_augment.plans import registry
from dask_augment.plans.plan import Plan, PlanError
from dask_augment.runs.run import published_plan, run
from run_toys import write

FUNCTION = """
from pathlib import Path
from dask_augment import augmenter
{ran}

@augmenter(uses=["MET.pt"], produces={{"twice": "float32"}})
def twice(events):
    return events.MET.pt * {factor}
"""
PLUGIN = """
from dataclasses import dataclass
from dask_augment import Augmenter, Output

@dataclass(frozen=True, kw_only=True, eq=False)
class Scaled(Augmenter):
    def uses(self):
        return frozenset(["MET.pt"])
    def produces(self):
        return {{"scaled": "float32"}}
    def apply(self, events, draw):
        return Output({{"scaled": events.MET.pt * {factor}}})
"""


def plan(folder: Path, step: Any) -> Plan:
    files = {"files": [str(folder / "a.root")], "dataset": "tt"}
    return Plan.from_dict({"inputs": files, "seed": 1, "split": None, "steps": [step]}, folder=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "a.root")
    (tmp_path / "feat.py").write_text(FUNCTION.format(ran="", factor=2))
    return tmp_path


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A plugin with an entry point; called with a factor it is installed anew, as another process would find it."""
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    (tmp_path / "site-packages").mkdir()

    def installed(factor: int) -> None:
        (tmp_path / "site-packages" / "scaling_plugin.py").write_text(PLUGIN.format(factor=factor))
        sys.modules.pop("scaling_plugin", None)
        importlib.invalidate_caches()

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [EntryPoint("scaled", "scaling_plugin:Scaled", group)]
    )  # fmt: skip
    registry._plugins.cache_clear()
    yield installed
    registry._plugins.cache_clear()
    sys.modules.pop("scaling_plugin", None)


def test_changed_plugin_is_another_plan(folder: Path, plugin: Callable[[int], None]) -> None:
    plugin(2)
    first = run(plan(folder, "scaled"), folder / "out")
    assert run(plan(folder, "scaled"), folder / "out").already
    assert list(first.manifest.plan["code"]) == ["scaling_plugin"]
    published_plan(folder / "out")
    plugin(200)
    with pytest.raises(OtherPlan):
        run(plan(folder, "scaled"), folder / "out")
    with pytest.raises(OtherPlan):
        run(plan(folder, "scaled"), folder / "out", resume=True)
    with pytest.raises(PlanError, match="the code of 'scaling_plugin' has changed: its sha256 is"):
        published_plan(folder / "out")


def test_version_of_a_distribution_is_recorded(folder: Path) -> None:
    (folder / "feat.py").write_text(FUNCTION.format(ran="import yaml", factor=2))
    manifest = run(plan(folder, "feat.py:twice"), folder / "out").manifest
    assert manifest.plan["versions"]["PyYAML"] == importlib.import_module("yaml").__version__


def reseal(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a published manifest, and give it the seal that anybody can compute."""
    values = json.loads((path / MANIFEST).read_text())
    del values["sha256"]
    change(values)
    text = json.dumps(values)[:-1]
    seal = hashlib.sha256(text.encode()).hexdigest()
    (path / MANIFEST).write_text(f'{text},\n"sha256":"{seal}"}}\n')


@pytest.fixture
def published(folder: Path) -> Path:
    return run(plan(folder, "feat.py:twice"), folder / "out").path


def test_changed_file_is_not_run(folder: Path, published: Path) -> None:
    entry = published_plan(published, folder=folder).to_dict()["steps"][0]
    assert entry == plan(folder, "feat.py:twice").to_dict()["steps"][0] | {"as": "twice"}
    (folder / "feat.py").write_text(FUNCTION.format(ran=f"Path({str(folder / 'ran')!r}).touch()", factor=2))
    with pytest.raises(PlanError, match=r"its file has changed: the sha256 is .*, the plan was made with"):
        published_plan(published, folder=folder)
    assert not (folder / "ran").exists()


def evil(folder: Path) -> str:
    """A file that says that it was run; returns its sha256."""
    text = FUNCTION.format(ran=f"Path({str(folder / 'ran')!r}).touch()", factor=2)
    (folder / "evil.py").write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "name", ["{}/evil.py:twice", "../evil.py:twice", "./evil.py:twice", "sub/../evil.py:twice", "..\\evil.py:twice"]
)
@pytest.mark.parametrize("right", [True, False])
def test_manifest_names_no_folder(name: str, right: bool, folder: Path, published: Path) -> None:
    sha256 = evil(folder) if right else "0" * 64
    reseal(published, lambda values: values["plan"].update(steps=[{name.format(folder): {"sha256": sha256}}]))
    with pytest.raises(PlanError, match="names the file of a function without a folder"):
        published_plan(published, folder=folder)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "options",
    [None, {}, {"sha256": None}, {"sha256": ""}, {"sha256": ["a"]}, {"imports": {}}, {"sha256": "0" * 64}, "text"],
)
@pytest.mark.parametrize("label", [{}, {"as": "x"}])
def test_manifest_without_the_right_sha256_runs_nothing(
    options: Any, label: dict[str, str], folder: Path, published: Path
) -> None:
    evil(folder)
    reseal(published, lambda values: values["plan"].update(steps=[{**label, "evil.py:twice": options}]))
    with pytest.raises(PlanError, match=r"does not say the sha256|has changed"):
        published_plan(published, folder=folder)
    reseal(published, lambda values: values["plan"].update(steps=["evil.py:twice"]))
    with pytest.raises(PlanError, match=r"does not say the sha256"):
        published_plan(published, folder=folder)
    assert not (folder / "ran").exists()


def test_changed_helper_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (folder / "aids.py").write_text("K = 2\n")
    (folder / "feat.py").write_text(FUNCTION.format(ran="from aids import K", factor="K"))
    published = run(plan(folder, "feat.py:twice"), folder / "out").path
    (folder / "aids.py").write_text(f"from pathlib import Path\nPath({str(folder / 'ran')!r}).touch()\nK = 2\n")
    del sys.modules["aids"]
    with pytest.raises(PlanError, match=r"its module 'aids' has changed: the sha256 is .*, the plan was made with"):
        published_plan(published, folder=folder)
    assert not (folder / "ran").exists()
    (folder / "aids.py").write_text("K = 2\n")
    published_plan(published, folder=folder)
    reseal(published, lambda values: values["plan"]["steps"][0]["feat.py:twice"].pop("imports"))
    with pytest.raises(PlanError, match="the plan was made with none"):
        published_plan(published, folder=folder)
    sys.modules.pop("aids", None)
