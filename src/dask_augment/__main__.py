"""``python -m dask_augment``: the command line, where no script is installed."""

from __future__ import annotations

from dask_augment.cli.commands import main

if __name__ == "__main__":
    main()
