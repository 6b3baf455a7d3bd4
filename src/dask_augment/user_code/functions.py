"""The code of users' own functions and steps: its identity, and how it reaches workers that cannot import it."""

from __future__ import annotations

import dis
import hashlib
import inspect
import json
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from textwrap import dedent
from threading import RLock
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle
import numpy as np

from dask_augment.contract.augmenter import Augmenter
from dask_augment.user_code.modules import has_file, is_local, local_modules, modules_of

_REGISTERING = RLock()
_OURS = __name__.partition(".")[0]


def sha256_of(function: FunctionType) -> str:
    """Of the source, and of all that the function refers to by name: what is of its own module by its contents.

    Of other modules of the user's own the sources count, of what is installed only the name. A value whose changes could
    not be seen is refused.
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
    source = _source(function, function.__name__)
    return [
        source,
        referred,
        defaults,
        local_modules(dedent(source), (), function.__globals__.get("__package__") or ""),
    ]


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
        return ["module", value.__name__, _sources(value.__name__)]
    if isinstance(value, Augmenter):
        return ["augmenter", value.digest]
    # What a decorator such as numba's or functools' made of a function is told by that function.
    value = inspect.unwrap(getattr(value, "py_func", value)) if callable(value) else value
    if id(value) in known:
        return ["known", known[id(value)]]
    where = getattr(value, "__module__", None)
    if callable(value) and where != function.__module__:
        return ["installed", where, getattr(value, "__name__", type(value).__name__), _sources(where)]
    if isinstance(value, FunctionType):
        return _told(value, known)
    if isinstance(value, type):
        return _source(value, name)
    raise TypeError(
        f"function {function.__name__!r} refers to {name!r}, a {type(value).__name__}: changes of it could not be seen. "
        "Use numbers, texts, lists, dictionaries, NumPy arrays, functions and classes, or make it inside the function"
    )


def _sources(module: str | None) -> dict[str, str]:
    """The sources of a module that is the user's own, and of those of their own that it imports."""
    return modules_of(module) if module is not None and is_local(module) else {}


def code_of(kind: type) -> dict[str, str]:
    """What tells the code of a class that is not ours: the sha256 of each module that it is made of, by name.

    These are its module, those of its package and the local ones that they import, of its bases too; of a class of a
    script or notebook, what its methods are and refer to. ValueError and TypeError where changes could not be seen.
    """
    found: dict[str, str] = {}
    for base in kind.__mro__:
        module = base.__module__
        if module.partition(".")[0] in (_OURS, *sys.stdlib_module_names) and module != "__main__":
            continue
        if has_file(module) and module != "__main__":
            found |= modules_of(module)
        else:
            found[f"{module}:{base.__qualname__}"] = _class_sha256(base)
    return found


def _class_sha256(kind: type) -> str:
    """Of a class without a file of its own: its methods, all that they refer to, and its values."""
    told: dict[str, Any] = {}
    for name, value in sorted(vars(kind).items()):
        function = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(function, FunctionType):
            function = inspect.unwrap(function)
            if function.__code__.co_filename != "<string>":  # what dataclasses wrote
                told[name] = _told(function, {})
        elif isinstance(value, (bool, int, float, str, tuple, frozenset)) and name != "__firstlineno__":
            told[name] = repr(value)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


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
def module_of(file: str, text: str, imports: tuple[tuple[str, str], ...] = ()) -> ModuleType:
    """The text of a file, run as a module of its own, once per process; the file need not be on this machine.

    ``imports`` are the local modules that it imports, with the sha256 of each: with others it is another module.
    """
    digest = hashlib.sha256(json.dumps([text, imports]).encode()).hexdigest()[:12]
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
