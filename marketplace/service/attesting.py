"""A service's own attestation, for whoever asks: what holds its keys (docs/protocol.md sections 4.1 and 4.5).

A service that runs in a CVM shows evidence over its own keys, for the purpose `serve`; one that does not
says so in as many words, signed. The evidence binds a digest of the *identity*: kind, name, signing
address, X.509 root and contract; GPUs answer a nonce of identity and challenge, and the evidence binds
what they answered. Nothing here believes anything: the reader appraises the evidence under its own policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from coincurve import PrivateKey

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.wire import report_data
from enclave_runtime.wire.canonical import JsonObject, dump
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.hashes import sha256, tagged
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.scalars import ZERO_ADDRESS
from enclave_runtime.wire.signatures import recover_signer, secp256k1_sign

if TYPE_CHECKING:
    from enclave_runtime.attestation.model import VerifiedEvidence

__all__ = [
    "NOT_IN_A_CVM",
    "AskDevices",
    "Attest",
    "Identity",
    "OwnAttestation",
    "check_attestation",
    "hourly_challenge",
]

NOT_IN_A_CVM: Final = "not in a CVM: whoever runs this service can read and use its keys"
_STEP: Final = "service.attestation"
_HOUR_S: Final = 3_600

Attest: TypeAlias = Callable[[bytes], Evidence]
"""Makes evidence over 64 bytes of report_data; None stands for a service that does not run in a CVM."""
AskDevices: TypeAlias = Callable[[bytes], bytes]
"""Makes evidence of the CVM's GPUs over a nonce, 32 bytes; None stands for a CVM without GPUs."""
Appraise: TypeAlias = "Callable[[Evidence, bytes, bytes], VerifiedEvidence]"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose keys are shown.

    Attributes:
        kind: of service, such as "certifier".
        name: for people.
        address: of its signing key, 20 bytes.
        x509_root_sha256: of its X.509 root (DER), 32 bytes.
        chain_id, contract: where its signatures count.
    """

    kind: str
    name: str
    address: bytes
    x509_root_sha256: bytes
    chain_id: int
    contract: bytes

    def to_json(self) -> JsonObject:
        """Return the identity as a JSON object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "address": hex_of(self.address),
            "x509_root_sha256": hex_of(self.x509_root_sha256),
            "chain_id": str(self.chain_id),
            "contract": hex_of(self.contract),
        }

    def report_data(self, challenge: bytes, gpu: bytes | None = None) -> bytes:
        """Return the 64 bytes that evidence for this identity, challenge and GPU evidence carries."""
        return report_data.bind(
            Purpose.SERVE,
            signer=self.address,
            cvm_id=self.digest,
            operator=ZERO_ADDRESS,
            challenge=challenge,
            gpu_digest=report_data.gpu_digest(gpu),
        )

    def gpu_nonce(self, challenge: bytes) -> bytes:
        """Return what the GPUs of the CVM are asked with, for this identity and challenge, 32 bytes."""
        return report_data.gpu_nonce(self.digest, challenge)

    @property
    def digest(self) -> bytes:
        """What stands where a CVM's id would, 32 bytes."""
        return tagged("service-identity/v1", dump(self.to_json()))


