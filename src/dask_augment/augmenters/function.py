"""A user's own function as an augmenter; its code is part of its identity and is sent to the workers."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

import awkward as ak
import numpy as np

from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.contract.draw import Draw
from dask_augment.events.own_columns import KINDS
from dask_augment.options import named_options
from dask_augment.user_code.functions import by_value, from_bytes, module_of, sha256_of
from dask_augment.user_code.modules import check_loaded, local_modules


@dataclass(frozen=True, kw_only=True, eq=False)
class Function(Augmenter):
    """An augmenter made from a function, by :func:`augmenter`, or from a file, by :meth:`from_file`.

    The function gets the events with the columns of ``uses`` (and the :class:`~dask_augment.contract.draw.Draw` where it is
    ``keyed``) and returns the columns of ``produces`` by name, one array where there is one column, or an
    :class:`~dask_augment.contract.augmenter.Output`. With ``keeps_rows=False`` and no columns to produce, it may return one True
    or False for each event: the rows to keep. It must be pure: no state, no random numbers except those of ``draw``.

    Its digest holds the sha256 of its source, and of the functions, classes and values of its module that it refers
    to. It need not be importable on the workers.
    """

    takes_missing = True

    name: str
    reads: tuple[str, ...]
    writes: Mapping[str, str | None]
    sha256: str
    """Of the code."""
    keeps_rows: bool = True
    makes: str = ""
    keyed: bool = False
    use: str = "always"
    imports: Mapping[str, str] = field(default_factory=dict)
    """sha256 of each local module that its file imports, and of those that they import."""
    function: Callable[..., Any] = field(repr=False)
    file: tuple[str, str] | None = field(default=None, repr=False)
    """Name and text of the file that it comes from, where :meth:`from_file` read one."""

    def __call__(self, *args: Any) -> Any:
        """What the function itself returns."""
        return self.function(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.file is not None:
            return _from_text, (*self.file, self.name, tuple(sorted(self.imports.items())))
        state = {name: value for name, value in vars(self).items() if name != "function"}
        return _restored, (by_value(self.function), state)

    def configuration(self) -> dict[str, Any]:
        """All but the function itself, which is there by its sha256."""
        state = {name: value for name, value in vars(self).items() if name not in ("function", "file")}
        return {**state, "reads": list(self.reads), "writes": dict(self.writes), "imports": dict(self.imports)}

    def as_it_is(self) -> Function:
        """The function with the sha256 of what it refers to now: a notebook may have changed that since."""
        if self.file is not None or not isinstance(self.function, FunctionType):
            return self
        return replace(self, sha256=sha256_of(self.function))

    @property
    def address(self) -> str:
        """What a plan calls it: ``my_file.py:function``, or ``module:function``."""
        return f"{self.file[0] if self.file else self.function.__module__}:{self.name}"

    def uses(self) -> frozenset[str]:
        """The columns that the function reads."""
        return frozenset(self.reads)

    def produces(self) -> Mapping[str, str | None]:
        """The columns that the function returns."""
        return self.writes

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Call the function."""
        result = self.function(events, draw) if self.keyed else self.function(events)
        if isinstance(result, Output):
            return result
        if isinstance(result, Mapping):
            return Output(result)
        if isinstance(result, (ak.Array, np.ndarray)):
            if not self.writes and not self.keeps_rows:
                return Output({}, np.flatnonzero(_mask(self.name, np.asarray(result), len(events))))
            if len(self.writes) == 1:
                return Output({next(iter(self.writes)): result})
        raise TypeError(
            f"function {self.name!r} must return its columns {sorted(self.writes)} by name, or an Output; it returned "
            f"{type(result).__name__}"
        )

    @classmethod
    def from_file(cls, address: str, folder: str | Path = ".", pinned: Mapping[str, Any] | None = None) -> Function:
        """The function that ``my_file.py:function`` names: one with the decorator :func:`augmenter`, in that file.

        The file is run, here and on each worker, which gets its text: it can import what can be imported there. Its
        whole text is hashed, and so are the local modules that it imports, and that they do: see
        :mod:`dask_augment.user_code.modules`. ``pinned`` may say the ``sha256`` and ``imports`` that they must have; nothing
        is run before they were compared.
        """
        file, colon, name = address.rpartition(":")
        path = Path(folder) / file
        if not colon or path.suffix != ".py" or not name.isidentifier():
            raise ValueError(f"a function of your own is named 'my_file.py:function', got {address!r}")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise FileNotFoundError(f"function {address!r}: {path} cannot be read ({why})") from None
        pinned = pinned or {}
        folders = (path.parent, folder)
        _refuse_changed("file", hashlib.sha256(text.encode()).hexdigest(), pinned.get("sha256"))
        expected = pinned.get("imports")
        for module, sha256 in local_modules(text, folders).items():
            _refuse_changed(f"module {module!r}", sha256, None if expected is None else expected.get(module, "none"))
        found = _from_text(path.name, text, name, tuple(sorted(local_modules(text, folders).items())))
        # Its text may have told Python where to look for more of them.
        imports = local_modules(text, folders)
        for module in sorted({*imports, *(expected or ())}):
            _refuse_changed(
                f"module {module!r}",
                imports.get(module, "none"),
                None if expected is None else expected.get(module, "none"),
            )
        return replace(found, imports=imports)


