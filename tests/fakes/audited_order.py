"""One honest order from preimage to `wiped`, with real keys, signatures and a SIMULATED vendor's quotes.

`make` builds it; its keyword arguments let single members lie before they are signed, which is how the tests
of verification reach differences that no later tampering could make.
"""

from __future__ import annotations

import io
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from enclave_runtime.attestation.appraise import appraise
from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor
from enclave_runtime.attestation.simulated.measure import Measured, measure
from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.manifest import MEDIA_TYPE_TAR, Manifest, Release
from enclave_runtime.sealed.stream import Sealer
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.sealed.wrap import PrivateKey as ResultKey
from enclave_runtime.sealed.wrap import generate_keypair, seal_to
from enclave_runtime.wire.cvm import TcbStatus, certifier_quorum_domain, root_set_hash
from enclave_runtime.wire.cvm import TeeKind as TeeNumber
from enclave_runtime.wire.dsse import sign_statement
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.offers import BPS, OfferKind, OfferTerms, Payee, Price, terms_hash
from enclave_runtime.wire.orders import (
    NO_INPUT,
    TERMINAL_SEQUENCE,
    ComputeRef,
    Holdback,
    InputRef,
    OrderPreimage,
    OrderStart,
    OrderTerms,
    Outcome,
    Phase,
    ReportSummary,
    Windows,
    config_digest,
    inputs_root,
    order_book_domain,
    order_id,
    runtime_policy_digest,
)
from enclave_runtime.wire.report import (
    MONOTONIC,
    InputLine,
    IntegrityReport,
    Moment,
    OrderReport,
    Refusal,
    ResultLine,
    Trust,
    Wiped,
    result_key_info,
)
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from enclave_runtime.wire.signatures import address_of, secp256k1_sign
from marketplace.certifier.core import certificate_of
from marketplace.domain.order import runtime_policy
from marketplace.domain.packet import OrderPacket
from marketplace.sdk.bundle import Certified, OrderBundle, Signed
from marketplace.sdk.chain_facts import ChainFacts, CvmOnChain
from marketplace.sdk.verdict import Held, TrustAnchor
from tests.fakes.cvm import OPERATOR, FakeCvm

__all__ = ["NOW", "Audited", "make"]

NOW = 1_800_000_000
CHAIN, BOOK, QUORUM, TOKEN = 31337, b"\x0b" * 20, b"\x0c" * 20, b"\x70" * 20
DOMAIN = order_book_domain(CHAIN, BOOK)
CONFIG, CONFIG_SALT = b'{"epochs":3}', sha256(b"config salt")
VENDOR = SimulatedVendor.create()
MEASURED: Measured = measure((("enclave_runtime/__main__.py", b"pass\n"),), (), b"sandbox")
MEASUREMENT = MEASURED.registers.measurement()
CERTIFIERS = (PrivateKey(sha256(b"one")), PrivateKey(sha256(b"two")))
RESULT_FILES = {"output/model.bin": b"weights" * 900, "logs/stdout.txt": b"epoch 1\n"}


def _archive() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in RESULT_FILES.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        with ArchiveReader(folder) as reader:
            buffer = bytearray(reader.length)
            assert reader.readinto(memoryview(buffer)) == reader.length
    return bytes(buffer)


PLAINTEXT = _archive()


@dataclass(frozen=True)
class Audited:
    """The whole honest order, as its parts."""

    bundle: OrderBundle
    facts: ChainFacts
    anchor: TrustAnchor
    held: Held
    cvm: FakeCvm
    result_key: ResultKey
    result_stream: bytes

    @property
    def order_id(self) -> bytes:
        """The order's id."""
        return self.facts.order_id


