"""The client opens its result: every link from the chain's word to the files (docs/protocol.md section 7(9)).

The bundle and the sealed stream come from hints and are believed in nothing: the summary is the chain's, the
statement hashes to it, the key opens only under this order, this CVM and this digest, and the stream must
have the digest that was signed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from enclave_runtime.sealed.buffers import Progress
from enclave_runtime.sealed.header import CiphertextMismatchError, SealedInfo
from enclave_runtime.sealed.locked import wipe
from enclave_runtime.sealed.published import LIST_NAME, PublishedList
from enclave_runtime.sealed.ranges import Source
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.sealed.unseal import FileSource
from enclave_runtime.sealed.wrap import PrivateKey, open_with
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.orders import ReportSummary
from enclave_runtime.wire.report import OrderReport, ResultLine, result_key_info
from marketplace.domain.order_state import OrderState
from marketplace.errors import BadInputError, MarketError, NotFoundError
from marketplace.sdk.bundle import OrderBundle
from marketplace.sdk.orderfile import result_key_name
from marketplace.sdk.reading import read_bundle, terminal_event
from marketplace.sealing.containers import part_of
from marketplace.storage.base import StorageError

if TYPE_CHECKING:
    from marketplace.sdk.profile import Session

__all__ = ["Fetched", "SealedResult", "download_result", "open_parts", "open_result", "sealed_result"]

_CHECKPOINTS = "checkpoints"
_WITH_RESULT = frozenset({OrderState.COMPLETED, OrderState.FAILED})


@dataclass(frozen=True, slots=True)
class SealedResult:
    """A result whose place in the chain's word was checked; not yet opened."""

    line: ResultLine
    summary: ReportSummary
    key_envelope: bytes
    locations: tuple[str, ...]
    published: tuple[str, ...] = ()


def sealed_result(session: Session, order: bytes) -> SealedResult:
    """Return what is signed about an order's result, held against the chain.

    Raises:
        RefusedError: steps `result.*`.
        NotFoundError: no such order, or one that leaves no result.
        MarketError: it has not ended, or its bundle cannot be had.
    """
    record = session.reader.get_order(order)
    if record.state is OrderState.NONE:
        raise NotFoundError(f"order {hex_of(order)}: no such order on this chain")
    if not record.state.terminal:
        raise MarketError(
            f"order {hex_of(order)}: {record.state.name}, its result is not there yet",
            hint="wait for it with `cloister order wait`",
        )
    if record.state not in _WITH_RESULT:
        raise NotFoundError(
            f"order {hex_of(order)}: {record.state.name} leaves no result", hint="see `cloister order why`"
        )
    event = terminal_event(session, order)
    bundle = read_bundle(session, order, event.location)
    return _checked(bundle, order, record.cvm_id, event.summary)


def _checked(bundle: OrderBundle, order: bytes, cvm_id: bytes, summary: ReportSummary) -> SealedResult:
    if bundle.report is None or bundle.key_envelope is None:
        raise RefusedError("result.report", "a bundle without report or key", "both, after a report")
    # (1) the statement is the one whose digest the CVM signed and the contract took
    _same("result.statement", bundle.report.envelope.digest, summary.statement_digest)
    # (2) it speaks of this order, this CVM, and the digest in the summary
    stated = OrderReport.from_statement(bundle.report.envelope.statement())
    _same("result.order", stated.order_id, order)
    _same("result.cvm", stated.cvm_id, cvm_id)
    if stated.result is None:
        raise RefusedError("result.line", "none in the report", "a result")
    _same("result.digest", stated.result.ciphertext_digest, summary.result_digest)
    hints = dict.fromkeys(hint for hint in (bundle.result, stated.result.location) if hint)
    return SealedResult(stated.result, summary, bundle.key_envelope, tuple(hints), bundle.published)


def open_result(
    session: Session,
    order: bytes,
    folder: Path,
    progress: Progress | None = None,
    *,
    downloaded: Path | None = None,
) -> list[str]:
    """Open an order's result into `folder`, made here or empty, and return the names of its files.

    Args:
        downloaded: where `download_result` left it; None reads it from the store as it is opened.
    Raises:
        RefusedError: steps `result.*`, `sealed.*`, `archive.*`; the folder stays empty.
        CiphertextMismatchError: other bytes than were reported.
        NotFoundError: no such order, one that leaves no result, or no key for it here.
        StorageError: the result, or a checkpoint that the engine published, cannot be had; in the latter
            case all else is opened.
        MarketError: it has not ended, or its bundle cannot be had.
    """
    sealed = sealed_result(session, order)
    key, info = _result_key(session, order, sealed), _info(sealed.line)
    try:
        if downloaded is None:
            _open_stored(session, sealed.locations, info, key, folder, progress)
        else:
            from marketplace.sealing.opening import open_source

            with _opened(downloaded) as file:
                source = FileSource(file.fileno())
                open_source(source, info, key[:32], bytes(key[32:]), folder, progress=progress)
        _open_published(session, sealed.published, key, folder, progress)
    finally:
        wipe(key)
    return sorted(
        os.path.relpath(os.path.join(where, name), folder)
        for where, _, names in os.walk(folder)
        for name in names
    )


