"""Run networks on arrays: loaded once per process, in batches of one shape, with bits that depend on nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.models.bundle import BundleError, Manifest, manifest, weights

ROWS = 256
"""Batches are multiples of it, so that no array ends within a vector of the CPU: such a rest takes other code, with
other bits, and which rows are in it depends on those before them."""
_LOADED: dict[tuple[str, str], Any] = {}
_LOADING = threading.Lock()


def torch_module() -> Any:
    """torch, or ImportError that says what to install."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "a model bundle runs on torch, which is not installed: pip install 'dask-augment[torch]'"
        ) from error
    return torch


def network(bundle: str, sha256: str, device: str = "cpu") -> Any:
    """The network of a bundle, ready to run on this device; built once per process, whatever the number of threads."""
    key = (sha256, device)
    with _LOADING:
        if key not in _LOADED:
            _LOADED[key] = _loaded(bundle, sha256, device)
        return _LOADED[key]


def _loaded(bundle: str, sha256: str, device: str) -> Any:
    torch = torch_module()
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            'device is "cuda", and torch sees no GPU here: run where there is one (dask workers started with '
            '--resources "GPU=1"), or take device="cpu"'
        )
    # Without storage: to fill it, torch would draw random numbers that the user's own code then no longer gets.
    with torch.device("meta"):
        built = architecture(manifest(bundle, sha256))
    arrays = weights(bundle, sha256)
    expected = {name: tuple(values.shape) for name, values in built.state_dict().items()}
    found = {name: tuple(values.shape) for name, values in arrays.items()}
    if found != expected:
        name = min(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        raise BundleError(
            f"the weights of {bundle!r} are not those of the network that its manifest describes: {name!r} has shape "
            f"{found.get(name)}, it should have {expected.get(name)}"
        )
    if odd := sorted(name for name, values in arrays.items() if not np.isfinite(values).all()):
        raise BundleError(f"the weights of {bundle!r} hold NaN or infinity, in {odd[0]!r}: train it anew")
    tensors = {name: torch.tensor(values, dtype=torch.float32) for name, values in arrays.items()}
    built.load_state_dict(tensors, assign=True)
    return built.requires_grad_(False).eval().to(device)


def architecture(about: Manifest) -> Any:
    """The network that a manifest describes, with weights of no meaning."""
    torch_module()
    from dask_augment.models.mixture import Mixture

    return Mixture(inputs=len(about.inputs), outputs=len(about.outputs), efficiency=about.efficiency, **about.sizes)


def refuse_batch(batch: object) -> None:
    """Raise ValueError for a size of batches that does not keep the bits of a row."""
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < ROWS or batch % ROWS:
        raise ValueError(f"batch must be a positive multiple of {ROWS}, got {batch!r}")


def sample(
    net: Any, cond: NDArray[Any], normal: NDArray[Any], uniform: NDArray[Any], *, batch: int, device: str = "cpu",
    border: NDArray[Any] | None = None, bounded: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    """x (n, D) and efficiency (n,) of a network, for conditions (n, C), normal (n, D) and uniform numbers (n,).

    ``border`` (n,) and ``bounded`` as in :class:`~dask_augment.models.mixture.Mixture`. Every batch has ``batch`` rows, the
    last one filled up with zeros: matrix products choose their order of additions by their shapes, so with one shape a
    row has the same bits whatever rows come with it.
    """
    refuse_batch(batch)
    torch = torch_module()
    n = len(cond)
    x = np.empty((n, normal.shape[1]), np.float32)
    efficiency = np.empty(n, np.float32)
    # Below 1 in single precision too: at 1 the last component would be chosen, however small its share.
    uniform = np.minimum(uniform.astype(np.float32), np.nextafter(np.float32(1), np.float32(0)))
    arrays = [cond, normal, uniform, *([] if border is None else [border])]
    # Buffers of torch's own: their alignment, by which libraries choose kernels, is always the same.
    given = [torch.zeros((batch, *array.shape[1:])) for array in arrays]
    with torch.inference_mode(), one_thread(torch):
        for start in range(0, n, batch):
            rows = min(batch, n - start)
            for buffer, array in zip(given, arrays, strict=True):
                buffer[:rows] = torch.from_numpy(np.ascontiguousarray(array[start : start + rows], np.float32))
                buffer[rows:] = 0
            tensors = [buffer.to(device) for buffer in given]
            made, probability = net(*tensors, **({} if border is None else {"bounded": bounded}))
            x[start : start + rows] = made[:rows].cpu().numpy()
            efficiency[start : start + rows] = probability[:rows].cpu().numpy()
    return x, efficiency


_THREADS = threading.Lock()
_inside = 0
_own = 1


@contextmanager
def one_thread(torch: Any) -> Iterator[None]:
    """torch on one thread, in this thread of Python; afterwards it has as many as it had.

    More threads cut a product into other pieces, which changes bits (seen with three), and beside the threads of Dask
    they would only be in each other's way. What torch sets counts for the calling thread and for those that are new
    to it, so the number to go back to is the one found by the first of the threads that are inside.
    """
    global _inside, _own
    with _THREADS:
        # Asked in any case: a thread that is new to torch takes the number of the process when it first needs one,
        # which would undo what is set here.
        found = torch.get_num_threads()
        if _inside == 0:
            _own = found
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _THREADS:
            _inside -= 1
            torch.set_num_threads(_own)
