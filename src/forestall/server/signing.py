"""The key that signs tickets: made at the first start, kept in the data directory, never shown."""

import base64
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from forestall.jobs.ticket import Ticket, sign_ticket
from forestall.server.files import FileAccessError
from forestall.server.private_files import replace_private

TICKET_KEY_FILE = "ticket-key.pem"


class FileSigner:
    """Signs with the key in a file that only its owner may read."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def ticket(self, ticket: Ticket) -> str:
        """See `Signer.ticket`."""
        return sign_ticket(ticket, self._key)

    def secret(self, purpose: str) -> str:
        """See `Signer.secret`."""
        raw = self._key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        info = b"forestall secret\0" + purpose.encode()
        derived = HKDF(hashes.SHA256(), length=32, salt=None, info=info).derive(raw)
        return base64.urlsafe_b64encode(derived).decode().rstrip("=")


def load_signer(folder: Path) -> FileSigner:
    """The signer of a data directory; its key is made when missing. Raises FileAccessError."""
    path = folder / TICKET_KEY_FILE
    try:
        if not path.exists():
            _write_key(path)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as cause:
        raise FileAccessError(
            f"cannot use the ticket key {path}; put it back from a copy, or remove it and let every"
            " worker learn the new one"
        ) from cause
    if not isinstance(key, Ed25519PrivateKey):
        raise FileAccessError(f"{path} is not an Ed25519 key")
    return FileSigner(key)


def _write_key(path: Path) -> None:
    content = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    replace_private(path, content)
