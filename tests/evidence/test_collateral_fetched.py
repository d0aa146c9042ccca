"""Real evidence asks for real statements: what the record has, served as the vendors' services would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.nvidia.evidence import GpuEvidence
from enclave_runtime.attestation.nvidia.needs import manifest_ids
from enclave_runtime.attestation.sev_snp.layout import KEY_VCEK, parse_report
from enclave_runtime.attestation.sev_snp.products import decode_tcb
from marketplace.collateral import CollateralUnavailableError, VendorCollateral
from tests.evidence import amd_vectors, nvidia_vectors, vectors
from tests.evidence.snp_case import vendor
from tests.fakes.vendor_services import Reply, VendorServices, amd_routes, intel_routes, rim_routes

pytestmark = vectors.REQUIRED


def source_of(running: VendorServices, folder: Path) -> VendorCollateral:
    lines = [
        f'{name} = "{running.url}{"/ocsp" if name == "ocsp" else ""}"'
        for name in ("pccs", "kds", "rim", "ocsp")
    ]
    (folder / "hosts.toml").write_text("\n".join(lines))
    return VendorCollateral(folder)


@pytest.mark.parametrize("check", [*vectors.checks("tdx-quote", "ok"), *vectors.checks("sgx-quote", "ok")])
def test_intels_statements_for_a_real_quote(check: vectors.Check, tmp_path: Path) -> None:
    name = check.check["collateral"]
    expected = vectors.collateral(name)
    intel, window = expected.need("intel"), vectors.window(name)
    kind = check.row["kind"].partition("-")[0]
    issuer = x509.load_der_x509_crl(intel.pck_crl).issuer
    ca = (
        "processor"
        if "Processor" in str(issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        else "platform"
    )
    fmspc = json.loads(intel.tcb_info)["fmspc"].lower()
    evidence = Evidence(TeeKind(kind), vectors.quote_of(check.row))
    with VendorServices(intel_routes(intel, fmspc, kind=kind, ca=ca)) as running:
        assert source_of(running, tmp_path)(evidence, (window.first + window.last) // 2) == expected


VCEKS = [item for item in amd_vectors.reports() if item.expected == "ok"]
VCEKS = [item for item in VCEKS if parse_report(item.report)[0].signing_key == KEY_VCEK]


@pytest.mark.parametrize("item", [pytest.param(item, id=item.name) for item in VCEKS])
def test_amds_statements_for_a_real_report(item: amd_vectors.SnpVector, tmp_path: Path) -> None:
    product, now = item.collateral.product, item.row["now"]
    report = parse_report(item.report)[0]
    tcb = decode_tcb(report.reported_tcb, product)
    levels = f"blSPL={tcb.bl:02}&teeSPL={tcb.tee:02}&snpSPL={tcb.snp:02}&ucodeSPL={tcb.ucode:02}"
    routes = amd_routes(item.collateral, report.chip_id.hex(), levels)
    # The record has no list: a simulated one stands in its place.
    routes[f"/vcek/v1/{product}/crl"] = Reply(vendor("Genoa").collateral(now).need("amd").crl)
    with VendorServices(routes) as running:
        evidence = Evidence(TeeKind.SEV_SNP, item.report)
        if report.chip_masked:
            with pytest.raises(CollateralUnavailableError, match="masks"):
                source_of(running, tmp_path)(evidence, now)
            return
        found = source_of(running, tmp_path)(evidence, now).need("amd")
    same = ("product", "vek", "ask", "ark")
    assert [getattr(found, name) for name in same] == [getattr(item.collateral, name) for name in same]


def test_nvidias_manifests_for_a_real_report(tmp_path: Path) -> None:
    row = next(row for row in nvidia_vectors.report_rows() if row.get("rim_match"))
    gpu = nvidia_vectors.evidence_of(nvidia_vectors.device_of(row))
    names = manifest_ids(GpuEvidence.from_bytes(gpu))
    rims = [nvidia_vectors.file(name) for name in (nvidia_vectors.DRIVER_RIM, nvidia_vectors.VBIOS_RIM)]
    with VendorServices(rim_routes(dict(zip(names, rims, strict=True)))) as running:
        # The record has no answer about this device's certificates: so it ends at OCSP, with both manifests.
        with pytest.raises(CollateralUnavailableError, match="/ocsp: got status 404"):
            source_of(running, tmp_path)(Evidence(TeeKind.NITRO, b"document", gpu=gpu), 1_720_000_000)
        assert running.asked == [*(f"GET /v1/rim/{name}" for name in names), "POST /ocsp"]
        assert len(list(tmp_path.glob("*.entry"))) == 2
