// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Authority} from "../../../../contracts/Authority.sol";
import {LeaseBook} from "../../../../contracts/LeaseBook.sol";
import {TestToken} from "../../../../contracts/mocks/TestToken.sol";
import {Lease, LeaseTerms, TopUp} from "../../../../contracts/types/Leases.sol";
import {OwnersStub} from "../utils/OwnersStub.sol";

/// @notice One dataset with lease terms, its people and an OrderBook that the test plays.
abstract contract Leases is Test {
    uint256 internal constant T0 = 1_800_000_000;
    uint64 internal constant OFFER = (uint64(7) << 32) | (3 << 28) | 1;
    uint64 internal constant OTHER_OFFER = (uint64(8) << 32) | (2 << 28) | 1;
    uint32 internal constant VERSION = 2;
    bytes32 internal constant TERMS_HASH = keccak256("terms of the version");
    uint128 internal constant PRICE = 1_000_003;
    uint32 internal constant PERIOD = 1000;
    uint16 internal constant FEE_BPS = 250;

    address internal admin = makeAddr("admin");
    address internal treasury = makeAddr("treasury");
    address internal owner = makeAddr("owner");
    address internal coAuthor = makeAddr("co-author");
    address internal lastPayee = makeAddr("last payee");
    address internal lessee = makeAddr("lessee");
    address internal sponsor = makeAddr("sponsor");
    address internal poker = makeAddr("poker");
    address internal book = makeAddr("OrderBook");
    Authority internal authority;
    OwnersStub internal offers;
    LeaseBook internal leases;
    TestToken internal token;

    function setUp() public virtual {
        vm.warp(T0);
        authority = new Authority(admin);
        offers = new OwnersStub();
        offers.setOwner(OFFER, owner);
        offers.setTerms(OFFER, VERSION, TERMS_HASH);
        leases = new LeaseBook(offers, book, address(authority), FEE_BPS, treasury);
        token = new TestToken("Test Dollar", "TUSD", 6);
        address[4] memory rich = [lessee, sponsor, poker, address(this)];
        for (uint256 i = 0; i < rich.length; ++i) {
            token.mint(rich[i], 1e48);
            vm.prank(rich[i]);
            token.approve(address(leases), type(uint256).max);
        }
    }

    // ------------------------------------------------------------------------------------------- terms
    function _terms() internal view returns (LeaseTerms memory terms) {
        terms = LeaseTerms({
            offer: OFFER,
            version: VERSION,
            termsHash: TERMS_HASH,
            token: address(token),
            pricePerPeriod: PRICE,
            periodSeconds: PERIOD,
            maxPeriods: 3,
            places: 2,
            noticeSeconds: 300,
            minSeconds: 100,
            maxFeeBps: 1000,
            payeesHash: _payeesHash(_payees()),
            salt: keccak256("salt")
        });
    }

    function _bytes(LeaseTerms memory t) internal pure returns (bytes memory) {
        return bytes.concat(
            abi.encodePacked(t.offer, t.version, t.termsHash, t.token, t.pricePerPeriod, t.periodSeconds, t.maxPeriods),
            abi.encodePacked(t.places, t.noticeSeconds, t.minSeconds, t.maxFeeBps, t.payeesHash, t.salt)
        );
    }

    /// @dev Three whose shares do not divide evenly.
    function _payees() internal view returns (bytes memory) {
        return abi.encodePacked(owner, uint16(3333), coAuthor, uint16(3333), lastPayee, uint16(3334));
    }

    function _payeesHash(bytes memory payees) internal pure returns (bytes32) {
        bytes32 typehash = keccak256("Payee(address account,uint16 bps)");
        bytes memory row;
        for (uint256 at = 0; at < payees.length; at += 22) {
            uint256 word = 0;
            for (uint256 i = 0; i < 22; ++i) {
                word = (word << 8) | uint8(payees[at + i]);
            }
            row = bytes.concat(row, keccak256(abi.encode(typehash, word >> 16, word & 0xffff)));
        }
        return keccak256(row);
    }

    function _open(LeaseTerms memory terms) internal {
        vm.prank(owner);
        leases.openTerms(_bytes(terms), _payees());
    }

    function _giveNotice(LeaseTerms memory terms) internal {
        vm.prank(owner);
        leases.giveNotice(_bytes(terms));
    }

    // ------------------------------------------------------------------------------------------- leases
    function _leaseBytes(LeaseTerms memory terms) internal view returns (bytes memory) {
        return _leaseBytes(terms, lessee, lessee, 1);
    }

    function _leaseBytes(LeaseTerms memory terms, address lessee_, address payer, uint64 salt)
        internal
        pure
        returns (bytes memory)
    {
        return bytes.concat(_bytes(terms), abi.encodePacked(lessee_, payer, salt));
    }

    /// @dev Opens the usual terms and buys `periods` for the lessee, who pays himself.
    function _leased(uint256 periods) internal returns (bytes memory data, bytes32 id) {
        return _leasedBy(lessee, periods);
    }

    function _leasedBy(address payer, uint256 periods) internal returns (bytes memory data, bytes32 id) {
        _open(_terms());
        data = _leaseBytes(_terms(), lessee, payer, 1);
        vm.prank(payer);
        id = leases.lease(data, periods);
    }

    function _take(bytes32 id, uint256 until) internal {
        vm.prank(book);
        leases.take(id, lessee, OFFER, VERSION, TERMS_HASH, until);
    }

    function _free(bytes32 id) internal {
        vm.prank(book);
        leases.free(id);
    }

    function _end(bytes memory data) internal {
        vm.prank(lessee);
        leases.end(data);
    }

    function _recall(bytes memory data) internal {
        vm.prank(owner);
        leases.recall(data);
    }

    function _get(bytes32 id) internal view returns (Lease memory) {
        return leases.leaseOf(id);
    }

    function _endOf(bytes32 id) internal view returns (uint256) {
        Lease memory got = _get(id);
        return uint256(got.start) + got.paid;
    }

    function _credit(address account) internal view returns (uint256) {
        return leases.creditOf(address(token), account);
    }

    /// @dev What all have been credited so far; a test in which somebody withdraws adds that.
    function _credited() internal view returns (uint256) {
        return _credit(owner) + _credit(coAuthor) + _credit(lastPayee) + _credit(treasury) + _credit(lessee)
            + _credit(sponsor);
    }

    function _held() internal view returns (uint256) {
        return token.balanceOf(address(leases));
    }
}
