"""Steps in plans: read from an entry of YAML and written back, with the steps inside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from dask_augment.augmenters.function import Function
from dask_augment.contract.augmenter import Augmenter
from dask_augment.contract.compound import Compound
from dask_augment.contract.configuration import plain
from dask_augment.contract.learned import Learned
from dask_augment.contract.nesting import holds_steps, steps_in, types_of
from dask_augment.inputs.section import PlanError
from dask_augment.models.bundle import is_there
from dask_augment.models.files import SHIPPED
from dask_augment.options import check_options, refuse_unknown
from dask_augment.plans import registry

LEARNED = "learned"
"""Key of a step inside a step that has learned: the digest of what it learned."""


def step_from(entry: Any, position: int, folder: Path) -> Augmenter | tuple[str, Augmenter]:
    """One step of a plan: ``name``, ``{name: options}``, ``file.py:function``; ``as:`` gives it a label.

    A function may say the ``sha256`` of its file's text, as :meth:`Plan.to_dict` does: it is then refused when changed.
    """
    return Steps(folder).read(entry, position)


@dataclass(frozen=True)
class Steps:
    """Reads steps, and steps that are options of steps.

    folder: where files of options are looked for. learned: arrays by their digests, for steps inside steps that have
    learned. published: the entries are those of a manifest, which comes from anybody: it names no other folder, and a
    function without its sha256 is not run. files: where the data set has those that its steps name.
    """

    folder: Path
    learned: Mapping[str, Learned] = field(default_factory=dict)
    published: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    def read(self, entry: Any, position: int | str) -> Augmenter | tuple[str, Augmenter]:
        """One step, with its label where it has one. PlanError names the step."""
        if self.published:
            entry = _pinned(entry, position)
        label = learned = None
        if isinstance(entry, Mapping):
            entry = dict(entry)
            label = entry.pop("as", None)
            learned = entry.pop(LEARNED, None) if len(entry) > 1 else None
            if len(entry) != 1:
                raise PlanError(f"step {position} must be one name with its options, got {sorted(map(str, entry))}")
            name, options = next(iter(entry.items()))
        else:
            name, options = entry, None
        if not isinstance(name, str):
            raise PlanError(f"step {position} must be a name, {{name: options}} or file.py:function, got {entry!r}")
        try:
            augmenter = function_of(name, options, self.folder) if ":" in name else self.build(name, options)
            augmenter = augmenter if learned is None else self._taught(augmenter, learned)
        except Exception as error:  # steps of others may raise anything
            raise PlanError(
                f"step {position} ({name}): {error.args[0] if isinstance(error, KeyError) else error}"
            ) from error
        return augmenter if label is None else (str(label), augmenter)

    def maker(self, dataset: str, entry: Any) -> Any:
        """The function that makes the events of a data set, from its address; what is one already as it is."""
        if isinstance(entry, Augmenter):
            return entry
        return self.read(entry, f"that makes data set {dataset!r}")

    def build(self, name: str, options: Any) -> Augmenter:
        """An augmenter from its name and the options that a plan gives."""
        kind = registry.get(name)
        known = {f.name for f in fields(kind)} - {"learned"}
        if options is None:
            options = {}
        elif (alone := _marked(kind, "shorthand")) and not (isinstance(options, Mapping) and set(options) <= known):
            if not holds_steps(types_of(kind).get(alone[0])):
                return kind(options)  # type: ignore[call-arg]  # the one field that may be given by position
            options = dict.fromkeys(alone, options)
        if not isinstance(options, Mapping):
            raise TypeError(f"options must be a dictionary, got {options!r}")
        refuse_unknown("", options, known)
        lacking = [f.name for f in fields(kind) if _needed(f) and f.name not in options]
        if lacking:
            raise ValueError(f"the options {lacking} are needed; there are {sorted(known)}")
        values = {key: self._option(types_of(kind).get(key), key, value) for key, value in options.items()}
        for key in _marked(kind, "file"):
            file = values.get(key)
            if isinstance(file, str) and file and not file.startswith(SHIPPED):
                values[key] = self._file(file, values.get("sha256", ""))
        made = kind(**values)  # says what is wrong in its own words, where it looks
        check_options(kind, values, made.configuration())
        return made

    def _file(self, name: str, sha256: str) -> str:
        """Where a file is: as it is named, or in the data set where it is no longer there, or another one."""
        path = str(self.folder / name)
        return self.files[name] if name in self.files and not is_there(path, sha256) else path

    def _option(self, said: Any, name: str, value: Any) -> Any:
        if not holds_steps(said):
            return tuple(value) if isinstance(value, list) else value
        try:
            return self._value(said, value, 0)
        except (TypeError, ValueError) as error:
            raise PlanError(f"{name}: {error}") from error

    def _value(self, said: Any, value: Any, position: int) -> Any:
        """A value of the type ``said``, with the steps in it that the plan says."""
        if not holds_steps(said) or isinstance(value, Augmenter):
            return tuple(value) if isinstance(value, list) else value
        kind, arguments = get_origin(said), get_args(said)
        if kind in (Union, UnionType):
            return self._value(_meant(arguments, value), value, position)
        if kind is None and not issubclass(said, Augmenter):  # a dataclass that has steps in it
            if not isinstance(value, Mapping):
                raise TypeError(f"must be a dictionary of the fields of {said.__name__}, got {value!r}")
            return said(**{key: self._option(types_of(said).get(key), key, entry) for key, entry in value.items()})
        if kind is None or _is_pair(said):
            return self._step(value, position, labelled=kind is not None)
        if isinstance(kind, type) and issubclass(kind, Mapping):
            if not isinstance(value, Mapping):
                raise TypeError(f"must be a dictionary of steps, got {value!r}")
            return {key: self._value(arguments[1], entry, 0) for key, entry in value.items()}
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise TypeError(f"must be a list of steps, got {value!r}; write [{value!r}]")
        if kind is tuple and Ellipsis not in arguments:
            if len(value) != len(arguments):
                raise ValueError(f"must have {len(arguments)} entries, got {value!r}")
            return tuple(self._value(one, entry, position) for one, entry in zip(arguments, value, strict=True))
        return tuple(self._value(arguments[0], entry, number) for number, entry in enumerate(value))

    def _step(self, value: Any, position: int, *, labelled: bool) -> Any:
        if isinstance(value, Sequence) and not isinstance(value, str) and labelled and len(value) == 2:
            return str(value[0]), self._step(value[1], position, labelled=False)
        found = self.read(value, position)
        if isinstance(found, tuple) != labelled:
            raise ValueError(
                f"step {position} {'needs a label: write as:' if labelled else 'takes no label (as:)'}, got {value!r}"
            )
        return found

    def _taught(self, step: Augmenter, digests: Any) -> Augmenter:
        """The step with the learned arrays of these digests: one, or of a compound those of its steps."""
        if isinstance(step, Compound):
            return step.taught_by(self._kept(digest) for digest in digests)
        return replace(step, learned=self._kept(digests))  # type: ignore[call-arg]  # a learner has it

    def _kept(self, digest: str | None) -> Learned | None:
        if digest is not None and digest not in self.learned:
            raise PlanError(
                f"what it learned ({digest[:12]}) stands in a data set, not in the plan: read it with published_plan"
            )
        return None if digest is None else self.learned[digest]


def _is_pair(said: Any) -> bool:
    """Whether a type is that of a step with its label."""
    arguments = get_args(said)
    return get_origin(said) is tuple and len(arguments) == 2 and arguments[0] is str and get_args(arguments[1]) == ()


def _meant(choices: Sequence[Any], value: Any) -> Any:
    """Which of several types a value of a plan is meant to be."""
    steps = [choice for choice in choices if holds_steps(choice)]
    if value is None and NoneType in choices:
        return NoneType
    others = [choice for choice in choices if choice not in steps and choice is not NoneType]
    if not isinstance(value, (str, Mapping, Sequence)):
        return (others or steps)[0]
    pairs = [choice for choice in steps if _is_pair(choice)]
    lists = [choice for choice in steps if get_origin(choice) is not None and choice not in pairs]
    single = [choice for choice in steps if get_origin(choice) is None]
    if isinstance(value, (str, Mapping)):
        labelled = isinstance(value, Mapping) and "as" in value
        return [*(pairs if labelled else []), *single, *steps][0]
    return [*lists, *steps][0]


def _pinned(entry: Any, position: int | str) -> Any:
    """A step of a manifest as it stands there, but with a function's imports; PlanError for a function without its sha256.

    A manifest comes from anybody: it names no other folder than the one that its reader says.
    """
    name = next((key for key in entry if key not in ("as", LEARNED)), "") if isinstance(entry, Mapping) else entry
    if not isinstance(name, str) or ":" not in name:
        return entry
    options = entry[name] if isinstance(entry, Mapping) else None
    if not isinstance(options, Mapping) or not isinstance(options.get("sha256"), str):
        raise PlanError(f"step {position} ({name}): the manifest does not say the sha256 of its file, so it is not run")
    file = name.rpartition(":")[0]
    if Path(file).name != file or "\\" in file:
        raise PlanError(
            f"step {position} ({name}): a manifest names the file of a function without a folder; give folder="
        )
    return {**entry, name: {"imports": {}, **options}}


def function_of(address: str, options: Any, folder: Path) -> Augmenter:
    """The function that ``my_file.py:function`` names, if its file and what it imports are as ``options`` may say."""
    if ".py:" not in address:
        raise ValueError("a function that was made in Python; in a plan it is named by its file, my_file.py:function")
    if options is not None and not (
        isinstance(options, Mapping) and {"sha256"} <= set(options) <= {"sha256", "imports"}
    ):
        raise ValueError(f"a function has no options but the sha256 of its file and of its imports, got {options!r}")
    pins = {} if options is None else {"sha256": options["sha256"], **dict(options.get("imports", {}))}
    if not all(isinstance(pin, str) for pin in pins.values()):
        raise ValueError(f"a sha256 is a text, got {options!r}")
    return Function.from_file(address, folder, options)


def _marked(kind: type[Augmenter], mark: str) -> list[str]:
    """The fields of a step whose metadata say this."""
    return [entry.name for entry in fields(kind) if entry.metadata.get(mark)]


def _needed(option: Any) -> bool:
    return bool(option.default is MISSING and option.default_factory is MISSING)


def step_to(step: Augmenter | tuple[str, Augmenter]) -> Any:
    """A step as a plan's dictionary says it."""
    augmenter = step[1] if isinstance(step, tuple) else step
    name = registry.name_of(augmenter)
    if isinstance(augmenter, Function):
        function = augmenter.as_it_is()
        entry: Any = {function.address: {"sha256": function.sha256}}
        if function.imports:
            entry[function.address]["imports"] = dict(function.imports)
    else:
        configuration = augmenter.configuration()
        options = {
            f.name: _written(augmenter, f.name) if any(steps_in(getattr(augmenter, f.name))) else configuration[f.name]
            for f in fields(augmenter)
            if f.name != "learned" and getattr(augmenter, f.name) != f.default
        }
        alone = _marked(type(augmenter), "shorthand")
        entry = {name: options[alone[0]] if alone and [*options] == alone else options}
    if isinstance(step, tuple):
        entry["as"] = step[0]
    return entry


