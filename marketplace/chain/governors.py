"""What the holders of roles do: reference values, certifiers, parameters, revocation (protocol 4.5)."""

from __future__ import annotations

from collections.abc import Sequence

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.cvm import TcbStatus, TeeKind, root_set_hash
from enclave_runtime.wire.hashes import tagged
from marketplace.chain.artifacts import contract
from marketplace.chain.reader import Reader
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.pricing import Params

__all__ = ["Governors", "release_hash", "revocation_call", "waiting_time"]


def release_hash(label: str) -> bytes:
    """Return how a release label is named on chain, 32 bytes."""
    return tagged("release/v1", label.encode())


def revocation_call(cvm: bytes) -> bytes:
    """Return what CvmRegistry is sent to revoke a CVM; a multisig sends the same."""
    return contract("CvmRegistry").functions["revoke"].call(cvm)


def waiting_time(reader: Reader, account: bytes, name: str, function: str) -> int | None:
    """Return how long `account` must wait between scheduling a call and its execution, in seconds.

    Returns:
        Zero where it may call at once, None where it may not call at all.
    """
    selector = contract(name).functions[function].selector
    target = reader.node.address(name)
    at_once, delay = reader.node.view("Authority", "canCall", account, target, selector)
    return 0 if at_once else int(delay) or None


class Governors:
    """Calls that a role of the AccessManager guards."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and the key that holds the role."""
        self.reader = reader
        self.writer = writer

    def accept_profile(
        self,
        measurement: bytes,
        root_set: str,
        tee: TeeKind,
        worst_tcb: TcbStatus,
        release: str,
        *,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Accept a runtime under a root set down to a TCB status; None where that holds already.

        Args:
            root_set: id such as "intel"; "dev:" ones are SIMULATED.
            release: the label under which anybody finds the source that the runtime was built from.
        Raises:
            ContractRefusal: the caller does not hold the role, or the root set was removed.
        """
        named = root_set_hash(root_set)
        profile = self.profile(measurement, root_set, tee)
        if profile:
            floor, label = self.reader.node.views(
                [("ReferenceValues", "worstTcbOf", (profile,)), ("ReferenceValues", "releaseOf", (profile,))]
            )
            if (floor, label) == (int(worst_tcb), release_hash(release)):
                return None
        arguments = (measurement, named, int(tee), int(worst_tcb), release_hash(release))
        return self.writer.call("ReferenceValues", "acceptProfile", *arguments, sent=sent)

    def profile(self, measurement: bytes, root_set: str, tee: TeeKind) -> int:
        """Return the number of a profile, zero where nobody declared it."""
        arguments = (measurement, root_set_hash(root_set), int(tee))
        number: int = self.reader.node.view("ReferenceValues", "idOf", *arguments)
        return number

    def remove_profiles(self, profiles: Sequence[int], *, sent: Sent | None = None) -> Receipt:
        """Stop accepting profiles, by number; counts at once."""
        return self.writer.call("ReferenceValues", "removeProfiles", list(profiles), sent=sent)

    def remove_trust_class(self, root_set: str, *, sent: Sent | None = None) -> Receipt:
        """Stop accepting every profile of a root set and close it to new ones; counts at once."""
        return self.writer.call("ReferenceValues", "removeTrustClass", root_set_hash(root_set), sent=sent)

    def reopen_trust_class(self, root_set: str, *, sent: Sent | None = None) -> Receipt:
        """Let profiles of a removed root set be accepted again."""
        return self.writer.call("ReferenceValues", "reopenTrustClass", root_set_hash(root_set), sent=sent)

    def raise_floor(
        self, profiles: Sequence[int], worst_tcb: TcbStatus, *, sent: Sent | None = None
    ) -> Receipt:
        """Ask a better TCB status of profiles; counts at once."""
        arguments = (list(profiles), int(worst_tcb))
        return self.writer.call("ReferenceValues", "raiseFloor", *arguments, sent=sent)

    def lower_floor(self, profile: int, worst_tcb: TcbStatus, *, sent: Sent | None = None) -> Receipt:
        """Be content with a worse TCB status of a profile."""
        return self.writer.call("ReferenceValues", "lowerFloor", profile, int(worst_tcb), sent=sent)

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

    def set_paused(self, paused: bool, *, sent: Sent | None = None) -> Receipt | None:
        """Stop placing and accepting, or allow them again; None where it is so."""
        if self.reader.node.view("OrderBook", "isPaused") == paused:
            return None
        return self._execute("OrderBook", "setPaused", paused, sent=sent)

    def add_params(self, params: Params, *, sent: Sent | None = None) -> Receipt:
        """Make a new set of shares current, by way of the AccessManager; accepted orders keep theirs."""
        return self._execute("OrderBook", "addParams", to_abi(params), sent=sent)

    def _execute(self, name: str, function: str, *arguments: object, sent: Sent | None) -> Receipt:
        """Call what the AccessManager itself must call."""
        inner = contract(name).functions[function].call(*arguments)
        return self.writer.call("Authority", "execute", self.reader.node.address(name), inner, sent=sent)
