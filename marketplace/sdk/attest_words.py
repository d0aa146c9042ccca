"""Evidence in words, for people, without believing any of it (docs/protocol.md sections 4.1 and 4.2).

Measurements are computed as the verifiers compute them, so that they can be compared with reference values;
whether hardware said so is for `attesting.verify` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography import x509

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.certificates import MALFORMED
from enclave_runtime.attestation.dcap import layout as dcap
from enclave_runtime.attestation.dcap import pck
from enclave_runtime.attestation.dcap.platform import platform_id_hash as intel_platform
from enclave_runtime.attestation.dcap.registers import SgxRegisters, TdxRegisters
from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.nvidia.evidence import DeviceKind, GpuEvidence
from enclave_runtime.attestation.nvidia.facts import read_facts
from enclave_runtime.attestation.nvidia.identity import device_id_of
from enclave_runtime.attestation.nvidia.spdm import Report, parse_report
from enclave_runtime.attestation.sev_snp import layout as snp
from enclave_runtime.attestation.sev_snp.products import decode_tcb, product_of
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.attestation.sev_snp.verify import platform_id_hash as amd_platform
from enclave_runtime.wire import report_data
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import WireError
from marketplace.sdk.attest_reading import Found

__all__ = ["UNVERIFIED", "Explained", "Part", "explain", "measurement_of", "report_data_of"]

UNVERIFIED = "nothing was verified: whoever wrote the file could have written all of this"
_MAX_SUBJECT = 200
_PLATFORM = "platform id (ours)"
"""What `platforms` of a policy lists."""
_MAX_SERIAL_BITS = 160
_TD_DEBUG, _SVE = 0xFF, 1 << 28


@dataclass(frozen=True, slots=True)
class Part:
    """One part of evidence: its name, and what it says by name."""

    title: str
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Explained:
    """What evidence says.

    Attributes:
        kind: in words.
        size: of the file, in bytes.
        parts: what each part says.
        warnings: what a verifier will refuse or a reader should not overlook.
    """

    kind: str
    size: int
    parts: tuple[Part, ...]
    warnings: tuple[str, ...]


def explain(found: Found) -> Explained:
    """Return what `found` says. Believes nothing; parts that do not read are named in the warnings."""
    parts, warnings = [], []
    if found.padding:
        warnings.append(
            f"{found.padding} zero bytes behind the quote: verifiers refuse it until they are cut"
        )
    if found.bundle is not None:
        parts.append(_claims(found.bundle))
    if found.tee is not None and found.quote is not None:
        quote = found.quote[: len(found.quote) - found.padding]
        try:
            parts += _QUOTES[found.tee](quote, warnings)
            parts.append(_bound(report_data_of(found.tee, quote), found.bundle, warnings))
        except WireError as error:
            warnings.append(
                f"the {found.tee.value} evidence does not read, a verifier refuses it at (0): {error}"
            )
    gpus = found.gpus
    if found.bundle is not None and found.bundle.evidence.gpu is not None:
        try:
            gpus = GpuEvidence.from_bytes(found.bundle.evidence.gpu)
        except WireError as error:
            warnings.append(f"the GPU evidence does not read, a verifier refuses it at (9): {error}")
    parts += [] if gpus is None else _devices(gpus, found.bundle, warnings)
    if found.device is not None:
        parts.append(_device("device", *found.device, (), warnings))
    return Explained(found.kind, found.size, tuple(parts), tuple(warnings))


def measurement_of(tee: TeeKind, quote: bytes) -> bytes:
    """Return the measurement as the verifier of `tee` computes it, 32 bytes.

    Raises:
        WireError: the evidence does not read.
    """
    if tee in (TeeKind.TDX, TeeKind.SGX):
        body = dcap.parse_quote(quote).body
        registers = TdxRegisters.of(body) if isinstance(body, dcap.TdBody) else SgxRegisters.of(body)
        return registers.measurement()
    if tee is TeeKind.SEV_SNP:
        return SnpRegisters.of(snp.parse_report(quote)[0]).digest()
    if tee is TeeKind.NITRO:
        from enclave_runtime.attestation.nitro.document import parse_document

        return parse_document(quote).measurement()
    from enclave_runtime.attestation.cca.token import parse_token
    from enclave_runtime.attestation.cca.verify import measurement_of as of_token

    return of_token(parse_token(quote))


def report_data_of(tee: TeeKind, quote: bytes) -> bytes:
    """Return what the guest had signed along: 64 bytes, but for Nitro's user_data, which may have any length.

    Raises:
        WireError: the evidence does not read.
    """
    if tee in (TeeKind.TDX, TeeKind.SGX):
        return dcap.parse_quote(quote).body.report_data
    if tee is TeeKind.SEV_SNP:
        return snp.parse_report(quote)[0].report_data
    if tee is TeeKind.NITRO:
        from enclave_runtime.attestation.nitro.document import parse_document

        return parse_document(quote).user_data or b""
    from enclave_runtime.attestation.cca.token import parse_token

    return parse_token(quote).realm.challenge


def _claims(bundle: EvidenceBundle) -> Part:
    evidence = bundle.evidence
    return Part(
        "what the bundle claims",
        {
            "tee": evidence.tee.value,
            "cvm id": hex_of(bundle.keys.cvm_id),
            "signer": hex_of(bundle.keys.signer),
            "operator": hex_of(bundle.operator),
            "purpose": bundle.purpose.value,
            "challenge": hex_of(bundle.challenge),
            "event log": "none" if evidence.event_log is None else f"{len(evidence.event_log)} bytes",
            "gpu evidence": "none" if evidence.gpu is None else f"{len(evidence.gpu)} bytes",
        },
    )


def _bound(data: bytes, bundle: EvidenceBundle | None, warnings: list[str]) -> Part:
    ours = len(data) == 64 and data[52:] == report_data.TAG
    facts = {"whole": hex_of(data) if data else "none"}
    if len(data) == 64:
        tag = f"{data[52:].decode('ascii')}: ours" if ours else f"{data[52:].hex()}: not ours"
        facts |= {"signer": hex_of(data[:20]), "digest": hex_of(data[20:52]), "tag": tag}
    if not ours:
        warnings.append(
            "report_data is not of our layout: it binds no keys, operator, purpose or challenge of ours"
        )
    if bundle is not None:
        made = bundle.keys.report_data(
            bundle.purpose, operator=bundle.operator, challenge=bundle.challenge, gpu=bundle.evidence.gpu
        )
        facts["against the claims"] = "the same" if made == data else f"another, {hex_of(made)}"
        if made != data:
            warnings.append("report_data is not what the bundle's own keys and claims give: refused at (8)")
    return Part("report_data", facts)


def _intel(quote: bytes, warnings: list[str]) -> list[Part]:
    parsed = dcap.parse_quote(quote)
    header, body = parsed.header, parsed.body
    facts = {
        "quote version": str(header.version),
        "tee type": f"{header.tee_type:#x}",
        "qe svn, pce svn": f"{header.qe_svn}, {header.pce_svn}",
        "qe vendor": "Intel" if header.vendor_id == dcap.INTEL_QE_VENDOR_ID else header.vendor_id.hex(),
    }
    parts = [
        Part("intel quote", facts | (_td(parsed, body, warnings) if isinstance(body, dcap.TdBody) else {}))
    ]
    if isinstance(body, dcap.TdBody):
        registers = TdxRegisters.of(body).to_json() | {"rtmr3 (not measured)": body.rtmr3.hex()}
        parts.append(_launch(registers, TdxRegisters.of(body).measurement()))
    else:
        debug = bool(body.attributes[0] & dcap.SGX_DEBUG)
        parts[0].facts.update({"cpu svn": body.cpu_svn.hex(), "debug": _debug(debug, warnings)})
        parts.append(_launch(SgxRegisters.of(body).to_json(), SgxRegisters.of(body).measurement()))
    return [*parts, _pck_chain(parsed.signatures, warnings)]


def _td(quote: dcap.Quote, body: dcap.TdBody, warnings: list[str]) -> dict[str, str]:
    attributes = int.from_bytes(body.td_attributes, "little")
    if not attributes & _SVE:
        warnings.append("SEPT_VE_DISABLE is off: the host can inject exceptions; refused at (5)")
    return {
        "td report": "1.5" if quote.service_td else "1.0",
        "tee tcb svn": body.tee_tcb_svn.hex(),
        "mr_seam": body.mr_seam.hex(),
        "debug": _debug(bool(attributes & _TD_DEBUG), warnings),
        "sept_ve_disable": "on" if attributes & _SVE else "off",
    }


def _pck_chain(section: dcap.SignatureSection, warnings: list[str]) -> Part:
    try:
        chain = pck.parse_chain(section.cert_data)
        extension = pck.parse_extension(chain[0])
    except WireError as error:
        warnings.append(f"no PCK chain in the quote, verifiers refuse it: {error}")
        return Part("certificate chain", {"certification": f"type {section.cert_type}"})
    platform = {
        "ppid": hex_of(extension.ppid),
        _PLATFORM: hex_of(intel_platform(extension.ppid)),
        "fmspc": extension.fmspc.hex(),
        "pck cpu svn": extension.cpu_svn.hex(),
        "pck pce svn": str(extension.pce_svn),
    }
    return Part("certificate chain", _subjects(chain, warnings) | platform)


def _amd(quote: bytes, warnings: list[str]) -> list[Part]:
    report, _, _ = snp.parse_report(quote)
    try:
        product = product_of(report)
    except WireError as error:
        product = None
        warnings.append(str(error))
    key = "VLEK, a cloud's" if report.signing_key == snp.KEY_VLEK else "VCEK, the chip's"
    facts = {
        "report version": str(report.version),
        "product": product or "not said (see the key's certificate)",
        "signing key": key,
        "vmpl": str(report.vmpl),
        "guest svn": str(report.guest_svn),
        "guest policy": _bits(report.policy, snp.GuestPolicy),
        "platform info": _bits(report.platform_info, snp.PlatformInfo),
        "debug": _debug(report.guest(snp.GuestPolicy.DEBUG), warnings),
        "chip id": "masked" if report.chip_masked else hex_of(report.chip_id),
        _PLATFORM: _named(report),
    }
    for name in ("reported_tcb", "committed_tcb", "current_tcb", "launch_tcb"):
        raw = getattr(report, name)
        facts[name.replace("_", " ")] = str(decode_tcb(raw, product)) if product else raw.hex()
    if product == "Milan":
        warnings.append("Milan: its report keys can be read out by software; refused unless policy names it")
    registers = SnpRegisters.of(report)
    return [Part("sev-snp report", facts), _launch(registers.to_json(), registers.digest())]


def _named(report: snp.SnpReport) -> str:
    """Return what a policy lists to name the chip, or why it can name none."""
    if report.chip_masked:
        return "none: the chip is masked"
    if report.signing_key == snp.KEY_VLEK:
        return "none: a cloud's key signs any chip's id"
    return hex_of(amd_platform(report.chip_id))


def _nitro(quote: bytes, warnings: list[str]) -> list[Part]:
    from enclave_runtime.attestation.nitro.document import LAUNCH_PCRS, parse_document
    from enclave_runtime.attestation.nitro.verify import platform_id_hash as nitro_platform

    document = parse_document(quote)
    facts = {
        "module": document.module_id,
        _PLATFORM: hex_of(nitro_platform(document)),
        "made at (ms)": str(document.timestamp_ms),
        "debug": _debug(document.is_debug, warnings),
        "nonce": "none" if document.nonce is None else document.nonce.hex(),
        "public key": "none" if document.public_key is None else f"{len(document.public_key)} bytes",
    }
    pcrs = {
        f"pcr{number}" + ("" if number in LAUNCH_PCRS else " (not measured)"): value.hex()
        for number, value in sorted(document.pcrs.items())
        if any(value)
    }
    chain = _subjects(_certificates((document.certificate, *reversed(document.cabundle)), warnings), warnings)
    launch = _launch(pcrs, document.measurement())
    return [Part("nitro document", facts), launch, Part("certificate chain", chain)]


def _arm(quote: bytes, warnings: list[str]) -> list[Part]:
    from enclave_runtime.attestation.cca.token import parse_token
    from enclave_runtime.attestation.cca.verify import measurement_of as of_token
    from enclave_runtime.attestation.cca.verify import platform_id_hash as arm_platform

    token = parse_token(quote)
    platform, realm = token.platform, token.realm
    secured = 0x3000 <= platform.lifecycle <= 0x30FF
    if not secured:
        warnings.append("the platform is not in its secured state: refused at (5)")
    facts = {
        "implementation": platform.implementation_id.hex(),
        "instance": platform.instance_id.hex(),
        _PLATFORM: hex_of(arm_platform(platform.instance_id)),
        "lifecycle": f"{platform.lifecycle:#06x}, {'secured' if secured else 'NOT secured'}",
        "names the realm's key": "yes" if platform.challenge == realm.key_digest else "no: refused at (3)",
        **{f"firmware {one.kind}": one.measurement.hex() for one in platform.components},
    }
    registers = {"rim": realm.initial_measurement.hex(), "personalization": realm.personalization.hex()}
    registers |= {f"rem{number} (not measured)": one.hex() for number, one in enumerate(realm.extended)}
    return [Part("cca token", facts), _launch(registers, of_token(token))]


_QUOTES: dict[TeeKind, Callable[[bytes, list[str]], list[Part]]] = {
    TeeKind.TDX: _intel,
    TeeKind.SGX: _intel,
    TeeKind.SEV_SNP: _amd,
    TeeKind.NITRO: _nitro,
    TeeKind.CCA: _arm,
}


def _devices(gpus: GpuEvidence, bundle: EvidenceBundle | None, warnings: list[str]) -> list[Part]:
    parts = []
    for place, device in enumerate(gpus.devices):
        title = f"device {place}"
        try:
            report = parse_report(device.report, device.kind)
        except WireError as error:
            warnings.append(f"{title} does not read, a verifier refuses it at (9): {error}")
            continue
        if bundle is not None and report.nonce != report_data.gpu_nonce(bundle.keys.cvm_id, bundle.challenge):
            warnings.append(f"{title} answers another nonce than this CVM's and challenge's: refused at (9)")
        parts.append(_device(title, device.kind, report, device.chain, warnings))
    return parts


def _device(
    title: str, kind: DeviceKind, report: Report, chain: tuple[bytes, ...], warnings: list[str]
) -> Part:
    facts = {"kind": kind.value, "nonce": hex_of(report.nonce)}
    facts["measurements"] = f"{len(report.measurements)}, to be held against the vendor's manifests"
    try:
        said = read_facts(report, kind)
        named = {"driver": said.driver, "vbios": said.vbios, "board": said.board, "mode": said.mode}
        facts |= {name: value for name, value in (named | {"chip": said.chip}).items() if value}
    except WireError as error:
        warnings.append(f"{title}: {error}")
    certificates = _certificates(chain, warnings)
    if certificates and certificates[0].serial_number.bit_length() <= _MAX_SERIAL_BITS:
        # What `gpu.devices` of a policy lists, if the chain holds.
        facts["device id (ours)"] = hex_of(device_id_of(certificates[0].serial_number))
    return Part(title, facts | _subjects(certificates, warnings))


def _launch(registers: dict[str, str], measurement: bytes) -> Part:
    return Part("launch", registers | {"measurement (ours)": hex_of(measurement)})


def _debug(on: bool, warnings: list[str]) -> str:
    if on:
        warnings.append("DEBUG: the host can read all that it protects; refused always, at (5)")
    return "ON" if on else "off"


def _bits(value: int, names: type[snp.GuestPolicy] | type[snp.PlatformInfo]) -> str:
    words = [bit.name.lower() for bit in names if value & bit.value and bit.name]
    return f"{value:#x}" + (f" ({', '.join(words)})" if words else "")


def _certificates(ders: Iterable[bytes], warnings: list[str]) -> list[x509.Certificate]:
    found = []
    for der in ders:
        try:
            found.append(x509.load_der_x509_certificate(der))
        except MALFORMED:
            warnings.append(f"{len(der)} bytes in the chain that are no certificate")
    return found


def _subjects(chain: Iterable[x509.Certificate], warnings: list[str]) -> dict[str, str]:
    named = {}
    for place, cert in enumerate(chain):
        try:
            subject, until = cert.subject.rfc4514_string(), cert.not_valid_after_utc
        except MALFORMED:
            subject, until = "a name that does not read", None
        if "SIMULATED" in subject and not any(one.startswith("SIMULATED") for one in warnings):
            warnings.append("SIMULATED: a certificate says itself that no hardware stands behind it")
        named[f"certificate {place}"] = (
            f"{subject[:_MAX_SUBJECT]}, until {until:%Y-%m-%d}" if until else subject
        )
    return named
