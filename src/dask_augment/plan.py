"""A plan: inputs, steps, seed and output, as Python and as YAML in the same words, and its digest."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from dask_augment import registry
from dask_augment.augmenters.function import Function
from dask_augment.contract import Augmenter, plain
from dask_augment.identity import IDS


class PlanError(ValueError):
    """A plan that cannot be carried out; says where in it and what to write."""


_ONE_OF = ("fileset", "files", "folder")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Where the events come from; exactly one of ``fileset``, ``files`` and ``folder`` is given.

    Parameters
    ----------
    fileset
        coffea's: ``{name: {"files": {path: tree}, "metadata": {...}}}``, or the path of such a JSON file (gzip too).
        ``metadata`` may hold ``is_mc`` (false for collision data), ``xsec`` [pb] and ``lumi`` [1/pb].
    files
        Path or glob of ROOT or Parquet files, or a list of them, all of the data set ``dataset``.
    folder
        A folder of Parquet files, as published by this package: the hive folders name the data sets.
    tree
        Name of the tree in ROOT files.
    ids
        Columns that identify an event, or "position": the file's uuid and the entry in it.
    weight
        Generator weight; the column ``weight`` is made from it, times xsec x lumi / its sum over all events of all
        files where the fileset says xsec. A file that has no such column is given weight 1, which the manifest says.
    weights
        Further weight columns that scale together with ``weight``, under their own names.
    lumi
        Integrated luminosity [1/pb] of data sets that do not say their own.
    """

    fileset: Any = None
    files: str | Sequence[str] | None = None
    folder: str | None = None
    dataset: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tree: str = "Events"
    ids: tuple[str, ...] | str = IDS
    weight: str = "genWeight"
    weights: tuple[str, ...] = ()
    lumi: float | None = None

    def __post_init__(self) -> None:
        given = [name for name in _ONE_OF if getattr(self, name) is not None]
        if len(given) != 1:
            raise PlanError(f"inputs need exactly one of {', '.join(_ONE_OF)}; got {given or 'none of them'}")
        if self.files is not None and not self.dataset:
            raise PlanError("inputs of files need the name of their data set: inputs: {files: ..., dataset: ttbar}")
        if isinstance(self.ids, str) and self.ids != "position":
            raise PlanError(f'ids must be a list of columns or "position", got {self.ids!r}')
        if isinstance(self.ids, list):
            object.__setattr__(self, "ids", tuple(self.ids))
        object.__setattr__(self, "weights", tuple(self.weights))

    def datasets(self) -> dict[str, dict[str, Any]]:
        """The fileset in one form: ``{name: {"files": {path: tree or None}, "metadata": {...}}}``."""
        if self.folder is not None:
            return {}
        if self.files is not None:
            patterns = [self.files] if isinstance(self.files, str) else list(self.files)
            return {str(self.dataset): {"files": dict.fromkeys(patterns), "metadata": dict(self.metadata)}}
        fileset = read_fileset(self.fileset) if isinstance(self.fileset, (str, Path)) else self.fileset
        if not isinstance(fileset, Mapping) or not fileset:
            raise PlanError(f"a fileset maps names of data sets to their files, got {fileset!r}")
        return {str(name): _dataset(str(name), fileset[name]) for name in fileset}


