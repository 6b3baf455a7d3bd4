"""The user's local modules that code imports: found and hashed without running any of them.

What is local is neither of Python nor of an installed distribution. Imports that a program makes up while it runs
(``importlib.import_module``, a path put on ``sys.path`` inside a function) and data that a module reads are not seen.
"""

from __future__ import annotations

import ast
import hashlib
import marshal
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from sysconfig import get_paths
from types import ModuleType

_OURS = __name__.partition(".")[0]
_SEEN: dict[str, tuple[object, str]] = {}
"""The hash that the source of a loaded module had when it was first looked at, and the spec that it was loaded by."""


class Stale(ImportError):
    """A module is loaded that is not what its file says now."""


def local_modules(text: str, folders: Sequence[str | Path] = (), package: str = "", inside: str = "") -> dict[str, str]:
    """sha256 of the source of each local module that a text imports, and of those that they import, by name.

    Modules are looked for in ``folders``, then as Python does. ``package`` is the one that the text is of, and the
    modules of the top-level package ``inside`` count as local though it is installed.
    """
    found: dict[str, str] = {}
    left, seen = [(text, package)], set()
    while left:
        for name in _imported(*left.pop()):
            top = name.partition(".")[0]
            if name in seen or top == _OURS or top in sys.stdlib_module_names:
                continue
            seen.add(name)
            for spec in _specs(name, [str(folder) for folder in folders]):
                path = spec.origin
                if path is None or not os.path.isfile(path) or not (top == inside or _is_local(path)):
                    continue
                source, sha256 = _source(path)
                refuse_stale(name, path, sha256)
                found[name] = sha256 if found.get(name, sha256) == sha256 else f"{found[name]}+{sha256}"
                left.append((source, name if spec.submodule_search_locations is not None else name.rpartition(".")[0]))
    return found


def has_file(name: str) -> bool:
    """Whether a module is loaded, and from a file that is there."""
    return os.path.isfile(getattr(sys.modules.get(name), "__file__", None) or "")


def modules_of(name: str) -> dict[str, str]:
    """A loaded module that has a file, the local modules that it imports, and those of its own package."""
    module = sys.modules[name]
    path = str(module.__file__)
    source, sha256 = _source(path)
    refuse_stale(name, path, sha256)
    return {name: sha256} | local_modules(source, (), module.__package__ or "", name.partition(".")[0])


def check_loaded(imports: Mapping[str, str], text: str) -> None:
    """ImportError where a module that a text imports is another one here: on a worker, or by a name that is taken."""
    here = local_modules(text)
    for name, sha256 in imports.items():
        found = _source(str(sys.modules[name].__file__))[1] if has_file(name) else here.get(name, sha256)
        if not {*found.split("+")} & {*sha256.split("+")}:
            raise ImportError(
                f"the module {name!r} that it imports is another one here ({getattr(sys.modules.get(name), '__file__', '?')}) than "
                "that beside the plan: start Python anew, and give workers the same modules"
            )


def is_local(name: str) -> bool:
    """Whether a loaded module is neither of Python nor installed nor ours."""
    path = getattr(sys.modules.get(name), "__file__", None)
    return name.partition(".")[0] != _OURS and bool(path) and _is_local(str(path))


def distributions(names: Iterable[str]) -> dict[str, str]:
    """The installed distributions that modules are of, with their versions."""
    found = {}
    for top in sorted({name.partition(".")[0] for name in names} - {_OURS} - sys.stdlib_module_names):
        for distribution in _distributions().get(top, ()):
            try:
                found[distribution] = version(distribution)
            except PackageNotFoundError:  # taken away since
                continue
    return found


def imported_names(text: str) -> set[str]:
    """The top-level modules that a text imports."""
    return {name.partition(".")[0] for name in _imported(text, "")}


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: sorted(set(found)) for name, found in packages_distributions().items()}


