"""Run by a Python that has cordum-guard: call a guarded function, and print what became of it.

The output is one JSON object: the value that the function returned, or the exception.
"""

import json
import os
import sys

from cordum_guard import CordumClient, guard

ran: list[tuple[int, str]] = []


def main() -> None:
    """`guard_flow.py CAPABILITY TIMEOUT`; address and key come from the environment."""
    client = CordumClient(os.environ["FORESTALL_URL"], os.environ["FORESTALL_API_KEY"])

    @guard(client, policy="money", capability=sys.argv[1], timeout=float(sys.argv[2]))
    def transfer(amount: int, to: str) -> str:
        ran.append((amount, to))
        return f"sent {amount} to {to}"

    try:
        said = {"value": transfer(10, to="bob")}
    except Exception as error:  # noqa: BLE001 - whatever the client raises is what we look at
        said = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps({**said, "ran": len(ran)}))


if __name__ == "__main__":
    main()
