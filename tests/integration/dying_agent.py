"""`dying_agent.py HOME --after-sending CALL`: the provider's agent, ended hard when a transaction went out.

Between broadcast and receipt the journal has the transaction, and nobody has waited for it.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from marketplace.chain.writer import Sender
from marketplace.sdk.profile import Profile, Session
from marketplace.sdk.provider import run_agent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--after-sending", required=True)
    arguments = parser.parse_args()
    land = Sender._land

    def die_or_land(self: Sender, flight: Any, call: str, sent: Any) -> Any:
        if call == arguments.after_sending:
            os._exit(9)
        return land(self, flight, call, sent)

    Sender._land = die_or_land  # type: ignore[method-assign]
    run_agent(Session(Profile.load(arguments.home)), lambda _, text: print(text, flush=True))


if __name__ == "__main__":
    main()
