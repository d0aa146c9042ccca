// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {
    BlacklistToken,
    BonusToken,
    FalseToken,
    FeeToken,
    MintableToken,
    ReentrantToken
} from "../../../../contracts/mocks/HostileTokens.sol";
import {LeaseTerms, TopUp} from "../../../../contracts/types/Leases.sol";
import {Leases} from "../leases/Leases.sol";

/// @notice Each test is a theft that somebody tried on leases, and fails to commit.
contract LeaseTheftsTest is Leases {
    /// @dev The lessee's side: start an order under the lease, take the money back, let the order run for nothing.
    function test_LeaseEndedUnderARunningOrder_ByTheLessee() external {
        (bytes memory data, bytes32 id) = _leased(1);
        skip(100);
        _take(id, T0 + PERIOD);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_PlacesTaken.selector, id, 1));
        _end(data);
        skip(800);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_PlacesTaken.selector, id, 1));
        _end(data);
        _free(id);
        _end(data);
        assertEq(_credit(lessee), PRICE - uint256(PRICE) * 900 / PERIOD, "the order's time is paid");
    }

    /// @dev The owner's side: sell, let the order start, withdraw the right while it runs.
    function test_LeaseEndedUnderARunningOrder_ByTheOwner() external {
        (bytes memory data, bytes32 id) = _leased(3);
        _take(id, T0 + 2500);
        offers.setTerms(OFFER, VERSION, 0);
        _giveNotice(_terms());
        _recall(data);
        assertEq(_endOf(id), T0 + 2500);
        skip(1000);
        vm.expectPartialRevert(Errors.LeaseBook_EndsAnyway.selector);
        _recall(data);
        assertEq(_get(id).left, 1);
        skip(1500);
        _free(id);
        leases.collect(data, _payees());
        assertEq(_credited(), 3 * PRICE);
    }

    /// @dev Lease what costs a fixed price an order, use it for a minute, take the rest back.
    function test_LeaseForAMinute() external {
        (bytes memory data, bytes32 id) = _leased(1);
        _take(id, T0 + 60);
        skip(60);
        _free(id);
        _end(data);
        assertEq(_credit(lessee), PRICE - uint256(PRICE) * 100 / PERIOD, "the least time is paid");
        skip(40);
        leases.collect(data, _payees());
        assertEq(_credited(), PRICE);
    }

    /// @dev A sponsor allowed the book once, for one lease; the lessee makes it pay for ever.
    function test_LesseeSpendsTheSponsorsAllowance() external {
        (bytes memory data, bytes32 id) = _leasedBy(sponsor, 1);
        uint256 left = token.balanceOf(sponsor);
        TopUp memory all = TopUp(type(uint16).max, type(uint40).max, type(uint32).max);
        vm.startPrank(lessee);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotPayer.selector, id, lessee, sponsor));
        leases.setTopUp(data, all);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoTopUp.selector, id));
        leases.renewFor(data);
        // A lease of his own with the sponsor as payer is not his to buy.
        bytes memory forged = _leaseBytes(_terms(), lessee, sponsor, 2);
        vm.expectPartialRevert(Errors.LeaseBook_NotPayer.selector);
        leases.lease(forged, 1);
        assertEq(token.balanceOf(sponsor), left);
    }

    /// @dev Be given a lease, end it, keep the refund.
    function test_LesseeTakesTheSponsorsRefund() external {
        (bytes memory data,) = _leasedBy(sponsor, 3);
        skip(100);
        _end(data);
        assertEq(_credit(lessee), 0);
        assertEq(_credit(sponsor), 3 * uint256(PRICE) - uint256(PRICE) * 100 / PERIOD);
        vm.expectPartialRevert(Errors.Ledger_NothingCredited.selector);
        leases.withdraw(address(token), lessee);
    }

    /// @dev Buy by cheap terms, have it paid back by dear ones, out of what others paid.
    function test_RefundByOtherTerms() external {
        LeaseTerms memory dear = _terms();
        dear.pricePerPeriod = PRICE * 1000;
        _open(dear);
        _leased(1);
        bytes memory swapped = _leaseBytes(dear);
        bytes32 id = leases.leaseIdOf(swapped);
        skip(100);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoLease.selector, id));
        _end(swapped);
    }

    /// @dev One lease, another's model.
    function test_LeaseOfOneOfferUsedForAnother() external {
        (, bytes32 id) = _leased(1);
        vm.startPrank(book);
        vm.expectPartialRevert(Errors.LeaseBook_OtherUse.selector);
        leases.take(id, lessee, OTHER_OFFER, VERSION, TERMS_HASH, T0 + 1);
        vm.expectPartialRevert(Errors.LeaseBook_OtherUse.selector);
        leases.take(id, poker, OFFER, VERSION, TERMS_HASH, T0 + 1);
    }

    /// @dev Sell more orders at once than the owner sold.
    function test_PlacesTakenTwice() external {
        (, bytes32 id) = _leased(1);
        _take(id, T0 + 1);
        _take(id, T0 + 1);
        vm.expectPartialRevert(Errors.LeaseBook_NoPlace.selector);
        _take(id, T0 + 1);
    }

    /// @dev Sell for a month, then close the offer: the lessee paid for nothing.
    function test_OfferClosedUnderALease() external {
        (bytes memory data, bytes32 id) = _leased(1);
        offers.setTerms(OFFER, VERSION, 0);
        _take(id, T0 + PERIOD);
        _free(id);
        // And whoever gets no keys from the owner takes his money back by himself.
        skip(100);
        _end(data);
        assertEq(_credit(lessee), PRICE - uint256(PRICE) * 100 / PERIOD);
    }

    /// @dev Sell cheap, renew dear: new terms are another id, and renewals by the old ones stop by notice alone.
    function test_PriceRaisedUnderALease() external {
        (bytes memory data,) = _leased(1);
        LeaseTerms memory dear = _terms();
        dear.pricePerPeriod = PRICE * 2;
        _open(dear);
        uint256 before = token.balanceOf(poker);
        vm.prank(poker);
        leases.renew(data, 1);
        assertEq(before - token.balanceOf(poker), PRICE);
    }

    /// @dev A fee read when it is paid out would take from leases that were sold by a lower one.
    function test_FeeRaisedUnderALease() external {
        (bytes memory data,) = _leased(1);
        vm.prank(admin);
        leases.setFee(1000, treasury);
        skip(PERIOD);
        leases.collect(data, _payees());
        assertEq(_credit(treasury), uint256(PRICE) * FEE_BPS / 10_000);
    }

    /// @dev Income credited by one list of payees and again by another.
    function test_PayeesChangedUnderALease() external {
        (bytes memory data,) = _leased(1);
        skip(10);
        bytes memory own = abi.encodePacked(poker, uint16(10_000));
        vm.expectPartialRevert(Errors.LeaseBook_OtherPayees.selector);
        leases.collect(data, own);
    }

    /// @dev Asking every second rounds every payee down every second, and the pennies are nobody's.
    function test_CollectedBySeconds() external {
        LeaseTerms memory terms = _terms();
        (terms.pricePerPeriod, terms.periodSeconds) = (7, 100);
        _open(terms);
        bytes memory data = _leaseBytes(terms);
        vm.prank(lessee);
        leases.lease(data, 1);
        for (uint256 i = 0; i < 100; ++i) {
            skip(1);
            leases.collect(data, _payees());
        }
        assertEq(_credited(), 7);
        assertEq(_credit(owner), 2, "7 x 0.3333 down, fee of nothing");
        assertEq(_credit(lastPayee), 3);
    }

    function test_PayeeRefusedByTheTokenHoldsUpNobody() external {
        BlacklistToken bad = new BlacklistToken();
        bytes memory data = _in(bad);
        vm.prank(lessee);
        leases.lease(data, 1);
        bad.refuse(owner, true);
        skip(PERIOD);
        leases.collect(data, _payees());
        vm.expectRevert(abi.encodeWithSelector(BlacklistToken.Refused.selector, owner));
        leases.withdraw(address(bad), owner);
        leases.withdraw(address(bad), coAuthor);
        leases.withdraw(address(bad), lastPayee);
        leases.withdraw(address(bad), treasury);
        assertEq(bad.balanceOf(address(leases)), leases.creditOf(address(bad), owner));
    }

    function test_TokenThatLiesIsRefusedAtLeaseAndRenewal() external {
        MintableToken[2] memory liars = [MintableToken(new FeeToken()), MintableToken(new BonusToken())];
        for (uint256 i = 0; i < 2; ++i) {
            bytes memory data = _in(liars[i]);
            vm.expectPartialRevert(Errors.Escrow_ReceivedOther.selector);
            vm.prank(lessee);
            leases.lease(data, 1);
        }
        FalseToken bad = new FalseToken();
        bytes memory falseData = _in(bad);
        bytes memory refused = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, bad);
        vm.startPrank(lessee);
        vm.expectRevert(refused);
        leases.lease(falseData, 1);
        bad.setHonest(true);
        bytes32 id = leases.lease(falseData, 1);
        bad.setHonest(false);
        vm.expectRevert(refused);
        leases.renew(falseData, 1);
        assertEq(_get(id).paid, PERIOD);
    }

    /// @dev In the middle of paying, end the lease and fetch the refund: the credit comes, the money waits.
    function test_ReentrantTokenFetchesARefundBeforeItPaid() external {
        ReentrantToken bad = new ReentrantToken();
        bytes memory data = _in(bad);
        vm.prank(lessee);
        leases.lease(data, 2);
        skip(100);
        _end(data);
        uint256 refund = leases.creditOf(address(bad), lessee);
        bytes memory second = bytes.concat(data);
        second[208] = 0x02;
        bad.arm(address(leases), abi.encodeCall(leases.withdraw, (address(bad), lessee)));
        vm.prank(lessee);
        leases.lease(second, 1);
        assertEq(bad.tried(), 1);
        assertEq(bad.succeeded(), 0);
        assertEq(leases.creditOf(address(bad), lessee), refund);
        assertEq(bad.balanceOf(address(leases)), 3 * uint256(PRICE));
    }

    /// @dev The owner hurries: notice and recall in one block still leave the time that was sold.
    function test_RecalledWithoutNotice() external {
        (bytes memory data, bytes32 id) = _leased(2);
        skip(10);
        vm.expectPartialRevert(Errors.LeaseBook_StillOpen.selector);
        _recall(data);
        _giveNotice(_terms());
        _recall(data);
        assertEq(_endOf(id), T0 + 10 + 300);
    }

    /// @dev Nobody but lessee and owner brings an end forward, whoever he is to the lease.
    function test_StrangerEndsALease() external {
        (bytes memory data,) = _leasedBy(sponsor, 1);
        _giveNotice(_terms());
        address[5] memory others = [sponsor, treasury, admin, book, poker];
        for (uint256 i = 0; i < 5; ++i) {
            vm.startPrank(others[i]);
            vm.expectPartialRevert(Errors.LeaseBook_NotLessee.selector);
            leases.end(data);
            vm.expectPartialRevert(Errors.LeaseBook_NotOwner.selector);
            leases.recall(data);
            vm.stopPrank();
        }
    }

    /// @dev Lengths in calldata that say one thing to the hash and another to the reader: only one length is read.
    function test_LeaseWithABytesTail() external {
        (bytes memory data,) = _leased(1);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_Length.selector, 210, 209));
        leases.collect(bytes.concat(data, hex"00"), _payees());
        skip(1);
        bytes memory longer = bytes.concat(_payees(), hex"00");
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferCodec_PayeesLength.selector, longer.length, 22, 8));
        leases.collect(data, longer);
    }

    function _in(MintableToken bad) private returns (bytes memory) {
        bad.mint(lessee, 1e30);
        vm.prank(lessee);
        bad.approve(address(leases), type(uint256).max);
        LeaseTerms memory terms = _terms();
        terms.token = address(bad);
        _open(terms);
        return _leaseBytes(terms);
    }
}
