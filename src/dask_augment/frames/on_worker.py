"""Work on the answer to a question, such as training a model, on one worker of a Dask cluster."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import dask

from dask_augment.contract.learned import Learned
from dask_augment.frames.questions import Work


def on_worker(events: Any, work: Work, total: Any) -> Learned:  # noqa: ARG001  all have the same workers
    """What comes of it, computed now by a worker that has what the work asks for."""
    with dask.annotate(resources=work.resources) if work.resources else nullcontext():
        return dask.delayed(work, pure=False)(total).compute()  # type: ignore[no-any-return]
