// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OfferKind, OfferTerms, Payee, Price} from "../../../../contracts/types/Offers.sol";
import {
    InputRef,
    Order,
    OrderId,
    OrderPreimage,
    OrderState,
    Outcome,
    Phase
} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

/// @notice Defects that other markets had, or that our own design met; each test is named after its defect.
contract FindingsTest is Market {
    /// @dev Marlin's and SingularityNET's signatures named no chain or contract, so they were good elsewhere.
    function test_SignaturesAreGoodOnOneChainAndOneContractOnly() external {
        OrderPreimage memory pre = _accepted();
        bytes memory signature = _startSignature(pre);
        OrderId id = book.orderId(pre.terms);
        vm.chainId(block.chainid + 1);
        assertNotEq(OrderId.unwrap(book.orderId(pre.terms)), OrderId.unwrap(id), "the fork knows no such order");
        vm.expectPartialRevert(Errors.OrderBook_WrongState.selector);
        book.start(pre.terms, signature);
    }

    /// @dev Marlin's jobs accrue from opening, whether anybody serves them or not.
    function test_AnOrderThatNobodyAcceptsCostsNothing() external {
        OrderPreimage memory pre = _placed();
        skip(3650 days);
        _cancelAs(poker, pre);
        uint256 before = token.balanceOf(client);
        _claimAll(pre, 0);
        assertEq(token.balanceOf(client) - before, pre.terms.deposit);
    }

    /// @dev 0G's refunds grew with an array. The largest order there can be stays far below a block.
    function test_TheLargestOrderFitsIntoABlock() external {
        OrderPreimage memory pre = _largest();
        uint256 gas = gasleft();
        _place(pre);
        assertLt(gas - gasleft(), 1_500_000, "place");
        _stake(provider, _lock(pre));
        gas = gasleft();
        _accept(pre);
        assertLt(gas - gasleft(), 3_000_000, "accept");
        _start(pre);
        _checkpoint(pre, 0, 0);
        skip(1000);
        gas = gasleft();
        _complete(pre, Outcome.COMPLETED, 1000, 3);
        assertLt(gas - gasleft(), 3_000_000, "complete");
        gas = gasleft();
        _claimAll(pre, 0);
        assertLt(gas - gasleft(), 12_000_000, "claim of 139 amounts");
        assertEq(token.balanceOf(address(book)), 0);
    }

    /// @dev Prices of one unit and of nothing, times of zero: rounding must neither create nor lose a unit.
    function test_FreeAndTinyOrdersSettle() external {
        OrderPreimage memory pre = _relisted(Price(0, 0, 0, 0, 0));
        assertEq(pre.terms.deposit, 0);
        _run(pre);
        _complete(pre, Outcome.COMPLETED, 0, 0);
        book.claim(pre, type(uint256).max);
        assertEq(book.claimedOf(_id(pre)), 0, "nothing to claim");
        pre = _relisted(Price(1, 1, 1, 1, 0));
        pre.terms.windows.maxSeconds = 0;
        pre.terms.maxUnits = 0;
        pre.terms.deposit = uint128(_deposit(pre));
        assertEq(pre.terms.deposit, 4);
        _run(pre);
        _complete(pre, Outcome.COMPLETED, 9, 9);
        _claimAll(pre, 0);
    }

    /// @dev The largest price whose order still fits into 128 bits of deposit.
    function test_HugeAmountsSettle() external {
        OrderPreimage memory pre = _relisted(Price(type(uint128).max / 8, 0, 0, 0, 0));
        _stake(provider, type(uint128).max / 2);
        token.mint(client, pre.terms.deposit);
        _run(pre);
        _complete(pre, Outcome.FAILED, 0, 0);
        _claimAll(pre, 0);
    }

    /// @dev iExec locked one account and seized another: here each order's lock is its own, to the unit.
    function test_ManyOrdersOfOneProviderKeepTheirOwnLocks() external {
        OrderPreimage memory a = _salted("a");
        OrderPreimage memory b = _salted("b");
        OrderPreimage memory c = _salted("c");
        c.inputs = _engineOnly(c);
        c.terms.inputs = _refs(c);
        c.terms.deposit = uint128(_deposit(c));
        _run(a);
        _run(b);
        _place(c);
        _accept(c);
        assertEq(_locked(), _lock(a) + _lock(b) + _lock(c));
        _complete(a, Outcome.COMPLETED, 0, 0);
        assertEq(_locked(), _lock(b) + _lock(c));
        vm.warp(T0 + 5401);
        _expire(c);
        assertEq(_locked(), _lock(b));
        assertEq(_free(), STAKE - _lock(b) - _penalty(c));
        _expire(b);
        assertEq(_locked(), 0);
    }

    /// @dev An offer that changes or closes after acceptance cannot touch the order: prices are pinned by hash.
    function test_AnOwnerCannotHoldARunningOrder() external {
        OrderPreimage memory pre = _engine();
        vm.startPrank(ownerA);
        offers.setActive(inputOffers[1], false);
        offers.retireVersion(inputOffers[1], 1);
        vm.stopPrank();
        vm.startPrank(provider);
        offers.setActive(computeOffer, false);
        providers.setOperator(poker);
        vm.stopPrank();
        _complete(pre, Outcome.COMPLETED, 100, 0);
        _claimAll(pre, 0);
    }

    /// @dev A provider cannot leave with the stake that a running order stands on.
    function test_StakeOfARunningOrderDoesNotLeave() external {
        OrderPreimage memory pre = _setup();
        uint256 free = _free();
        vm.prank(provider);
        providers.requestUnstake(address(token), free);
        skip(UNBONDING);
        vm.prank(provider);
        providers.finishUnstake(address(token));
        _expire(pre);
        assertEq(_order(pre).secondsUsed, 5000);
        _claimAll(pre, 1_000_003 + 2 * (17 + uint256(777_777) * 5000 / 3600));
    }

    /// @dev Complete and expire race after the last deadline: whoever is first settles, the second finds it settled.
    function test_ExpireAndCompleteSettleOnce() external {
        OrderPreimage memory pre = _engine();
        vm.warp(T0 + 5401);
        _expire(pre);
        _willRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_WrongState.selector, _id(pre), OrderState.EXPIRED, OrderState.COMPLETED
            )
        );
        _complete(pre, Outcome.COMPLETED, 5000, 0);
        Order memory order = _order(pre);
        assertEq(uint8(order.phase), uint8(Phase.ENGINE));
    }

    // ------------------------------------------------------------------------------------------- orders
    function _run(OrderPreimage memory pre) private {
        _place(pre);
        _accept(pre);
        _start(pre);
        _checkpoint(pre, 0, 0);
    }

    function _salted(bytes32 salt) private view returns (OrderPreimage memory pre) {
        pre = _preimage();
        pre.terms.salt = salt;
    }

    function _engineOnly(OrderPreimage memory pre) private pure returns (OfferTerms[] memory one) {
        one = new OfferTerms[](1);
        one[0] = pre.inputs[0];
    }

    function _refs(OrderPreimage memory pre) private pure returns (InputRef[] memory one) {
        one = new InputRef[](1);
        one[0] = pre.terms.inputs[0];
    }

    /// @dev All four offers at one price.
    function _relisted(Price memory price) private returns (OrderPreimage memory pre) {
        pre = _preimage();
        pre.compute.price = price;
        vm.prank(provider);
        pre.terms.compute.offer = offers.list(pre.compute, "");
        for (uint256 i = 0; i < 3; ++i) {
            pre.inputs[i].price = price;
            pre.terms.inputs[i].offer = offers.list(pre.inputs[i], "");
        }
        _reprice(pre);
    }

    /// @dev Sixteen inputs and eight payees for each of seventeen offers.
    function _largest() private returns (OrderPreimage memory pre) {
        pre = _preimage();
        pre.compute.payees = _eight(0);
        vm.prank(provider);
        pre.terms.compute.offer = offers.list(pre.compute, "");
        pre.inputs = new OfferTerms[](16);
        pre.terms.inputs = new InputRef[](16);
        for (uint256 i = 0; i < 16; ++i) {
            pre.inputs[i] = i == 0 ? _engineTerms() : _content(OfferKind.DATASET, address(uint160(i)));
            pre.inputs[i].price = _datasetTerms(ownerA).price;
            pre.inputs[i].payees = _eight(i + 1);
            pre.terms.inputs[i].offer = offers.list(pre.inputs[i], "");
            pre.terms.inputs[i].version = 1;
        }
        _reprice(pre);
    }

    function _eight(uint256 k) private pure returns (Payee[] memory payees) {
        payees = new Payee[](8);
        for (uint256 j = 0; j < 8; ++j) {
            payees[j] = Payee(address(uint160(0xA000 + 8 * k + j)), 1250);
        }
    }
}
