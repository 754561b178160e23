"""`forestall keyring list|rotate`: the keys that encrypt originals; works beside a server."""

from pathlib import Path

import click

from forestall.cli.output import json_option, print_answer, print_json, print_line

_data_dir = click.option(
    "--data-dir",
    metavar="DIR",
    envvar="FORESTALL_DATA_DIR",
    default="forestall-data",
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The data directory of the server.",
)


@click.group()
def keyring() -> None:
    """See and rotate the keys that seal withheld and redacted originals."""


@keyring.command("list")
@_data_dir
@json_option
def list_(data_dir: Path, as_json: bool) -> None:
    """List ids and ages of the keys, oldest first; never a key. The last one seals."""
    from forestall.server.keyring import listed
    from forestall.wire.compat import iso_time

    keys = [{"id": name, "created_at": iso_time(at_us)} for name, at_us in listed(data_dir)]
    if as_json:
        print_json({"items": keys})
        return
    for key in keys:
        print_line(f"{key['id']}  {key['created_at'][:19]}")


@keyring.command()
@_data_dir
@json_option
def rotate(data_dir: Path, as_json: bool) -> None:
    """Add a key, with which everything is sealed from now on; the old ones stay for reading."""
    from forestall.server.keyring import rotate as add_key

    name = add_key(data_dir)
    print_answer({"id": name}, f"sealing with {name} from now on", as_json=as_json)
