"""The end: keys erased, plaintext removed, and only then the statement that says so (protocol section 7(10)).

Byte arrays that held keys were overwritten; key objects of libraries are dropped and go with the process (see
`keys`). Files are removed from the tmpfs and counted: the statement is signed only over none left.
"""

from __future__ import annotations

from typing import Final

from enclave_runtime.loader.answers import succeeded
from enclave_runtime.loader.core import Core
from enclave_runtime.loader.effects import Answer, Steps
from enclave_runtime.loader.grants import NANOSECONDS
from enclave_runtime.loader.intake import HostFaultError
from enclave_runtime.loader.states import Event
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.report import MONOTONIC, Moment, Wiped

__all__ = ["wipe"]

_KEYS: Final = ("grant key", "chain key", "tls key", "statement key, after this signature")


def wipe(core: Core, message: object, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Erase, remove, count, sign.

    Raises:
        HostFaultError: files could not be removed; nothing is signed, ask again.
    """
    run = core.run
    kinds = run.erase() if run is not None else []
    core.keyring.erase_all_but_statement()
    left = yield from core.erase_order()
    if left:
        raise HostFaultError("scratch-empty", f"{left} files", "none")
    terminal = None if run is None else run.notary.terminal
    statement = Wiped(
        order_id=None if run is None else run.order.order_id,
        cvm_id=core.keyring.cvm_id,
        statement_key=sha256(core.keyring.public.statement_spki),
        terminal_digest=None if terminal is None else terminal.summary.statement_digest,
        plaintext_files=left,
        erased=(*kinds, *_KEYS),
        wiped_at=Moment(MONOTONIC, now_ns // NANOSECONDS),
    )
    envelope = core.keyring.sign_statement(statement.to_statement())
    core.keyring.erase_statement()
    core.move(Event.WIPE)
    return succeeded({"statement": envelope.to_bytes().decode()})