def _written(step: Augmenter, name: str) -> Any:
    """A field that holds steps, as a plan says it. PlanError where its type does not say so: it could not be read back."""
    if not holds_steps(types_of(type(step)).get(name)):
        raise PlanError(
            f"the field {name!r} of {type(step).__name__} holds steps, and its type does not say so, so that no plan could "
            f"be read: declare it as such, {name}: tuple[Augmenter, ...]"
        )
    return _told(getattr(step, name))


def _told(value: Any) -> Any:
    is_pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
    if isinstance(value, Augmenter) or (is_pair and isinstance(value[1], Augmenter)):
        entry = step_to(value)
        step = value[1] if isinstance(value, tuple) else value
        parts = [part for _, part in registry.taken_apart("", step)]
        learned = [None if (one := part.learned) is None else one.digest for part in parts]
        if isinstance(step, Compound):
            return {**entry, LEARNED: learned} if any(learned) else entry
        return {**entry, LEARNED: learned[0]} if learned[0] else entry
    if isinstance(value, Mapping):
        return {str(key): _told(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [_told(entry) for entry in value]
    if is_dataclass(value) and not isinstance(value, type) and any(steps_in(value)):
        return {entry.name: _told(getattr(value, entry.name)) for entry in fields(value)}
    return plain(value)
