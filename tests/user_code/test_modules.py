"""Code that is not ours tells a plan: functions with what they import, plugins, classes of the user's own."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dask_augment.plans.plan import Plan, PlanError
from dask_augment.user_code.modules import distributions, local_modules, modules_of

FUNCTION = """
from dask_augment import augmenter
{imports}

@augmenter(uses=["MET.pt"], produces={{"twice": "float32"}})
def twice(events):
    return events.MET.pt * {value}
"""
STEP = """
from dataclasses import dataclass
from dask_augment import Augmenter, Output
from {package}.factors import FACTOR

@dataclass(frozen=True, kw_only=True, eq=False)
class Twice(Augmenter):
    def uses(self):
        return frozenset(["MET.pt"])
    def produces(self):
        return {{"twice": "float32"}}
    def apply(self, events, draw):
        return Output({{"twice": events.MET.pt * FACTOR}})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where Python looks for modules; what was loaded from it is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    mine = (str(tmp_path), "<")
    forget(
        *(n for n in set(sys.modules) - before if (getattr(sys.modules[n], "__file__", None) or "").startswith(mine))
    )


def forget(*names: str) -> None:
    """As a new process would not know them."""
    for name in names:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def write(path: Path, text: str) -> None:
    """Another text, as another second would see it."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    number = write.__dict__["number"] = write.__dict__.get("number", 0) + 1
    os.utime(path, (1_000_000_000 + number,) * 2)
    importlib.invalidate_caches()


def plan(step: Any, folder: Path | str = ".") -> Plan:
    return Plan.from_dict({"inputs": {"a": ["a.root"]}, "seed": 1, "steps": [step]}, folder=folder)


def from_file(folder: Path, imports: str, value: str) -> Callable[[], Plan]:
    write(folder / "feat.py", FUNCTION.format(imports=imports, value=value) + f"# {folder}\n")
    return lambda: plan("feat.py:twice", folder)


IMPORTS = {
    "a name": ("from helpers import K", "K"),
    "the module": ("import helpers", "helpers.K"),
    "under another name": ("import helpers as h", "h.K"),
    "inside the function": ("", "__import__('helpers').K if False else 1\n    import helpers"),
    "everything": ("from helpers import *", "K"),
    "where it may fail": ("try:\n    from helpers import K\nexcept ImportError:\n    K = 1", "K"),
    "through another": ("from between import K", "K"),
    "of a package": ("from tools.deep import K", "K"),
    "a module of a package": ("from tools import deep", "deep.K"),
    "of a package, relative": ("from tools.near import K", "K"),
}


@pytest.mark.parametrize("case", IMPORTS)
def test_helper_that_changed_is_another_plan(case: str, folder: Path) -> None:
    imports, value = IMPORTS[case]
    write(folder / "between.py", "def get():\n    from helpers import K\n    return K\nK = get()\n")
    write(folder / "tools" / "__init__.py", "")
    write(folder / "tools" / "near.py", "from .deep import K\n")
    for name in ("helpers.py", "tools/deep.py"):
        write(folder / name, "K = 1\n")
    read = from_file(folder, imports, value)
    first = read()
    assert read().digest == first.digest
    assert set(first.to_dict()["steps"][0]["feat.py:twice"]) == {"sha256", "imports"}
    assert Plan.from_dict(json.loads(json.dumps(first.to_dict())), folder=folder).digest == first.digest
    loaded = [name for name in ("helpers", "between", "tools", "tools.deep", "tools.near") if name in sys.modules]
    for name in ("helpers.py", "tools/deep.py"):
        write(folder / name, "K = 5\n")
    forget(*loaded)
    assert read().digest != first.digest
    with pytest.raises(PlanError, match=r"its module '(helpers|tools.deep)' has changed: the sha256 is"):
        Plan.from_dict(first.to_dict(), folder=folder)


def test_helper_beside_a_file_that_looks_there_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    write(tmp_path / "helpers.py", "K = 1\n")
    read = from_file(tmp_path, f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom helpers import K", "K")
    first = read()
    assert list(first.steps[0].imports) == ["helpers"]  # type: ignore[union-attr]
    write(tmp_path / "helpers.py", "K = 2\n")
    forget("helpers")
    assert read().digest != first.digest
    forget("helpers")


def test_module_that_changed_after_it_was_loaded_is_refused(folder: Path) -> None:
    write(folder / "helpers.py", "K = 1\n")
    read = from_file(folder, "from helpers import K", "K")
    first = read().digest
    write(folder / "helpers.py", "K = 2\n")
    with pytest.raises(
        PlanError, match=r"'helpers' was changed after this process had loaded it.*start Python anew, or import"
    ):
        read()
    with pytest.raises(PlanError, match="'helpers' was changed after"):
        read()
    importlib.reload(sys.modules["helpers"])
    second = read()
    assert second.digest != first
    assert second.steps[0].function.__globals__["K"] == 2  # type: ignore[union-attr]


def test_module_that_changed_before_anybody_looked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write(folder / "early.py", "K = 1\n")
    importlib.import_module("early")
    write(folder / "early.py", "K = 2\n")
    with pytest.raises(PlanError, match="'early' was changed after"):
        from_file(folder, "from early import K", "K")()
    with pytest.raises(PlanError, match="'early' was changed after"):
        from_file(folder, "from early import K", "K")()
    write(folder / "early.py", "K = 1\n")  # touched, and the same
    from_file(folder, "from early import K", "K")()


def test_name_that_another_module_has_taken(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "helpers.py", "K = 1\n")
    from_file(folder, "from helpers import K", "K")()
    other = tmp_path / "other"
    write(other / "helpers.py", "K = 2\n")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(folder)])
    with pytest.raises(PlanError, match="'helpers' that it imports is another one here"):
        from_file(other, "from helpers import K", "K")()


def test_only_what_is_local_is_hashed(folder: Path) -> None:
    write(folder / "helpers.py", "import numpy, awkward, json, dask_augment, no_such_module\nK = 1\n")
    assert list(local_modules("import helpers, numpy.random, os.path, yaml")) == ["helpers"]
    assert local_modules("this is no Python") == {}
    assert set(distributions(["yaml.loader", "numpy", "os", "dask_augment"])) == {"PyYAML", "numpy"}


def a_module(folder: Path, package: str) -> ModuleType:
    write(folder / package / "__init__.py", "")
    write(folder / package / "factors.py", "FACTOR = 2\n")
    write(folder / package / "step.py", STEP.format(package=package))
    return importlib.import_module(f"{package}.step")


@pytest.mark.parametrize("changed", ["step.py", "factors.py"])
def test_class_whose_module_changed_is_another_plan(changed: str, folder: Path) -> None:
    one = Plan(inputs={"a": ["a.root"]}, seed=1, steps=[a_module(folder, "mine").Twice()])
    assert sorted(one.code()) == ["mine", "mine.factors", "mine.step"]
    first = one.digest
    write(folder / "mine" / changed, (folder / "mine" / changed).read_text() + "\nFACTOR = 200\n")
    with pytest.raises(
        PlanError, match=r"the code of step 'Twice' cannot be told: module 'mine\..*' was changed after"
    ):
        one.digest
    forget("mine", "mine.factors", "mine.step")
    module = importlib.import_module("mine.step")
    assert Plan(inputs={"a": ["a.root"]}, seed=1, steps=[module.Twice()]).digest != first


def test_installed_package_of_a_step_counts_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin is hashed with the modules of its own package, and told with its version; of others the version counts."""
    site = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(site)
    module = a_module(site, "plugged")
    assert sorted(modules_of("plugged.step")) == ["plugged", "plugged.factors", "plugged.step"]
    assert local_modules("import plugged.step") == {}
    assert (
        Plan(inputs={"a": ["a.root"]}, seed=1, steps=[("x", module.Twice())]).code().keys()
        == modules_of("plugged.step").keys()
    )
    forget("plugged", "plugged.factors", "plugged.step")