def make(
    *,
    outcome: Outcome = Outcome.COMPLETED,
    integrity: dict[str, Any] | None = None,
    report: dict[str, Any] | None = None,
    summary: dict[str, Any] | None = None,
    refusal: dict[str, Any] | None = None,
    wiped: dict[str, Any] | None = None,
    certificate: dict[str, Any] | None = None,
) -> Audited:
    """Return an order; members named in the arguments lie, and are then signed by whoever signs them.

    Args:
        outcome: COMPLETED or REFUSED.
    """
    cvm, key = FakeCvm(), generate_keypair(os.urandom)
    manifests = tuple(_manifest(name, kind) for name, kind in _CONTENT)
    preimage, packet = _order(manifests, key)
    identity = order_id(DOMAIN, preimage.terms)
    certified = tuple(_certify(cvm, signer, certificate or {}) for signer in CERTIFIERS)
    lines = _lines(preimage)
    trust = Trust("tdx", True, MEASUREMENT, "host", ())
    names = {"order_id": identity, "order_book": BOOK, "chain_id": CHAIN, "cvm_id": cvm.cvm_id}
    root = inputs_root(preimage.terms.inputs)
    sealed, stream, envelope = _result(cvm, key, identity)
    refused = outcome is Outcome.REFUSED

    integrity_statement = IntegrityReport(
        **names,
        inputs=lines,
        inputs_root=root,
        engine_digest=preimage.inputs[0].content_digest,
        config_digest=preimage.terms.config_digest,
        result_key_digest=preimage.terms.result_key_digest,
        runtime_policy_digest=preimage.terms.runtime_policy_digest,
        trust=trust,
        checked_at=Moment(MONOTONIC, 3),
    )
    checkpoint = _sign(
        cvm,
        replace(integrity_statement, **(integrity or {})),
        _checkpoint(identity, seconds=3),
    )
    if refused:
        statement: Any = Refusal(
            **names,
            inputs=lines,
            inputs_root=root,
            step="keys-missing",
            got="no key for input 1",
            expected="a key",
            attributable_input=1,
            seconds=9,
            trust=trust,
            refused_at=Moment(MONOTONIC, 9),
        )
        statement = replace(statement, **(refusal or {}))
    else:
        statement = replace(
            OrderReport(
                **names,
                inputs=lines,
                inputs_root=root,
                engine_digest=preimage.inputs[0].content_digest,
                config_digest=preimage.terms.config_digest,
                integrity_digest=checkpoint.envelope.digest,
                result=sealed,
                outcome=outcome,
                exit_code=0,
                reason="ok",
                seconds=9,
                units=0,
                prices=(preimage.compute.price, *(offer.price for offer in preimage.inputs)),
                trust=trust,
                started_at=Moment(MONOTONIC, 1),
                ended_at=Moment(MONOTONIC, 10),
            ),
            **(report or {}),
        )
    terminal = ReportSummary(
        **_common(names, root),
        phase=int(Phase.SETUP if refused else Phase.ENGINE),
        sequence=TERMINAL_SEQUENCE,
        outcome=int(outcome),
        seconds_used=9,
    )
    if refused:
        terminal = replace(terminal, attributable_input=1)
    else:
        terminal = replace(terminal, result_digest=sealed.ciphertext_digest)
    last = _sign(cvm, statement, replace(terminal, **(summary or {})))
    gone = Wiped(
        order_id=identity,
        cvm_id=cvm.cvm_id,
        statement_key=sha256(cvm.keys.statement_spki),
        terminal_digest=last.envelope.digest,
        plaintext_files=0,
        erased=("content keys", "result key"),
        wiped_at=Moment(MONOTONIC, 11),
    )
    start = OrderStart(identity, cvm.cvm_id, root)
    bundle = OrderBundle(
        order_id=identity,
        preimage=preimage,
        packet=packet,
        manifests=manifests,
        certified=certified,
        integrity=None if refused else checkpoint,
        report=last,
        wiped=sign_statement(replace(gone, **(wiped or {})).to_statement(), cvm.statement),
        start_signature=secp256k1_sign(cvm.signer, typed_digest(DOMAIN, start)),
        result=None if refused else "file:sha256/" + sha256(stream).hex(),
        key_envelope=None if refused else envelope,
    )
    facts = ChainFacts(
        source="a node",
        chain_id=CHAIN,
        order_book=BOOK,
        quorum=QUORUM,
        order_id=identity,
        state=outcome.name,
        terms=preimage.terms,
        cvm_id=cvm.cvm_id,
        cvm=CvmOnChain(
            address_of(cvm.signer), OPERATOR, MEASUREMENT, root_set_hash(VENDOR.roots.id), 1, False, True
        ),
        started_at=NOW + 60,
        checkpoint_at=None if refused else NOW + 63,
        checkpoint=None if refused else checkpoint.summary,
        terminal=last.summary,
        certifiers=tuple(address_of(signer) for signer in CERTIFIERS),
        threshold=2,
    )
    held = Held({}, None if refused else sealed.ciphertext_digest)
    return Audited(bundle, facts, anchor(), held, cvm, key, stream)


