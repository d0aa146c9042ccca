"""An engine that fills every folder it can write to, in large files and in many."""

import os
import sys
from pathlib import Path

refused = 0
for folder in ("/output", "/tmp", "/dev/shm"):
    for number in range(1_000):
        try:
            with open(Path(folder, f"large-{number}"), "wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 20))
        except OSError as error:
            refused += 1
            if os.path.exists(Path(folder, f"large-{number}")) and os.path.getsize(
                Path(folder, f"large-{number}")
            ):
                continue
            print(f"{folder}: full after {number} files ({error.strerror})")
            break
sys.exit(0 if not refused else 1)