def test_class_of_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(factor: int) -> Any:
        text = STEP.replace("from {package}.factors import FACTOR", f"FACTOR = {factor}").format()
        from dask_augment.user_code.functions import module_of

        kind = module_of("cell.py", text).Twice
        monkeypatch.setattr(kind, "__module__", "__main__")
        return Plan(inputs={"a": ["a.root"]}, seed=1, steps=[kind()])

    assert made(2).digest == made(2).digest != made(3).digest
    assert list(made(2).code()) == ["__main__:Twice"]


def test_function_of_python_is_told_as_it_is_now(folder: Path) -> None:
    write(folder / "helpers.py", "K = 1\ndef times():\n    return K\n")
    text = FUNCTION.format(imports="import helpers\nfrom helpers import times", value="times() * later()")
    write(folder / "steps.py", text + "\ndef later():\n    return 1\n")
    step = importlib.import_module("steps").twice

    def digest() -> str:
        return Plan(inputs={"a": ["a.root"]}, seed=1, steps=[step]).digest

    first = digest()
    assert digest() == first
    write(folder / "helpers.py", "K = 2\ndef times():\n    return K\n")
    importlib.reload(sys.modules["helpers"])
    second = digest()
    assert second != first
    sys.modules["steps"].later = lambda: 5  # type: ignore[attr-defined]
    assert digest() != second


def test_folders_without_init_below_a_package_are_looked_into(folder: Path) -> None:
    write(folder / "above" / "__init__.py", "")
    write(folder / "above" / "c.py", "K = 1\n")
    write(folder / "above" / "below" / "deep.py", "from ..c import K\n")
    for text in ("from above.below.deep import K", "import above.below.deep"):
        assert {*local_modules(text, [folder])} == {"above", "above.c", "above.below.deep"}
