"""A wire between clients and the server that keeps every byte the server sends."""

import contextlib
import socket
import threading


class Tap:
    """Listens on a port of its own and passes everything on, both ways."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.sent: list[bytes] = []  # by the server, over all connections
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: nobody taps any more
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, _connected(self.target) as server:
            there = threading.Thread(target=_copy, args=(client, server, []), daemon=True)
            there.start()
            _copy(server, client, self.sent)
            there.join()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port))


def _copy(source: socket.socket, target: socket.socket, kept: list[bytes]) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            kept.append(data)
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