def _refuse_changed(what: str, found: str, pinned: str | None) -> None:
    if pinned is not None and found != pinned:
        raise ValueError(
            f"its {what} has changed: the sha256 is {found}, the plan was made with {pinned}; take the old one, or the "
            "sha256 out of the plan"
        )


@named_options
def augmenter(
    *,
    uses: Sequence[str],
    produces: Mapping[str, str | None],
    keeps_rows: bool = True,
    makes: str = "",
    keyed: bool = False,
    use: str = "always",
    name: str | None = None,
) -> Callable[[Callable[..., Any]], Function]:
    """Make an augmenter of a function ``f(events)``, or ``f(events, draw)`` where it is ``keyed``.

    ::

        @augmenter(uses=["Jet.pt"], produces={"HT": "float32"})
        def ht(events):
            return ak.sum(events.Jet.pt, axis=1)

    Parameters
    ----------
    uses, produces
        Columns in, and columns out with their types, as in :class:`~dask_augment.contract.augmenter.Augmenter`.
    keeps_rows, makes, keyed, use
        As the class attributes of :class:`~dask_augment.contract.augmenter.Augmenter`.
    name
        Name of the step; the function's own unless given.
    """
    if isinstance(uses, str) or not all(isinstance(column, str) for column in uses):
        raise TypeError(f"uses must be a list of columns such as ['Jet.pt'], got {uses!r}")
    if not isinstance(produces, Mapping):
        raise TypeError(f"produces must name each column with its type, such as {{'HT': 'float32'}}, got {produces!r}")
    if makes not in KINDS or (makes and keeps_rows):
        raise ValueError(
            f"makes must be one of {', '.join(map(repr, KINDS))}, and rows are made with keeps_rows=False only; got "
            f"makes={makes!r}, keeps_rows={keeps_rows}"
        )
    if use not in ("always", "training"):
        raise ValueError(f"use must be 'always' or 'training', got {use!r}")
    if makes and use != "training":
        raise ValueError(
            f'makes={makes!r} needs use="training": otherwise rows would be made of test events too, and of those in an '
            "analysis"
        )

    def made(function: Callable[..., Any]) -> Function:
        own: str = name or getattr(function, "__name__", None) or ""
        if not isinstance(function, FunctionType) or not own.isidentifier():
            raise TypeError(f"augmenter takes a function with a name of its own, got {function!r}; write def, or name=")
        _check_signature(function, own, keyed)
        return Function(
            name=own, reads=tuple(sorted(uses)), writes=dict(produces), sha256=sha256_of(function), keeps_rows=keeps_rows,
            makes=makes, keyed=keyed, use=use, function=function,
        )  # fmt: skip

    return made


def _check_signature(function: FunctionType, name: str, keyed: bool) -> None:
    arguments = ["events", "draw"] if keyed else ["events"]
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        raise TypeError(
            f"function {name!r} must take ({', '.join(arguments)}), as it is {'' if keyed else 'not '}keyed; it takes "
            f"{inspect.signature(function)}"
        ) from None


def _mask(name: str, keep: np.ndarray[Any, Any], rows: int) -> np.ndarray[Any, Any]:
    if keep.dtype != bool or keep.shape != (rows,):
        raise TypeError(
            f"function {name!r} must return one True or False for each of {rows} events, it returned {keep.dtype} of "
            f"shape {keep.shape}"
        )
    return keep


def _restored(code: bytes, state: Mapping[str, Any]) -> Function:
    return Function(function=from_bytes(code), **state)


@lru_cache(maxsize=64)
def _from_text(file: str, text: str, name: str, imports: tuple[tuple[str, str], ...] = ()) -> Function:
    """The function of this name in a file with this text, if what it imports here is what it is to be."""
    module = module_of(file, text, imports)
    check_loaded(dict(imports), text)
    found = getattr(module, name, None)
    if not isinstance(found, Function):
        there = ", ".join(key for key, value in vars(module).items() if isinstance(value, Function)) or "none"
        what = "is not in it" if found is None else "is not decorated with @augmenter(uses=..., produces=...)"
        raise TypeError(f"{file}:{name}: {name!r} {what}; augmenters in {file}: {there}")
    return replace(
        found, name=name, sha256=hashlib.sha256(text.encode()).hexdigest(), file=(file, text), imports=dict(imports)
    )
