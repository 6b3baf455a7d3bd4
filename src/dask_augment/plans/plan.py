"""A plan: inputs, steps, seed and output, as Python and as YAML in the same words, and its digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from dask_augment.augmenters.function import Function
from dask_augment.contract.augmenter import Augmenter
from dask_augment.contract.configuration import plain
from dask_augment.contract.flow import Flow, Step
from dask_augment.contract.ids import POSITION
from dask_augment.contract.learned import Learned
from dask_augment.contract.nesting import whole
from dask_augment.contract.setting import Setting
from dask_augment.events.own_columns import SPLIT, WEIGHT
from dask_augment.files.addresses import told
from dask_augment.files.documents import read_yaml
from dask_augment.files.folders import NoLocalFolder, local_folder
from dask_augment.inputs.section import DEFAULT_TREE, Inputs, PlanError, names, refuse_misspelt, with_makers
from dask_augment.messages import unknown
from dask_augment.options import NamedOptions
from dask_augment.plans import registry
from dask_augment.plans.steps import Steps, step_to
from dask_augment.user_code.functions import code_of
from dask_augment.user_code.modules import distributions, imported_names

__all__ = ["Inputs", "Plan", "PlanError", "Target"]

_OURS = __name__.partition(".")[0]


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
        weights. A pattern means what all files have; ``!Jet.x*`` leaves out; the last that names a column decides.
        None: the columns that steps use.
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
            object.__setattr__(self, "path", os.fspath(self.path))
        for name in ("partition_by", "keep"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, names(f"output: {name}", value))


@dataclass(frozen=True, kw_only=True)
class Plan(NamedOptions):
    """What to do: inputs, steps, seed, output. Python and YAML say the same thing in the same words."""

    inputs: Inputs | Mapping[str, Any]
    steps: Sequence[Augmenter | tuple[str, Augmenter]]
    seed: int
    output: Target | Mapping[str, Any] = field(default_factory=Target)
    split: str | None = SPLIT
    """Column that is 0 on training rows; None for a plan without test events (``split: none`` in YAML)."""
    folder: str | Path = field(default=".", compare=False, repr=False)
    """Folder that relative paths count from: that of the plan's file, else the working directory; not in the digest."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", self._section("inputs", Inputs))
        object.__setattr__(self, "output", self._section("output", Target))
        if not isinstance(self.steps, (list, tuple)):
            raise PlanError(f"steps must be a list of augmenters, got {self.steps!r}; write [...] around it")
        object.__setattr__(self, "steps", tuple(self.steps))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise PlanError(f"seed must be a whole number, got {self.seed!r}")
        if self.split is not None and not (isinstance(self.split, str) and self.split):
            raise PlanError(f"split must name the column that is 0 on training rows, or be none, got {self.split!r}")
        for position, step in enumerate(self.steps):
            augmenter = step[1] if isinstance(step, tuple) else step
            if not isinstance(augmenter, Augmenter):
                raise PlanError(f"step {position} is {augmenter!r}, not an augmenter; {registry.as_a_step(augmenter)}")
        assert isinstance(self.inputs, Inputs)
        object.__setattr__(self, "inputs", self.inputs.made_by(Steps(Path(self.folder)).maker))
        ids = POSITION if self.inputs.ids == "position" else self.inputs.ids
        weights = (WEIGHT, self.inputs.weight, *self.inputs.weights)
        try:
            steps = registry.with_labels(self.steps)
            registry.refuse_unlearned_inside(steps)
            setting = Setting(self.seed, None, ids, weights, self.split)
            Flow(tuple(Step(label, step) for label, step in steps), setting).refuse_gone()
        except (ValueError, RuntimeError) as error:
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
        """The plan that a dictionary or YAML file says; relative paths count from ``folder``."""
        return cls._read(values, Steps(Path(folder)))

    @classmethod
    def _read(cls, values: Any, reader: Steps) -> Plan:
        if not isinstance(values, Mapping):
            raise PlanError(f"a plan is a dictionary with inputs, seed, steps and output, got {type(values).__name__}")
        known = {f.name for f in fields(cls)} - {"folder"}
        strange = set(values) - known
        if strange:
            raise PlanError(f"the plan has unknown keys {unknown(strange, known)}")
        missing = sorted({"inputs", "steps", "seed"} - set(values))
        if missing:
            raise PlanError(f"the plan does not say its {' and '.join(missing)}")
        steps = values["steps"]
        if not isinstance(steps, Sequence) or isinstance(steps, str):
            raise PlanError(f"steps must be a list, got {steps!r}")
        made = [reader.read(entry, position) for position, entry in enumerate(steps)]
        rest = {name: values[name] for name in known & set(values) - {"steps"}}
        if isinstance(said := rest["inputs"], Mapping):
            inside = {"fileset": with_makers(said["fileset"], reader.maker)} if "fileset" in said else {}
            rest["inputs"] = {**with_makers(said, reader.maker), **inside}
        if rest.get("split") == "none":
            rest["split"] = None
        return cls(steps=made, folder=reader.folder, **rest)

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """The plan of a YAML file."""
        return cls.from_dict(read_yaml(path), folder=Path(path).parent)

    @classmethod
    def published(
        cls, values: Mapping[str, Any], *, folder: str | Path = ".", learned: Mapping[str, Learned] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> Plan:  # fmt: skip
        """The plan that a manifest says. PlanError where its code is not what it was; what it does not pin is not run.

        ``learned`` are arrays by their digests, for steps inside steps that have learned, ``files`` those that steps name.
        """
        said = {
            key: value for key, value in values.items() if key not in ("code", "learned", "normalisation", "versions")
        }
        plan = cls._read(said, Steps(Path(folder), learned or {}, published=True, files=files or {}))
        then, now = dict(values.get("code") or {}), plan.code()
        for module in sorted(then.keys() | now.keys()):
            if then.get(module) != now.get(module):
                raise PlanError(
                    f"the code of {module!r} has changed: its sha256 is {now.get(module, 'none')}, the plan was made with "
                    f"{then.get(module, 'none')}; install the version that it was made with"
                )
        return plan

    def to_dict(self) -> dict[str, Any]:
        """The plan as YAML says it; :meth:`from_dict` gives it back, but for users and queries in the URLs of inputs.

        These are read with, and are no part of what the plan is: see :mod:`dask_augment.files.addresses`.
        """
        assert isinstance(self.inputs, Inputs)
        values: dict[str, Any] = {
            "inputs": _given(self.inputs.made_by(lambda _, function: step_to(function))),
            "seed": self.seed,
            "steps": [step_to(step) for step in self.steps],
            "output": _given(self.output),
        }
        if self.split != SPLIT:
            values["split"] = self.split
        return values

    @property
    def digest(self) -> str:
        """sha256 of the plan's dictionary, and of the code of steps that are not ours."""
        values = self.to_dict() | ({"code": code} if (code := self.code()) else {})
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def code(self) -> dict[str, str]:
        """sha256 of each module of the steps that are not ours, by name: plugins, and classes of the user's own.

        Functions are told by their entry among the steps. Errors: PlanError where changes of the code could not be seen.
        """
        found: dict[str, str] = {}
        for step in self.steps:
            for kind in _kinds(_augmenter(step)):
                try:
                    found |= code_of(kind)
                except (ImportError, TypeError, ValueError, OSError) as error:
                    raise PlanError(f"the code of step {kind.__name__!r} cannot be told: {error}") from error
        if foreign := [name for step in self.steps for name in _foreign_inside(_augmenter(step))]:
            # By their fields alone, they would equal others that have the same fields.
            found["classes inside steps"] = hashlib.sha256(json.dumps(foreign).encode()).hexdigest()
        return dict(sorted(found.items()))

    def distributions(self) -> dict[str, str]:
        """Name and version of each installed distribution that steps are of which are not ours."""
        modules = {kind.__module__ for step in self.steps for kind in _kinds(_augmenter(step))}
        assert isinstance(self.inputs, Inputs)
        for step in (*(inner for entry in self.steps for inner in whole(_augmenter(entry))), *self.inputs.makers):
            if isinstance(step, Function):
                modules |= imported_names(step.file[1]) if step.file else {str(step.function.__module__)}
        return distributions(modules)

    def for_analysis(self) -> Plan:
        """The plan without its training steps, for events that go into yields and limits.

        The others keep the labels that they have here, so that they draw the same random numbers.
        """
        kept = [(label, step) for label, step in registry.with_labels(self.steps) if step.use != "training"]
        return replace(self, steps=kept)


def _augmenter(step: Augmenter | tuple[str, Augmenter]) -> Augmenter:
    return step[1] if isinstance(step, tuple) else step


def _kinds(value: Any) -> Iterator[type]:
    """The classes of a step and of the values in it, those of ours left out."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for entry in value:
            yield from _kinds(entry)
    elif is_dataclass(value) and not isinstance(value, type):
        if type(value).__module__.partition(".")[0] != _OURS:
            yield type(value)
        for entry in fields(value):
            yield from _kinds(getattr(value, entry.name))


def _foreign_inside(step: Augmenter) -> list[str]:
    """The classes that are not ours of the steps and values inside a step, in order, but for values that tell themselves."""
    kinds = (kind for field in fields(step) for kind in _kinds(getattr(step, field.name)))
    return [f"{kind.__module__}:{kind.__qualname__}" for kind in kinds if not hasattr(kind, "as_plan")]


def _given(section: Any) -> dict[str, Any]:
    """The fields of a section that differ from their defaults."""
    values = {}
    for entry in fields(section):
        value = getattr(section, entry.name)
        default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        if value != default and (entry.name, value) != ("tree", DEFAULT_TREE):
            values[entry.name] = told(plain(str(value) if isinstance(value, Path) else value))
    return values