def open_parts(
    session: Session,
    order: bytes,
    folder: Path,
    names: Sequence[str],
    tensors: Sequence[str] = (),
    *,
    downloaded: Path | None = None,
) -> list[str]:
    """Open some files of an order's result, or some tensors of one, by their segments alone.

    Each byte is what the CVM sealed and signed; the digest of all the plaintext is not compared.

    Args:
        names, tensors: see `sealing.parts.extract`.
    Raises:
        NotFoundError, BadInputError: also what `sealing.parts.extract` raises.
        RefusedError, CiphertextMismatchError, StorageError, MarketError: as `open_result`.
    """
    from enclave_runtime.sealed.reader import SealedReader
    from marketplace.sealing.parts import extract

    sealed = sealed_result(session, order)
    key, info = _result_key(session, order, sealed), _info(sealed.line)
    found: list[str] = []

    def opening(source: Source) -> None:
        with SealedReader(source, info, key[:32]) as reader:
            found[:] = extract(reader, folder, names, tensors)

    try:
        if downloaded is None:
            _from_store(session, sealed.locations, info, opening)
        else:
            with _opened(downloaded) as file:
                opening(FileSource(file.fileno()))
    finally:
        wipe(key)
    return found


def _open_stored(
    session: Session,
    locations: Sequence[str],
    info: SealedInfo,
    key: bytearray,
    folder: Path,
    progress: Progress | None,
) -> None:
    """Open a stream from the first of its locations that has it, all of it; errors as `_from_store`."""
    from marketplace.sealing.opening import open_source

    def opening(source: Source) -> None:
        open_source(source, info, key[:32], bytes(key[32:]), folder, progress=progress)

    _from_store(session, locations, info, opening)


def _from_store(
    session: Session, locations: Sequence[str], info: SealedInfo, opening: Callable[[Source], None]
) -> None:
    """Do `opening` with the first location that has the right bytes.

    Raises:
        NoLocationError: none has; says what each gave.
        CiphertextMismatchError: the last one has other bytes.
    """
    from marketplace.storage.places import NoLocationError
    from marketplace.storage.source import StoreSource

    stores = session.store
    source = StoreSource(locations, stores.store_of, info.ciphertext_bytes, patience=stores.config.patience)
    while True:
        try:
            opening(source)
            return
        except CiphertextMismatchError as error:
            try:
                source.drop(error)
            except NoLocationError:
                raise error from None


def _open_published(
    session: Session, places: tuple[str, ...], key: bytearray, folder: Path, progress: Progress | None
) -> None:
    """Open what the engine published into `checkpoints/<number>`; the list is in the result just opened.

    Raises:
        StorageError: some cannot be had; the result and all others stay.
    """
    try:
        data = (folder / LIST_NAME).read_bytes()
    except FileNotFoundError:
        return
    (folder / _CHECKPOINTS).mkdir(exist_ok=True)
    listed = PublishedList.from_bytes(data).published
    problems = []
    for number, one in enumerate(listed):
        uri = places[number] if number < len(places) else ""
        target = folder / _CHECKPOINTS / one.name
        try:
            if not uri:
                raise StorageError("the provider names no place")
            _open_stored(session, (uri,), one.sealed, key, target, progress)
        except (StorageError, CiphertextMismatchError) as error:
            problems.append(f"checkpoint {one.name}: {error}")
    if problems:
        raise StorageError(
            f"{len(problems)} of {len(listed)} checkpoints cannot be had: {'; '.join(problems)[:400]}",
            hint=f"all else is opened in {folder}; ask the provider for the rest",
        )


@dataclass(frozen=True, slots=True)
class Fetched:
    """A sealed result that is whole in a file.

    Attributes:
        size: of the stream, in bytes.
        kept: bytes of it that an interrupted run had fetched already.
    """

    size: int
    kept: int


def download_result(
    session: Session, order: bytes, target: Path, progress: Progress | None = None
) -> Fetched:
    """Bring an order's sealed result into the new file `target`; a run that was killed goes on by segment.

    No key is needed, and none used: every segment is compared with what the CVM signed.

    Raises:
        BadInputError: `target` exists.
        NoLocationError: no location has it, or has it whole; says what each gave.
        RefusedError, NotFoundError, MarketError: as `sealed_result`.
    """
    from marketplace.storage.partial import PartialFile
    from marketplace.storage.transfer import transfer

    if target.exists():
        raise BadInputError("file to write", f"{target}, which exists", "a new name")
    sealed = sealed_result(session, order)
    info = _info(sealed.line)
    part = PartialFile(part_of(target), info)
    try:
        kept = part.held_bytes
        transfer(
            sealed.locations,
            session.store.store_of,
            info,
            part,
            has_head=part.has_head,
            patience=session.store.config.patience,
            progress=progress,
        )
        part.finish(target)
    finally:
        part.close()
    return Fetched(info.ciphertext_bytes, kept)


def _result_key(session: Session, order: bytes, sealed: SealedResult) -> bytearray:
    """Return content key || salt of a result, for the caller to wipe."""
    info = result_key_info(order, sealed.summary.cvm_id, sealed.line.ciphertext_digest)
    with session.keystore(create=False).lend(result_key_name(order)) as secret:
        return bytearray(open_with(PrivateKey(bytes(secret)), sealed.key_envelope, info))


def _opened(path: Path) -> FileIO:
    try:
        return FileIO(path, "r")
    except FileNotFoundError:
        raise NotFoundError(
            f"downloaded result {path}: no such file", hint="fetch it with `cloister order download`"
        ) from None


def _info(line: ResultLine) -> SealedInfo:
    """Return what the CVM signed about the stream, as an unsealer takes it.

    Raises:
        WireError: values that no stream has.
    """
    try:
        algorithm = Algorithm(line.algorithm)
    except ValueError as error:
        raise WireError(f"result: got the algorithm {line.algorithm[:40]!r}") from error
    return SealedInfo(
        algorithm,
        line.segment_bytes,
        line.plaintext_bytes,
        line.content_digest,
        line.ciphertext_digest,
        line.key_commitment,
    )


def _same(step: str, got: bytes, expected: bytes) -> None:
    if got != expected:
        raise RefusedError(step, hex_of(got), hex_of(expected))
