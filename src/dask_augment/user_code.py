"""The code of a user's function: its sha256, and how it travels to workers that cannot import it."""

from __future__ import annotations

import dis
import hashlib
import inspect
import json
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from threading import RLock
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle
import numpy as np

from dask_augment.contract import Augmenter

_REGISTERING = RLock()


def sha256_of(function: FunctionType) -> str:
    """Of the source, and of all that the function refers to by name: what is of its own module by its contents.

    Of what is installed only the name counts. A value whose changes could not be seen is refused.
    """
    return hashlib.sha256(json.dumps(_told(function, {}), sort_keys=True).encode()).hexdigest()


def _told(function: FunctionType, known: dict[int, str]) -> Any:
    """The source of a function, what it refers to, and its defaults; ``known`` are the functions already told."""
    known[id(function)] = function.__qualname__
    referred = {
        name: _described(function, name, value, known) for name, value in sorted(dict(_referred(function)).items())
    }
    defaults = [
        _described(function, "its defaults", values, known)
        for values in (function.__defaults__, function.__kwdefaults__)
    ]
    return [_source(function, function.__name__), referred, defaults]


def _source(thing: Any, name: str) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        raise ValueError(
            f"the source of {name!r} cannot be found, so changes of it could not be seen: write it in a file or notebook"
        ) from None


def _referred(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The global and enclosing variables that a function reads, also in its comprehensions and inner functions."""
    codes: list[CodeType] = [function.__code__]
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        for step in dis.get_instructions(code):
            if step.opname == "LOAD_GLOBAL" and step.argval in function.__globals__:
                yield step.argval, function.__globals__[step.argval]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name, cell.cell_contents


def _described(function: FunctionType, name: str, value: Any, known: dict[int, str]) -> Any:
    """A value that a function refers to, as JSON would hold it."""
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return [_described(function, name, entry, known) for entry in value]
    if isinstance(value, (set, frozenset)):
        return sorted(repr(entry) for entry in value)
    if isinstance(value, Mapping):
        return {repr(key): _described(function, name, value[key], known) for key in value}
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return [value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, ModuleType):
        return ["module", value.__name__]
    if isinstance(value, Augmenter):
        return ["augmenter", value.digest]
    # What a decorator such as numba's or functools' made of a function is told by that function.
    value = inspect.unwrap(getattr(value, "py_func", value)) if callable(value) else value
    if id(value) in known:
        return ["known", known[id(value)]]
    if callable(value) and getattr(value, "__module__", None) != function.__module__:
        return ["installed", getattr(value, "__module__", None), getattr(value, "__name__", type(value).__name__)]
    if isinstance(value, FunctionType):
        return _told(value, known)
    if isinstance(value, type):
        return _source(value, name)
    raise TypeError(
        f"function {function.__name__!r} refers to {name!r}, a {type(value).__name__}: changes of it could not be seen. "
        "Use numbers, texts, lists, dictionaries, NumPy arrays, functions and classes, or make it inside the function"
    )


def by_value(function: Callable[..., Any]) -> bytes:
    """The function as bytes that carry its own module's code along, but nothing that is imported there."""
    module = inspect.getmodule(function)
    with _REGISTERING:
        new = module is not None and module.__name__ not in cloudpickle.list_registry_pickle_by_value()
        if new:
            cloudpickle.register_pickle_by_value(module)
        try:
            code: bytes = cloudpickle.dumps(function)
        finally:
            if new:
                cloudpickle.unregister_pickle_by_value(module)
    return code


@lru_cache(maxsize=256)
def from_bytes(code: bytes) -> Callable[..., Any]:
    """The function that :func:`by_value` wrote, once per process."""
    function: Callable[..., Any] = cloudpickle.loads(code)
    return function


@lru_cache(maxsize=64)
def module_of(file: str, text: str) -> ModuleType:
    """The text of a file, run as a module of its own, once per process; the file need not be on this machine."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    shown = f"<{file} {digest}>"
    # inspect, dataclasses and tracebacks find lines and module here.
    linecache.cache[shown] = (len(text), None, text.splitlines(keepends=True), shown)
    module = ModuleType(f"dask_augment_file_{digest}")
    module.__file__ = shown
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, shown, "exec"), vars(module))  # noqa: S102 - the user's own file, asked for by name
    except Exception as error:
        del sys.modules[module.__name__]
        raise ImportError(
            f"{file} cannot be run: {type(error).__name__}: {error}. It is run by itself, here and on the workers: it "
            "can import what is installed, but not files beside it"
        ) from error
    return module
