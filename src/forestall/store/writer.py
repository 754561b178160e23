"""One thread that makes changes durable, many to a transaction (group commit).

The writer takes all changes that wait, up to COMMIT_GROUP_MAX; the next group fills while the disk
syncs this one. Under load its transactions begin at least COMMIT_GAP_US apart, so that each carries
more changes; without load it never waits (ADR 0021). The thread survives every error. A failed
group changes nothing, since the head of the log is read from the database each time. Which change
of a group holds is decided in `group`, not here.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from forestall.limits import COMMIT_GAP_US, COMMIT_GROUP_MAX, COMMITS_PENDING_MAX
from forestall.ports.change import Receipt
from forestall.ports.store import StoreBusyError, StoreUnavailableError
from forestall.store.checkpoint import Checkpointer
from forestall.store.group import Outcome, PreparedChange, apply_group
from forestall.store.queries import blocks

Waiter = tuple[PreparedChange, "asyncio.Future[Receipt]"]
Answer = Outcome | StoreUnavailableError

RETRY_AFTER_S = 1  # seconds; a full disk or another process's lock may be gone soon


class _RefusedError(Exception):
    """The transaction could not be opened or made durable; `__cause__` says why."""


class CommitPace:
    """The instant at which the next transaction may begin. Arithmetic on given instants only.

    A transaction of one change is no load: the next one may begin at once.
    """

    __slots__ = ("_not_before_ns",)

    def __init__(self) -> None:
        self._not_before_ns = 0

    def began(self, now_ns: int, *, changes: int) -> None:
        """Note that a transaction of so many changes began at an instant (ns)."""
        self._not_before_ns = now_ns + COMMIT_GAP_US * 1_000 if changes > 1 else 0

    def rest_ns(self, now_ns: int) -> int:
        """How long to wait (ns) from an instant on; 0 or less: not at all."""
        return self._not_before_ns - now_ns


class Writer:
    """Owns the writing connection and its thread."""

    def __init__(self, connection: sqlite3.Connection, checkpointer: Checkpointer) -> None:
        self._connection = connection
        self._checkpointer = checkpointer
        self._waiting: SimpleQueue[Waiter | None] = SimpleQueue()
        self._closed = False
        # A daemon, so that a store that was not closed cannot keep the process from ending. Every
        # acknowledged change is durable without a close.
        self._thread = threading.Thread(target=self._run, name="forestall-writer", daemon=True)
        self._thread.start()

    def submit(self, change: PreparedChange) -> "asyncio.Future[Receipt]":
        """Queue a change; the future ends when the change is durable or has failed.

        Raises StoreBusyError when too many wait, StoreUnavailableError after `close`.
        """
        if self._closed:
            raise StoreUnavailableError("the store is closed; nothing was changed")
        if self._waiting.qsize() >= COMMITS_PENDING_MAX:
            raise StoreBusyError(
                "too many changes are waiting to be stored; nothing was changed, try again",
                retry_after_s=RETRY_AFTER_S,
            )
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.put((change, future))
        return future

    def close(self) -> None:
        """Finish what was accepted, then end the thread. Blocks; safe to call twice."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)  # the end mark, after every accepted change
        self._thread.join()

    def _run(self) -> None:
        closing = False
        pace = CommitPace()
        while not closing:
            group, closing = self._take(pace)
            pace.began(time.monotonic_ns(), changes=len(group))
            if group:
                _resolve_all(group, self._commit([change for change, _ in group]))
                self._checkpointer.committed(self._connection, [change for change, _ in group])

    def _take(self, pace: CommitPace) -> tuple[list[Waiter], bool]:
        """The changes that wait once the pace allows a transaction, and whether the store is
        closing. Only while it is closing there may be none."""
        group: list[Waiter] = []
        waiter = self._waiting.get()
        if waiter is not None and self._waiting.qsize() < COMMIT_GROUP_MAX:
            rest_ns = pace.rest_ns(time.monotonic_ns())
            if rest_ns > 0:
                time.sleep(rest_ns / 1e9)
        while waiter is not None:
            group.append(waiter)
            if len(group) == COMMIT_GROUP_MAX:
                return group, False
            try:
                waiter = self._waiting.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _commit(self, changes: Sequence[PreparedChange]) -> list[Answer]:
        try:
            return [*self._transaction(changes)]
        except _RefusedError as refused:
            return [_unavailable(refused.__cause__) for _ in changes]
        except Exception as poison:  # noqa: BLE001 - the thread must survive every error
            if len(changes) == 1:
                return [_unavailable(poison)]
        # One change of the group cannot be applied. Halving the group finds it in few transactions,
        # and lets all others succeed.
        half = len(changes) // 2
        return self._commit(changes[:half]) + self._commit(changes[half:])

    def _transaction(self, changes: Sequence[PreparedChange]) -> list[Outcome]:
        connection, sql = self._connection, blocks("write.sql")
        try:
            if connection.in_transaction:  # an earlier rollback failed as well
                connection.execute(sql["rollback"])
            connection.execute(sql["begin"])
        except sqlite3.Error as cause:
            raise _RefusedError from cause
        try:
            outcomes = apply_group(connection, changes)
        except BaseException:
            self._roll_back()
            raise
        try:
            connection.execute(sql["commit"])
        except sqlite3.Error as cause:
            self._roll_back()
            raise _RefusedError from cause
        return outcomes

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:  # SQLite has rolled back already on some errors
                self._connection.execute(blocks("write.sql")["rollback"])
        except sqlite3.Error:
            return  # `_transaction` rolls back again before it begins the next one


def _unavailable(cause: BaseException | None) -> StoreUnavailableError:
    # SQLite's own texts name tables and conditions, never values; other errors may quote values.
    if isinstance(cause, sqlite3.Error):
        problem, retry_after_s = str(cause), RETRY_AFTER_S
    else:
        problem, retry_after_s = type(cause).__name__, None
    error = StoreUnavailableError(
        f"the change could not be made durable ({problem}); nothing was changed",
        retry_after_s=retry_after_s,
    )
    error.__cause__ = cause
    return error


def _resolve_all(group: Sequence[Waiter], answers: Sequence[Answer]) -> None:
    """Answer every waiter: one call into each event loop. There is one loop, but for some tests."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Receipt], Answer]]] = {}
    for (_, future), answer in zip(group, answers, strict=True):
        by_loop.setdefault(future.get_loop(), []).append((future, answer))
    for loop, pairs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, pairs)
        except RuntimeError:  # the event loop was closed, and its waiters ended with it
            continue


def _resolve(pairs: Sequence[tuple["asyncio.Future[Receipt]", Answer]]) -> None:
    for future, answer in pairs:
        if future.done():  # the waiter was cancelled, which does not undo the change
            continue
        if isinstance(answer, Receipt):
            future.set_result(answer)
        else:
            future.set_exception(answer)
