"""What the holders of roles do: reference values, certifiers, parameters, revocation (protocol 4.5)."""

from __future__ import annotations

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.cvm import TcbStatus, TeeKind, root_set_hash
from enclave_runtime.wire.hashes import tagged
from marketplace.chain.artifacts import contract
from marketplace.chain.reader import Reader
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.pricing import Params

__all__ = ["Governors", "release_hash"]


def release_hash(label: str) -> bytes:
    """Return how a release label is named on chain, 32 bytes."""
    return tagged("release/v1", label.encode())


class Governors:
    """Calls that a role of the AccessManager guards."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and the key that holds the role."""
        self.reader = reader
        self.writer = writer

    def accept_measurement(
        self, measurement: bytes, tee: TeeKind, release: str, *, sent: Sent | None = None
    ) -> Receipt | None:
        """Accept a runtime's measurement; None where it is accepted already.

        Args:
            release: the label under which anybody finds the source that it was built from.
        Raises:
            ContractRefusal: the caller does not hold the role.
        """
        known, name = self.reader.node.view("ReferenceValues", "measurementOf", measurement)
        if (known, name) == (int(tee), release_hash(release)):
            return None
        arguments = (measurement, int(tee), release_hash(release))
        return self.writer.call("ReferenceValues", "acceptMeasurement", *arguments, sent=sent)

    def remove_measurement(self, measurement: bytes, *, sent: Sent | None = None) -> Receipt:
        """Stop accepting a measurement; counts at once."""
        return self.writer.call("ReferenceValues", "removeMeasurement", measurement, sent=sent)

    def accept_trust_class(
        self, root_set: str, worst_tcb: TcbStatus, *, sent: Sent | None = None
    ) -> Receipt | None:
        """Accept a root set up to a TCB level; None where that holds already. "dev:" ones are SIMULATED."""
        name = root_set_hash(root_set)
        if self.reader.node.view("ReferenceValues", "worstTcbOf", name) == worst_tcb:
            return None
        return self.writer.call("ReferenceValues", "acceptTrustClass", name, int(worst_tcb), sent=sent)

    def remove_trust_class(self, root_set: str, *, sent: Sent | None = None) -> Receipt:
        """Stop accepting a root set; counts at once."""
        return self.writer.call("ReferenceValues", "removeTrustClass", root_set_hash(root_set), sent=sent)

    def add_certifier(self, certifier: bytes, *, sent: Sent | None = None) -> Receipt | None:
        """Let a certifier's word count; None where it does."""
        if self.reader.node.view("CertifierQuorum", "isCertifier", certifier):
            return None
        return self.writer.call("CertifierQuorum", "addCertifier", certifier, sent=sent)

    def remove_certifier(self, certifier: bytes, *, sent: Sent | None = None) -> Receipt:
        """Let a certifier's word count no more."""
        return self.writer.call("CertifierQuorum", "removeCertifier", certifier, sent=sent)

    def set_threshold(self, threshold: int, *, sent: Sent | None = None) -> Receipt:
        """Say how many certificates prove a fact."""
        return self.writer.call("CertifierQuorum", "setThreshold", threshold, sent=sent)

    def revoke_cvm(self, cvm: bytes, *, sent: Sent | None = None) -> Receipt | None:
        """Revoke a CVM, for good; None where it is revoked."""
        known = self.reader.cvm(cvm)
        if known is not None and known.revoked:
            return None
        return self.writer.call("CvmRegistry", "revoke", cvm, sent=sent)

    def add_params(self, params: Params, *, sent: Sent | None = None) -> Receipt:
        """Make a new set of shares current, by way of the AccessManager; accepted orders keep theirs."""
        inner = contract("OrderBook").functions["addParams"].call(to_abi(params))
        book = self.reader.deployment.order_book
        return self.writer.call("Authority", "execute", book, inner, sent=sent)
