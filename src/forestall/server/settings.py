"""Settings: each a flag, an environment variable and a key of `forestall.toml`, in that order.

Nothing here touches the network; reading the settings file is the only I/O.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from forestall.errors import InvalidRequestError
from forestall.jobs.webhook import Reach
from forestall.limits import (
    LEASE_SECONDS,
    LEASE_SECONDS_MAX,
    POLICY_SETTLE_SECONDS,
    POLICY_SETTLE_SECONDS_MAX,
    PUBLIC_NAMES_MAX,
    RATE_PER_SECOND_MAX,
    SEALED_DAYS,
    SEALED_DAYS_MAX,
)

SETTINGS_FILE = "forestall.toml"
DEFAULTS: Mapping[str, str] = {
    "listen": "127.0.0.1:8081",
    "metrics_listen": "127.0.0.1:9090",
    "data_dir": "forestall-data",
    "policy": "",  # empty: the starter policy inside the data directory
    "policy_subdirectories": "no",
    "policy_settle_seconds": str(POLICY_SETTLE_SECONDS),
    "rate_limit": "10000",
    "tenant_rate_limit": "20000",
    "lease_seconds": str(LEASE_SECONDS),
    "approvals": "lenient",
    "sealed_days": str(SEALED_DAYS),
    "webhooks": Reach.PUBLIC.value,
    "names_model": "",  # empty: names are not looked for
    "public_names": "",  # empty: none but those of this machine
}
_NUMBERS = (
    "rate_limit",
    "tenant_rate_limit",
    "lease_seconds",
    "sealed_days",
    "policy_settle_seconds",
)  # may stand without quotes in the file
_PACKAGE = re.compile("[A-Za-z][A-Za-z0-9_]{0,99}")
_PUBLIC_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]")
BOOTSTRAP_KEY_VARIABLE = "FORESTALL_BOOTSTRAP_KEY"


class SettingsError(InvalidRequestError):
    """A setting is unknown or has a value that cannot be used; the server does not start."""

    code, http_status = "settings_invalid", 400


class Address(msgspec.Struct, frozen=True):
    """A host and a port to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Only this machine can connect."""
        return self.host in ("127.0.0.1", "::1", "localhost") or self.host.startswith("127.")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How one server runs."""

    listen: Address
    metrics_listen: Address
    data_dir: Path
    policy: Path
    policy_subdirectories: bool = False
    policy_settle_seconds: int = POLICY_SETTLE_SECONDS
    rate_limit: int | None = None  # requests a second of one key; None: no limit
    tenant_rate_limit: int | None = None
    lease_seconds: int = LEASE_SECONDS
    approvals_need_hash: bool = False
    sealed_days: int = SEALED_DAYS
    webhooks: Reach = Reach.PUBLIC
    names_model: str = ""
    public_names: tuple[str, ...] = ()
    bootstrap_key: str = ""

    def __repr__(self) -> str:
        """Without the bootstrap key, wherever these settings are printed."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = ", ".join(f"{name}={value!r}" for name, value in fields if name != "bootstrap_key")
        return f"Settings({shown})"

    @property
    def policy_is_starter(self) -> bool:
        """The policy is the file that the first start writes."""
        return self.policy == starter_policy_path(self.data_dir)


def starter_policy_path(data_dir: Path) -> Path:
    """Where the first start puts the policy when none is named."""
    return data_dir / "policy.yaml"


def read_settings(
    flags: Mapping[str, str | None], environment: Mapping[str, str], folder: Path
) -> Settings:
    """Flags over environment over `forestall.toml` in `folder` over defaults.

    Raises SettingsError naming the setting and what would be right.
    """
    values = dict(DEFAULTS)
    values.update(_from_file(folder / SETTINGS_FILE))
    for name in DEFAULTS:
        variable = environment.get(f"FORESTALL_{name.upper()}")
        if variable:
            values[name] = variable
        flag = flags.get(name)
        if flag:
            values[name] = flag
    data_dir = Path(values["data_dir"]).absolute()
    return Settings(
        listen=parse_address(values["listen"], "listen"),
        metrics_listen=parse_address(values["metrics_listen"], "metrics_listen"),
        data_dir=data_dir,
        policy=Path(values["policy"]).absolute()
        if values["policy"]
        else starter_policy_path(data_dir),
        policy_subdirectories=parse_subdirectories(values["policy_subdirectories"]),
        policy_settle_seconds=_parse_number(
            values["policy_settle_seconds"],
            "policy_settle_seconds",
            POLICY_SETTLE_SECONDS_MAX,
            "seconds",
        ),
        rate_limit=parse_rate(values["rate_limit"], "rate_limit"),
        tenant_rate_limit=parse_rate(values["tenant_rate_limit"], "tenant_rate_limit"),
        lease_seconds=_parse_number(
            values["lease_seconds"], "lease_seconds", LEASE_SECONDS_MAX, "seconds"
        ),
        approvals_need_hash=parse_approvals(values["approvals"]),
        sealed_days=_parse_number(values["sealed_days"], "sealed_days", SEALED_DAYS_MAX, "days"),
        webhooks=parse_reach(values["webhooks"]),
        names_model=parse_names_model(values["names_model"]),
        public_names=parse_public_names(values["public_names"]),
        bootstrap_key=environment.get(BOOTSTRAP_KEY_VARIABLE, ""),
    )


def _from_file(path: Path) -> dict[str, str]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as cause:
        raise SettingsError(f"{path}: cannot be read as TOML: {cause}") from cause
    for name, value in table.items():
        if name not in DEFAULTS:
            names = ", ".join(DEFAULTS)
            raise SettingsError(f"{path}: unknown setting `{name}`; known are {names}")
        if name in _NUMBERS and type(value) is int:
            table[name] = str(value)
        elif not isinstance(value, str):
            raise SettingsError(f"{path}: `{name}` is a text in quotes")
    return table


def parse_rate(text: str, name: str) -> int | None:
    """A rate in requests a second; None for `off`. Raises SettingsError, also for 0, under which
    no request would be answered."""
    if text == "off":
        return None
    rate = _number_of(text)
    if not 1 <= rate <= RATE_PER_SECOND_MAX:
        raise SettingsError(
            f"`{name}` is 1 to {RATE_PER_SECOND_MAX} requests a second, or `off` for no limit;"
            f" not `{text[:32]}`"
        )
    return rate


def _parse_number(text: str, name: str, most: int, unit: str) -> int:
    """A whole number from 1 to `most`. Raises SettingsError."""
    number = _number_of(text)
    if not 1 <= number <= most:
        raise SettingsError(f"`{name}` is 1 to {most} {unit}, not `{text[:32]}`")
    return number


def _number_of(text: str) -> int:
    """The number that the digits of a text are; 0, which no setting takes, for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def parse_subdirectories(text: str) -> bool:
    """Whether the policy directory goes on below its subdirectories. Raises SettingsError."""
    if text not in ("yes", "no"):
        raise SettingsError(
            "`policy_subdirectories` is `yes` (policy files in subdirectories count too) or `no`,"
            f" not `{text[:32]}`"
        )
    return text == "yes"


