"""Sealed content over networks and stores, beside the same bytes moved plain; all on this machine.

Downloads: one pass (fetch, verify, decrypt, hash into touched memory) beside `curl -o /dev/null`, against
servers that share these cores: one that reads and sends (`copy`), one that leaves that to the kernel
(`sendfile`), and one behind a link of 10 Gbit/s (`link`). Time is from the first question to the last digest;
curl's includes the start of its process (some ms).

Round trips: sealed while it is stored, opened while it comes back, beside the same store and connections
moving the plain file, no part of which is like another: an IPFS node keeps equal blocks once. IPFS is
scripts/ipfs-node, S3 is moto's server: neither is fast, both are real.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.stream import Sealer
from enclave_runtime.sealed.tree import NO_SALT
from enclave_runtime.sealed.unseal import Unsealer
from enclave_runtime.sealed.workers import in_threads, private_buffer
from marketplace.storage.base import BlobStore
from marketplace.storage.ipfs import IpfsStore
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.patience import Patience
from marketplace.storage.ranges import Ranges
from marketplace.storage.s3 import S3Config, S3Store
from marketplace.storage.transfer import open_from, run_bytes_for
from marketplace.storage.web import WebStore
from scripts.bench.sealedlib.contents import KEY, model_file, seal_file
from scripts.bench.sealedlib.ram import Touched
from scripts.bench.sealedlib.rounds import Figures, Options, check, interleave, say
from scripts.bench.sealedlib.tools import Tool, absent

__all__ = ["measure"]

ROOT = Path(__file__).resolve().parents[3]
CURL = Tool("curl", "curl")
CONNECTIONS = 4
LINK_BYTES_S = 1.25e9
SERVERS = {"copy": ("copy",), "sendfile": ("sendfile",), "link": ("sendfile", str(LINK_BYTES_S))}


def measure(options: Options) -> dict[str, Any]:
    """Return speeds and ratios; goals `http_ratio`, `ipfs_ratio` and `s3_ratio`."""
    plain = model_file(options.folder / "model.safetensors", options.mib)
    sealed = options.folder / "model.sealed"
    info = seal_file(plain, sealed)
    target = Touched(info.plaintext_bytes)
    report: dict[str, Any] = {"gb_s": {}, "ratios": {}, "goals": {}, "touched": True, "absent": absent(CURL)}
    report["processor_s_per_gb"] = {}
    if CURL.path:
        downloads(sealed, info, target, options, report)
    sealed.unlink()
    for name, service in (("ipfs", ipfs), ("s3", s3)):
        with service(options.folder / name) as store:
            if store is None:
                report["absent"].append(f"{name}: scripts/setup test")
                continue
            figures = round_trips(store, plain, target, options)
        size = plain.stat().st_size
        for case in figures.seconds:
            report["gb_s"][f"{name}_{case}"] = figures.gb_s(case, size)
        ratio = figures.ratio("plain_trip", "sealed_trip")
        report["goals"][f"{name}_ratio"] = check(ratio, at_least=0.8)
    return report


def downloads(
    sealed: Path, info: SealedInfo, target: Touched, options: Options, report: dict[str, Any]
) -> None:
    """Measure one pass beside curl, against each server."""
    for name, words in SERVERS.items():
        with range_server(sealed, *words) as url:
            cases = {"curl": partial(curl, url), "one_pass": partial(one_pass, url, info, target)}
            figures = interleave(cases, options)
            for case, run in cases.items():
                report["gb_s"][f"{case}_{name}"] = figures.gb_s(case, info.plaintext_bytes)
                if name == "sendfile":
                    report["processor_s_per_gb"][case] = processor_s(run, info.plaintext_bytes)
        report["ratios"][f"one_pass_to_curl_{name}"] = figures.ratio("curl", "one_pass")
    ratio = report["ratios"]["one_pass_to_curl_link"]
    report["goals"]["http_ratio"] = check(ratio, at_least=0.95)


def processor_s(run: Callable[[], None], size: int) -> float:
    """Return the processor time that a case takes for a GB, server aside: what no neighbour changes much."""
    spent = []
    for _ in range(3):
        before = os.times()
        run()
        spent.append(sum(os.times()[:4]) - sum(before[:4]))
    return round(sorted(spent)[1] / size * 1e9, 3)


def curl(url: str) -> None:
    """Download to nowhere, in one connection, unverified."""
    CURL.run("--silent", "--show-error", "--output", "/dev/null", url)


def one_pass(url: str, info: SealedInfo, target: Touched) -> None:
    """Download, verify, decrypt and hash."""
    unsealer = Unsealer(info, KEY, NO_SALT, target.sink)
    with closing(Ranges(NetworkPolicy(dangerous_allow_loopback=True), Patience())) as ranges:
        store = WebStore(ranges)
        open_from([url], lambda _: store, unsealer, connections=CONNECTIONS)


def round_trips(store: BlobStore, plain: Path, target: Touched, options: Options) -> Figures:
    """Measure there and back, sealed and plain, each round in the other direction than the last."""
    cases: dict[str, Callable[[], tuple[str, float]]] = {
        "sealed": lambda: sealed_trip(store, plain, target),
        "plain": lambda: plain_trip(store, plain, target.view),
    }
    figures = Figures({f"{case}_{part}": [] for case in cases for part in ("put", "get", "trip")})
    for number in range(-1, options.rounds):
        for case in list(cases) if number % 2 else list(reversed(cases)):
            started = time.perf_counter()
            uri, stored = cases[case]()
            ended = time.perf_counter()
            forget(store, uri)
            if number >= 0:
                figures.seconds[f"{case}_put"].append(stored - started)
                figures.seconds[f"{case}_get"].append(ended - stored)
                figures.seconds[f"{case}_trip"].append(ended - started)
        say(options, f"{store.scheme}: round {number + 1} of {options.rounds}")
    return figures


def sealed_trip(store: BlobStore, plain: Path, target: Touched) -> tuple[str, float]:
    """Seal while storing, open while fetching; return the URI, and the time when it was stored."""
    with FileIO(plain, "r") as file:
        size = plain.stat().st_size
        sealer = Sealer(file, size, KEY, digest_salt=NO_SALT, entropy=os.urandom)
        uri = store.put(sealer)
    stored = time.perf_counter()
    unsealer = Unsealer(sealer.info, KEY, NO_SALT, target.sink)
    open_from([uri], lambda _: store, unsealer, connections=CONNECTIONS)
    return uri, stored


def plain_trip(store: BlobStore, plain: Path, view: memoryview) -> tuple[str, float]:
    """Store a file and fetch it by as many connections; return the URI, and the time when it was stored."""
    uri = store.put(chunks(plain))
    stored = time.perf_counter()
    size = store.size(uri)
    step = run_bytes_for(size, CONNECTIONS)
    todo = iter(range(0, size, step))
    lock = threading.Lock()

    def work(_stopped: threading.Event) -> None:
        while True:
            with lock:
                offset = next(todo, None)
            if offset is None:
                return
            end = min(offset + step, size)
            with closing(store.run(uri, offset, end - offset)) as run:
                while got := run.readinto(view[offset:end]):
                    offset += got

    in_threads(work, CONNECTIONS)
    return uri, stored


def chunks(path: Path) -> Iterator[memoryview]:
    """Give a file's bytes in pieces of 1 MiB."""
    buffer = private_buffer(1 << 20)
    with FileIO(path, "r") as file:
        while got := file.readinto(buffer):
            yield buffer[:got]


