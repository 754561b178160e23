"""The sealing keys: a file in the data directory that only its owner may read.

The newest key seals; older keys stay, so that the originals that they sealed can be opened. The
file is read again when it changes, so a rotation needs no restart. Keys never leave this module.
"""

import base64
import fcntl
import hashlib
import hmac
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from forestall.ports.entries import Sealed
from forestall.ports.output import SealError
from forestall.server.files import FileAccessError
from forestall.server.private_files import replace_private

KEYRING_FILE = "keyring.json"
_LOCK_FILE = "keyring.lock"
_KEY_BYTES, _NONCE_BYTES, _ID_BYTES = 32, 12, 6
_CORRELATION_DOMAIN = b"forestall.correlation.v2\0"


class SealingKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as it stands in the file."""

    id: str
    made_at_us: int  # µs since the epoch, UTC
    key: str  # base64 of 32 bytes


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file."""

    correlation: str  # base64 of the key from which every job's correlation key is derived
    keys: tuple[SealingKey, ...]  # from the oldest to the newest, which seals


class Keyring:
    """Seals with AES-256-GCM under the newest key of a file. For many threads."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises FileAccessError."""
        self._path = path
        self._lock = threading.Lock()
        self._version = _file_version(path)  # of the content that is in use
        self._use(_read(path))

    def _use(self, content: _Content) -> None:
        self._ciphers = {key.id: AESGCM(base64.b64decode(key.key)) for key in content.keys}
        self._correlation = base64.b64decode(content.correlation)
        self._newest = content.keys[-1].id

    def _refresh(self) -> None:
        """Read the file again when it has changed. A missing file leaves the known keys; a broken
        one raises FileAccessError."""
        with self._lock:
            version = _file_version(self._path)
            if version is not None and version != self._version:
                self._use(_read(self._path))
                self._version = version

    def seal(self, plain: bytes, *, bound_to: bytes) -> Sealed:
        """See `Sealer.seal`. Random nonces of 96 bits are safe for 2^32 originals under one key."""
        self._refresh()
        nonce = os.urandom(_NONCE_BYTES)
        key_id = self._newest
        return Sealed(key_id, nonce, self._ciphers[key_id].encrypt(nonce, plain, bound_to))

    def open(self, sealed: Sealed, *, bound_to: bytes) -> bytes:
        """See `Sealer.open`."""
        self._refresh()
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise SealError(
                f"the sealing key `{sealed.key_id}` is not in the keyring; put it back from a copy"
            )
        try:
            return cipher.decrypt(sealed.nonce, sealed.box, bound_to)
        except (InvalidTag, ValueError) as cause:
            raise SealError(
                "the sealed original is not the one that was sealed for this job"
            ) from cause

    def correlation_key(self, tenant: str, job_id: str) -> bytes:
        """See `Sealer.correlation_key`."""
        message = _CORRELATION_DOMAIN + b"%d\0%b\0%b" % (
            len(tenant.encode()),
            tenant.encode(),
            job_id.encode(),
        )
        return hmac.new(self._correlation, message, hashlib.sha256).digest()


def load_keyring(folder: Path) -> Keyring:
    """The keyring of a data directory; made when it is missing. Raises FileAccessError."""
    with _locked(folder):
        # A broken link is not missing: to make new keys would lose what the old ones have sealed.
        if not os.path.lexists(folder / KEYRING_FILE):
            content = _Content(
                correlation=base64.b64encode(os.urandom(_KEY_BYTES)).decode(), keys=(_new_key(),)
            )
            _write(folder / KEYRING_FILE, content)
    return Keyring(folder / KEYRING_FILE)


def rotate(folder: Path) -> str:
    """Add a key, which seals from now on, and return its id. Raises FileAccessError."""
    with _locked(folder):
        content = _read(folder / KEYRING_FILE)
        key = _new_key()
        changed = msgspec.structs.replace(content, keys=(*content.keys, key))
        _write(folder / KEYRING_FILE, changed)
    return key.id


def listed(folder: Path) -> list[tuple[str, int]]:
    """Id and instant of making (µs, UTC) of every key, the oldest first; never the key itself.
    Raises FileAccessError."""
    return [(key.id, key.made_at_us) for key in _read(folder / KEYRING_FILE).keys]


def _new_key() -> SealingKey:
    return SealingKey(
        id=os.urandom(_ID_BYTES).hex(),
        made_at_us=time.time_ns() // 1000,
        key=base64.b64encode(os.urandom(_KEY_BYTES)).decode(),
    )


def _file_version(path: Path) -> tuple[int, int, int] | None:
    """Modification time, size and inode: equal ones mean equal content. None: there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read(path: Path) -> _Content:
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_Content)
        secrets = [base64.b64decode(key.key, validate=True) for key in content.keys]
        secrets.append(base64.b64decode(content.correlation, validate=True))
    except OSError as cause:
        raise FileAccessError(
            f"cannot read the keyring {path}: {cause.strerror}; it has to be a file that the user"
            " of the server can read: give it back to that user, or put it back from a copy"
        ) from cause
    except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
        raise FileAccessError(f"{path} is not a keyring; put it back from a copy") from cause
    if not content.keys or any(len(secret) != _KEY_BYTES for secret in secrets):
        raise FileAccessError(f"{path} is not a keyring; put it back from a copy")
    return content


def _write(path: Path, content: _Content) -> None:
    try:
        # Durable: a crash must not lose a key that has sealed something.
        replace_private(path, msgspec.json.encode(content))
    except OSError as cause:
        raise FileAccessError(f"cannot write the keyring {path}: {cause.strerror}") from cause


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the keyring, so that no rotation loses the key of another one."""
    try:
        handle = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as cause:
        raise FileAccessError(f"cannot use the folder {folder}: {cause.strerror}") from cause
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
