"""The lines of the conformance list for Intel evidence: what is ordered, and the step that refuses it.

Where dcap-qvl alone lets something pass, the line says so: `test_conformance_intel` holds the library to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from enclave_runtime.attestation.dcap.rtmr import Event, encode_log
from enclave_runtime.attestation.errors import Step
from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.simulated.intel_world import Form, World
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor
from tests.fakes.intel_case import NOW, IntelCase

__all__ = ["GROUPS", "Line", "each", "policy", "put"]

DAY = 24 * 3600
ALL = tuple(Form)
TDX = tuple(form for form in Form if not form.sgx)
SGX = (Form.SGX_V3,)
V5 = (Form.TDX_V5_10, Form.TDX_V5_15)

Spoil = Callable[[IntelCase], object]


@dataclass(frozen=True)
class Line:
    """One line of the list.

    Attributes:
        words: of the list, and which side of it.
        spoil: what is ordered.
        step: that refuses it.
        forms: of the quote.
        library_accepts: dcap-qvl, alone, lets it pass.
    """

    words: str
    spoil: Spoil
    step: Step
    forms: tuple[Form, ...] = ALL
    library_accepts: bool = False


def world(**orders: object) -> Spoil:
    return lambda case: case.order(World(**orders))  # type: ignore[arg-type]


def quoting(**fields: bytes) -> Spoil:
    return lambda case: case.requote(**fields)


def raw(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda case: case.raw(change(case.evidence.quote))


def policy(**changes: object) -> Spoil:
    def change(case: IntelCase) -> None:
        case.policy = replace(case.policy, **changes)  # type: ignore[arg-type]

    return change


def rules(**changes: object) -> Spoil:
    return policy(intel=IntelRules(**changes))  # type: ignore[arg-type]


def both(*spoils: Spoil) -> Spoil:
    def change(case: IntelCase) -> None:
        for spoil in spoils:
            spoil(case)

    return change


def put(at: int, data: bytes) -> Callable[[bytes], bytes]:
    return lambda quote: quote[:at] + data + quote[at + len(data) :]


def bits(*numbers: int) -> bytes:
    return sum(1 << number for number in {28, *numbers}).to_bytes(8, "little")


def other_vendor(case: IntelCase) -> None:
    # Same names in every certificate, other keys: an impostor by subject.
    other = SimulatedVendor.create()
    case.raw(other.quote(case.body, form=case.form))


def other_collateral(case: IntelCase) -> None:
    case.collateral = SimulatedVendor.create().collateral(NOW, tee=case.tee)


def no_collateral(case: IntelCase) -> None:
    case.collateral = replace(case.collateral, intel=None)


def unlike_log(case: IntelCase) -> None:
    log = encode_log([Event.runtime(3, "one-more", b"x")])
    case.evidence = replace(case.evidence, event_log=log)


def broken_log(case: IntelCase) -> None:
    case.evidence = replace(case.evidence, event_log=b"[{}]")


def report_data(position: int) -> Spoil:
    def change(case: IntelCase) -> None:
        case.report_data = put(position, bytes([case.report_data[position] ^ 1]))(case.report_data)

    return change


PARSE = [
    Line("trailing data: a byte", raw(lambda q: q + b"\x01"), Step.PARSE, library_accepts=True),
    Line("trailing data: zero padding to 8000", raw(lambda q: q.ljust(8000, b"\0")), Step.PARSE, ALL, True),
    Line("wrong vendor id", raw(put(12, bytes(16))), Step.PARSE),
    Line("wrong attestation key type", raw(put(2, b"\x03\x00")), Step.PARSE),
    Line("wrong version", raw(put(0, b"\x02\x00")), Step.PARSE),
    Line("wrong version: another that exists", raw(lambda q: bytes([q[0] ^ 7]) + q[1:]), Step.PARSE),
    Line("wrong TEE type", raw(put(4, b"\x42\0\0\0")), Step.PARSE),
    Line("v5 body_type mismatch", raw(put(48, b"\x01\x00")), Step.PARSE, V5),
    Line("v5 body_type of TD 1.5-ex", raw(put(48, b"\x04\x00")), Step.PARSE, V5),
    Line("v5 body size mismatch", raw(put(50, (600).to_bytes(4, "little"))), Step.PARSE, V5),
    Line("certification data without a chain (encrypted PPID)", world(encrypted_ppid=True), Step.PARSE),
    Line("reserved bytes in use", quoting(reserved3=b"\x01" * 32), Step.PARSE, SGX, True),
]
CHAIN = [
    Line("impostor subject root: of the quote", other_vendor, Step.CHAIN),
    Line("impostor subject root: of the collateral", other_collateral, Step.CHAIN),
    Line("no collateral", no_collateral, Step.CHAIN),
    Line("missing intermediate", world(no_intermediate=True), Step.PARSE),
    Line("expired PCK", world(pck_expired=True), Step.CHAIN),
    Line("not-yet PCK", world(pck_future=True), Step.CHAIN),
    Line("expired PCK CA", world(ca_expired=True), Step.CHAIN),
    Line("not-yet PCK CA", world(ca_future=True), Step.CHAIN),
    Line("expired TCB signer", world(signer_expired=True), Step.CHAIN),
    Line("not-yet TCB signer", world(signer_future=True), Step.CHAIN),
    Line("revoked PCK", world(pck_revoked=True), Step.REVOCATION),
    Line("revoked CA", world(ca_revoked=True), Step.REVOCATION),
    Line("revoked TCB signer", world(signer_revoked=True), Step.REVOCATION),
    Line("expired CRL", world(crls_expired=True), Step.REVOCATION),
    Line("future CRL", world(crls_future=True), Step.REVOCATION, library_accepts=True),
]
BINDING = [
    Line("QE hash", world(unbound_key=True), Step.SIGNATURE),
    Line("QE hash: more behind it", world(crowded_qe=True), Step.SIGNATURE, library_accepts=True),
    Line("QE of another signer", world(alien_qe=True), Step.SIGNATURE),
    Line("QE in debug mode", world(qe_debug=True), Step.SIGNATURE),
    Line("report_data: signer", report_data(0), Step.REPORT_DATA, library_accepts=True),
    Line("report_data: keys, operator, purpose, nonce", report_data(20), Step.REPORT_DATA, ALL, True),
    Line("report_data: tag", report_data(63), Step.REPORT_DATA, library_accepts=True),
]
POLICY = [
    Line("DEBUG", world(debug=True), Step.DEBUG),
    Line("SEPT_VE", world(sept_ve=True), Step.DEBUG, TDX),
    Line("service TD", world(service_td=True), Step.DEBUG, (Form.TDX_V5_15,)),
    Line("TD attribute PKS", quoting(td_attributes=bits(30)), Step.DEBUG, TDX, True),
    Line("TD attribute KL", quoting(td_attributes=bits(31)), Step.DEBUG, TDX, True),
    Line("TD attribute PERFMON", quoting(td_attributes=bits(63)), Step.DEBUG, TDX, True),
    Line("TD attribute reserved", quoting(td_attributes=bits(40)), Step.DEBUG, TDX),
    Line("xfam: no x87", quoting(xfam=bytes([0xE6, 2, 6]) + bytes(5)), Step.DEBUG, TDX, True),
    Line("xfam: unknown feature", quoting(xfam=bytes([0xE7, 2, 6]) + b"\0\0\0\0\x80"), Step.DEBUG, TDX, True),
    Line("attribute PROVISION_KEY", quoting(attributes=b"\x15" + bytes(15)), Step.DEBUG, SGX, True),
    Line("attribute INIT missing", quoting(attributes=b"\x04" + bytes(15)), Step.DEBUG, SGX, True),
    Line("CPU SVN is not the QE's", world(cpu_svn=b"\x01" * 16), Step.TCB, SGX, True),
    Line("TDX module not Intel's", world(alien_module=True), Step.TCB, TDX),
    Line("mr_seam not listed", rules(mr_seams=frozenset({b"\x01" * 48})), Step.TCB, TDX, True),
    Line("TCB: no level reached", world(unreachable=True), Step.TCB),
    Line("TCB: old QE", world(old_qe=True), Step.TCB),
    Line("TCB of the QE: OutOfDate", world(qe_status="OutOfDate"), Step.TCB, ALL, True),
    Line("TCB of the QE: Revoked", world(qe_status="Revoked"), Step.TCB),
    Line("TCB of the TDX module: OutOfDate", world(module_status="OutOfDate"), Step.TCB, TDX, True),
    Line("TCB of the TDX module: Revoked", world(module_status="Revoked"), Step.TCB, TDX),
    Line(
        "advisory deny",
        both(world(advisories=("DEV-SA-7",)), policy(rejected_advisories=frozenset({"DEV-SA-7"}))),
        Step.TCB,
        ALL,
        True,
    ),
    Line("eval floor", policy(min_tcb_eval_number=21), Step.TCB, library_accepts=True),
    Line("eval numbers differ", world(qe_eval_number=21), Step.TCB, library_accepts=True),
    Line("wrong FMSPC", world(fmspc=b"\x01" * 6), Step.TCB),
    Line("wrong PCE id", world(pce_id=b"\x00\x01"), Step.TCB, library_accepts=True),
    Line("TCB info of the other TEE", world(other_tee=True), Step.TCB),
    Line("TCB info signed by nobody", world(unsigned=True), Step.TCB),
    Line(
        "FMSPC rejected",
        rules(rejected_fmspcs=frozenset({bytes.fromhex("00906ed50000")})),
        Step.TCB,
        ALL,
        True,
    ),
    Line("SMT", both(world(smt=True), rules(require_smt_off=True)), Step.TCB, library_accepts=True),
    Line("PPID not listed", policy(platforms=frozenset({bytes(32)})), Step.TCB, library_accepts=True),
    Line("measurement: mrtd", quoting(mrtd=b"\x01" * 48), Step.MEASUREMENT, TDX, True),
    Line("measurement: mr_config_id", quoting(mr_config_id=b"\x01" * 48), Step.MEASUREMENT, TDX, True),
    Line("measurement: mr_owner", quoting(mr_owner=b"\x01" * 48), Step.MEASUREMENT, TDX, True),
    Line("measurement: mr_owner_config", quoting(mr_owner_config=b"\x01" * 48), Step.MEASUREMENT, TDX, True),
    Line("measurement: rtmr0", quoting(rtmr0=b"\x01" * 48), Step.MEASUREMENT, TDX, True),
    Line("measurement: rtmr1", quoting(rtmr1=b"\x01" * 48), Step.MEASUREMENT, TDX, True),
    Line("measurement: rtmr2", quoting(rtmr2=b"\x01" * 48), Step.MEASUREMENT, TDX, True),
    Line("rtmr3 beside a log of another", unlike_log, Step.EVENT_LOG, TDX, True),
    Line("event log of no shape", broken_log, Step.EVENT_LOG, TDX, True),
    Line("event log beside an enclave", broken_log, Step.EVENT_LOG, SGX, True),
    Line("measurement: mr_enclave", quoting(mr_enclave=b"\x01" * 32), Step.MEASUREMENT, SGX, True),
    Line("measurement: mr_signer", quoting(mr_signer=b"\x01" * 32), Step.MEASUREMENT, SGX, True),
    Line("measurement: isv_prod_id", quoting(isv_prod_id=b"\x09\0"), Step.MEASUREMENT, SGX, True),
    Line("measurement: isv_svn lower", quoting(isv_svn=b"\x06\0"), Step.MEASUREMENT, SGX, True),
    Line("measurement: config_id", quoting(config_id=b"\x01" * 64), Step.MEASUREMENT, SGX, True),
    Line("measurement: config_svn", quoting(config_svn=b"\x01\0"), Step.MEASUREMENT, SGX, True),
    Line("measurement: isv_family_id", quoting(isv_family_id=b"\x01" * 16), Step.MEASUREMENT, SGX, True),
    Line("measurement: isv_ext_prod_id", quoting(isv_ext_prod_id=b"\x01" * 16), Step.MEASUREMENT, SGX, True),
    Line("measurement: misc_select", quoting(misc_select=b"\x01\0\0\0"), Step.MEASUREMENT, SGX, True),
]
TIME = [
    Line("expired collateral", world(expired=True), Step.REVOCATION),
    Line("TCB info and QE identity expired", world(statements_expired=True), Step.TCB),
    Line("TCB info and QE identity of the future", world(statements_future=True), Step.TCB),
    Line(
        "collateral age",
        both(world(issued_days_ago=20), rules(max_collateral_age_s=7 * DAY)),
        Step.TCB,
        library_accepts=True,
    ),
]

GROUPS = {"parse": PARSE, "chain": CHAIN, "binding": BINDING, "policy": POLICY, "time": TIME}


def each() -> Iterator[tuple[str, Line, Form]]:
    """Return every line in every form that it is about, with an id in the list's words."""
    for group, lines in GROUPS.items():
        for line in lines:
            for form in line.forms:
                yield f"{group}: {line.words} [{form}]", line, form
