"""`forestall audit verify`: verify the log in the data folder, beside a server or without one."""

import asyncio
import os
import sys
from pathlib import Path

import click
import msgspec

from forestall.cli.output import (
    EXIT_CHECK_FAILED,
    json_option,
    print_json,
    print_line,
    print_progress,
)


@click.group()
def audit() -> None:
    """Verify the log."""


@audit.command()
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The server's data directory [FORESTALL_DATA_DIR or forestall-data].",
)
@json_option
def verify(data_dir: Path | None, as_json: bool) -> None:
    """Check the hash chain, and that every job and decision is the recorded one.

    Reads only; works beside a running server and without one.
    """
    from forestall.control.verify import verify_log
    from forestall.server.files import STORE_FILE
    from forestall.server.settings import read_settings
    from forestall.store.sqlite import SqliteStore

    if data_dir is None:
        data_dir = read_settings({}, os.environ, Path.cwd()).data_dir
    file = data_dir / STORE_FILE
    if not file.exists():
        raise click.UsageError(f"there is no {STORE_FILE} in {data_dir}; name --data-dir")

    async def run() -> None:
        store = SqliteStore.open(file, read_only=True)
        try:
            report = await verify_log(store, progress=_progress if sys.stderr.isatty() else None)
        finally:
            await store.close()
        if as_json:
            print_json({"ok": report.ok, **msgspec.to_builtins(report)})
        elif report.ok:
            print_line(
                f"ok: {report.records} records verified, {report.jobs} jobs match their records,"
                f" head {report.head[:16] or 'none'}"
            )
        else:
            for problem in report.problems:
                print_line(f"BROKEN: {problem}", err=True)
        if not report.ok:
            raise click.exceptions.Exit(EXIT_CHECK_FAILED)

    asyncio.run(run())


def _progress(records: int) -> None:
    print_progress(f"{records} records")
