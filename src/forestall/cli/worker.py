"""`forestall worker run`: a Python function as a worker."""

import importlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from forestall.cli.options import DEFAULT_URL
from forestall.cli.output import print_line
from forestall.client.logs import log_to_stderr


@click.group()
def worker() -> None:
    """Run a Python function as a worker."""


@worker.command()
@click.argument("target", metavar="MODULE:FUNCTION")
@click.option(
    "--id",
    "worker_id",
    envvar="FORESTALL_WORKER_ID",
    required=True,
    help="The name that `forestall workers create` was given (FORESTALL_WORKER_ID).",
)
@click.option("--topic", "topics", multiple=True, metavar="GLOB", help="Only these; repeatable.")
@click.option(
    "--capability", "capabilities", multiple=True, help="What it can do for jobs; repeatable."
)
@click.option(
    "--parallel",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1024),
    help="So many jobs at once, and never one more.",
)
@click.option("--once", is_flag=True, help="Run one job, then end; the same as --max-jobs 1.")
@click.option("--max-jobs", type=click.IntRange(min=1), help="Run so many jobs, then end.")
@click.option(
    "--grace",
    "grace_seconds",
    default=25.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that running jobs have after Ctrl-C or SIGTERM.",
)
@click.option(
    "--ticket-key",
    "ticket_keys",
    multiple=True,
    help="Trust only this key for tickets; without it, the one named at registration.",
)
@click.option(
    "--send-error-text",
    is_flag=True,
    help="Tell the server the text of an exception too, not only its class.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more on standard error.")
@click.option(
    "--token",
    envvar="FORESTALL_WORKER_TOKEN",
    default="",
    help="The worker's token; better given as FORESTALL_WORKER_TOKEN.",
)
@click.option(
    "--url",
    envvar="FORESTALL_URL",
    default=DEFAULT_URL,
    show_default=True,
    help="Address of the server (FORESTALL_URL).",
)
def run(
    target: str,
    url: str,
    token: str,
    once: bool,
    max_jobs: int | None,
    verbose: bool,
    **options: Any,
) -> None:
    """Take jobs and run MODULE:FUNCTION for each, until Ctrl-C.

    The function, sync or async, is called with a Job and returns its result, a JSON value. Modules
    of the working directory are found. Exit code 0: ended as told; 2: wrong usage; 3: the server
    takes no such worker.
    """
    from forestall.client.worker import Worker

    if not token:
        raise click.UsageError(
            "no token: set FORESTALL_WORKER_TOKEN (`forestall workers create` prints one)"
        )
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    handler = load_function(target)
    tally = Worker(url, token, max_jobs=1 if once else max_jobs, **options).run(
        handler, loop_factory=_loop_factory()
    )
    parts = (f"{number} {name}" for name, number in tally._asdict().items() if number)
    print_line("ended: " + (", ".join(parts) or "no jobs"), err=True)


def load_function(target: str) -> Callable[..., Any]:
    """The function that `module:function` names. Raises click.UsageError."""
    name, colon, path = target.partition(":")
    if not colon or not name or not path:
        raise click.UsageError(f"write MODULE:FUNCTION, such as tasks:handle, not `{target}`")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        value: Any = importlib.import_module(name)
    except ModuleNotFoundError as cause:
        if cause.name is None or not (name == cause.name or name.startswith(f"{cause.name}.")):
            raise  # the module exists; one of its imports does not
        raise click.UsageError(
            f"there is no module `{name}` in {folder} or among what is installed"
        ) from cause
    for part in path.split("."):
        try:
            value = getattr(value, part)
        except AttributeError as cause:
            raise click.UsageError(f"`{name}` has no `{path}`") from cause
    if not callable(value):
        raise click.UsageError(f"`{target}` is a {type(value).__name__}, not a function")
    function: Callable[..., Any] = value
    return function


def _loop_factory() -> Callable[[], Any] | None:
    """The faster event loop, if it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
