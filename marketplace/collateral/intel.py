"""Intel's statements from its Provisioning Certification Service (PCS), or from a cache of it (PCCS).

Version 4 of the interface: TCB info and QE identity as Intel signed them, byte for byte, issuer chains from
headers, lists in DER (some caches write hex). Which platform it is, the quote's own PCK certificate says.
"""

from __future__ import annotations

import json

from cryptography import x509
from cryptography.x509.oid import NameOID

from enclave_runtime.attestation.collateral import IntelCollateral
from enclave_runtime.attestation.dcap.layout import parse_quote
from enclave_runtime.attestation.dcap.pck import parse_chain, parse_extension
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.wire.errors import WireError
from marketplace.collateral.dates import unix_time
from marketplace.collateral.hosts import Hosts
from marketplace.collateral.library import HOUR_S, Library, Statement
from marketplace.collateral.web import Answer, Question

__all__ = ["fetch_intel"]

_MAX_BYTES = 1 << 17
_STATEMENTS_ANEW_S = 6 * HOUR_S
_LISTS_ANEW_S = HOUR_S
_TCB_CHAIN = ("TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain")
_CAS = {"PCK Platform CA": "platform", "PCK Processor CA": "processor"}


def fetch_intel(evidence: Evidence, library: Library, hosts: Hosts, now: int) -> IntelCollateral:
    """Return Intel's statements about the platform that `evidence` names, at Unix time `now`, in seconds.

    Raises:
        WireError: a quote that names none.
        CollateralUnavailableError: a statement that cannot be had.
    """
    quote = parse_quote(evidence.quote)
    leaf = parse_chain(quote.signatures.cert_data)[0]
    fmspc, ca = parse_extension(leaf).fmspc.hex(), _authority(leaf)
    kind = "sgx" if evidence.tee is TeeKind.SGX else "tdx"
    own, sgx = f"{hosts.pcs}/{kind}/certification/v4", f"{hosts.pcs}/sgx/certification/v4"
    info = library.get(_statement("TCB info", f"{own}/tcb?fmspc={fmspc}", "tcbInfo", _TCB_CHAIN), now)
    chain = ("SGX-Enclave-Identity-Issuer-Chain",)
    identity = library.get(_statement("a QE identity", f"{own}/qe/identity", "enclaveIdentity", chain), now)
    crl_url = f"{sgx}/pckcrl?ca={ca}&encoding=der"
    crl = library.get(_list("the list of revoked PCKs", crl_url, ("SGX-PCK-CRL-Issuer-Chain",)), now)
    root_url = hosts.root_crl or f"{sgx}/rootcacrl"
    root_crl = library.get(_list("the root's list of revoked authorities", root_url, ()), now)
    tcb_info, tcb_info_signature = _signed_member(info.body, "tcbInfo")
    qe_identity, qe_identity_signature = _signed_member(identity.body, "enclaveIdentity")
    return IntelCollateral(
        pck_crl_issuer_chain=crl.chain,
        root_ca_crl=_der(root_crl.body),
        pck_crl=_der(crl.body),
        tcb_info_issuer_chain=info.chain,
        tcb_info=tcb_info,
        tcb_info_signature=tcb_info_signature,
        qe_identity_issuer_chain=identity.chain,
        qe_identity=qe_identity,
        qe_identity_signature=qe_identity_signature,
    )


def _authority(leaf: x509.Certificate) -> str:
    names = [str(name.value) for name in leaf.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)]
    for words, ca in _CAS.items():
        if any(name.endswith(words) for name in names):  # behind "Intel SGX", or "DEV SIMULATED"
            return ca
    raise WireError(f"pck certificate: got issuer {names[:1]}, expected one of {sorted(_CAS)}")


def _statement(words: str, url: str, member: str, chain: tuple[str, ...]) -> Statement:
    def until(answer: Answer) -> int:
        return unix_time(json.loads(_signed_member(answer.body, member)[0])["nextUpdate"])

    return Statement(words, Question(url, _MAX_BYTES, chain_headers=chain), _STATEMENTS_ANEW_S, until)


def _list(words: str, url: str, chain: tuple[str, ...]) -> Statement:
    def until(answer: Answer) -> int:
        end = x509.load_der_x509_crl(_der(answer.body)).next_update_utc
        if end is None:
            raise WireError("crl: got a list without an end")
        return int(end.timestamp())

    return Statement(words, Question(url, _MAX_BYTES, chain_headers=chain), _LISTS_ANEW_S, until)


def _signed_member(body: bytes, name: str) -> tuple[str, bytes]:
    """Return member `name` exactly as it stands in `body`, since that is signed, and its signature.

    Raises:
        WireError: another shape than {name: {...}, "signature": hex}.
    """
    text = body.decode("utf-8")
    head = f'{{"{name}":'
    if not text.startswith(head):
        raise WireError(f"pcs: got {text[:40]!r}, expected {head}")
    _, end = json.JSONDecoder().raw_decode(text, len(head))
    rest = json.loads("{" + text[end:].lstrip(","))
    if not isinstance(rest, dict) or rest.keys() != {"signature"}:
        raise WireError(f"pcs: got members {sorted(rest)[:8]} beside {name}, expected the signature")
    return text[len(head) : end], bytes.fromhex(rest["signature"])


def _der(body: bytes) -> bytes:
    """Return DER, which some caches write in hex."""
    return body if body[:1] == b"\x30" and body[1:2] >= b"\x80" else bytes.fromhex(body.decode("ascii"))
