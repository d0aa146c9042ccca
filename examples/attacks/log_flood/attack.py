"""An engine that prints far more than anybody wants to store, and then ends as if nothing had been."""

import sys

line = "nothing to see here " * 200 + "\n"
for number in range(8_000):
    (sys.stdout, sys.stderr)[number % 2].write(f"{number} {line}")
print("the last words")