def hourly_challenge(now: int) -> bytes:
    """Return the challenge for those who bring none: the same for everybody within one hour of `now`."""
    return tagged("service-hour/v1", (now // _HOUR_S).to_bytes(8, "big"))


class OwnAttestation:
    """What a service says of where it runs, under its own key."""

    def __init__(
        self,
        identity: Identity,
        attest: Attest | None,
        key: PrivateKey,
        devices: AskDevices | None = None,
    ) -> None:
        """Args:
        attest: makes evidence, or None where the service does not run in a CVM.
        key: the one whose address is in `identity`.
        devices: makes evidence of the CVM's GPUs, or None where it has none.
        """
        self._identity = identity
        self._attest = attest
        self._devices = devices
        self._key = key
        self._hourly: tuple[bytes, JsonObject] | None = None

    def fresh(self, challenge: bytes, now: int) -> JsonObject:
        """Return the answer to somebody's own challenge, 32 bytes, at Unix time `now`, in seconds.

        Raises:
            EnclaveError: the platform, or a GPU of it, gave no evidence.
        """
        body: JsonObject = {
            "service": self._identity.to_json(),
            "purpose": Purpose.SERVE.value,
            "challenge": hex_of(challenge),
            "at": now,
            "in_cvm": self._attest is not None,
            "evidence": None,
            "statement": NOT_IN_A_CVM,
        }
        if self._attest is not None:
            gpu = None if self._devices is None else self._devices(self._identity.gpu_nonce(challenge))
            evidence = self._attest(self._identity.report_data(challenge, gpu))
            where = f"a CVM of {evidence.tee.value}" + ("" if gpu is None else " with GPUs")
            body["statement"] = f"in {where}: the evidence binds this service's keys"
            body["evidence"] = {
                "tee": evidence.tee.value,
                "quote": hex_of(evidence.quote),
                "event_log": _maybe_hex(evidence.event_log),
                "gpu": _maybe_hex(gpu),
            }
        return {**body, "signature": hex_of(secp256k1_sign(self._key, _digest(body)))}

    def hourly(self, now: int) -> JsonObject:
        """Return the answer to those who bring no challenge: one for everybody within an hour.

        Raises:
            EnclaveError: the platform gave no evidence.
        """
        challenge, known = hourly_challenge(now), self._hourly
        if known is None or known[0] != challenge:
            known = self._hourly = challenge, self.fresh(challenge, now)
        return known[1]


def check_attestation(
    body: JsonObject, identity: Identity, challenge: bytes, appraise: Appraise
) -> VerifiedEvidence | None:
    """Return the verdict on a service's own evidence, or None where it says that it runs in no CVM.

    Args:
        identity: what the reader's settings say of the service, never what the answer says.
        challenge: the one that was sent.
        appraise: judges evidence under the reader's policy, against the 64 bytes that it must carry and the
            nonce that its GPUs must have answered; see `appraise.appraise_service`.
    Raises:
        RefusedError: step `service.attestation`: another service, challenge or purpose, or not its signature.
        AttestationError: the evidence does not verify.
        WireError: malformed members.
    """
    signed = dict(body)
    signature = bytes_from_hex(signed.pop("signature", None), 65)
    signer = recover_signer(_digest(signed), signature)
    expected = {
        "service": identity.to_json(),
        "purpose": Purpose.SERVE.value,
        "challenge": hex_of(challenge),
    }
    for name, value in expected.items():
        if signed.get(name) != value:
            raise RefusedError(_STEP, f"{name} {str(signed.get(name))[:200]}", str(value)[:200])
    if signer != identity.address:
        raise RefusedError(_STEP, f"a statement signed by {hex_of(signer)}", hex_of(identity.address))
    shown = signed.get("evidence")
    if signed.get("in_cvm") is False and shown is None:
        return None
    if signed.get("in_cvm") is not True or not isinstance(shown, dict):
        raise RefusedError(_STEP, "neither evidence nor the word that there is none", "one of them")
    evidence = _evidence(shown)
    bound = identity.report_data(challenge, evidence.gpu)
    return appraise(evidence, bound, identity.gpu_nonce(challenge))


def _evidence(shown: JsonObject) -> Evidence:
    log, gpu = (
        None if shown.get(name) is None else bytes_from_hex(shown[name]) for name in ("event_log", "gpu")
    )
    try:
        tee = TeeKind(str(shown.get("tee")))
    except ValueError:
        raise WireError("service attestation: got a TEE that nobody knows") from None
    return Evidence(tee, bytes_from_hex(shown.get("quote")), log, gpu)


def _maybe_hex(value: bytes | None) -> str | None:
    return None if value is None else hex_of(value)


def _digest(body: JsonObject) -> bytes:
    return tagged("service-attestation/v1", sha256(dump(body)))
