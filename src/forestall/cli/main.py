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
    "serve": "Run the control plane.",
    "policy": "Check and test policy files; needs no server.",
    "simulate": "What would be decided? Leaves no trace.",
    "explain": "The same, and why.",
    "jobs": "Submit, read, watch, cancel and remediate jobs.",
    "approvals": "See, approve and reject what awaits approval.",
    "dlq": "List, retry and dismiss dead letters.",
    "quarantine": "See, release and discard withheld results.",
    "scan": "Find secrets and personal data in a text; needs no server.",
    "worker": "Run a Python function as a worker.",
    "workers": "Create, list and revoke workers.",
    "agents": "Register, change, suspend and revoke agents.",
    "keys": "Create, list and revoke API keys.",
    "tenants": "Create, list, suspend and resume tenants.",
    "keyring": "See and rotate the keys that seal results.",
    "audit": "Verify the log.",
}
_OTHER_MODULE = {"explain": "simulate"}  # where a command is not in the module of its name


class _LazyGroup(click.Group):
    """Imports the module of a command only when that command runs, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"forestall.cli.{_OTHER_MODULE.get(name, name)}")
        command: Any = getattr(module, name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


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
