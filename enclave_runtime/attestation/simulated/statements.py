"""What the simulated Intel vendor signs about its platform: TCB info, QE identity, the QE's own report."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from enclave_runtime.attestation.dcap.layout import SGX_DEBUG, EnclaveBody
from enclave_runtime.attestation.dcap.pck import PckExtension
from enclave_runtime.attestation.simulated.intel_world import World

__all__ = ["TEE_TCB_SVN", "Dates", "enclave_body", "qe_identity", "qe_report", "tcb_info"]

TEE_TCB_SVN = bytes([5, 1, 4]) + bytes(13)
"""Of the TD report: module level 5, module major version 1 (so identity "TDX_01")."""

_QE_MRSIGNER, _ALIEN = bytes.fromhex("5e") * 32, bytes.fromhex("a1") * 32
_QE_ATTRIBUTES = bytes([0x11]) + bytes(15)
_QE_SVN = 4
_LEVEL_DATE = "2024-03-13T00:00:00Z"
_ADVISORY = "DEV-SIMULATED-SA-00001"
_HOUR, _DAY = 3600, 24 * 3600


@dataclass(frozen=True, slots=True)
class Dates:
    """Unix times, in seconds, between which a statement holds."""

    issued: int
    next_update: int

    @classmethod
    def around(cls, now: int, *, expired: bool = False, future: bool = False, days_ago: int = 0) -> Dates:
        """Return the 30 days of Intel's own cadence, begun an hour and some days ago, or over, or to come."""
        issued = now - _HOUR - days_ago * _DAY
        if expired:
            return cls(now - 30 * _DAY, now - _HOUR)
        if future:
            issued = now + _DAY
        return cls(issued, issued + 30 * _DAY)

    def json(self) -> dict[str, str]:
        """Return both as the fields that Intel's statements carry."""
        return {"issueDate": _iso(self.issued), "nextUpdate": _iso(self.next_update)}


def tcb_info(dates: Dates, world: World, platform: PckExtension, *, sgx: bool) -> str:
    """Return TCB info, version 3, whose one level is the platform's own, with the status that is ordered."""
    advisories = world.advisories
    if advisories is None:
        advisories = () if world.tcb_status == "UpToDate" else (_ADVISORY,)
    tcb = {
        "sgxtcbcomponents": [{"svn": svn + world.unreachable} for svn in platform.cpu_svn],
        "pcesvn": platform.pce_svn,
    }
    if not sgx:
        tcb["tdxtcbcomponents"] = [{"svn": svn} for svn in (TEE_TCB_SVN[0], 0, *TEE_TCB_SVN[2:])]
    return _dump(
        {
            "id": "SGX" if sgx else "TDX",
            "version": 3,
            **dates.json(),
            "fmspc": (world.fmspc or platform.fmspc).hex(),
            "pceId": (world.pce_id or platform.pce_id).hex(),
            "tcbType": 0,
            "tcbEvaluationDataNumber": world.eval_number,
            **({} if sgx else _module(world.module_status)),
            "tcbLevels": [
                {
                    "tcb": tcb,
                    "tcbDate": _LEVEL_DATE,
                    "tcbStatus": world.tcb_status,
                    "advisoryIDs": list(advisories),
                }
            ],
        }
    )


def _module(status: str) -> dict[str, object]:
    module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    level = {"tcb": {"isvsvn": 4}, "tcbDate": _LEVEL_DATE, "tcbStatus": status}
    identity = {"id": f"TDX_{TEE_TCB_SVN[1]:02X}", **module, "tcbLevels": [level]}
    return {"tdxModule": module, "tdxModuleIdentities": [identity]}


def qe_identity(dates: Dates, world: World, *, sgx: bool) -> str:
    """Return the identity of the quoting enclave that `qe_report` reports."""
    number = world.eval_number if world.qe_eval_number is None else world.qe_eval_number
    return _dump(
        {
            "id": "QE" if sgx else "TD_QE",
            "version": 2,
            **dates.json(),
            "tcbEvaluationDataNumber": number,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": _QE_ATTRIBUTES.hex(),
            # An order for a QE in debug mode lets it pass here, so that the report itself must be looked at.
            "attributesMask": ("F9" if world.qe_debug else "FB") + "FFFFFFFFFFFFFF0000000000000000",
            "mrsigner": _QE_MRSIGNER.hex(),
            "isvprodid": 1 if sgx else 2,
            "tcbLevels": [{"tcb": {"isvsvn": _QE_SVN}, "tcbDate": _LEVEL_DATE, "tcbStatus": world.qe_status}],
        }
    )


def enclave_body(**values: bytes) -> EnclaveBody:
    """Return an enclave's report with the given fields; all others are zero."""
    names = [field.name for field in fields(EnclaveBody)]
    zeros = {name: bytes(size) for name, size in zip(names, EnclaveBody.SIZES, strict=True)}
    return EnclaveBody(**{**zeros, **values})


def qe_report(cpu_svn: bytes, binding: bytes, world: World, *, sgx: bool) -> bytes:
    """Return the quoting enclave's report, 384 bytes, that binds an attestation key by its digest."""
    svn = 0 if world.old_qe else _QE_SVN
    return enclave_body(
        cpu_svn=cpu_svn,
        attributes=bytes([_QE_ATTRIBUTES[0] | (SGX_DEBUG if world.qe_debug else 0)]) + _QE_ATTRIBUTES[1:],
        mr_enclave=b"\x51" * 32,
        mr_signer=_ALIEN if world.alien_qe else _QE_MRSIGNER,
        isv_prod_id=(1 if sgx else 2).to_bytes(2, "little"),
        isv_svn=svn.to_bytes(2, "little"),
        report_data=binding + (b"\x01" * 32 if world.crowded_qe else bytes(32)),
    ).encode()


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
