"""One running server for each module that asks for one."""

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real server with the starter policy; it must end with 0 on SIGTERM

    and must not have met an error that nobody foresaw.
    """
    with serving(tmp_path_factory.mktemp("server") / "data") as running:
        yield running
        code = running.stop()
        assert "Traceback" not in running.log, running.log[-4000:]
        assert code == 0, f"SIGTERM ends the server with {code}\n{running.log[-2000:]}"
