"""Approximate neighbours from an index that may miss some, for strata too large for an exact search.

faiss makes the index, by one thread and of rows in one order: what it finds depends on its version and on the CPU, but not
on partitions or workers. Distances that decide are those of the exact search.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.kernels.coincident import places_of, ranked
from dask_augment.kernels.neighbours import check_reach, nearest

FEW = 2000
"""Below so many different points the search is exact: that costs little, and an index would have few points a list."""
PROBES = 16
"""Lists of the index that each point is sought in, of as many as the square root of the points."""
MORE = 4
"""Candidates beyond k: in float32 the index does not rank them as the exact distance does."""
_SLICE = 2**16


def faiss_module() -> Any:
    """faiss, or ImportError that says what to install."""
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "neighbors='approximate' runs on faiss, which is not installed: pip install 'dask-augment[faiss]'"
        ) from error
    return faiss


def nearby(points: NDArray[np.float64], k: int, *, distinct: bool = False) -> NDArray[np.int64]:
    """Rows (n, k) of the k points next to each of these (n, d), itself left out; -1 fills up.

    Candidates come from an inverted file of float32 vectors and are ranked by (squared distance, row number), as the
    exact search does. Where the index finds fewer than k, and below ``FEW`` different points, the search is exact. Points
    that are the same are one point of the index: where many are, no list of it grows.
    """
    places = places_of(points)
    different = points if len(places.firsts) == len(points) else points[places.firsts]
    if len(different) < FEW:
        near = nearest(different, different, k, own=np.arange(len(different)))[1]
    else:
        near = _candidates(different, k)
        lacking = np.flatnonzero((near >= 0).sum(axis=1) < min(k, len(different) - 1))
        near[lacking] = -1
        near[lacking, :k] = nearest(different, different[lacking], k, own=lacking)[1]
    return ranked(points, places, near, k, distinct=distinct)


def _candidates(points: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Rows (n, k + MORE + 1) that the index finds next to each point, but not itself; -1 fills up."""
    faiss = faiss_module()
    furthest = float(np.abs([points.min(), points.max()]).max())
    check_reach(furthest)
    # float32 tells numbers near 0 apart best, and their squares have little room.
    middle = points.mean(axis=0)
    unit = float(max((points.max(axis=0) - middle).max(), (middle - points.min(axis=0)).max()))
    vectors = np.empty(points.shape, np.float32)
    for i, values in enumerate(points.T):
        vectors[:, i] = (values - middle[i]) / unit
    found = np.empty((len(points), k + MORE + 1), np.int64)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        lists = faiss.IndexFlatL2(points.shape[1])
        index = faiss.IndexIVFFlat(lists, points.shape[1], round(len(vectors) ** 0.5))
        index.nprobe = PROBES
        index.train(vectors)
        index.add(vectors)
        for start in range(0, len(vectors), _SLICE):
            rows = slice(start, start + _SLICE)
            found[rows] = index.search(vectors[rows], found.shape[1])[1]
    finally:
        faiss.omp_set_num_threads(threads)
    found[found == np.arange(len(found))[:, None]] = -1
    return found
