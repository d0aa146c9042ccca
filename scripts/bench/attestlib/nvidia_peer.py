"""NVIDIA's own Python verifier, one verification per line of input; runs in an interpreter of its own.

`nv-local-gpu-verifier` pins other versions of our libraries, so that no process holds both. Left out of what
it does: the network (OCSP and RIM services). Its clock is set to the record's time: since then certificates
have ended. Answers each line with the seconds that one verification took, or with what went wrong.
"""

import datetime
import json
import sys
import time


def main() -> None:
    """Read paths and time from the first line, then verify once per line."""
    given = json.loads(sys.stdin.readline())
    verify = prepared(given)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        try:
            verify()
        except Exception as error:
            print(f"failed: {type(error).__name__}: {error}", flush=True)
        else:
            print(time.process_time() - start, flush=True)


def prepared(given):
    """Return one whole offline verification of the given report, chain and manifests."""
    import logging

    logging.disable(logging.CRITICAL)
    from OpenSSL import SSL, crypto

    now = datetime.datetime.fromtimestamp(given["now"], datetime.UTC)
    store_of = SSL.Context.get_cert_store

    class StoreAtTime(crypto.X509Store):
        def __init__(self):
            super().__init__()
            self.set_time(now)

    def store_at_time(context):
        store = store_of(context)
        store.set_time(now)
        return store

    crypto.X509Store, SSL.Context.get_cert_store = StoreAtTime, store_at_time
    from verifier.attestation import AttestationReport
    from verifier.cc_admin_utils import CcAdminUtils
    from verifier.config import HopperSettings
    from verifier.nvml.gpu_cert_chains import GpuCertificateChains
    from verifier.nvml.test_handle import TestHandle
    from verifier.rim import RIM
    from verifier.verifier import Verifier

    CcAdminUtils.ocsp_certificate_chain_validation = staticmethod(lambda *_: (True, "", "good", None))
    report, chain = bytes.fromhex(given["report"]), given["chain"].encode()
    driver, vbios = given["driver"], given["vbios"]

    def verify():
        settings = HopperSettings()
        settings.GPU_ARCH, settings.GPU_ARCH_NAME = 9, "HOPPER"
        parsed = AttestationReport(report, settings)
        certificates = GpuCertificateChains(TestHandle(chain)).GpuAttestationCertificateChain
        fwid = parsed.get_response_message().get_opaque_data().get_data("OPAQUE_FIELD_ID_FWID").hex()
        expect(CcAdminUtils.verify_gpu_certificate_chain(certificates, settings, fwid)[0])
        nonce = report[4:36]
        expect(
            CcAdminUtils.verify_attestation_report(parsed, certificates[0], nonce, driver, vbios, settings)
        )
        rims = {}
        for name, version in (("driver", driver), ("vbios", vbios)):
            rims[name] = RIM(rim_name=name, settings=settings, content=given[f"{name}_rim"])
            expect(rims[name].verify(version=version, settings=settings)[0])
        # The package's own method reads a module-level name that only its command line sets.
        Verifier.verify.__globals__["settings"] = settings
        expect(Verifier(parsed, rims["driver"], rims["vbios"], settings=settings).verify(settings))

    return verify


def expect(holds):
    """Fail where the library says no."""
    if not holds:
        raise ValueError("refused")


if __name__ == "__main__":
    main()
