"""What the simulated vendor signs about its platform: TCB info, QE identity, the quoting enclave's report."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from enclave_runtime.attestation.dcap.layout import EnclaveBody

__all__ = ["TEE_TCB_SVN", "Dates", "qe_identity", "qe_report", "tcb_info"]

TEE_TCB_SVN = bytes([5, 1, 4]) + bytes(13)
"""Of the TD report: module level 5, module major version 1 (so identity "TDX_01")."""

_QE_MRSIGNER = bytes.fromhex("5e") * 32
_QE_ATTRIBUTES = bytes([0x11]) + bytes(15)
_QE_SVN = 4
_LEVEL_DATE = "2024-03-13T00:00:00Z"
_HOUR, _MONTH = 3600, 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Dates:
    """Unix times, in seconds, between which a statement holds."""

    issued: int
    next_update: int

    @classmethod
    def around(cls, now: int, *, expired: bool) -> Dates:
        """Return the 30 days of Intel's own cadence, begun an hour ago, or over since an hour."""
        return cls(now - _MONTH, now - _HOUR) if expired else cls(now - _HOUR, now - _HOUR + _MONTH)

    def json(self) -> dict[str, str]:
        """Return both as the fields that Intel's statements carry."""
        return {"issueDate": _iso(self.issued), "nextUpdate": _iso(self.next_update)}


def tcb_info(
    dates: Dates, status: str, eval_number: int, *, fmspc: bytes, cpu_svn: bytes, pce_svn: int
) -> str:
    """Return TCB info, version 3, whose one level is the platform's own, with `status`."""
    module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    level = {"tcbDate": _LEVEL_DATE, "tcbStatus": "UpToDate"}
    tcb = {
        "sgxtcbcomponents": [{"svn": svn} for svn in cpu_svn],
        "pcesvn": pce_svn,
        "tdxtcbcomponents": [{"svn": svn} for svn in (TEE_TCB_SVN[0], 0, *TEE_TCB_SVN[2:])],
    }
    advisories = [] if status == "UpToDate" else ["DEV-SIMULATED-SA-00001"]
    return _dump(
        {
            "id": "TDX",
            "version": 3,
            **dates.json(),
            "fmspc": fmspc.hex(),
            "pceId": "0000",
            "tcbType": 0,
            "tcbEvaluationDataNumber": eval_number,
            "tdxModule": module,
            "tdxModuleIdentities": [
                {"id": f"TDX_{TEE_TCB_SVN[1]:02X}", **module, "tcbLevels": [{"tcb": {"isvsvn": 4}, **level}]}
            ],
            "tcbLevels": [{"tcb": tcb, **level, "tcbStatus": status, "advisoryIDs": advisories}],
        }
    )


def qe_identity(dates: Dates, eval_number: int) -> str:
    """Return the identity of the quoting enclave that `qe_report` reports, at level UpToDate."""
    return _dump(
        {
            "id": "TD_QE",
            "version": 2,
            **dates.json(),
            "tcbEvaluationDataNumber": eval_number,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": _QE_ATTRIBUTES.hex(),
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": _QE_MRSIGNER.hex(),
            "isvprodid": 2,
            "tcbLevels": [{"tcb": {"isvsvn": _QE_SVN}, "tcbDate": _LEVEL_DATE, "tcbStatus": "UpToDate"}],
        }
    )


def enclave_body(**fields_: bytes) -> EnclaveBody:
    """Return an enclave's report with the given fields; all others are zero."""
    names = [field.name for field in fields(EnclaveBody)]
    zeros = {name: bytes(size) for name, size in zip(names, EnclaveBody.SIZES, strict=True)}
    return EnclaveBody(**{**zeros, **fields_})


def qe_report(cpu_svn: bytes, binding: bytes) -> bytes:
    """Return the quoting enclave's report, 384 bytes, that binds an attestation key by its digest."""
    return enclave_body(
        cpu_svn=cpu_svn,
        attributes=_QE_ATTRIBUTES,
        mr_enclave=b"\x51" * 32,
        mr_signer=_QE_MRSIGNER,
        isv_prod_id=(2).to_bytes(2, "little"),
        isv_svn=_QE_SVN.to_bytes(2, "little"),
        report_data=binding + bytes(32),
    ).encode()


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