def _imported(text: str, package: str) -> Iterator[str]:
    """Names of the modules that a text may import, and of the packages that they are in."""
    for name in _named(text, package):
        parts = name.split(".")
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


@lru_cache(maxsize=1024)
def _named(text: str, package: str) -> tuple[str, ...]:
    names: list[str] = []
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ()  # running it says what is wrong
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            # What is imported from a package may be a module of it.
            names += [base, *(f"{base}.{alias.name}" for alias in node.names if alias.name != "*")]
    return tuple(dict.fromkeys(name.strip(".") for name in names if name.strip(".")))


def _specs(name: str, folders: list[str]) -> list[ModuleSpec]:
    """Where a module may come from: beside the file, and where Python looks; nothing is imported."""
    found: dict[str | None, ModuleSpec] = {}
    for first in ((PathFinder,), sys.meta_path):
        spec: ModuleSpec | None = None
        path: Sequence[str] | None = folders if first == (PathFinder,) else None
        parts = name.split(".")
        for i in range(len(parts)):
            spec = _found(first, ".".join(parts[: i + 1]), path)
            if spec is None or (i + 1 < len(parts) and spec.submodule_search_locations is None):
                spec = None
                break
            path = list(spec.submodule_search_locations or ())
        if spec is not None:
            found.setdefault(spec.origin, spec)
    return list(found.values())


def _found(finders: Iterable[object], name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    for finder in finders:
        find = getattr(finder, "find_spec", lambda *_: None)
        try:
            spec: ModuleSpec | None = find(name, path)
        except KeyError:  # a folder without __init__.py asks the package above it, which is not imported
            spec = find(name.rpartition(".")[2], path)
        if spec is not None:
            return spec
    return None


def _is_local(path: str) -> bool:
    real = os.path.realpath(path)
    if {"site-packages", "dist-packages"} & set(Path(real).parts):
        return False
    return not any(real.startswith(os.path.realpath(get_paths()[kind]) + os.sep) for kind in ("stdlib", "platstdlib"))


def _source(path: str) -> tuple[str, str]:
    """The text of a Python file (empty for a compiled one), and the sha256 of its bytes."""
    data = Path(path).read_bytes()
    text = data.decode("utf-8", "replace") if path.endswith(".py") else ""
    return text, hashlib.sha256(data).hexdigest()


def refuse_stale(name: str, path: str, sha256: str) -> None:
    """Raise :class:`Stale` where this process has loaded a module whose file was changed since."""
    module = sys.modules.get(name)
    if module is None or os.path.realpath(str(getattr(module, "__file__", ""))) != os.path.realpath(path):
        return
    spec, known = _SEEN.get(name, (None, ""))
    if spec is None or spec is not module.__spec__:
        known = "" if _compiled_from_another(module, path) else sha256
    if known == sha256:
        _SEEN[name] = (module.__spec__, sha256)
    else:
        raise Stale(
            f"module {name!r} was changed after this process had loaded it ({path}): what would run is the old code; start "
            "Python anew, or importlib.reload it"
        )


def _compiled_from_another(module: ModuleType, path: str) -> bool:
    """Whether the compiled file that Python wrote when it loaded the module is of another text than the file now."""
    spec = module.__spec__
    cached = spec.cached if spec is not None else None
    if sys.dont_write_bytecode or cached is None or type(getattr(spec, "loader", None)) is not SourceFileLoader:
        return False
    try:
        data = Path(cached).read_bytes()
        stat = os.stat(path)
        if data[:8] != MAGIC_NUMBER + bytes(4) or not os.access(cached, os.W_OK):  # hashed, or left as it was
            return False
        times = (int(stat.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (stat.st_size & 0xFFFFFFFF).to_bytes(
            4, "little"
        )
        # A file that was only touched has the same code.
        return data[8:16] != times and marshal.loads(data[16:]) != compile(
            _source(path)[0], path, "exec", dont_inherit=True
        )
    except (OSError, SyntaxError, ValueError, EOFError, TypeError):
        return False
