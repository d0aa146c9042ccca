"""Quotes of the simulated Intel platform, byte-exact: SGX version 3, TDX versions 4 and 5 (protocol 4.4)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.attestation.dcap import layout, pck
from enclave_runtime.attestation.simulated import certs, statements
from enclave_runtime.attestation.simulated.intel_world import Form, World
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256

__all__ = ["QuotingEnclave", "ordered_body"]

_AUTH_DATA = bytes(range(32))
_BODY_TYPES = {Form.TDX_V5_10: 2, Form.TDX_V5_15: 3}
_SERVICE_TD = b"\x5d" * 48
_SEPT_VE_DISABLE = 0x10  # of the fourth byte
_SGX_QE_SVN, _SGX_PCE_SVN = 4, 13
_ENCRYPTED_PPID = 3


@dataclass(frozen=True, slots=True)
class QuotingEnclave:
    """Signs reports: with its attestation key, which it bound in a report of its own.

    Attributes:
        key: the attestation key.
        cpu_svn: patch levels of the processor.
        endorse: returns the PCK key's signature over a report.
        certify: returns the certification data for a world.
    """

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    cpu_svn: bytes
    endorse: Callable[[bytes], bytes] = field(repr=False)
    certify: Callable[[World], bytes] = field(repr=False)

    def quote(self, body: layout.TdBody | layout.EnclaveBody, form: Form, world: World) -> bytes:
        """Return the quote of `form` over `body`, spoiled as `world` orders.

        Raises:
            WireError: a body of the other TEE.
        """
        if form.sgx != isinstance(body, layout.EnclaveBody):
            raise WireError(f"simulated quote: got a {type(body).__name__}, expected the body of {form}")
        signed = _signed(ordered_body(body, world, self.cpu_svn), form, world)
        raw_key = certs.raw_public_key(self.key)
        binding = bytes(32) if world.unbound_key else sha256(raw_key + _AUTH_DATA)
        report = statements.qe_report(self.cpu_svn, binding, world, sgx=form.sgx)
        section = layout.SignatureSection(
            signature=certs.raw_signature(self.key, signed),
            attestation_key=raw_key,
            qe_report=report,
            qe_report_signature=self.endorse(report),
            qe_auth_data=_AUTH_DATA,
            cert_type=_ENCRYPTED_PPID if world.encrypted_ppid else pck.PCK_CHAIN_PEM,
            cert_data=bytes(404) if world.encrypted_ppid else self.certify(world),
        )
        return signed + section.encode(form.version)


def ordered_body(
    body: layout.TdBody | layout.EnclaveBody, world: World, cpu_svn: bytes
) -> layout.TdBody | layout.EnclaveBody:
    """Return `body` as it comes out of a platform in `world`."""
    if isinstance(body, layout.EnclaveBody):
        flags = body.attributes[0] | (layout.SGX_DEBUG if world.debug else 0)
        attributes = bytes([flags]) + body.attributes[1:]
        return replace(body, cpu_svn=world.cpu_svn or cpu_svn, attributes=attributes)
    attributes_ = bytearray(body.td_attributes)
    attributes_[0] |= world.debug
    attributes_[3] &= 0xFF & ~(_SEPT_VE_DISABLE if world.sept_ve else 0)
    signer = b"\xa1" * 48 if world.alien_module else body.mrsigner_seam
    return replace(body, td_attributes=bytes(attributes_), mrsigner_seam=signer)


def _signed(body: layout.TdBody | layout.EnclaveBody, form: Form, world: World) -> bytes:
    header = layout.QuoteHeader(
        version=form.version,
        key_type=layout.KEY_TYPE_ECDSA_P256,
        tee_type=layout.TEE_TYPE_SGX if form.sgx else layout.TEE_TYPE_TDX,
        qe_svn=_SGX_QE_SVN if form.sgx else 0,
        pce_svn=_SGX_PCE_SVN if form.sgx else 0,
        vendor_id=layout.INTEL_QE_VENDOR_ID,
        user_data=bytes(20),
    )
    encoded = body.encode()
    if form is Form.TDX_V5_15:
        encoded += statements.TEE_TCB_SVN + (_SERVICE_TD if world.service_td else bytes(48))
    kind = _BODY_TYPES.get(form)
    descriptor = b"" if kind is None else struct.pack("<HI", kind, len(encoded))
    return header.encode() + descriptor + encoded
