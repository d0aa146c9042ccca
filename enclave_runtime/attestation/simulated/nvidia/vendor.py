"""The simulated vendor of GPUs: two roots, devices that answer nonces, and collateral to order."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.attestation.collateral.nvidia import NvidiaCollateral
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.simulated.nvidia import answers, manifests, reports
from enclave_runtime.attestation.simulated.nvidia.certs import (
    Dates,
    issue,
    new_key,
    raw_signature,
    spki,
)
from enclave_runtime.attestation.simulated.nvidia.world import GOOD, GpuWorld
from enclave_runtime.attestation.simulated.state import Identity, identities_of, state_of
from enclave_runtime.wire import canonical
from enclave_runtime.wire.hashes import sha256

__all__ = ["Answer", "SimulatedNvidia"]

_TYPE = "cloister/gpu-evidence/v1"
_DAY_S = answers.DAY_S
_RIM_SIGNER_DATES = {"expired": (-800, -70), "future": (20, 700)}

Answer = tuple[str, bytes, tuple[bytes, ...]]
"""What one device answers: kind, report, certificates in DER, leaf first."""

# Role -> (common name, role of the issuer); "{}" is the chip, and roles of devices carry their place.
_AUTHORITIES = {
    "device root": ("DEV SIMULATED Device Identity CA", None),
    "rim root": ("DEV SIMULATED CoRIM signing Root CA", None),
    "rim root ca": ("DEV SIMULATED Reference Value CA", "rim root"),
    "rim ca": ("DEV SIMULATED Reference Value L3 001", "rim root ca"),
}


class SimulatedNvidia:
    """Keys and certificates of one simulated vendor and of every device that it was ever asked for."""

    def __init__(self, identities: dict[str, Identity]) -> None:
        self._of = dict(identities)

    @classmethod
    def create(cls) -> SimulatedNvidia:
        """Return a vendor with fresh keys."""
        vendor = cls({})
        for role in _AUTHORITIES:
            vendor._identity(role)
        return vendor

    @property
    def roots(self) -> GpuRoots:
        """Return the roots to put into settings: "dev:<digest>"."""
        return GpuRoots.dev(self._identity("device root").der, self._identity("rim root").der)

    def to_state(self) -> bytes:
        """Return keys and certificates, JSON: secret, for a file that only the platform can read."""
        return state_of(self._of)

    @classmethod
    def from_state(cls, data: bytes) -> SimulatedNvidia:
        """Return the vendor that `to_state` wrote.

        Raises:
            WireError: something else.
        """
        return cls(identities_of(data, "simulated GPUs", ec.SECP384R1))

    def evidence(self, nonce: bytes, world: GpuWorld = GOOD) -> bytes:
        """Return what all devices of `world` answer to `nonce` (32 bytes), as GPU evidence."""
        devices = [
            {"kind": kind, "report": report.hex(), "chain": [der.hex() for der in chain]}
            for kind, report, chain in self.answers(nonce, world)
        ]
        return canonical.dump({"type": _TYPE, "devices": devices})

    def answers(self, nonce: bytes, world: GpuWorld = GOOD) -> list[Answer]:
        """Return what each device answers to `nonce`: GPUs first, then switches."""
        places = range(world.gpus + world.switches)
        found = [self._answer(place, nonce, world) for place in places]
        if world.duplicate:
            other = (world.device + 1) % max(world.gpus, 1)
            found[other] = self._answer(world.device, nonce, world)
        return found

    def device_serial(self, place: int, world: GpuWorld = GOOD) -> int:
        """Return the serial number of the leaf of the device at `place`."""
        leaf, _ = self._leaf(place, world)
        return leaf.cert.serial_number

    def collateral(self, now: int, world: GpuWorld = GOOD) -> NvidiaCollateral:
        """Return manifests and OCSP answers around Unix time `now`, in seconds, as `world` orders."""
        chain = self._rim_chain(now, world)
        rims = tuple(self._manifest(name, world, chain) for name in _wanted(world))
        if world.ocsp == "missing" and not world.revoked:
            return NvidiaCollateral(rims)
        asked: dict[bytes, tuple[str, Identity, Identity]] = {}
        for place in range(world.gpus + world.switches):
            roles = self._chain_roles(place, world)
            for role, issuer in pairwise(roles):
                word = role.split()[-1]
                asked[self._identity(role).der] = (word, self._identity(role), self._identity(issuer))
        words = ("rim signer", "rim ca", "rim root ca")
        for word, (identity, signed_by) in zip(words, pairwise(chain), strict=True):
            asked[identity.der] = (word, identity, signed_by)
        return NvidiaCollateral(
            rims, tuple(_said(item, now, world) for item in asked.values() if _is_said(item, world))
        )

    def _answer(self, place: int, nonce: bytes, world: GpuWorld) -> Answer:
        bad = world.about(place)
        switch = place >= world.gpus
        leaf, fwid = self._leaf(place, world)
        asked = secrets.token_bytes(32) if bad and world.other_machine else nonce
        changed = set(world.changed if bad else ())
        if bad and world.leaf in ("debug", "recovery", "insecure") and world.architecture == "HOPPER":
            changed |= {1, 2, 21}  # firmware of another kind: Hopper has no other way to say so
        if switch:
            parts = [reports.golden("switch", "LS10", world.switch_bios)]
            seen = [self._pdi("gpu", number) for number in range(world.gpus)]
            if world.links == "other gpus" and place == world.gpus:
                seen[0] = self._pdi("gpu", 99)
            fields = reports.switch_fields(world.switch_bios, self._pdi("switch", place - world.gpus), seen)
        else:
            parts = [
                reports.golden("driver", world.chip, world.driver),
                reports.golden("firmware", world.chip, world.vbios),
            ]
            fields = reports.gpu_fields(world, fwid, self._linked(bad, world))
        values = reports.measured(parts, 31 if switch else 64, changed)
        signed = reports.unsigned_report(asked, values, secrets.token_bytes(32), fields)
        key = leaf.key if world.signature or not bad else new_key()
        chain = self._chain(place, world, leaf)
        return "nvswitch" if switch else "gpu", signed + raw_signature(key, signed), chain

    def _linked(self, bad: bool, world: GpuWorld) -> list[bytes]:
        if bad and world.links == "missing":
            return []
        strange = bad and world.links == "strange"
        return [
            self._pdi("switch", 77 if strange and not number else number) for number in range(world.switches)
        ]

    def _leaf(self, place: int, world: GpuWorld) -> tuple[Identity, bytes]:
        """Return the leaf of a device under the orders about it, and the firmware id in its reports."""
        bad, switch = world.about(place), place >= world.gpus
        architecture, chip = ("LS10", "LS_10") if switch else (world.architecture, world.chip)
        rom_role = self._chain_roles(place, world)[0]
        rom = self._identity(rom_role)
        key = self._identity(rom_role.removesuffix("rom") + "leaf key").key
        version = world.switch_bios if switch else world.vbios
        fwid = hashlib.sha384(f"DEV SIMULATED {chip} FMC {version}".encode()).digest()
        order = world.leaf if bad else "good"
        named = hashlib.sha384(b"other firmware").digest() if order == "other firmware" else fwid
        rom_key = spki(new_key() if order == "other rom" else rom.key)
        extension = reports.dice_extension(architecture, rom_key, named, order)
        extensions = [] if order == "no extension" else [(reports.DICE_OID[architecture], extension)]
        engine = "FSP" if switch else "GSP"
        return issue(f"{chip} A01 {engine} FMC LF", key, rom, ca=False, extensions=extensions), fwid

    def _chain(self, place: int, world: GpuWorld, leaf: Identity) -> tuple[bytes, ...]:
        order = world.chain if world.about(place) else "good"
        roles = self._chain_roles(place, world)
        if order == "impostor":
            impostor = SimulatedNvidia.create()
            impostor._of |= {role: item for role, item in self._of.items() if role.endswith("leaf key")}
            return impostor._chain(place, replace(world, chain="good"), impostor._leaf(place, world)[0])
        if order == "swapped":
            leaf, _ = self._leaf(place + 1, replace(world, gpus=world.gpus + 1))
        if order == "other kind":
            other = replace(world, chain="good", gpus=1, switches=1, leaf="good")
            return self._chain(1, other, self._leaf(1, other)[0])
        ders = [leaf.der, *(self._identity(role).der for role in roles)]
        return tuple(ders[:2] + ders[3:] if order == "short" else ders)

    def _chain_roles(self, place: int, world: GpuWorld) -> list[str]:
        """Return the roles above a device's leaf, nearest first."""
        if place >= world.gpus:
            return [
                f"LS10 switch {place - world.gpus} rom",
                "LS10 provisioner",
                "LS10 identity",
                "device root",
            ]
        chip = world.chip
        return [f"{chip} gpu {place} rom", f"{chip} provisioner", f"{chip} identity", "device root"]

    def _identity(self, role: str) -> Identity:
        """Return the identity of a role, made when it is first asked for."""
        if role not in self._of:
            chip, _, rest = role.partition(" ")
            if role in _AUTHORITIES:
                name, issuer = _AUTHORITIES[role]
            elif rest == "identity":
                name, issuer = f"DEV SIMULATED {_written(chip)} Identity", "device root"
            elif rest == "provisioner":
                name, issuer = f"DEV SIMULATED {_written(chip)} Provisioner ICA 1", f"{chip} identity"
            elif rest.endswith("rom"):
                engine = "FSP" if chip == "LS10" else "GSP"
                name, issuer = f"{_written(chip)} A01 {engine} BROM", f"{chip} provisioner"
            else:
                name, issuer = role, None  # a key that certificates of its own are made for when needed
            self._of[role] = issue(name, new_key(), self._identity(issuer) if issuer else None)
        return self._of[role]

    def _rim_chain(self, now: int, world: GpuWorld) -> list[Identity]:
        """Return signer, authorities and root of manifests, the signer fresh."""
        source = SimulatedNvidia.create() if world.rim == "impostor" else self
        first, last = _RIM_SIGNER_DATES.get(world.rim, (-60, 660))
        dates = Dates(now + first * _DAY_S, now + last * _DAY_S)
        authorities = [source._identity(role) for role in ("rim ca", "rim root ca", "rim root")]
        return [
            issue("DEV SIMULATED RIM L4 Signer", new_key(), authorities[0], ca=False, dates=dates),
            *authorities,
        ]

    def _manifest(self, name: str, world: GpuWorld, chain: list[Identity]) -> bytes:
        chip, version = {
            "driver": (world.chip, world.driver),
            "firmware": (world.chip, world.vbios),
            "switch": ("LS10", world.switch_bios),
        }[name]
        values = reports.golden(name, chip, version)
        if world.rim == "conflict" and name == "firmware":
            values[21] = reports.golden("driver", world.chip, world.driver)[21]
        blocks = 31 if name == "switch" else 64
        ders = tuple(identity.der for identity in chain)
        signed = manifests.signed_manifest(chip, version, values, blocks, chain[0].key, ders)
        if world.rim == "tampered":
            value = next(iter(values.values())).hex().encode()
            signed = signed.replace(value, hashlib.sha384(value).hexdigest().encode())
        return signed

    def _pdi(self, kind: str, number: int) -> bytes:
        return sha256(self._identity("device root").der + f"{kind} {number}".encode())[:8]


def _written(chip: str) -> str:
    """Return a chip's name as certificates write it."""
    return "LS_10" if chip == "LS10" else chip


def _wanted(world: GpuWorld) -> list[str]:
    names = ["driver", "firmware", *(["switch"] if world.switches else [])]
    return [] if world.rim_missing == "all" else [name for name in names if name != world.rim_missing]


def _is_said(item: tuple[str, Identity, Identity], world: GpuWorld) -> bool:
    return world.ocsp != "missing" or item[0] == world.revoked


def _said(item: tuple[str, Identity, Identity], now: int, world: GpuWorld) -> bytes:
    word, identity, issuer = item
    return answers.answer(identity.cert, issuer, now, "revoked" if word == world.revoked else world.ocsp)
