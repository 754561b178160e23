"""Serve the metrics from threads of their own, so that a busy event loop can be observed.

Each connection has a thread, so their number is bounded and so is the time of each: whoever opens
connections and sends nothing loses the oldest of them, and a monitoring system still gets in.
"""

import socket
import threading
import time
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from forestall.limits import METRIC_CONNECTIONS_MAX, METRIC_SECONDS_MAX


class _MetricsHandler(WSGIRequestHandler):
    """One connection, for one request."""

    timeout = METRIC_SECONDS_MAX  # of one read; `_BoundedServer` bounds all reads together

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
        """Log nothing: anybody could fill the disk with requests."""


class _BoundedServer(ThreadingWSGIServer):
    """Closes the oldest connections when there are too many, and each one when its time is over."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._open: dict[socket.socket, float] = {}  # the oldest first
        self._lock = threading.Lock()
        super().__init__(*args, **more)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note a new connection, and serve it in a thread."""
        with self._lock:
            self._open[request] = time.monotonic()
            while len(self._open) > METRIC_CONNECTIONS_MAX:
                self._cut(next(iter(self._open)))
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End connections whose time is over; called between two connections, twice a second."""
        until = time.monotonic() - METRIC_SECONDS_MAX
        with self._lock:
            overdue = [connection for connection, since in self._open.items() if since <= until]
            for connection in overdue:
                self._cut(connection)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that was served."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that was cut or left."""

    def _cut(self, connection: socket.socket) -> None:
        """End what the thread of a connection waits for; the thread closes the connection."""
        del self._open[connection]
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client was faster


class MetricsServer:
    """Serves the metrics from its making until `close`. Raises OSError, OverflowError when it
    cannot listen. `port` is where it listens."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        kind = type("_BoundedServer", (_BoundedServer,), {"address_family": _family(host)})
        app = make_wsgi_app(registry)
        self._server: Any = make_server(host, port, app, kind, handler_class=_MetricsHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
