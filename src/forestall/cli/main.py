"""`forestall`: the command line. Groups the commands; a group is imported when it is used.

Exit codes (docs/reference/cli.md): 0 done · 1 a check failed · 2 wrong usage or input · 3 the
server cannot be reached or refuses · 4 denied · 5 awaits approval · 6 not within the time · 130
interrupted.
"""

import importlib
import sys
from typing import Any

import click

from forestall import __version__
from forestall.cli.output import EXIT_INTERRUPTED, EXIT_USAGE, fail, show_usage
from forestall.errors import ForestallError

_COMMANDS = {
    "serve": ("forestall.cli.serve", "serve", "Run the control plane."),
    "policy": ("forestall.cli.policy", "policy", "Check and test policy files; needs no server."),
    "simulate": ("forestall.cli.simulate", "simulate", "What would be decided? Leaves no trace."),
    "explain": ("forestall.cli.simulate", "explain", "The same, and why."),
    "jobs": ("forestall.cli.jobs", "jobs", "Submit, read, watch, cancel and remediate jobs."),
    "approvals": (
        "forestall.cli.approvals",
        "approvals",
        "See, approve and reject what awaits approval.",
    ),
    "dlq": ("forestall.cli.dlq", "dlq", "List, retry and dismiss dead letters."),
    "quarantine": (
        "forestall.cli.quarantine",
        "quarantine",
        "See, release and discard withheld results.",
    ),
    "scan": (
        "forestall.cli.scan",
        "scan",
        "Find secrets and personal data in a text; needs no server.",
    ),
    "worker": ("forestall.cli.worker", "worker", "Run a Python function as a worker."),
    "workers": ("forestall.cli.workers", "workers", "Create, list and revoke workers."),
    "keys": ("forestall.cli.keys", "keys", "Create, list and revoke API keys."),
    "tenants": (
        "forestall.cli.tenants",
        "tenants",
        "Create, list, suspend and resume tenants.",
    ),
    "keyring": ("forestall.cli.keyring", "keyring", "See and rotate the keys that seal results."),
    "audit": ("forestall.cli.audit", "audit", "Verify the log."),
}


class _LazyGroup(click.Group):
    """Imports the module of a command only when that command runs, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        entry = _COMMANDS.get(name)
        if entry is None:
            return None
        module, attribute, _ = entry
        command: Any = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[2]) for name, entry in _COMMANDS.items()])


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a check failed, 2 wrong usage or input, 3 the server cannot be"
    " reached or refuses, 4 denied, 5 awaits approval.",
)
@click.version_option(__version__, prog_name="forestall")
def cli() -> None:
    """Forestall decides every action of an agent before it runs."""


def main() -> None:
    """The entry point. Turns an error into one sentence on stderr and an exit code."""
    try:
        sys.exit(cli.main(standalone_mode=False))
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        show_usage(error)
        sys.exit(EXIT_USAGE)
    except ForestallError as error:
        sys.exit(fail(error))
    except BrokenPipeError:
        # The reader (head, a pager) closed early: no error, and no traceback.
        sys.stderr.close()
        sys.exit(0)
