"""An engine that takes all the memory it is given, private and shared."""

import mmap
import os

held: list[object] = []
while True:
    held.append(bytearray(b"x") * (16 << 20))
    shared = mmap.mmap(-1, 16 << 20)
    shared.write(os.urandom(16 << 20))
    held.append(shared)
    print(f"holding {16 * len(held)} MiB", flush=True)
