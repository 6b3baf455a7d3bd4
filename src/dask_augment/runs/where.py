"""``where``: the place of a run as one value, of Dask, of coffea, of ``concurrent.futures``, or this machine."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import MISSING, fields
from functools import wraps
from reprlib import repr as short
from typing import Any, TypeVar, cast

from dask_augment.options import check_count
from dask_augment.runs.cluster import connected, of, refuse_without_guard
from dask_augment.runs.cluster_pool import Cluster, untold
from dask_augment.runs.pools import CORES, Futures, Iterative, Pool, processes

F = TypeVar("F", bound=Callable[..., Any])

CHUNK = 100_000
"""Most events that a task reads at once, unless told."""

_SAYS_NOTHING = {"status", "unit", "desc", "compression", "function_name", "retries"}
"""Options of coffea's executors about their bars and what they send; tasks are tried again as everywhere."""
_HEEDED = {
    # Of the schema only the names of columns would be another, and a plan has those of the files.
    "Runner": {"executor", "pre_executor", "chunksize", "schema", "format", "metadata_cache", "processor_compression"},
    "IterativeExecutor": {"workers", *_SAYS_NOTHING},
    "FuturesExecutor": {"pool", "workers", *_SAYS_NOTHING},
    "DaskExecutor": {"client", "treereduction", *_SAYS_NOTHING},
}
"""Options of coffea's classes that a plan heeds, or that can make no difference to what it does."""
_INSTEAD = {
    "maxchunks": ", and take limit_files for a trial",
    "skipbadfiles": ", and say max_bad_files",
    "checkpointer": ", a run that was cut off goes on with resume",
    "savemetrics": ", the result has the seconds of each step",
}

_FORMER = ("client", "runner", "scheduler", "executor", "workers")
"""Names that ``where`` had, the one that says most before the others."""


def by_former_names(function: F) -> F:
    """The function; it takes ``where`` by its former names too, with a DeprecationWarning. TypeError where two differ."""

    @wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        said = {name: value for name in _FORMER if (value := options.pop(name, None)) is not None}
        if said:
            options["where"] = _by_former_names(said, options.get("where"))
            text = f"{', '.join(said)}: say where=, which takes clients, addresses, executors and numbers of processes alike"
            warnings.warn(text, DeprecationWarning, stacklevel=2)
        return function(*args, **options)

    return cast("F", called)


def _by_former_names(said: dict[str, Any], where: Any) -> Any:
    if said.get("executor") in ("dask", "futures"):
        # Both had as many processes of this machine as were asked for, and Dask those of a scheduler.
        del said["executor"]
        said = said or {"executor": "processes"}
    elif said.get("executor") == "iterative":
        said["executor"] = "synchronous"
    first, *others = said
    if first in ("client", "runner", "scheduler") or said[first] == "synchronous":
        others = [name for name in others if name != "workers"]  # which these never heeded
    if where is not None or others:
        raise TypeError(
            f"it is said more than once where to run, by {', '.join([*said, *['where'] * (where is not None)])}"
        )
    return said[first]


@contextmanager
def opened(where: Any = None, *, tell: Callable[[str], None] = untold) -> Iterator[Pool]:
    """The pool that does tasks there; what was started for it ends with it.

    ``where`` is None or "synchronous" (one task after another, in this process), "threads", "processes" (as many as this
    machine has cores), the number of worker processes that Dask starts here, the address of a Dask scheduler, a Dask client
    or cluster, an executor of ``concurrent.futures``, or an executor or ``Runner`` of coffea. ``tell`` is given what a
    person should know meanwhile. Errors: ValueError for anything else; ConnectionError where nobody answers.
    """
    where = _of_coffea(where)
    if isinstance(where, str) and where.isdecimal():
        where = int(where)
    if where is None or where == "synchronous":
        yield Iterative()
    elif isinstance(where, Futures):
        with closing(where) as pool:
            yield pool
    elif where == "threads":
        with closing(Futures(lambda: ThreadPoolExecutor(CORES), CORES)) as pool:
            yield pool
    elif where == "processes":
        refuse_without_guard()
        with closing(Futures(processes, CORES)) as pool:
            yield pool
    elif isinstance(where, Executor):
        yield Futures.given(where)
    elif isinstance(where, int) and not isinstance(where, bool) and where > 0:
        with connected(workers=where) as client:
            yield Cluster(client, tell, alike=True)
    elif isinstance(where, str) and ":" in where:
        with connected(where) as client:
            yield Cluster(client, tell)
    elif hasattr(where, "get_client") or hasattr(where, "scheduler_info"):
        with of(where) as client:
            yield Cluster(client, tell)
    else:
        raise ValueError(
            'where must be a Dask client, cluster or address (tcp://...), a number of worker processes, "threads", '
            '"processes" or "synchronous", an executor of concurrent.futures, an executor or Runner of coffea, or None '
            f"(this process), got {where!r}"
        )


def chunk_at(where: Any, chunksize: int | None = None) -> int:
    """Most events that a task reads at once: as asked for, else as a Runner of coffea says."""
    if chunksize is None:
        chunksize = where.chunksize if _is(where, "Runner") else CHUNK
    check_count("chunksize", chunksize)
    return int(chunksize)


def _is(where: Any, name: str) -> bool:
    # Whoever has one of its objects has imported it.
    module = sys.modules.get("coffea.processor.executor")
    return module is not None and isinstance(where, getattr(module, name))


def _of_coffea(where: Any) -> Any:
    """What an executor or Runner of coffea stands for; anything else as it is."""
    if _is(where, "Runner"):
        _refuse_unheeded(where)
        where = where.executor
    if not _is(where, "ExecutorBase"):
        return where
    _refuse_unheeded(where)
    if _is(where, "DaskExecutor"):
        if where.client is None:
            raise ValueError("the DaskExecutor has no client: give it one, or say where= how many processes, where=2")
        return where.client
    if _is(where, "FuturesExecutor"):
        if isinstance(where.pool, Executor):
            return where.pool
        return Futures(lambda: where.pool(max_workers=where.workers), where.workers)
    return None


def _refuse_unheeded(thing: Any) -> None:
    """Refuse an option that a plan would leave out without a word, and executors that no plan knows."""
    name = next((kind.__name__ for kind in type(thing).__mro__ if kind.__name__ in _HEEDED), None)
    if name is None:
        raise ValueError(
            f"where is a {type(thing).__name__}, which does the tasks of coffea alone: give an executor of concurrent.futures in "
            "its place, such as parsl.concurrent.ParslPoolExecutor"
        )
    for entry in fields(thing):
        value = getattr(thing, entry.name)
        default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        if entry.name not in _HEEDED[name] and value != default:
            raise ValueError(
                f"the {name} says {entry.name}={short(value)}, which a plan does not use: leave it "
                f"out{_INSTEAD.get(entry.name, '')}"
            )
