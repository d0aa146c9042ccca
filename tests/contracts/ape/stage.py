"""A market on ape's own local chain: every contract, a provider, its desk and certified CVM, three offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_abi.packed import encode_packed
from eth_account import Account
from eth_utils import keccak, to_canonical_address, to_checksum_address
from tight import ZERO, Offer, Price
from typed import compact, sign

MEASUREMENT = keccak(text="measurement")
ROOT_SET = keccak(text="dev:test")
FEE_BPS = 250
PENALTY_BPS = 1000
STAKE = 10**12


@dataclass
class Market:
    """What `build` deployed, and who plays in it."""

    chain_id: int
    book: Any
    book_errors: Any
    ledger: Any
    offers: Any
    providers: Any
    cvms: Any
    token: Any
    client: Any
    provider: Any
    operator: Any
    owner: Any
    treasury: Any
    client_key: str
    cvm_key: str
    cvm_id: bytes = b""
    cvm: int = 0
    for_sale: list[Offer] = field(default_factory=list)


def created(sender: Any, ahead: int) -> str:
    """Return the address of the contract that `sender` creates `ahead` transactions from now."""
    return to_checksum_address(
        keccak(rlp.encode([to_canonical_address(sender.address), sender.nonce + ahead]))[-20:]
    )


def deploy(project: Any, admin: Any, treasury: Any, certifier: str) -> dict[str, Any]:
    """Deploy every contract in its order: several know another one before it stands."""
    made: dict[str, Any] = {"token": admin.deploy(project.TestToken, "Test Dollar", "TUSD", 6)}
    authority = admin.deploy(project.Authority, admin)
    references = admin.deploy(project.ReferenceValues, authority, created(admin, 3))
    quorum = admin.deploy(project.CertifierQuorum, authority, [certifier], 1)
    book = created(admin, 7)
    offers = admin.deploy(project.OfferRegistry, book)
    cvms = admin.deploy(project.CvmRegistry, authority, book, references, [quorum])
    providers = admin.deploy(project.ProviderRegistry, offers, book, 7 * 86_400)
    leases = admin.deploy(project.LeaseBook, offers, book, authority, FEE_BPS, treasury)
    market = (authority, offers, providers, cvms, references, leases)
    parts = [
        admin.deploy(part, book, market)
        for part in (project.OrderBookEntries, project.OrderBookEndings, project.OrderBookAccounts)
    ]
    core = admin.deploy(project.OrderBook, parts, market, (FEE_BPS, PENALTY_BPS, 60, treasury))
    assert core.address == book
    references.acceptProfile(MEASUREMENT, ROOT_SET, 1, 2, keccak(text="release"), sender=admin)
    # One address, three interfaces: the life of an order, the credits that come of it, and what is refused.
    made |= {"book": project.IOrderBook.at(book), "ledger": project.ILedger.at(book)}
    made["book_errors"] = project.OrderBookAccounts.at(book)
    return made | {"offers": offers, "providers": providers, "cvms": cvms, "quorum": quorum}


def build(project: Any, accounts: Any, chain: Any) -> Market:
    """Deploy the contracts and lead everybody to the point where a client may order."""
    admin, client, provider, operator, owner, treasury = (accounts[i] for i in range(6))
    cvm_key, certifier_key = "0x" + "11" * 32, "0x" + "22" * 32
    made = deploy(project, admin, treasury, Account.from_key(certifier_key).address)
    quorum = made.pop("quorum")
    it = Market(
        chain_id=chain.chain_id, client=client, provider=provider, operator=operator, owner=owner,
        treasury=treasury, client_key=client.private_key, cvm_key=cvm_key, **made,
    )  # fmt: skip
    it.token.mint(client, 10**12, sender=admin)
    certify(it, quorum, certifier_key, chain.blocks.head.timestamp)
    sell(it, Offer(4, provider, Price(11, 3_600_007, 60, 3)), 1)
    sell(it, Offer(1, owner, Price(1_000_003, 0, 0, 2)), 1)
    sell(it, Offer(3, owner, Price(17, 777_777, 120, 0)), 1)
    compute = it.for_sale[0].id
    it.providers.openDesk(compute, it.token, operator, provider, 8, sender=provider)
    it.token.mint(provider, STAKE, sender=admin)
    it.token.approve(it.providers, STAKE, sender=provider)
    it.providers.stake(compute, it.token, STAKE, sender=provider)
    return it


def sell(it: Market, offer: Offer, number: int) -> None:
    """List an offer under the serial of its kind and `number`."""
    serial = (offer.kind << 28) | number
    it.offers.list(serial, offer.listing(it.token), sender=offer.payee)
    offer.id = (it.offers.ownerIndexOf(offer.payee) << 32) | serial
    offer.terms_hash = bytes(it.offers.termsHash(offer.id, 1))
    it.for_sale.append(offer)


def certify(it: Market, quorum: Any, certifier_key: str, now: int) -> None:
    """Register the CVM of `it.cvm_key` by one certificate."""
    signer = Account.from_key(it.cvm_key).address
    keys = (signer, keccak(text="hpke"), keccak(text="statement"), keccak(text="tls"))
    it.cvm_id = bytes(it.cvms.cvmIdOf(keys))
    claim = (*keys, it.operator.address, MEASUREMENT, 1, ROOT_SET, 1, ZERO, ZERO)
    own = (ZERO, ZERO, now, now + 86_400)
    voucher = sign(
        certifier_key, "Cloister CertifierQuorum", it.chain_id, quorum.address, "CvmCertificate",
        (it.cvm_id, *claim, *own),
    )  # fmt: skip
    types = ["address", "bytes32", "bytes32", "bytes32", "address", "bytes32", "uint8", "bytes32", "uint8"]
    evidence = encode_packed([*types, "bytes32", "bytes32"], claim)
    evidence += encode_packed(["bytes32", "bytes32", "uint40", "uint40"], own) + b"".join(compact(voucher))
    possession = (it.cvm_id, it.operator.address, it.cvms.address, ZERO)
    proof = sign(it.cvm_key, "Cloister CvmRegistry", it.chain_id, it.cvms.address, "Possession", possession)
    it.cvms.register(keys, possession, proof, quorum, evidence, sender=it.client)
    it.cvm = it.cvms.indexOf(it.cvm_id)
