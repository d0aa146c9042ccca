"""Verifying the devices of a CVM: step (9) of docs/protocol.md section 4.3, a numbered argument of its own.

Pure: no clock, network, file or environment. What never changes about a chain, a manifest or an OCSP answer
is remembered in bounded caches by its bytes; every date and every binding is judged anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from enclave_runtime.attestation.collateral.nvidia import NvidiaCollateral
from enclave_runtime.attestation.model import VerifiedDevice
from enclave_runtime.attestation.nvidia import chain, dice, ocsp
from enclave_runtime.attestation.nvidia.chain import raw_signature_holds
from enclave_runtime.attestation.nvidia.evidence import Device, DeviceKind, GpuEvidence
from enclave_runtime.attestation.nvidia.facts import Facts, read_facts, version_key
from enclave_runtime.attestation.nvidia.identity import BLACKWELL, Identity, identify
from enclave_runtime.attestation.nvidia.ocsp import check_certificate, parse_answers
from enclave_runtime.attestation.nvidia.reference import References, check_measurements
from enclave_runtime.attestation.nvidia.refusals import Check, DeviceError
from enclave_runtime.attestation.nvidia.rim import verified_rim
from enclave_runtime.attestation.nvidia.spdm import NONCE_BYTES, parse_report
from enclave_runtime.attestation.nvidia.topology import Judged, check_count, check_together
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256

__all__ = ["forget", "forget_devices", "verify_devices"]


def forget() -> None:
    """Empty every cache of this package, as a fresh process has them."""
    chain.forget()
    ocsp.forget()
    forget_devices()
    verified_rim.cache_clear()


def forget_devices() -> None:
    """Forget every device and its chain; manifests and OCSP answers stay."""
    chain.forget()
    identify.cache_clear()


def verify_devices(
    evidence: bytes,
    collateral: NvidiaCollateral,
    *,
    roots: GpuRoots,
    rules: GpuRules,
    nonce: bytes,
    now: int,
) -> tuple[VerifiedDevice, ...]:
    """Return the verdict on every device in `evidence`, in its order, at Unix time `now`, in seconds.

    Args:
        evidence: bytes of `GpuEvidence`, which a verified quote binds.
        collateral: manifests and OCSP answers, from anywhere.
        roots: the two trust anchors to believe, from settings.
        rules: which devices there must be, and how.
        nonce: that every device must have answered: `wire.report_data.gpu_nonce`, 32 bytes.
        now: Unix time, in seconds.
    Raises:
        DeviceError: step (9): names the device and the check that failed, what was got and what was expected.
    """
    if len(nonce) != NONCE_BYTES:
        raise DeviceError(Check.NONCE, f"a nonce of {len(nonce)} bytes to expect", f"{NONCE_BYTES}")
    # Rules that do not name these roots, or believe simulated ones unasked, end it here.
    rules.check_roots(roots)
    # (9.0) The bytes are one container of devices, exactly; (9.1) as many of each kind as the rules say.
    with _refusing(Check.PARSE, "one GPU evidence, exactly"):
        parsed = GpuEvidence.from_bytes(evidence)
    check_count(parsed, rules)
    # Manifests are what their signatures cover, whether or not a device will need them.
    with _refusing(Check.RIM, "signed manifests (RIMs)"):
        rims = tuple(map(verified_rim, collateral.rims))
    given = References(rims, parse_answers(collateral.ocsp), roots, rules, now)
    judged, verdicts = [], []
    for place, device in enumerate(parsed.devices):
        try:
            facts, identity, end = _judge(device, nonce, given)
        except DeviceError as error:
            raise error.on(place) from error
        judged.append(Judged(identity, facts))
        verdicts.append(_verdict(facts, identity, end))
    # (9.8) All of them together: no chip twice, one set-up, links among themselves only.
    check_together(judged, rules)
    return tuple(verdicts)


def _judge(device: Device, nonce: bytes, given: References) -> tuple[Facts, Identity, int]:
    """Return what a device is and when the proof of it ends, in Unix seconds; refuse it at the first flaw."""
    rules = given.rules
    # (9.0) The report is one report of this kind of device, exactly, and reads in one way.
    with _refusing(Check.PARSE, "one report of the device's kind, exactly"):
        report = parse_report(device.report, device.kind)
        facts = read_facts(report, device.kind)
    # (9.2) The chain holds now, ends in the pinned root, and is of such a device.
    with _refusing(Check.CHAIN, "a device's certificate chain"):
        identity = identify(device.chain)
    _check_chain(identity, device.kind, given)
    _check_firmware_id(identity, facts)
    # (9.3) No authority above the leaf is revoked. The leaf itself is the boot ROM's word, not the vendor's.
    authorities = zip(identity.chain.certs[1:-1], identity.chain.ders[2:], strict=True)
    ends = [
        check_certificate(cert, issuer, given.answers, required=rules.ocsp_required, now=given.now)
        for cert, issuer in authorities
    ]
    # (9.4) The device signed this report, (9.5) as the answer to this nonce.
    if not raw_signature_holds(identity.key, report.signature, report.signed):
        raise DeviceError(Check.SIGNATURE, "a signature that the device's key did not make", "its own")
    if report.nonce != nonce:
        raise DeviceError(Check.NONCE, f"the answer to nonce {report.nonce.hex()}", nonce.hex())
    # (9.6) Architecture, mode, debug, versions and identity are what the rules accept.
    _check_configuration(identity, facts, rules)
    # (9.7) Every measurement is one that a signed manifest of driver or firmware has.
    ends.append(check_measurements(report, facts, identity, given))
    return facts, identity, min((end for end in ends if end is not None), default=identity.chain.not_after)


def _check_chain(identity: Identity, kind: DeviceKind, given: References) -> None:
    own, pinned = identity.chain, given.roots.device
    root = sha256(own.root_der)
    if pinned is not None:
        fits = root == pinned.der_sha256 and pinned.key_sha256 in (None, own.root_key_sha256)
    elif not given.rims:
        raise DeviceError(Check.RIM, "no manifest at all: unknown", "signed manifests (RIMs)")
    else:
        fits = any(given.roots.accepts(own.root_der, rim.chain.root_der) for rim in given.rims)
    if not fits:
        raise DeviceError(Check.CHAIN, f"a chain that ends in root {root.hex()}", f"roots {given.roots.id}")
    if not own.not_before <= given.now <= own.not_after:
        raise DeviceError(
            Check.CHAIN,
            f"a chain that holds from {own.not_before} to {own.not_after}",
            f"{given.now} within",
        )
    if identity.kind is not kind:
        raise DeviceError(Check.CHAIN, f"the chain of a {identity.kind.value}", f"that of a {kind.value}")


def _check_firmware_id(identity: Identity, facts: Facts) -> None:
    """Refuse a leaf that is not about the firmware that answers, or not about the chip that certified it."""
    firmware = identity.firmware
    dice_info = identity.architecture == BLACKWELL
    if (firmware.rom_key is None) != dice_info:
        raise DeviceError(
            Check.CHAIN, f"a DICE extension of another architecture than {identity.chip}", "its own"
        )
    if firmware.rom_key not in (None, identity.rom_key):
        raise DeviceError(Check.CHAIN, "a leaf about another boot ROM's key", "its issuer's key")
    if facts.fwid is None and identity.kind is DeviceKind.NVSWITCH:
        return  # switches state none
    if facts.fwid != firmware.fwid:
        got = "none" if facts.fwid is None else facts.fwid.hex()
        raise DeviceError(
            Check.CHAIN, f"firmware id {got} in the report", f"{firmware.fwid.hex()} of the leaf"
        )


def _check_configuration(identity: Identity, facts: Facts, rules: GpuRules) -> None:
    flags = identity.firmware.flags
    if flags & dice.UNFIT:
        words = "debug" if flags & dice.DEBUG else "insecure or recovery"
        raise DeviceError(Check.CONFIGURATION, f"firmware in {words} state (flags {flags:#010x})", "neither")
    if facts.chip not in ("", identity.chip):
        raise DeviceError(Check.CONFIGURATION, f"chip {facts.chip!r} in the report", identity.chip)
    if rules.devices is not None and identity.device_id not in rules.devices:
        raise DeviceError(
            Check.CONFIGURATION, f"device {identity.device_id.hex()}", f"one of {len(rules.devices)} listed"
        )
    for chip, floor in rules.min_firmware:
        if chip == identity.chip and version_key(facts.vbios) < floor:
            raise DeviceError(Check.CONFIGURATION, f"firmware {facts.vbios}", f"at least {floor}")
    if identity.kind is DeviceKind.NVSWITCH:
        return
    if identity.architecture not in rules.architectures:
        raise DeviceError(
            Check.CONFIGURATION,
            f"architecture {identity.architecture}",
            f"one of {sorted(rules.architectures)}",
        )
    if facts.mode not in rules.modes:
        raise DeviceError(Check.CONFIGURATION, f"mode {facts.mode}", f"one of {sorted(rules.modes)}")
    if version_key(facts.driver) < rules.min_driver:
        raise DeviceError(Check.CONFIGURATION, f"driver {facts.driver}", f"at least {rules.min_driver}")


def _verdict(facts: Facts, identity: Identity, end: int) -> VerifiedDevice:
    words = {"chip": identity.chip, "board": facts.board, "mode": facts.mode}
    words["boot ROM"] = f"{identity.chain.certs[1].serial_number:x}"
    words["certificate"] = identity.chain.leaf.subject.rfc4514_string()[:200]
    return VerifiedDevice(
        kind=identity.kind.value,
        device_id=identity.device_id,
        architecture=identity.architecture,
        driver=facts.driver,
        firmware=facts.vbios,
        facts={name: value for name, value in words.items() if value},
        collateral_expires_at=end,
    )


@contextmanager
def _refusing(check: Check, expected: str) -> Iterator[None]:
    """Turn bytes that do not follow their format into a refusal at `check`."""
    try:
        yield
    except WireError as error:
        raise DeviceError(check, str(error), expected) from error
