"""Small engines that try to break one limit each; `selftest` runs them (docs/adr/0010-sandbox.md).

Each is source text for the interpreter of the sandbox. `CONTAINED` tries what must fail in any sandbox and
prints one JSON object: for each attempt, "" if it was refused, else what happened.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CONTAINED", "CPU", "FILES", "LINGER", "MEMORY", "PROCESSES", "WALL"]

CONTAINED: Final = """
import ctypes, json, os, socket
results = {}
def attempt(name, action):
    try:
        got = action()
    except OSError:
        got = None
    results[name] = "" if got is None else f"got {got}"
def write(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
    return f"{path} open for writing"
def network():
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):
        try:
            socket.socket(family, socket.SOCK_RAW if family > 10 else socket.SOCK_STREAM)
        except OSError:
            continue
        return f"a socket of family {int(family)}"
    return None
def outside():
    secret = json.loads(open("/config.json").read())["outside"]
    os.stat(secret)
    return "the host's file"
def descriptors():
    for fd in range(3, 256):
        try:
            os.fstat(fd)
        except OSError:
            continue
        return f"descriptor {fd} open"
    return None
def environment():
    allowed = set(json.loads(open("/config.json").read())["environment"])
    extra = sorted(set(os.environ) - allowed)
    return f"{len(extra)} extra variables" if extra else None
def capabilities():
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capget(header, data):
        return "no answer"
    return f"capabilities {list(data)}" if any(data) else None
def kernel(call, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(call, *arguments) == -1:
        return None
    return f"system call {call}"
PLACES = {"root": "/x", "engine": "/engine/x", "inputs": "/inputs/0/x", "config": "/config.json"}
PLACES |= {"usr": "/usr/x", "dev": "/dev/x", "sysctl": "/proc/sys/kernel/core_pattern"}
for place, path in PLACES.items():
    attempt("write-" + place, lambda: write(path))
attempt("network", network)
attempt("outside", outside)
attempt("environment", environment)
attempt("descriptors", descriptors)
attempt("capabilities", capabilities)
attempt("seccomp-namespaces", lambda: kernel(272, 0x10000000))
attempt("seccomp-keyring", lambda: kernel(250, 0, -3, 1))
attempt("seccomp-session", lambda: kernel(112))
print(json.dumps(results))
"""

FILES: Final = """
import json, os, sys
def fill(path, cap):
    done = 0
    try:
        with open(path, "wb", buffering=0) as file:
            while done <= cap:
                done += file.write(bytes(65536))
    except OSError:
        pass
    return done
limits = json.loads(open("/config.json").read())
wrote = {"file": fill("/tmp/one", limits["file"])}
os.unlink("/tmp/one")
for place in ("tmp", "dev/shm", "output"):
    files = range(limits[place] // limits["file"] + 2)
    wrote[place] = sum(fill(f"/{place}/{n}", limits["file"]) for n in files)
print(json.dumps(wrote))
sys.stdout.flush()
for _ in range(64):
    sys.stderr.write("x" * 4095 + chr(10))
"""

MEMORY: Final = """
pieces = []
while len(pieces) < 64:
    pieces.append(bytearray(b"x") * (8 << 20))
print("held", len(pieces) * 8, "MiB")
"""

CPU: Final = """
while True:
    pass
"""

WALL: Final = """
import time
time.sleep(60)
"""

PROCESSES: Final = """
import os, signal
born = 0
try:
    while born < 64:
        if os.fork() == 0:
            signal.pause()
        born += 1
except OSError:
    print(born, flush=True)
    os._exit(0)
print(born, flush=True)
signal.pause()
"""

LINGER: Final = """
import os, signal
if os.fork() == 0:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pause()
    os._exit(0)
os.wait()
"""
