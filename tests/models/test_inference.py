"""Networks on arrays: bits that depend on the row alone, one network per process, and torch left as it was."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bundle_toys
from dask_augment.models import bundle, inference

torch = pytest.importorskip("torch")

N = 5000
RNG = np.random.default_rng(8)
GIVEN = RNG.normal(size=(N, 2)), RNG.normal(size=(N, 3)), RNG.random(N)
WIDE = bundle_toys.manifest(sizes={"components": 4, "hidden": 96, "layers": 3})


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_LOADED", {})


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


@pytest.fixture
def name(tmp_path: Path) -> str:
    return bundle_toys.write(tmp_path / "wide", WIDE, seed=3)


def run(name: str, rows: Any = slice(None), batch: int = 256) -> np.ndarray:
    net = inference.network(name, bundle.sha256_of(name))
    x, efficiency = inference.sample(net, *(array[rows] for array in GIVEN), batch=batch)
    assert x.dtype == efficiency.dtype == np.float32
    return np.column_stack([x, efficiency])


@pytest.mark.parametrize("batch", [256, 768, 1024, 4096])
def test_bits_do_not_depend_on_the_slices(name: str, batch: int) -> None:
    whole = run(name, batch=batch)
    assert np.isfinite(whole).all()
    assert len(np.unique(whole[:, 0])) > 0.99 * N
    rng = np.random.default_rng(batch)
    for count in (1, 3, 20):
        borders = [0, *sorted(rng.integers(0, N, count).tolist()), N]
        parts = [run(name, slice(a, b), batch) for a, b in pairwise(borders)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    for _ in range(4):
        order = rng.permutation(N)
        np.testing.assert_array_equal(run(name, order, batch), whole[order])
    for row in rng.integers(0, N, 12).tolist():
        np.testing.assert_array_equal(run(name, [row], batch), whole[[row]])


def test_bits_do_not_depend_on_the_threads_of_torch(name: str, threads: int) -> None:
    torch.set_num_threads(1)
    whole = run(name, batch=1024)
    for count in (2, 3, 5):
        torch.set_num_threads(count)
        np.testing.assert_array_equal(run(name, batch=1024), whole)
        assert torch.get_num_threads() == count


def test_threads_of_torch_are_left_as_they_were(threads: int) -> None:
    torch.set_num_threads(3)
    inside, left = threading.Barrier(2), threading.Event()

    def first() -> None:
        with inference.one_thread(torch):
            inside.wait()
            assert torch.get_num_threads() == 1
        left.set()

    def second() -> int:
        with inference.one_thread(torch):
            inside.wait()
            left.wait()
            assert torch.get_num_threads() == 1
        return torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(first), pool.submit(second)
        one.result()
        assert other.result() == 3
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 3


def test_threads_come_back_after_an_error(threads: int) -> None:
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError), inference.one_thread(torch):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


def test_loaded_once_by_many_threads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = inference._loaded
    monkeypatch.setattr(inference, "_loaded", lambda *args: loads.append(args) or load(*args))
    start = threading.Barrier(8)

    def work() -> np.ndarray:
        start.wait()
        return run(name, slice(0, 700))

    with ThreadPoolExecutor(8) as pool:
        results = [future.result() for future in [pool.submit(work) for _ in range(8)]]
    assert len(loads) == 1
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_batches_that_leave_a_rest(name: str) -> None:
    with pytest.raises(ValueError, match="batch must be a positive multiple of 256, got 300"):
        run(name, batch=300)


def test_no_rows(name: str) -> None:
    assert run(name, slice(0, 0)).shape == (0, 4)


def test_random_numbers_of_torch_are_left_alone(name: str) -> None:
    before = torch.get_rng_state()
    run(name, slice(0, 10))
    # Building a network draws its first weights, which are then replaced.
    assert torch.equal(torch.get_rng_state(), before)


def test_no_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r'device is "cuda", and torch sees no GPU here: run where there is one'):
        inference.network(name, bundle.sha256_of(name), "cuda")


def test_no_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"torch, which is not installed: pip install 'dask-augment\[torch\]'"):
        inference.network(name, bundle.sha256_of(name))


def test_weights_of_another_shape(tmp_path: Path) -> None:
    arrays = bundle_toys.arrays(bundle_toys.manifest())
    bundle.write(tmp_path / "odd", WIDE, arrays)
    with pytest.raises(
        bundle.BundleError, match=r"not those of the network that its manifest describes: 'body\.0\.bias'"
    ):
        inference.network(str(tmp_path / "odd"), bundle.sha256_of(str(tmp_path / "odd")))


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    arrays = bundle_toys.arrays(WIDE, 3)
    arrays["head.bias"][2] = np.nan
    bundle.write(tmp_path / "odd", WIDE, arrays)
    with pytest.raises(bundle.BundleError, match=r"odd' hold NaN or infinity, in 'head\.bias': train it anew"):
        inference.network(str(tmp_path / "odd"), bundle.sha256_of(str(tmp_path / "odd")))