def anchor(**changes: Any) -> TrustAnchor:
    """Return an auditor's beliefs in the simulated vendor and the runtime; `changes` go into the policy."""
    policy = AppraisalPolicy(
        root_sets=frozenset({VENDOR.roots.id}),
        measurements=frozenset({MEASUREMENT}),
        simulated=UnsafeAcceptSimulated(VENDOR.roots.id),
    )
    return TrustAnchor(VENDOR.roots, replace(policy, **changes), VENDOR.collateral(NOW))


_CONTENT = (("engine", OfferKind.ENGINE), ("data A", OfferKind.DATASET), ("data B", OfferKind.DATASET))


def _common(names: dict[str, Any], root: bytes) -> dict[str, Any]:
    return {
        "order_id": names["order_id"],
        "cvm_id": names["cvm_id"],
        "attributable_input": NO_INPUT,
        "inputs_root": root,
        "result_digest": ZERO32,
        "statement_digest": ZERO32,
        "units_used": 0,
    }


def _checkpoint(identity: bytes, *, seconds: int) -> ReportSummary:
    """Return a checkpoint's summary: it names neither CVM nor inputs."""
    return ReportSummary(
        order_id=identity,
        cvm_id=ZERO32,
        phase=int(Phase.ENGINE),
        sequence=1,
        outcome=0,
        attributable_input=NO_INPUT,
        inputs_root=ZERO32,
        result_digest=ZERO32,
        statement_digest=ZERO32,
        seconds_used=seconds,
        units_used=0,
    )


def _sign(cvm: FakeCvm, statement: Any, summary: ReportSummary) -> Signed:
    envelope = sign_statement(statement.to_statement(), cvm.statement)
    bound = replace(summary, statement_digest=envelope.digest)
    return Signed(envelope, bound, secp256k1_sign(cvm.signer, typed_digest(DOMAIN, bound)))


def _manifest(name: str, kind: OfferKind) -> Manifest:
    digests = [sha256(f"{name} {what}".encode()) for what in ("content", "ciphertext", "commitment")]
    entry = ("python", "train.py") if kind is OfferKind.ENGINE else ()
    release = Release("http://127.0.0.1:9", b"\x0e" * 20)
    info = SealedInfo(Algorithm.BLAKE3, 1 << 20, 512, *digests)
    return Manifest(kind, MEDIA_TYPE_TAR, info, entry, ("file:sha256/" + "00" * 32,), release)


