// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Order, OrderId, OrderState, Outcome} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

contract PayServiceTest is Money {
    function setUp() public override {
        super.setUp();
        _fund(poker);
    }

    function test_RevertGiven_TheOrderDoesNotRun() external {
        Deal memory deal = _sharingDeal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _wrong(deal, OrderState.PLACED);
        _accept(deal);
        _wrong(deal, OrderState.ACCEPTED);
        _start(deal);
        _payServiceAs(poker, deal, 1);
        _stop(deal);
        _payServiceAs(poker, deal, 1);
        _refuse(deal, 0);
        _wrong(deal, OrderState.REFUSED);
    }

    function test_RevertGiven_ItIsABatchOrder() external {
        Deal memory deal = _engine();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NotServed.selector, _id(deal)));
        _payServiceAs(poker, deal, 1);
    }

    function test_RevertWhen_TheBytesAreOthers() external {
        Deal memory deal = _sharingDeal();
        _runs(deal);
        (bytes[] memory payees, bytes[] memory none) = _receivers(deal);
        bytes memory order = bytes.concat(Pack.order(deal.terms), hex"00");
        bytes memory heads = _heads(deal);
        vm.expectRevert(_wrongLength(order.length));
        book.payService(order, heads, payees, none, 1);
        Deal memory other = _sharingDeal();
        other.inputs[1].price.revenueBps = 10_000;
        other.inputs[1].payees = _solo(poker);
        _willRevert(_otherTerms(inputOffers[1], other.inputs[1], deal.inputs[1]));
        _payServiceAs(poker, other, 1);
    }

    function test_RevertWhen_AListIsNotOneForEachOffer() external {
        Deal memory deal = _sharingDeal();
        _runs(deal);
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        (bytes[] memory payees, bytes[] memory none) = _receivers(deal);
        for (uint256 size = 3; size < 6; size += 2) {
            bytes memory error_ = abi.encodeWithSelector(Errors.OrderBook_ListLength.selector, size, 4);
            vm.expectRevert(error_);
            book.payService(order, heads, new bytes[](size), none, 1);
            vm.expectRevert(error_);
            book.payService(order, heads, payees, new bytes[](size), 1);
        }
    }

    function test_RevertWhen_ThePayeesAreOthers() external {
        Deal memory deal = _sharingDeal();
        _runs(deal);
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        (bytes[] memory payees, bytes[] memory none) = _receivers(deal);
        payees[1] = Pack.payees(_solo(poker));
        vm.expectRevert(_otherPayees(inputOffers[0], _solo(poker), deal.inputs[0].payees));
        book.payService(order, heads, payees, none, 1);
        (payees,) = _receivers(deal);
        payees[3] = "";
        vm.prank(poker);
        book.payService(order, heads, payees, none, 1);
        payees[3] = Pack.payees(_solo(poker));
        vm.prank(poker);
        book.payService(order, heads, payees, none, 1);
        assertEq(_credit(poker), 0);
    }

    function test_WhenAnybodyPays() external {
        Deal memory deal = _sharingDeal();
        _runs(deal);
        uint256 paid = 1_000_003;
        _payServiceAs(poker, deal, paid);
        uint256 compute = paid * 1000 / 10_000;
        uint256 engine = paid * 333 / 10_000;
        uint256 a = paid * 501 / 10_000;
        assertEq(_credit(provider), _net(compute));
        assertEq(_credit(engineOwner), _net(engine));
        assertEq(_credit(ownerA), _net(a) * 3333 / 10_000);
        assertEq(_credit(ownerB), _net(a) - 2 * (_net(a) * 3333 / 10_000), "the last payee's remainder");
        assertEq(_credit(treasury), compute + engine + a - _net(compute) - _net(engine) - _net(a));
        assertEq(_credit(client), paid - compute - engine - a);
        assertEq(_credits(), paid);
        // The deposit is untouched by it.
        assertEq(token.balanceOf(address(book)), paid + deal.terms.deposit);
        _complete(deal, Outcome.HOST, 100, 0);
        _claimAll(deal, 0);
    }

    function test_GivenNoOfferHasAShare() external {
        Deal memory deal = _servedDeal();
        deal.terms.payer = sponsor;
        _runs(deal);
        _payServiceAs(poker, deal, 12_345);
        assertEq(_credit(client), 12_345, "the client's service, not the sponsor's");
        assertEq(_credits(), 12_345);
    }

    function test_GivenAnInputIsLeased() external {
        Deal memory deal = _servedDeal();
        deal.terms.inputs[1].lease = _leaseSharing(deal);
        _reprice(deal);
        _runs(deal);
        _payServiceAs(poker, deal, 1000);
        assertEq(_credit(client), 1000);
        assertEq(_credit(ownerA), 0);
    }

    function test_WhenOneUnitOrNothingIsPaid() external {
        Deal memory deal = _sharingDeal();
        _runs(deal);
        _payServiceAs(poker, deal, 0);
        assertEq(_credits(), 0);
        for (uint256 i = 1; i < 40; ++i) {
            _payServiceAs(poker, deal, 1);
            assertEq(_credit(client), i, "no share of a unit is a unit");
        }
    }

    function testFuzz_WhenAnybodyPays_NothingIsLost(uint128 amount, uint16[4] memory shares) external {
        Deal memory deal = _servedDeal();
        uint256 left = 10_000;
        for (uint256 k = 0; k < 4; ++k) {
            uint16 bps = uint16(bound(shares[k], 0, left));
            left -= bps;
            _termsOf(deal, k).price.revenueBps = bps;
        }
        _relist(deal);
        _runs(deal);
        token.mint(poker, amount);
        _payServiceAs(poker, deal, amount);
        assertEq(_credits(), amount);
        assertGe(_credit(client), uint256(amount) * left / 10_000);
        assertEq(token.balanceOf(address(book)), uint256(amount) + deal.terms.deposit);
    }

    function test_RevertWhen_TheCallerHasNotAllowedIt() external {
        Deal memory deal = _sharingDeal();
        _runs(deal);
        _willRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(book), 0, 7));
        _payServiceAs(operator, deal, 7);
        assertEq(_credits(), 0);
    }

    function test_WhenItIsPaid() external {
        Deal memory deal = _sharingDeal();
        _runs(deal);
        OrderId id = _id(deal);
        Order memory before = _order(deal);
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        (bytes[] memory payees, bytes[] memory none) = _receivers(deal);
        vm.expectEmit(address(book));
        emit IOrderBook.ServicePaid(id, poker, 10_000, 10_000 - 1000 - 333 - 501);
        vm.prank(poker);
        book.payService(order, heads, payees, none, 10_000);
        assertEq(abi.encode(_order(deal)), abi.encode(before));
    }

    /// @dev Dataset A at half of the earnings, as an offer of its own.
    function _leaseSharing(Deal memory deal) private returns (bytes32) {
        deal.inputs[1].price.revenueBps = 5000;
        uint64 offer = _offer(ownerA, deal.inputs[1], "");
        (deal.terms.inputs[1].offer, deal.terms.inputs[1].version) = (offer, 1);
        return _leaseOf(offer, offers.hashTerms(deal.inputs[1]), client, 2);
    }

    function _wrong(Deal memory deal, OrderState actual) private {
        _willRevert(_wrongState(deal, actual, OrderState.RUNNING));
        _payServiceAs(poker, deal, 1);
    }
}
