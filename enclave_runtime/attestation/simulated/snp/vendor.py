"""The simulated AMD with one chip: keys, certificates, revocation list and reports, byte-exact."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from enclave_runtime.attestation.collateral import AmdCollateral, Collateral
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.sev_snp import vek as veks
from enclave_runtime.attestation.sev_snp.layout import (
    CHIP_ID_BYTES,
    KEY_VCEK,
    KEY_VLEK,
    SnpReport,
    encode_report,
)
from enclave_runtime.attestation.sev_snp.products import TURIN, encode_tcb
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.attestation.simulated.snp import asn1
from enclave_runtime.attestation.simulated.snp.world import GOOD_WORLD, PARTS, TCBS, Crl, SnpWorld, Validity
from enclave_runtime.attestation.simulated.state import key_of, pem_of, reading

__all__ = ["ORGANIZATION", "SimulatedAmd"]

ORGANIZATION = "DEV SIMULATED SEV-SNP - NOT AMD"

_NO_LIST = bytes.fromhex("0500")  # DER NULL, as collateral spells "no revocation list"
_RSA_ROLES, _P384_ROLES = ("ark", "ask"), ("vcek", "vlek", "other")
_SERIALS = {"ark": 0x7F0000, "ask": 0x7F0001, "asvk": 0x7F0101, "vek": 0}
_DATES = (1_577_836_800, 2_524_607_999)  # 2020 to 2049
_HOUR, _MONTH, _YEAR = 3600, 30 * 86_400, 365 * 86_400
_CSP_ID = "CN=simulated-cloud.invalid"
_PRODUCT_NAMES = {"Milan": "Milan-B0"}

_WHO = "simulated AMD"


class SimulatedAmd:
    """Keys of one simulated AMD with one chip of one product line."""

    def __init__(
        self,
        product: str,
        chip_id: bytes,
        rsa_keys: Mapping[str, rsa.RSAPrivateKey],
        ec_keys: Mapping[str, ec.EllipticCurvePrivateKey],
    ) -> None:
        self.product = product
        self.chip_id = chip_id
        self._rsa, self._ec = dict(rsa_keys), dict(ec_keys)
        self._ark = self._authority("ark", "ark")

    @classmethod
    def create(cls, product: str = "Genoa") -> SimulatedAmd:
        """Return a vendor with a fresh chip; its slow RSA-4096 keys are made once per process."""
        chip = secrets.token_bytes(8 if product == TURIN else CHIP_ID_BYTES)
        ec_keys = {role: ec.generate_private_key(ec.SECP384R1()) for role in _P384_ROLES}
        return cls(product, chip.ljust(CHIP_ID_BYTES, b"\x00"), _rsa_keys(), ec_keys)

    @property
    def root_der(self) -> bytes:
        """Return the root certificate, DER."""
        return self._ark

    @property
    def roots(self) -> RootSet:
        """Return the root set to put into settings: "dev:<digest>"."""
        return RootSet.dev(self._ark)

    def to_state(self) -> bytes:
        """Return chip and keys, JSON: secret, for a file that only the platform can read."""
        keys = {role: pem_of(key) for role, key in (self._rsa | self._ec).items()}
        return json.dumps(
            {"product": self.product, "chip_id": self.chip_id.hex(), "root": self._ark.hex(), "keys": keys}
        ).encode()

    @classmethod
    def from_state(cls, data: bytes) -> SimulatedAmd:
        """Return the vendor that `to_state` wrote.

        Raises:
            WireError: something else.
        """
        with reading(_WHO):
            state = json.loads(data)
            keys = {role: key_of(state["keys"][role], _WHO) for role in (*_RSA_ROLES, *_P384_ROLES)}
            vendor = cls(
                str(state["product"]),
                bytes.fromhex(state["chip_id"]),
                {role: key for role, key in keys.items() if isinstance(key, rsa.RSAPrivateKey)},
                {role: key for role, key in keys.items() if isinstance(key, ec.EllipticCurvePrivateKey)},
            )
            vendor._ark = bytes.fromhex(state["root"])
            return vendor

    def collateral(self, now: int, world: SnpWorld = GOOD_WORLD) -> Collateral:
        """Return chain and revocation list around Unix time `now`, in seconds, as `world` orders them."""
        vlek = world.vlek
        issuer = "asvk" if vlek and not world.vlek_under_ask else "ask"
        return Collateral(
            amd=AmdCollateral(
                product=world.collateral_product or self.product,
                vek=self._vek(now, world, issuer),
                ask=self._authority(issuer, "ask" if world.ask_forged else "ark"),
                ark=self._ark,
                crl=self._crl(now, world, issuer),
            )
        )

    def report(self, report_data: bytes, registers: SnpRegisters, world: SnpWorld = GOOD_WORLD) -> bytes:
        """Return a report over `report_data` (64 bytes) of a guest launched as `registers` say.

        The guest's policy is that of `registers`; make it with `world.guest_policy`.
        """
        signed = bytearray(self._body(report_data, registers, world).encode())
        for offset, patch in world.patches:
            signed[offset : offset + len(patch)] = patch
        role = "other" if world.report_forged else "vlek" if world.vlek else "vcek"
        signature = self._ec[role].sign(bytes(signed), ec.ECDSA(hashes.SHA384()))
        return encode_report(bytes(signed), *decode_dss_signature(signature))

    def _body(self, report_data: bytes, registers: SnpRegisters, world: SnpWorld) -> SnpReport:
        reported = world.tcb or TCBS[self.product]
        raw = [
            encode_tcb(tcb or reported, self.product)
            for tcb in (world.current, reported, world.committed, world.launch)
        ]
        named = world.version >= 3
        family, model, stepping = world.cpuid or PARTS[self.product]
        return SnpReport(
            version=world.version,
            guest_svn=0,
            policy=registers.policy,
            family_id=bytes(16),
            image_id=bytes(16),
            vmpl=world.vmpl,
            signature_algorithm=1,
            current_tcb=raw[0],
            platform_info=world.platform_info,
            key_info=(KEY_VLEK if world.vlek else KEY_VCEK) << 2 | world.masked_chip << 1,
            reserved1=0,
            report_data=report_data,
            measurement=registers.measurement,
            host_data=registers.host_data,
            id_key_digest=bytes(48),
            author_key_digest=bytes(48),
            report_id=secrets.token_bytes(32),
            report_id_ma=b"\xff" * 32,
            reported_tcb=raw[1],
            cpuid=bytes([family, model, stepping]) if named else bytes(3),
            reserved2=bytes(21),
            chip_id=bytes(CHIP_ID_BYTES) if world.masked_chip else self.chip_id,
            committed_tcb=raw[2],
            current_version=bytes([*world.current_firmware, 0]),
            committed_version=bytes([*world.committed_firmware, 0]),
            launch_tcb=raw[3],
            launch_mitigations=world.mitigations,
            current_mitigations=world.mitigations,
            reserved3=bytes(152),
        )

    def _name(self, role: str) -> bytes:
        common = {"ark": "ARK-{}", "ask": "SEV-{}", "asvk": "SEV-VLEK-{}"}[role]
        return asn1.name(ORGANIZATION, common.format(self.product))

    def _authority(self, role: str, signer: str) -> bytes:
        key = self._rsa["ark" if role == "ark" else "ask"].public_key()
        return asn1.certificate(
            subject=self._name(role),
            issuer=self._name("ark"),
            serial=_SERIALS[role],
            dates=_DATES,
            key=key,
            extensions=asn1.authority_extensions(may_sign_lists=role == "ark"),
            issuer_key=self._rsa[signer],
        )

    def _vek(self, now: int, world: SnpWorld, issuer: str) -> bytes:
        chip = self.chip_id if world.certified_chip is None else world.certified_chip
        name = world.certified_product or _PRODUCT_NAMES.get(self.product, self.product)
        facts = veks.Vek(
            key=KEY_VLEK if world.vlek else KEY_VCEK,
            product_name=name,
            tcb=world.certified or world.tcb or TCBS[self.product],
            hwid=b"" if world.vlek else chip[:8] if name == TURIN else chip,
            csp_id=_CSP_ID if world.vlek else "",
        )
        return asn1.certificate(
            subject=asn1.name(ORGANIZATION, veks.COMMON_NAMES[facts.key]),
            issuer=self._name(issuer),
            serial=_SERIALS["vek"],
            dates=_around(now, world.validity, _YEAR if world.vlek else 7 * _YEAR),
            key=self._ec["vlek" if world.vlek else "vcek"].public_key(),
            extensions=((oid, False, value) for oid, value in veks.encode_extensions(facts).items()),
            issuer_key=self._rsa["ark" if world.vek_forged else "ask"],
        )

    def _crl(self, now: int, world: SnpWorld, issuer: str) -> bytes:
        if world.crl is Crl.ABSENT:
            return _NO_LIST
        if world.crl is Crl.GARBLED:
            return b"0\x03\x02\x01\x00"
        revoked = {"ark": world.ark_revoked, issuer: world.ask_revoked, "vek": world.vek_revoked}
        return asn1.revocation_list(
            issuer=self._name("ark"),
            dates=_around(now, world.crl, _MONTH),
            revoked=[_SERIALS[role] for role, named in revoked.items() if named],
            issuer_key=self._rsa["ask" if world.crl is Crl.FORGED else "ark"],
        )


def _around(now: int, how: Crl | Validity, length: int) -> tuple[int, int]:
    """Return dates of `length` seconds begun an hour ago, or over since an hour, or not begun for one."""
    begun = {"expired": now - _HOUR - length, "future": now + _HOUR}.get(how.value, now - _HOUR)
    return begun, begun + length


@lru_cache(maxsize=1)
def _rsa_keys() -> dict[str, rsa.RSAPrivateKey]:
    return {role: rsa.generate_private_key(65537, 4096) for role in _RSA_ROLES}