def _order(manifests: tuple[Manifest, ...], key: ResultKey) -> tuple[OrderPreimage, OrderPacket]:
    policy = runtime_policy(
        frozenset({VENDOR.roots.id}),
        frozenset({TeeNumber.TDX}),
        frozenset({MEASUREMENT}),
        TcbStatus.UP_TO_DATE,
    )
    compute = _offer(OfferKind.COMPUTE, ZERO32, ZERO32, ZERO_ADDRESS)
    inputs = tuple(
        _offer(one.kind, one.digest(), one.sealed.content_digest, one.release.grant_key) for one in manifests
    )
    terms = OrderTerms(
        client=b"\xc1" * 20,
        payer=b"\xc1" * 20,
        token=TOKEN,
        compute=ComputeRef(1, 1, terms_hash(compute)),
        inputs=tuple(InputRef(n, 1, terms_hash(one), ZERO32) for n, one in enumerate(inputs, 2)),
        config_digest=config_digest(CONFIG, CONFIG_SALT),
        result_key_digest=key.public_digest,
        access_key_digest=ZERO32,
        runtime_policy_digest=runtime_policy_digest(policy),
        place_before=NOW + 600,
        windows=Windows(60, 60, 300, 300, 300, 3600, 600),
        max_units=0,
        holdback=Holdback(),
        delivery=0,
        delivery_digest=ZERO32,
        max_fee_bps=500,
        deposit=100_000,
        salt=sha256(b"salt"),
    )
    packet = OrderPacket(CONFIG, CONFIG_SALT, key.public_bytes, policy)
    return OrderPreimage(terms, compute, inputs), packet


def _offer(kind: OfferKind, manifest: bytes, content: bytes, grant_key: bytes) -> OfferTerms:
    price, payees = Price(fixed_price=5, per_hour=3600), (Payee(b"\x99" * 20, BPS),)
    return OfferTerms(int(kind), TOKEN, price, payees, manifest, content, grant_key, 0, ZERO32, ZERO32)


def _lines(preimage: OrderPreimage) -> tuple[InputLine, ...]:
    return tuple(
        InputLine(
            ref.offer,
            ref.version,
            OfferKind(offer.kind),
            ref.terms_hash,
            offer.manifest_digest,
            offer.content_digest,
        )
        for ref, offer in zip(preimage.terms.inputs, preimage.inputs, strict=True)
    )


def evidence_for(cvm: FakeCvm, challenge: bytes, *, operator: bytes = OPERATOR) -> EvidenceBundle:
    """Return a real quote of the simulated platform over these keys, this operator and this challenge."""
    data = cvm.keys.report_data(Purpose.CERTIFY, operator=operator, challenge=challenge)
    quote = VENDOR.quote(MEASURED.body(data))
    evidence = Evidence(TeeKind.TDX, quote, MEASURED.event_log)
    return EvidenceBundle(evidence, cvm.keys, operator, Purpose.CERTIFY, challenge)


def _certify(cvm: FakeCvm, signer: PrivateKey, lies: dict[str, Any]) -> Certified:
    challenge = sha256(address_of(signer))
    bundle = evidence_for(cvm, challenge)
    expected = cvm.keys.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=challenge)
    beliefs = anchor()
    verified = appraise(
        bundle,
        beliefs.collateral,
        roots=beliefs.roots,
        policy=beliefs.policy,
        expected_report_data=expected,
        now=NOW,
    )
    made = replace(certificate_of(bundle, verified, OPERATOR), issued_at=NOW, expires_at=NOW + 3600)
    made = replace(made, **lies)
    domain = certifier_quorum_domain(CHAIN, QUORUM)
    return Certified(bundle, made, secp256k1_sign(signer, typed_digest(domain, made)))


def _result(cvm: FakeCvm, key: ResultKey, identity: bytes) -> tuple[ResultLine, bytes, bytes]:
    content_key, salt = sha256(b"content key"), sha256(b"result salt")
    sealer = Sealer(
        io.BytesIO(PLAINTEXT),
        len(PLAINTEXT),
        content_key,
        digest_salt=salt,
        entropy=os.urandom,
        segment_bytes=4096,
    )
    stream = b"".join(bytes(piece) for piece in sealer)
    info = sealer.info
    location = "file:sha256/" + sha256(stream).hex()
    line = ResultLine(
        info.content_digest,
        info.ciphertext_digest,
        info.key_commitment,
        info.algorithm.value,
        info.segment_bytes,
        info.plaintext_bytes,
        info.ciphertext_bytes,
        location,
    )
    bound = result_key_info(identity, cvm.cvm_id, info.ciphertext_digest)
    return line, stream, seal_to(key.public_bytes, content_key + salt, bound)
