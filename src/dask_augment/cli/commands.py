"""The command line: ``dask-augment demo | generate | run | list | show | verify | clean``."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dask_augment import __version__
from dask_augment.messages import counted
from dask_augment.runs.progress import showing
from dask_augment.runs.tables import show_dataset, show_dry_run

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Augment collider events on Dask: the same rows and values on any number of partitions, published whole.",
)
out = Console()
err = Console(stderr=True)

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
QUIET = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show no progress: no bars in a terminal, no lines elsewhere.")
]

WHERE = Annotated[
    str,
    typer.Option(
        "--where",
        "--scheduler",
        "--workers",
        help="A number of worker processes here, the address of a Dask scheduler (tcp://..., tls://...), or processes, "
        "threads or synchronous (this process).",
    ),
]


def _version(asked: bool) -> None:
    if asked:
        out.print(f"dask-augment {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Nothing but the options of all commands."""


@app.command()
def run(
    plan: Annotated[Path, typer.Argument(help="The plan, a YAML file.")],
    output: Annotated[str | None, typer.Option(help="Folder of the data set, instead of the plan's.")] = None,
    where: WHERE = "2",
    chunksize: Annotated[int, typer.Option(min=1, help="Most events that a task reads at once.")] = 100_000,
    limit_files: Annotated[
        int | None, typer.Option(min=1, help="Only the first files of each data set: a trial, and another plan.")
    ] = None,
    max_bad_files: Annotated[
        int,
        typer.Option(min=0, help="Number of unreadable files to leave out: they are listed, and no sum includes them."),
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished run of this plan.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace another plan's data set, once this one is complete.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")] = False,
    quiet: QUIET = False,
    as_json: JSON = False,
) -> None:
    """Carry out a plan and publish its data set, whole or not at all.

    The result does not depend on where it runs, the number of workers or the chunk size. A run that was cut off goes
    on with --resume; a plan that is published already is not run again.
    """
    from dask_augment.plans.plan import Plan
    from dask_augment.runs import run as running

    asked = Plan.read(plan)
    how: dict[str, Any] = {
        "where": where,
        "chunksize": chunksize,
        "limit_files": limit_files,
        "max_bad_files": max_bad_files,
    }
    if dry_run:
        with showing(err, out, quiet=quiet or as_json) as shown:
            summary = running.dry_run(asked, output, **how, progress=shown)
        _print_json(summary) if as_json else show_dry_run(out, summary)
        return
    with _stoppable("run the plan again with --resume"), showing(err, out, quiet=quiet or as_json) as shown:
        result = running.run(asked, output, **how, resume=resume, replace=replace, progress=shown)
    _print_json(result.to_dict()) if as_json else result.show(out)


@contextlib.contextmanager
def _stoppable(again: str) -> Iterator[None]:
    """Says how to go on when a key stops what is done here; the program then ends with 130."""
    try:
        yield
    except KeyboardInterrupt:
        err.print(f"stopped; what is done is kept: {again}", highlight=False, soft_wrap=True)
        raise


def _print_json(values: Any) -> None:
    sys.stdout.write(json.dumps(values, indent=2, sort_keys=True) + "\n")


@app.command("list")
def list_names(as_json: JSON = False) -> None:
    """List the augmenters that a plan can name, by purpose."""
    from dask_augment.cli.manual import print_names, purpose, summary
    from dask_augment.plans import registry

    kinds, broken = {}, {}
    for name in registry.names():
        try:
            kinds[name] = registry.get(name)
        except (ImportError, TypeError) as error:  # of another package; the others can be used all the same
            broken[name] = str(error)
    if as_json:
        keys = ("rows", "use", "summary")
        said = {name: dict(zip(keys, summary(kind), strict=True)) for name, kind in kinds.items()}
        entries = [{"name": name, "purpose": purpose(kinds[name]), **values} for name, values in said.items()]
        _print_json([*entries, *({"name": name, "error": why} for name, why in broken.items())])
        return
    print_names(out, kinds)
    for why in broken.values():
        err.print(f"[yellow]left out[/yellow] {escape(why)}", highlight=False, soft_wrap=True)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="An augmenter, as `dask-augment list` names it, or the folder of a data set.")
    ],
) -> None:
    """Show what an augmenter does, its options, and its columns in and out; or what is in a published data set.

    Of a data set: what became of its rows, and how many events the rows of each resampled stratum are worth.
    """
    from dask_augment.cli.manual import print_page
    from dask_augment.plans import registry

    if name not in registry.names() and Path(name).is_file():
        raise ValueError(f"{name} is a file: dask-augment run {name} --dry-run says what a plan does")
    if name not in registry.names() and (Path(name).expanduser().is_dir() or "/" in name):
        from dask_augment.dataset.manifest import Manifest

        show_dataset(out, Path(name), Manifest.read(name))
        return

    try:
        kind = registry.get(name)
    except KeyError as error:
        raise ValueError(error.args[0]) from None
    print_page(out, name, kind)