def read_fileset(path: str | Path) -> Any:
    """A fileset from JSON, gzip too."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise PlanError(f"fileset {str(path)!r} is not there (read from {Path.cwd()})") from None
    try:
        return json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except ValueError as error:
        raise PlanError(f"fileset {str(path)!r} is not JSON: {error}") from None


def _dataset(name: str, entry: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if isinstance(entry, Mapping) and "files" in entry:
        unknown = set(entry) - {"files", "metadata", "form"}
        if unknown:
            raise PlanError(f"data set {name!r} has unknown keys {sorted(unknown)}; there are files and metadata")
        metadata = dict(entry.get("metadata") or {})
        entry = entry["files"]
    if isinstance(entry, str):
        entry = [entry]
    if isinstance(entry, Mapping):
        files = {str(p): v["object_path"] if isinstance(v, Mapping) else v for p, v in entry.items()}
    elif isinstance(entry, Sequence):
        files = dict.fromkeys(map(str, entry))
        if len(files) != len(entry):
            raise PlanError(f"data set {name!r} lists a file twice; its events would be doubled")
    else:
        raise PlanError(f"data set {name!r} must list its files, got {entry!r}")
    if not files:
        raise PlanError(f"data set {name!r} has no files; name some, or take it out")
    return {"files": files, "metadata": metadata}


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

    path: str | None = None
    partition_by: tuple[str, ...] = ("dataset",)
    keep: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("partition_by", "keep"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise PlanError(f"output: {name} must be a list, got {value!r}; write [{value}]")
            if value is not None:
                object.__setattr__(self, name, tuple(value))


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
        for position, step in enumerate(self.steps):
            augmenter = step[1] if isinstance(step, tuple) else step
            if not isinstance(augmenter, Augmenter):
                raise PlanError(f"step {position} is {augmenter!r}, not an augmenter")

    def _section(self, name: str, kind: type) -> Any:
        value = getattr(self, name)
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise PlanError(f"{name} must be a dictionary, got {value!r}")
        known = {f.name for f in fields(kind)}
        if name == "inputs" and not known & set(value):
            value = {"fileset": value}
        unknown = sorted(set(value) - known)
        if unknown:
            raise PlanError(f"{name} has unknown keys {unknown}; there are {sorted(known)}")
        return kind(**value)

    @classmethod
    def from_dict(cls, values: Any, *, folder: str | Path = ".") -> Plan:
        """The plan that a dictionary or YAML file says; files of functions are looked for in ``folder``."""
        if not isinstance(values, Mapping):
            raise PlanError(f"a plan is a dictionary with inputs, seed, steps and output, got {type(values).__name__}")
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise PlanError(f"the plan has unknown keys {unknown}; there are {sorted(known)}")
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
        try:
            values = yaml.safe_load(Path(path).read_text())
        except FileNotFoundError:
            raise PlanError(f"plan {str(path)!r} is not there (read from {Path.cwd()})") from None
        except yaml.YAMLError as error:
            raise PlanError(f"plan {str(path)!r} is not YAML: {error}") from None
        return cls.from_dict(values, folder=Path(path).parent)

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
        """The plan without its training steps, for events that go into yields and limits."""
        kept = [step for step in self.steps if _augmenter(step).use != "training"]
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
    """One step of a plan: ``name``, ``{name: options}``, ``file.py:function``; ``as:`` gives it a label."""
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
        augmenter: Augmenter = Function.from_file(name, folder) if ".py:" in name else build(name, options)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise PlanError(f"step {position} ({name}): {error.args[0] if isinstance(error, KeyError) else error}") from error
    return augmenter if label is None else (str(label), augmenter)


def build(name: str, options: Any) -> Augmenter:
    """An augmenter from its name and the options that a plan gives."""
    kind = registry.get(name)
    known = {f.name for f in fields(kind)} - {"learned"}
    if options is None:
        options = {}
    elif kind.shorthand and not (isinstance(options, Mapping) and set(options) <= known):
        return kind(options)  # type: ignore[call-arg]  # the one field that may be given by position
    if not isinstance(options, Mapping):
        raise TypeError(f"options must be a dictionary, got {options!r}")
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(f"unknown options {unknown}; there are {sorted(known)}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})


def step_to(step: Augmenter | tuple[str, Augmenter]) -> Any:
    """A step as a plan's dictionary says it."""
    augmenter = _augmenter(step)
    name = registry.name_of(augmenter)
    if isinstance(augmenter, Function):
        entry: Any = {name: augmenter.configuration()}
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
