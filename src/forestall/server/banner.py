"""The text that a start prints: addresses and files, the first key, and three commands to paste."""

from collections.abc import Sequence
from pathlib import Path

from forestall import __version__
from forestall.server.bootstrap import StartedPlane
from forestall.server.settings import Address, Settings

_APPROVAL_JOB = (
    '{"topic":"job.deploy.apply","prompt":"roll out","capability":"infra.write",'
    '"labels":{"env":"prod"}}'
)
_DOCS = Path(__file__).parents[3] / "docs"


def banner(settings: Settings, started: StartedPlane, *, api: Address, metrics: Address) -> str:
    """The text. No other place ever shows the first key."""
    snapshot = started.plane.snapshot
    assert snapshot is not None, "a server does not start without a policy"
    lines = [
        f"Forestall {__version__}",
        f"  API      http://{api}",
        f"  metrics  http://{metrics}/metrics",
        f"  data     {started.data_dir.path}",
        f"  policy   {settings.policy}  ({snapshot.rule_count} rules, edit it while this runs)",
        *([f"  names    {settings.names_model}"] if settings.names_model else []),
        f"  docs     {_DOCS if _DOCS.is_dir() else 'forestall --help'}",
        "",
        *_warnings(settings, snapshot.without_default_derivations),
    ]
    if started.first_key is not None:
        lines += [
            "The admin key, shown this once (only its hash is kept):",
            "",
            f"  export FORESTALL_API_KEY={started.first_key}",
            "",
        ]
    elif settings.bootstrap_key:
        lines += ["The admin key is the one in FORESTALL_BOOTSTRAP_KEY.", ""]
    if started.starter_written or started.first_key is not None:
        lines += ["Three commands to paste into another shell:", "", *_commands(api), ""]
    lines.append("Ready. Ctrl-C stops the server.")
    return "\n".join(lines)


def _warnings(settings: Settings, without_defaults: Sequence[str] = ()) -> list[str]:
    lines = ["warning: the policy is unsigned; whoever can write the file decides what runs", ""]
    if without_defaults:
        names = ", ".join(without_defaults)
        lines.insert(0, f"danger: no default derivations for the rules of {names}")
    for address, what in ((settings.listen, "API"), (settings.metrics_listen, "metrics")):
        if not address.is_loopback:
            lines.insert(
                0, f"warning: the {what} is open to the network without TLS; put a proxy in front"
            )
    for limit, what in (
        (settings.rate_limit, "an API key"),
        (settings.tenant_rate_limit, "a tenant"),
    ):
        if limit is None:
            lines.insert(0, f"warning: {what} may make any number of requests (rate limit off)")
    return lines


def _commands(api: Address) -> list[str]:
    post = (
        f"  curl -sS http://{api}/api/v1/jobs -H 'Content-Type: application/json'"
        " -H \"X-API-Key: $FORESTALL_API_KEY\" -d '{}'"
    )
    jobs = (
        ("allowed", '{"topic":"job.demo.read","prompt":"status"}'),
        ("denied", '{"topic":"job.exec.shell","prompt":"rm -rf /"}'),
        ("awaits approval", _APPROVAL_JOB),
    )
    lines = []
    for outcome, body in jobs:
        lines += [f"  # {outcome}", post.replace("{}", body)]
    return lines
