"""Files of evidence of every vendor, all of them simulated, as `cloister attest` reads them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.cca.token import parse_token
from enclave_runtime.attestation.cca.verify import measurement_of
from enclave_runtime.attestation.collateral import CcaCollateral, CcaPlatformKey, Collateral
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.nvidia.evidence import GpuEvidence
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.attestation.simulated.snp import SimulatedAmd, SnpWorld
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.report_data import Purpose, gpu_nonce
from tests.fakes.cose_issuers import NOW, Realm, SimulatedNitro
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.simulated_tdx import SimulatedTdx

__all__ = ["CHALLENGE", "NOW", "write_all"]

CHALLENGE = b"\x66" * 32


class Vendors:
    """One of each vendor, and the CVM whose keys the evidence binds."""

    def __init__(self) -> None:
        self.cvm, self.intel = FakeCvm(), SimulatedTdx()
        self.amd, self.nvidia = SimulatedAmd.create("Genoa"), SimulatedNvidia.create()
        self.nitro, self.realm = SimulatedNitro(), Realm()

    def bound(self, gpu: bytes | None = None) -> bytes:
        """Return report_data for this CVM."""
        return self.cvm.keys.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE, gpu=gpu)

    def bundle(self, tee: TeeKind, quote: bytes, **more: bytes | None) -> bytes:
        """Return a bundle around a quote."""
        evidence = Evidence(tee, quote, **more)
        return EvidenceBundle(evidence, self.cvm.keys, OPERATOR, Purpose.CERTIFY, CHALLENGE).to_bytes()


@lru_cache
def _vendors() -> Vendors:
    return Vendors()


def write_all(folder: Path) -> dict[str, str]:
    """Write every kind of file into `folder`; return the words that commands about them need."""
    made = _vendors()
    words = {"TMP": str(folder), "NOW": str(NOW), "BOUND": hex_of(made.bound())}
    words |= {"OPERATOR": hex_of(OPERATOR), "CHALLENGE": hex_of(CHALLENGE)}
    words |= _tdx(made, folder) | _snp(made, folder)
    debug = SimulatedNitro(debug=True).document(made.bound())
    words |= {
        "NITROROOT": made.nitro.roots.id,
        "DEBUG_SIZE": f"{len(debug)} bytes",
        "CCAROOT": RootSet.cca(made.realm.spki).id,
        "CCARUNS": hex_of(measurement_of(parse_token(made.realm.token(made.bound())))),
    }
    (folder / "nitro.cbor").write_bytes(made.nitro.document(made.bound()))
    (folder / "nitro-debug.cbor").write_bytes(debug)
    (folder / "cca.cbor").write_bytes(made.realm.token(made.bound()))
    key = CcaPlatformKey(made.realm.instance_id, made.realm.spki)
    (folder / "arm.json").write_bytes(Collateral(cca=CcaCollateral((key,))).to_bytes())
    return words


def _tdx(made: Vendors, folder: Path) -> dict[str, str]:
    intel, measured = made.intel, made.intel.measured
    collateral = intel.collateral(NOW)
    bundle = made.intel.bundle(made.cvm, CHALLENGE)
    quote = bundle.evidence.quote
    (folder / "tdx.json").write_bytes(bundle.to_bytes())
    (folder / "tdx.bin").write_bytes(quote)
    (folder / "tdx.hex").write_text(quote.hex() + "\n")
    (folder / "log.json").write_bytes(measured.event_log)
    (folder / "intel.json").write_bytes(collateral.to_bytes())
    (folder / "old.json").write_bytes(intel.collateral(NOW, tcb_status="OutOfDate").to_bytes())
    padding = 8000 - len(quote)
    (folder / "padded.bin").write_bytes(quote.ljust(8000, b"\x00"))
    (folder / "cut.bin").write_bytes(quote[:700])
    (folder / "flipped.bin").write_bytes(quote[:200] + bytes([quote[200] ^ 1]) + quote[201:])
    nonce = gpu_nonce(made.cvm.cvm_id, CHALLENGE)
    gpu = made.nvidia.evidence(nonce, GpuWorld(gpus=2))
    composite = made.bundle(
        TeeKind.TDX, intel.vendor.quote(measured.body(made.bound(gpu))), event_log=measured.event_log, gpu=gpu
    )
    (folder / "gpus.json").write_bytes(composite)
    (folder / "devices.json").write_bytes(gpu)
    (folder / "spdm.bin").write_bytes(GpuEvidence.from_bytes(gpu).devices[0].report)
    both = replace(collateral, nvidia=made.nvidia.collateral(NOW, GpuWorld(gpus=2)))
    (folder / "both.json").write_bytes(both.to_bytes())
    (folder / "policy.toml").write_text(
        f'[trust]\nroot_set = "{intel.root_set}"\nmeasurements = ["{hex_of(intel.measurement)}"]\n'
        f'[trust.gpu]\ncount = 2\nroot_sets = ["{made.nvidia.roots.id}"]\nunsafe_accept_simulated = true\n'
    )
    sizes = {"PADDING": f"{padding} zero bytes", "TRAILING": f"{padding} trailing bytes"}
    sizes["QUOTE_SIZE"] = f"{len(quote)} bytes"
    sizes["QUOTE_CUT"] = f"-c {len(quote)}"
    sizes |= {"BUNDLE_SIZE": f"{len(bundle.to_bytes())} bytes", "GPUS_SIZE": f"{len(composite)} bytes"}
    sizes |= {"DEVICES_SIZE": f"{len(gpu)} bytes", "JSON_SIZE": f'"bytes": {len(quote)},'}
    return sizes | {
        "TDXROOT": intel.root_set,
        "GPUROOT": made.nvidia.roots.id,
        "TDXRUNS": hex_of(intel.measurement),
    }


def _snp(made: Vendors, folder: Path) -> dict[str, str]:
    for name, world in (("snp", SnpWorld()), ("snp-debug", SnpWorld(debug=True))):
        registers = SnpRegisters(b"\x4d" * 48, b"\x68" * 32, world.guest_policy)
        (folder / f"{name}.bin").write_bytes(made.amd.report(made.bound(), registers, world))
    good = SnpRegisters(b"\x4d" * 48, b"\x68" * 32, SnpWorld().guest_policy)
    (folder / "amd.json").write_bytes(made.amd.collateral(NOW).to_bytes())
    return {"SNPROOT": made.amd.roots.id, "SNPRUNS": hex_of(good.digest())}
