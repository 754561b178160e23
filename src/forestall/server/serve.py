"""`forestall serve`: open the sockets, print the banner, run until a signal stops the server."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn
import uvloop

from forestall.client.logs import log_to_stderr
from forestall.errors import UnavailableError
from forestall.limits import (
    WEBSOCKET_MESSAGE_BYTES_MAX,
    WEBSOCKET_PING_SECONDS,
    WEBSOCKET_PONG_SECONDS_MAX,
)
from forestall.server.api import ENDPOINTS
from forestall.server.background_loops import (
    purge_originals,
    redecide_approvals,
    run_ticks,
    save_last_seen,
)
from forestall.server.banner import banner
from forestall.server.bootstrap import StartedPlane, start
from forestall.server.deliver import deliver_to_webhooks
from forestall.server.garbage_collection import collect_rarely, freeze_start
from forestall.server.host_names import HostNames
from forestall.server.http import Gateway
from forestall.server.metrics import Metrics
from forestall.server.metrics_server import MetricsServer
from forestall.server.policy_follower import follow_policy
from forestall.server.protocol import BoundedHttpProtocol, BoundedWebSocketProtocol
from forestall.server.rates import Rates
from forestall.server.settings import Address, Settings

_BACKLOG = 4096
_DRAIN_SECONDS = 10
# How long the busy event loop may keep the store's writer waiting for the interpreter lock after
# each sync. Python's default, 5 ms, is most of the latency at high load (bench/gateway.py).
_SWITCH_SECONDS = 0.001
_LOG = logging.getLogger("forestall")


class ListenError(UnavailableError):
    """The server cannot listen on an address."""

    code, http_status = "listen_failed", 503


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Run the server until SIGINT or SIGTERM; SIGHUP reads the policy again.

    Raises ForestallError when it cannot start; then nothing is left behind.
    """
    log_to_stderr(logging.INFO)
    _raise_file_limit()
    sys.setswitchinterval(_SWITCH_SECONDS)
    uvloop.run(_serve(settings, say))


class _Server(uvicorn.Server):
    """A uvicorn server without its signal handling: uvicorn would raise a signal again before the
    store is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(settings: Settings, say: Callable[[str], None]) -> None:
    listener = _listen(settings.listen)
    metrics = Metrics()
    with contextlib.closing(listener), _metrics_server(settings.metrics_listen, metrics) as scraped:
        started = await start(settings, metrics)
        try:
            await _run(
                settings,
                started,
                metrics,
                listener,
                lambda api: say(banner(settings, started, api=api, metrics=scraped)),
            )
        finally:
            await started.close()


async def _run(
    settings: Settings,
    started: StartedPlane,
    metrics: Metrics,
    listener: socket.socket,
    announce: Callable[[Address], None],
) -> None:
    plane = started.plane
    metrics.watch(plane.cache, plane.queue, plane.leases, plane.workers, plane.announcer)
    rates = Rates(per_key=settings.rate_limit, per_tenant=settings.tenant_rate_limit)
    names = HostNames(settings.public_names, is_loopback=settings.listen.is_loopback)
    gateway = Gateway(started.plane, ENDPOINTS, metrics, rates, names)
    server = _Server(
        uvicorn.Config(
            gateway,
            http=BoundedHttpProtocol,
            ws=BoundedWebSocketProtocol,
            ws_max_size=WEBSOCKET_MESSAGE_BYTES_MAX,
            ws_ping_interval=WEBSOCKET_PING_SECONDS,
            ws_ping_timeout=WEBSOCKET_PONG_SECONDS_MAX,
            # Compression costs memory for each stream, and the compressed length tells of content.
            ws_per_message_deflate=False,
            lifespan="off",
            # Limits count the address of the socket: a client can put any other into a header.
            proxy_headers=False,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    )
    # With one warning for each malformed request, anybody could fill the disk.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    reload = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload.set)

    def stop(number: int) -> None:
        server.handle_exit(number, None)
        plane.workers.close()  # answers the workers that wait for work
        plane.announcer.stop()  # ends the streams

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    background = [
        asyncio.create_task(follow_policy(plane, started.follower, reload, metrics)),
        asyncio.create_task(run_ticks(plane)),
        asyncio.create_task(redecide_approvals(plane)),
        asyncio.create_task(purge_originals(plane)),
        asyncio.create_task(deliver_to_webhooks(plane, metrics)),
        asyncio.create_task(collect_rarely()),
        asyncio.create_task(save_last_seen(plane, settings.data_dir)),
    ]
    freeze_start()
    host, port = listener.getsockname()[:2]
    announce(Address(host, port))
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in background:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as cause:
        raise _cannot_listen(address, "--listen", cause) from cause


@contextlib.contextmanager
def _metrics_server(address: Address, metrics: Metrics) -> Iterator[Address]:
    """Serve the metrics. Yields their address."""
    try:
        server = MetricsServer(address.host, address.port, metrics.registry)
    except (OSError, OverflowError) as cause:
        raise _cannot_listen(address, "--metrics-listen", cause) from cause
    try:
        yield Address(address.host, server.port)
    finally:
        server.close()


def _cannot_listen(address: Address, flag: str, cause: Exception) -> ListenError:
    why = os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(cause)
    return ListenError(f"cannot listen on {address}: {why}; choose another address with {flag}")


def _raise_file_limit() -> None:
    """Raise the soft limit on open files: each connection is one, and the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
