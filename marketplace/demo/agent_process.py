"""The provider's agent as a process of its own: `python -m marketplace.demo.agent_process HOME`.

The same agent as `cloister provider run`; it prints one JSON object per line, with the time, for the demo's
step timings. `--stop-before STEP` ends the process hard at a step: how the tests show that nothing is lost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from marketplace.provider.reducer import StepKind
from marketplace.sdk.profile import Profile, Session
from marketplace.sdk.provider import run_agent

__all__ = ["main"]


def main() -> int:
    """Run the agent until SIGTERM."""
    parser = argparse.ArgumentParser(prog="agent")
    parser.add_argument("home", type=Path)
    parser.add_argument("--stop-before", choices=[kind.name for kind in StepKind])
    arguments = parser.parse_args()

    def say(order_id: bytes, text: str) -> None:
        line = {"at": time.time(), "order": "0x" + order_id.hex() if order_id else "", "say": text}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def before(kind: StepKind) -> None:
        if kind.name == arguments.stop_before:
            say(b"", f"killed before: {kind.value}")
            os._exit(9)

    run_agent(Session(Profile.load(arguments.home)), say, before_step=before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
