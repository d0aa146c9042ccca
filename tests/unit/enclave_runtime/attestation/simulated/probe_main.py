"""A runtime that looks around in its CVM and writes down what it saw (started by test_simulated_platform)."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from enclave_runtime.attestation.simulated.attest import connect

NESTED = [
    *("bwrap", "--unshare-all", "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib"),
    *("--symlink", "usr/lib64", "/lib64", "--symlink", "usr/bin", "/bin", "--proc", "/proc", "--dev", "/dev"),
    *("--tmpfs", "/tmp", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--uid", "1001"),
    *("--remount-ro", "/", "--", "/usr/bin/id", "-u"),
]


def attempt(action):
    try:
        return action()
    except OSError as error:
        return f"refused: {error.errno}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--quote-fd", type=int, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    args = parser.parse_args()
    attester, devices = connect(args.quote_fd)
    evidence = attester.evidence(b"\x2a" * 64)
    seen = {
        "quote": evidence.quote.hex(),
        "tee": attester.tee.value,
        "event_log": evidence.event_log and evidence.event_log.hex(),
        "devices": devices and devices.evidence(b"\x2b" * 32).hex(),
        "environment": sorted(os.environ),
        "uid": os.getuid(),
        "network": attempt(lambda: socket.create_connection(("192.0.2.1", 80), 2)),
        "write_image": attempt(lambda: Path("/opt/cvm/x").write_text("x")),
        "write_root": attempt(lambda: Path("/x").write_text("x")),
        "scratch": attempt(lambda: (args.scratch / "x").write_text("x")),
        "sysctl": attempt(lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
        "signal_to_root": attempt(lambda: os.kill(1, 0)),
        "plain_bytes": os.statvfs(args.scratch).f_blocks * os.statvfs(args.scratch).f_frsize,
        "module": sys.modules["enclave_runtime"].__file__,
        "nested": subprocess.run(NESTED, capture_output=True, text=True, check=False, timeout=20).__dict__,
    }
    report = args.socket.parent / "report.json"
    report.with_suffix(".new").write_text(json.dumps(seen, default=str))
    report.with_suffix(".new").replace(report)
    time.sleep(60)


main()
