"""An engine that only has children. Each tries to leave the process group that a signal would reach."""

import contextlib
import os

while True:
    try:
        if os.fork() == 0:
            with contextlib.suppress(OSError):
                os.setsid()
    except OSError:
        continue  # refused: try again, for ever