def forget(store: BlobStore, uri: str) -> None:
    """Remove a blob: what is there already would not be sent again."""
    if isinstance(store, IpfsStore):
        store.delete(uri)
        store.node.call("repo/gc")
    elif isinstance(store, S3Store):
        store.delete(uri)


@contextlib.contextmanager
def range_server(path: Path, *words: str) -> Iterator[str]:
    """Serve a file; give its URL."""
    script = Path(__file__).with_name("rangeserver.py")
    with started([sys.executable, str(script), str(path), *words]) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/sealed"


@contextlib.contextmanager
def ipfs(folder: Path) -> Iterator[IpfsStore | None]:
    """Start an IPFS node; None where it is not installed."""
    script = ROOT / "scripts" / "ipfs-node"
    if not (script / "node_modules").is_dir():
        yield None
        return
    folder.mkdir()
    with started([str(script / "start"), str(folder)]) as process:
        assert process.stdout is not None
        store = IpfsStore(json.loads(process.stdout.readline())["api"])
        with closing(store.node):
            yield store


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[S3Store | None]:
    """Start an S3 service; None where it is not installed."""
    try:
        import boto3
        import moto  # noqa: F401
    except ImportError:
        yield None
        return
    os.environ.update(
        AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    with started([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]):
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="bench")
        yield S3Store(S3Config("bench", endpoint=endpoint, region="us-east-1"))


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a process and end it, by its id."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
