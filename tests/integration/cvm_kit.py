"""What the tests of a real CVM share: a platform process, and the client who opens a result."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from enclave_runtime.attestation.simulated.client import PlatformClient
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.sink import MemorySink
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.sealed.unpack import Quota, unpack
from enclave_runtime.sealed.unseal import FileSource, Unsealer, unseal
from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.dsse import Envelope
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.report import OrderReport, result_key_info
from tests.fakes.platform_keys import put_amd_keys
from tests.fakes.sealed_order import SealedOrder

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "runtime.txt"


@contextlib.contextmanager
def running_platform(*options: str) -> Iterator[PlatformClient]:
    """Start a simulated platform with these options, and end it with all its CVMs."""
    with tempfile.TemporaryDirectory(prefix="cvm-") as name:
        path = Path(name, "platform.sock")
        if "sev-snp" in options:
            put_amd_keys(Path(name, "state"))
        command = [sys.executable, "-m", "enclave_runtime.attestation.simulated"]
        process = subprocess.Popen(
            [*command, "--state", str(Path(name, "state")), "--socket", str(path), *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            assert b"ready" in process.stdout.readline()
            yield PlatformClient(path)
        finally:
            process.terminate()
            process.wait(timeout=60)


def open_result(
    order: SealedOrder, cvm_id: bytes, report: OrderReport, envelope: str, data: bytes, folder: Path
) -> None:
    """Open the sealed result into `folder`, as the client would."""
    assert report.result is not None
    line = report.result
    bound = result_key_info(order.order_id, cvm_id, line.ciphertext_digest)
    secret = order.result_key.open(bytes_from_hex(envelope), bound)
    sizes = (Algorithm(line.algorithm), line.segment_bytes, line.plaintext_bytes)
    info = SealedInfo(*sizes, line.content_digest, line.ciphertext_digest, line.key_commitment)
    assert info.ciphertext_bytes == line.size
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        sink = MemorySink(line.plaintext_bytes)
        unseal(FileSource(file.fileno()), Unsealer(info, secret[:32], secret[32:], sink))
    descriptor = os.open(folder, os.O_RDONLY)
    unpack(io.BytesIO(sink.view()), descriptor, Quota(1 << 30))
    os.close(descriptor)


def statement_of(text: str, public: CvmPublic) -> tuple[dict[str, Any], bytes]:
    envelope = Envelope.from_bytes(text.encode())
    assert envelope.verify(public.statement_spki)
    return envelope.statement(), envelope.digest
