"""The services of Intel, AMD and NVIDIA on a port of 127.0.0.1, honest or not, over SIMULATED statements."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from enclave_runtime.attestation.collateral import AmdCollateral, IntelCollateral, NvidiaCollateral

__all__ = ["Reply", "VendorServices", "amd_routes", "intel_routes", "ocsp_route", "rim_routes"]


@dataclass(frozen=True)
class Reply:
    """What a service answers; `length` is what it says of its body's length."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


Route = Callable[[bytes], Reply]


class VendorServices:
    """Serves `routes` (path with query -> what the body of the request gets) while it is entered.

    Attributes:
        asked: every request so far, as "METHOD path".
        trickle: seconds between two bytes of each answer; 0 sends at once.
    """

    def __init__(self, routes: Mapping[str, Reply | Route]) -> None:
        self.routes: dict[str, Reply | Route] = dict(routes)
        self.asked: list[str] = []
        self.trickle = 0.0
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        """Return the address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> VendorServices:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.answer(self, b"")

            def do_POST(self) -> None:
                fake.answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        """Answer one request."""
        self.asked.append(f"{handler.command} {handler.path}")
        found = self.routes.get(handler.path, Reply(b"no such thing", 404))
        reply = found(content) if callable(found) else found
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        handler.end_headers()
        step = 1 if self.trickle else len(reply.body) or 1
        try:
            for at in range(0, len(reply.body), step):
                handler.wfile.write(reply.body[at : at + step])
                if self.trickle and self.stopped.wait(self.trickle):
                    return
        except OSError:  # whoever asked has had enough
            handler.close_connection = True


def intel_routes(
    intel: IntelCollateral, fmspc: str, *, kind: str = "tdx", hexed: bool = False, ca: str = "platform"
) -> dict[str, Reply]:
    """Return what a PCCS says of a platform; `hexed` writes lists in hex, as some do."""

    def listed(der: bytes) -> bytes:
        return der.hex().encode() if hexed else der

    def signed(member: str, text: str, signature: bytes) -> bytes:
        return f'{{"{member}":{text},"signature":"{signature.hex()}"}}'.encode()

    crl_chain = {"SGX-PCK-CRL-Issuer-Chain": quote(intel.pck_crl_issuer_chain)}
    return {
        f"/{kind}/certification/v4/tcb?fmspc={fmspc}": Reply(
            signed("tcbInfo", intel.tcb_info, intel.tcb_info_signature),
            headers={"TCB-Info-Issuer-Chain": quote(intel.tcb_info_issuer_chain)},
        ),
        f"/{kind}/certification/v4/qe/identity": Reply(
            signed("enclaveIdentity", intel.qe_identity, intel.qe_identity_signature),
            headers={"SGX-Enclave-Identity-Issuer-Chain": quote(intel.qe_identity_issuer_chain)},
        ),
        f"/sgx/certification/v4/pckcrl?ca={ca}&encoding=der": Reply(listed(intel.pck_crl), headers=crl_chain),
        "/sgx/certification/v4/rootcacrl": Reply(intel.root_ca_crl.hex().encode()),
    }


def amd_routes(amd: AmdCollateral, chip: str, levels: str) -> dict[str, Reply]:
    """Return what the KDS says of a chip."""
    pem = b"".join(
        x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in (amd.ask, amd.ark)
    )
    base = f"/vcek/v1/{amd.product}"
    return {
        f"{base}/{chip}?{levels}": Reply(amd.vek),
        f"{base}/cert_chain": Reply(pem),
        f"{base}/crl": Reply(amd.crl),
    }


def rim_routes(rims: Mapping[str, bytes]) -> dict[str, Reply]:
    """Return what the service of manifests says, by their ids."""
    return {
        f"/v1/rim/{name}": Reply(json.dumps({"id": name, "rim": base64.b64encode(rim).decode()}).encode())
        for name, rim in rims.items()
    }


def ocsp_route(nvidia: NvidiaCollateral) -> Route:
    """Return a responder that has the answers in `nvidia`."""
    by_serial = {ocsp.load_der_ocsp_response(der).serial_number: der for der in nvidia.ocsp}

    def respond(content: bytes) -> Reply:
        serial = ocsp.load_der_ocsp_request(content).serial_number
        return Reply(by_serial[serial]) if serial in by_serial else Reply(status=404)

    return respond