@app.command()
def verify(
    folder: Annotated[str, typer.Argument(help="A published data set.")],
    deep: Annotated[bool, typer.Option("--deep", help="Read and check every byte and every row.")] = False,
    as_json: JSON = False,
) -> None:
    """Check a published data set against its manifest; exit 1 on any fault.

    Names, sizes, rows and types of all files; with --deep also checksums, weights, the logical hash and repeated ids.
    """
    from dask_augment.dataset.verify import verify as verified

    report = verified(folder, deep=deep)
    if as_json:
        _print_json(report.to_dict())
    else:
        for fault in report.faults:
            err.print(f"[red]fault[/red] {escape(fault)}", highlight=False, soft_wrap=True)
        state = "as published" if report.ok else counted(len(report.faults), "fault")
        if report.logical_hash:
            state = f"{counted(report.rows, 'row')}, logical hash {report.logical_hash}: {state}"
        out.print(f"{folder}: {state}", markup=False, highlight=False, soft_wrap=True)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def clean(
    folder: Annotated[str, typer.Argument(help="The folder that data sets are published in.")],
    older_than: Annotated[
        float,
        typer.Option(min=0, metavar="DAYS", help="Keep unfinished runs that were written to within this many days."),
    ] = 7.0,
    as_json: JSON = False,
) -> None:
    """Remove what runs that were cut off left beside the data sets of a folder; they can then not go on.

    Published data sets are never touched, nor one that a crash left aside while it was being replaced, nor what a client
    is at work on.
    """
    from dask_augment.dataset.gc import collect

    def told(staging: Path) -> None:
        if not as_json:
            out.print(f"removing {staging}", markup=False, highlight=False, soft_wrap=True)

    def spared(staging: Path, why: str) -> None:
        left[str(staging)] = why
        if not as_json:
            out.print(f"left alone {staging}: {why}", markup=False, highlight=False, soft_wrap=True)

    left: dict[str, str] = {}
    removed = collect(folder, older_than, told, spared)
    if as_json:
        _print_json({"removed": [str(path) for path in removed], "left": left})
    else:
        days = f"{older_than:g} day{'' if older_than == 1 else 's'}"
        text = f"{counted(len(removed), 'unfinished run')} removed; none that is left is older than {days}."
        out.print(text, highlight=False, soft_wrap=True)


@app.command()
def demo(
    output: Annotated[
        str, typer.Option(help="Folder of the data set; plan, picture and events go beside it.")
    ] = "demo",
    events: Annotated[
        int | None,
        typer.Option(
            min=100, help="Events to read: all that are shipped unless given; more are generated with Pythia 8."
        ),
    ] = None,
    quiet: QUIET = False,
) -> None:
    """Carry out the main job: zoom, simulate, rotate and balance shipped events on two worker processes, and publish.

    The plan is written beside the data set, and a picture of what became of the events. A demo before it is replaced.
    """
    with _stoppable("run the same command to go on"):
        from dask_augment.demo import job
        from dask_augment.demo.events import source
        from dask_augment.demo.report import show as report
        from dask_augment.files.folders import local_folder

        folder = local_folder(output, "output")
        begun = time.perf_counter()
        out.print(source(events, job.beside(folder, "-events")), markup=False, highlight=False, soft_wrap=True)
        with showing(err, out, quiet=quiet) as shown:
            plan = job.prepare(folder, events, shown)
        preparing = time.perf_counter() - begun
        out.print(plan.read_text(encoding="utf-8"), markup=False, highlight=False, soft_wrap=True)
        with showing(err, out, quiet=quiet) as shown:
            done = job.carry_out(plan, folder, shown)
        report(out, done, plan, preparing)


@app.command()
def generate(
    processes: Annotated[
        list[str],
        typer.Argument(metavar="PROCESS...", help="wz (W' -> W Z with a hadronic W), qcd (two jets), or both."),
    ],
    output: Annotated[str, typer.Option(help="Folder of the files and their fileset.json.")],
    events: Annotated[int, typer.Option(min=1, help="Events of each process.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same events.")] = 1,
    where: WHERE = "2",
    quiet: QUIET = False,
    as_json: JSON = False,
) -> None:
    """Generate events with Pythia 8 and a parametric detector, as NanoAOD-like files and a fileset for plans.

    Files that are there already are not made again. Pythia 8 is not installed with this package, as it is under the
    GPL.
    """
    from dask_augment.files.folders import local_folder
    from dask_augment.generator.generate import FILESET, generate

    folder = local_folder(output, "output")

    with _stoppable("run the same command to go on"), showing(err, out, quiet=quiet or as_json) as shown:
        found = generate(processes, folder, events=events, seed=seed, where=where, progress=shown)
    if as_json:
        _print_json(found)
        return
    table = Table("process", "files", "cross-section [pb]")
    for name, entry in found.items():
        table.add_row(name, f"{len(entry['files']):,}", f"{entry['metadata']['xsec']:.6g}")
    out.print(table)
    out.print(f"In a plan:  inputs: {{fileset: {folder / FILESET}}}", markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; an error of ours is one sentence, without a traceback."""
    # What the log would say stands on the screen already.
    logging.getLogger("dask_augment").addHandler(logging.NullHandler())
    try:
        app()
    except Exception as error:
        if not isinstance(error, _told_in_a_sentence()):
            raise
        err.print(f"[red]error[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


def _told_in_a_sentence() -> tuple[type[Exception], ...]:
    from dask_augment.dataset.publication import Incomplete, RunFailed
    from dask_augment.dataset.sink import StagingGone
    from dask_augment.events.columns import MissingColumn

    # Plans, schemas and folders that are not as they should be are ValueErrors.
    return RunFailed, Incomplete, StagingGone, MissingColumn, ValueError, OSError, ImportError
