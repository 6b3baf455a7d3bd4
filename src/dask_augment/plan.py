"""A plan: inputs, steps, seed and output, as Python and as YAML in the same words, and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dask_augment import registry
from dask_augment.augmenters.function import Function
from dask_augment.carrying import refuse_gone
from dask_augment.contract import Augmenter, plain
from dask_augment.documents import read_yaml
from dask_augment.identity import POSITION
from dask_augment.inputs import Inputs, PlanError, names, refuse_misspelt
from dask_augment.models.files import SHIPPED
from dask_augment.places import NoLocalFolder, local_folder
from dask_augment.words import unknown

__all__ = ["Inputs", "Plan", "PlanError", "Target"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where and how the result is published.

    Parameters
    ----------
    path
        Folder of the data set; it must not exist yet, or hold this very plan.
    partition_by
        Columns that become hive folders; ``dataset`` is always known.
    keep
        Patterns of columns of the input files that are kept, ``Jet.*``, beside everything that steps make, ids and
        weights. None: the columns that steps use.
    """

    path: str | Path | None = None
    partition_by: tuple[str, ...] = ("dataset",)
    keep: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.path is not None:
            try:
                local_folder(self.path, "output: path")
            except NoLocalFolder as error:
                raise PlanError(str(error)) from None
        for name in ("partition_by", "keep"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, names(f"output: {name}", value))
        if isinstance(self.path, Path):
            object.__setattr__(self, "path", str(self.path))
        if self.path is not None and not (isinstance(self.path, str) and self.path and "\0" not in self.path):
            raise PlanError(f"output: path must be the path of a folder, got {self.path!r}")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do: inputs, steps, seed, output. Python and YAML say the same thing in the same words."""

    inputs: Inputs | Mapping[str, Any]
    steps: Sequence[Augmenter | tuple[str, Augmenter]]
    seed: int
    output: Target | Mapping[str, Any] = field(default_factory=Target)
    split: str | None = "split"
    """Column that is 0 on training rows; None for a plan without test events (``split: none`` in YAML)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", self._section("inputs", Inputs))
        object.__setattr__(self, "output", self._section("output", Target))
        object.__setattr__(self, "steps", tuple(self.steps))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise PlanError(f"seed must be a whole number, got {self.seed!r}")
        split: Any = self.split
        if split is not None and not (isinstance(split, str) and split):
            raise PlanError(f"split must name the column that is 0 on training rows, or be none, got {split!r}")
        for position, step in enumerate(self.steps):
            augmenter = step[1] if isinstance(step, tuple) else step
            if not isinstance(augmenter, Augmenter):
                raise PlanError(f"step {position} is {augmenter!r}, not an augmenter")
        assert isinstance(self.inputs, Inputs)
        ids = POSITION if self.inputs.ids == "position" else self.inputs.ids
        weights = ("weight", self.inputs.weight, *self.inputs.weights)
        try:
            refuse_gone(registry.with_labels(self.steps), (*ids, *weights, *([split] if split else [])))
        except ValueError as error:
            raise PlanError(str(error)) from None

    def _section(self, name: str, kind: type) -> Any:
        value = getattr(self, name)
        if isinstance(value, kind):
            return value
        if name == "output" and isinstance(value, (str, Path)):
            return Target(path=str(value))
        if not isinstance(value, Mapping):
            raise PlanError(f"{name} must be a dictionary, got {value!r}")
        known = {f.name for f in fields(kind)}
        if name == "inputs" and not known & set(value):
            refuse_misspelt(value, known)
            value = {"fileset": value}
        strange = set(value) - known
        if strange:
            raise PlanError(f"{name} has unknown keys {unknown(strange, known)}")
        return kind(**value)

    @classmethod
    def from_dict(cls, values: Any, *, folder: str | Path = ".") -> Plan:
        """The plan that a dictionary or YAML file says; files of functions are looked for in ``folder``."""
        if not isinstance(values, Mapping):
            raise PlanError(f"a plan is a dictionary with inputs, seed, steps and output, got {type(values).__name__}")
        known = {f.name for f in fields(cls)}
        strange = set(values) - known
        if strange:
            raise PlanError(f"the plan has unknown keys {unknown(strange, known)}")
        missing = sorted({"inputs", "steps", "seed"} - set(values))
        if missing:
            raise PlanError(f"the plan does not say its {' and '.join(missing)}")
        steps = values["steps"]
        if not isinstance(steps, Sequence) or isinstance(steps, str):
            raise PlanError(f"steps must be a list, got {steps!r}")
        made = [step_from(entry, position, Path(folder)) for position, entry in enumerate(steps)]
        rest = {name: values[name] for name in known & set(values) - {"steps"}}
        if rest.get("split") == "none":
            rest["split"] = None
        return cls(steps=made, **rest)

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """The plan of a YAML file."""
        return cls.from_dict(read_yaml(path), folder=Path(path).parent)

    def to_dict(self) -> dict[str, Any]:
        """The plan as YAML says it; :meth:`from_dict` gives it back."""
        values: dict[str, Any] = {
            "inputs": _given(self.inputs),
            "seed": self.seed,
            "steps": [step_to(step) for step in self.steps],
            "output": _given(self.output),
        }
        if self.split != "split":
            values["split"] = self.split
        return values

    @property
    def digest(self) -> str:
        """sha256 of the plan's dictionary."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def for_analysis(self) -> Plan:
        """The plan without its training steps, for events that go into yields and limits.

        The others keep the labels that they have here, so that they draw the same random numbers.
        """
        kept = [(label, step) for label, step in registry.with_labels(self.steps) if step.use != "training"]
        return replace(self, steps=kept)


def _augmenter(step: Augmenter | tuple[str, Augmenter]) -> Augmenter:
    return step[1] if isinstance(step, tuple) else step


def _given(section: Any) -> dict[str, Any]:
    """The fields of a section that differ from their defaults."""
    values = {}
    for entry in fields(section):
        value = getattr(section, entry.name)
        default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        if value != default:
            values[entry.name] = plain(str(value) if isinstance(value, Path) else value)
    return values


def step_from(entry: Any, position: int, folder: Path) -> Augmenter | tuple[str, Augmenter]:
    """One step of a plan: ``name``, ``{name: options}``, ``file.py:function``; ``as:`` gives it a label.

    A function may say the ``sha256`` of its file's text, as :meth:`Plan.to_dict` does: it is then refused when changed.
    """
    label = None
    if isinstance(entry, Mapping):
        entry = dict(entry)
        label = entry.pop("as", None)
        if len(entry) != 1:
            raise PlanError(f"step {position} must be one name with its options, got {sorted(map(str, entry))}")
        name, options = next(iter(entry.items()))
    else:
        name, options = entry, None
    if not isinstance(name, str):
        raise PlanError(f"step {position} must be a name, {{name: options}} or file.py:function, got {entry!r}")
    try:
        augmenter = function_of(name, options, folder) if ":" in name else build(name, options, folder)
    except (ImportError, KeyError, TypeError, ValueError, OSError) as error:
        raise PlanError(
            f"step {position} ({name}): {error.args[0] if isinstance(error, KeyError) else error}"
        ) from error
    return augmenter if label is None else (str(label), augmenter)


def function_of(address: str, options: Any, folder: Path) -> Augmenter:
    """The function that ``my_file.py:function`` names, if its file is the one that ``options`` may tell the sha256 of."""
    if ".py:" not in address:
        raise ValueError("a function that was made in Python; in a plan it is named by its file, my_file.py:function")
    if options is not None and not (isinstance(options, Mapping) and set(options) == {"sha256"}):
        raise ValueError(f"a function has no options but the sha256 of its file, got {options!r}")
    function = Function.from_file(address, folder)
    if options is not None and function.sha256 != options["sha256"]:
        raise ValueError(
            f"its file has changed: the sha256 is {function.sha256}, the plan was made with {options['sha256']}; take "
            "the old file, or the sha256 out of the plan"
        )
    return function


def build(name: str, options: Any, folder: Path) -> Augmenter:
    """An augmenter from its name and the options that a plan gives; files of its options are looked for in ``folder``."""
    kind = registry.get(name)
    known = {f.name for f in fields(kind)} - {"learned"}
    if options is None:
        options = {}
    elif kind.shorthand and not (isinstance(options, Mapping) and set(options) <= known):
        return kind(options)  # type: ignore[call-arg]  # the one field that may be given by position
    if not isinstance(options, Mapping):
        raise TypeError(f"options must be a dictionary, got {options!r}")
    strange = set(options) - known
    if strange:
        raise ValueError(f"unknown options {unknown(strange, known)}")
    lacking = [f.name for f in fields(kind) if _needed(f) and f.name not in options]
    if lacking:
        raise ValueError(f"the options {lacking} are needed; there are {sorted(known)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    for key in kind.files:
        file = values.get(key)
        if isinstance(file, str) and not file.startswith(SHIPPED):
            values[key] = str(folder / file)
    return kind(**values)


def _needed(option: Any) -> bool:
    return bool(option.default is MISSING and option.default_factory is MISSING)


def step_to(step: Augmenter | tuple[str, Augmenter]) -> Any:
    """A step as a plan's dictionary says it."""
    augmenter = _augmenter(step)
    name = registry.name_of(augmenter)
    if isinstance(augmenter, Function):
        entry: Any = {augmenter.address: {"sha256": augmenter.sha256}}
    else:
        options = {
            f.name: augmenter.configuration()[f.name]
            for f in fields(augmenter)
            if f.name != "learned" and getattr(augmenter, f.name) != f.default
        }
        alone = augmenter.shorthand
        entry = {name: options[alone] if alone and set(options) == {alone} else options}
    if isinstance(step, tuple):
        entry["as"] = step[0]
    return entry
