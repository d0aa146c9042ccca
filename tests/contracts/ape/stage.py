"""A market on ape's own local chain: every contract, one provider with one certified CVM, four offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_abi import encode
from eth_account import Account
from eth_utils import keccak, to_canonical_address, to_checksum_address
from typed import TYPES, sign

ZERO = b"\x00" * 32
NOBODY = "0x" + "00" * 20
MEASUREMENT = keccak(text="measurement")
ROOT_SET = keccak(text="dev:test")
FEE_BPS = 250
CERTIFICATE = [part.split(" ")[0] for part in TYPES["CvmCertificate"].split(",")]


@dataclass
class Market:
    """What `build` deployed, and who plays in it."""

    chain_id: int
    book: Any
    offers: Any
    providers: Any
    cvms: Any
    token: Any
    client_key: str
    client: Any
    provider: Any
    operator: Any
    owner: Any
    treasury: Any
    cvm_key: str
    cvm_id: bytes = b""
    compute: Any = None
    inputs: list[Any] = field(default_factory=list)


def created(sender: Any, ahead: int) -> str:
    """Return the address of the contract that `sender` creates `ahead` transactions from now."""
    return to_checksum_address(
        keccak(rlp.encode([to_canonical_address(sender.address), sender.nonce + ahead]))[-20:]
    )


def offer(kind: int, token: Any, payee: Any, price: tuple[int, int, int, int, int]) -> tuple[Any, ...]:
    """Return OfferTerms of one payee; content digests for everything but compute (kind 4)."""
    content = kind != 4
    digest = keccak(text=f"digest {kind} {payee.address}") if content else ZERO
    grant_key = payee.address if content else NOBODY
    return (kind, token.address, price, [(payee.address, 10_000)], digest, digest, grant_key, 0, ZERO, ZERO)


def build(project: Any, accounts: Any, chain: Any) -> Market:
    """Deploy the contracts in their order and lead everybody to the point where a client may order."""
    admin, client, provider, operator, owner, treasury = (accounts[i] for i in range(6))
    cvm_key, certifier_key = "0x" + "11" * 32, "0x" + "22" * 32
    token = admin.deploy(project.TestToken, "Test Dollar", "TUSD", 6)
    authority = admin.deploy(project.Authority, admin)
    offers = admin.deploy(project.OfferRegistry)
    references = admin.deploy(project.ReferenceValues, authority)
    certifier = Account.from_key(certifier_key).address
    quorum = admin.deploy(project.CertifierQuorum, authority, [certifier], 1)
    cvms = admin.deploy(project.CvmRegistry, authority, [quorum])
    providers = admin.deploy(project.ProviderRegistry, created(admin, 1), 7 * 86_400)
    book = admin.deploy(
        project.OrderBook, authority, offers, providers, cvms, references, (FEE_BPS, 1000, 60, treasury)
    )
    references.acceptMeasurement(MEASUREMENT, 1, keccak(text="release"), sender=admin)
    references.acceptTrustClass(ROOT_SET, 2, sender=admin)
    providers.register(operator, sender=provider)
    token.mint(provider, 10**12, sender=admin)
    token.mint(client, 10**12, sender=admin)
    token.approve(providers, 10**12, sender=provider)
    providers.stake(token, 10**12, sender=provider)
    it = Market(
        chain.chain_id, book, offers, providers, cvms, token, client.private_key, client, provider, operator,
        owner, treasury, cvm_key,
    )  # fmt: skip
    it.cvm_id = certify(it, quorum, certifier_key, chain.blocks.head.timestamp)
    it.compute = offer(4, token, provider, (11, 3_600_007, 60, 3, 0))
    it.inputs = [
        offer(1, token, owner, (1_000_003, 0, 0, 2, 0)),
        offer(3, token, owner, (17, 777_777, 120, 0, 0)),
    ]
    offers.list(it.compute, "", sender=provider)
    for terms in it.inputs:
        offers.list(terms, "ipfs://manifest", sender=owner)
    return it


def certify(it: Market, quorum: Any, certifier_key: str, now: int) -> bytes:
    """Register the CVM of `it.cvm_key` by one certificate; return its id."""
    signer = Account.from_key(it.cvm_key).address
    keys = (signer, keccak(text="hpke"), keccak(text="statement"), keccak(text="tls"))
    cvm_id = bytes(it.cvms.cvmIdOf(keys))
    operator = it.operator.address
    certificate = (
        cvm_id, *keys, operator, MEASUREMENT, 1, ROOT_SET, 1, ZERO, ZERO, ZERO, ZERO, now, now + 86_400,
    )  # fmt: skip
    voucher = sign(
        certifier_key, "Cloister CertifierQuorum", it.chain_id, quorum.address, "CvmCertificate", certificate
    )
    evidence = encode([f"({','.join(CERTIFICATE)})[]", "bytes[]"], [[certificate], [voucher]])
    possession = (cvm_id, operator, it.cvms.address, ZERO)
    proof = sign(it.cvm_key, "Cloister CvmRegistry", it.chain_id, it.cvms.address, "Possession", possession)
    it.cvms.register(keys, possession, proof, quorum, evidence, sender=it.client)
    return cvm_id
