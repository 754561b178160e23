"""Questions to the operating system about an idle connection, for both HTTP clients."""

import select


def has_news(descriptor: int) -> bool:
    """Whether bytes, an end or an error wait in a socket. Does not wait for any."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])
