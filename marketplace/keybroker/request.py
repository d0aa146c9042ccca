"""The body of POST /v1/release, from a stranger, into objects that are well-formed and nothing more."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.wire.canonical import Json, JsonObject, dump
from enclave_runtime.wire.codec import bytes_from_hex, from_json
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.grant import MAX_REQUEST_BYTES, KeyRequest, SignedKeyRequest
from enclave_runtime.wire.orders import OrderPreimage, order_book_domain
from marketplace.service.jsonio import members

__all__ = ["ReleaseRequest"]


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A signed key request, the evidence for it, and the order that it names; nothing of it is verified.

    Attributes:
        signed: the request under the CVM's statement key.
        bundle: evidence made for this request's challenge.
        domain: OrderBook that the sender speaks of.
        preimage: order terms with the offer terms that they pin.
    """

    signed: SignedKeyRequest
    bundle: EvidenceBundle
    domain: Domain
    preimage: OrderPreimage

    @property
    def asked(self) -> KeyRequest:
        """The request itself."""
        return self.signed.request

    @classmethod
    def from_json(cls, body: JsonObject) -> ReleaseRequest:
        """Return the request in `body`: {request, bundle, order: {domain, preimage}, challenge}.

        Raises:
            WireError: missing, unknown or malformed members, or a challenge that is not the request's.
        """
        members(body, "request", "bundle", "order", "challenge")
        if len(dump(body["request"])) > MAX_REQUEST_BYTES:
            raise WireError(f"key request: got more than {MAX_REQUEST_BYTES} bytes")
        signed = SignedKeyRequest.from_json(body["request"])
        if bytes_from_hex(body["challenge"], 32) != signed.request.challenge:
            raise WireError("body: got another challenge than the one in the key request")
        order = members(_object(body["order"], "order"), "domain", "preimage")
        return cls(
            signed,
            EvidenceBundle.from_bytes(dump(body["bundle"])),
            _domain(_object(order["domain"], "domain")),
            from_json(OrderPreimage, order["preimage"]),
        )


def _domain(value: JsonObject) -> Domain:
    members(value, "chain_id", "order_book")
    chain_id = value["chain_id"]
    if type(chain_id) is not int or chain_id <= 0:
        raise WireError("domain: got a chain id that is no positive integer")
    return order_book_domain(chain_id, bytes_from_hex(value["order_book"], 20))


def _object(value: Json, name: str) -> JsonObject:
    if not isinstance(value, dict):
        raise WireError(f"{name}: got something else than an object")
    return value
