"""An engine that only has children. Each tries to leave the process group that a signal would reach.

It is bounded, 200 forks of two seconds each, so that nothing is lost where a limit should ever fail.
"""

import contextlib
import os
import time

for _ in range(200):
    try:
        if os.fork() == 0:
            with contextlib.suppress(OSError):
                os.setsid()
            time.sleep(2)
            os._exit(0)
    except OSError:
        time.sleep(0.005)  # refused: try again
time.sleep(2)
