"""`forestall serve`. Each option is named as its setting (`server/settings.py`)."""

import os
from pathlib import Path

import click

from forestall.cli.output import print_lines


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="API address [127.0.0.1:8081].")
@click.option("--metrics-listen", metavar="HOST:PORT", help="Metrics address [127.0.0.1:9090].")
@click.option("--data-dir", metavar="DIR", help="Where everything is kept [forestall-data].")
@click.option("--policy", metavar="PATH", help="Policy file or directory [DIR/policy.yaml].")
@click.option(
    "--policy-subdirectories",
    metavar="yes|no",
    help="yes: policy files in subdirectories of a directory count too [no].",
)
@click.option(
    "--policy-settle-seconds",
    metavar="N",
    help="A policy file written in place is read when it rested so long [10].",
)
@click.option("--rate-limit", metavar="N|off", help="Requests a second of one key [10000].")
@click.option("--tenant-rate-limit", metavar="N|off", help="The same of one tenant [20000].")
@click.option(
    "--lease-seconds", metavar="N", help="A worker silent for so long loses its jobs [30]."
)
@click.option(
    "--approvals",
    metavar="strict|lenient",
    help="strict: an approval needs the job hash that was shown [lenient].",
)
@click.option(
    "--webhooks",
    metavar="public|private|local|off",
    help="Where webhooks may lead: also into private networks, to this machine [public].",
)
@click.option(
    "--sealed-days", metavar="N", help="So long the original of a withheld result is kept [30]."
)
@click.option(
    "--names-model",
    metavar="PACKAGE",
    help="Look for names in results with this installed spaCy pipeline [off].",
)
@click.option(
    "--public-names",
    metavar="NAME,…",
    help="Names under which clients reach the server, such as that of a proxy before it [none].",
)
def serve(**flags: str | None) -> None:
    """Run the control plane until Ctrl-C.

    Each option is also an environment variable (FORESTALL_LISTEN, …) and a key of
    forestall.toml in the working directory. FORESTALL_BOOTSTRAP_KEY gives the first admin key
    instead of a generated one, and is taken out of the environment when it is read. SIGHUP reads
    the policy again; a changed file is noticed anyway.
    """
    from forestall.server.environment import take_out
    from forestall.server.serve import serve as run
    from forestall.server.settings import BOOTSTRAP_KEY_VARIABLE, read_settings

    # From here on neither a child of this process nor a dump of its environment has the key.
    environment = {**os.environ, BOOTSTRAP_KEY_VARIABLE: take_out(BOOTSTRAP_KEY_VARIABLE)}
    run(read_settings(flags, environment, Path.cwd()), print_lines)