def parse_approvals(text: str) -> bool:
    """Whether an approval needs the job hash that the approver was shown. Raises SettingsError."""
    if text not in ("lenient", "strict"):
        raise SettingsError(
            "`approvals` is `strict` (an approval needs the job hash that was shown) or `lenient`"
            f" (published clients send none), not `{text[:32]}`"
        )
    return text == "strict"


def parse_reach(text: str) -> Reach:
    """The addresses that webhooks may be sent to. Raises SettingsError."""
    if text not in set(Reach):
        raise SettingsError(
            "`webhooks` is `public` (https to public addresses), `private` (private networks too),"
            f" `local` (this machine too: for development) or `off`, not `{text[:32]}`"
        )
    return Reach(text)


def parse_names_model(text: str) -> str:
    """The package or the directory of a pipeline that finds names; empty for none. What has a
    separator of folders is a directory. Raises SettingsError."""
    is_directory = ("/" in text or "\\" in text) and text.isprintable()
    if text and not is_directory and _PACKAGE.fullmatch(text) is None:
        raise SettingsError(
            f"`names_model` is the name of an installed package, such as en_core_web_sm, or a"
            f" directory, such as /srv/models/names, not `{text[:32]}`"
        )
    return text


def parse_public_names(text: str) -> tuple[str, ...]:
    """The names and addresses, without ports, by which clients reach this server. Raises
    SettingsError."""
    names = tuple(name.strip().lower() for name in text.split(",")) if text else ()
    if len(names) > PUBLIC_NAMES_MAX or not all(map(_PUBLIC_NAME.fullmatch, names)):
        raise SettingsError(
            f"`public_names` is at most {PUBLIC_NAMES_MAX} names without scheme and port, separated"
            f" by commas, such as plane.example.org, not `{text[:64]}`"
        )
    return names


def parse_address(text: str, name: str) -> Address:
    """`host:port`, `[v6]:port` or `:port` (this machine only). Raises SettingsError."""
    host, separator, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not separator or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise SettingsError(f"`{name}` is host:port, such as {DEFAULTS[name]}, not `{text}`")
    return Address(host, int(port))
