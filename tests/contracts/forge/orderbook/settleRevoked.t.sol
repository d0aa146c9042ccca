// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderId, OrderState, Outcome, Phase} from "../../../../contracts/types/Orders.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

contract SettleRevokedTest is Stage {
    function test_RevertGiven_TheOrderDoesNotRun() external {
        Deal memory deal = _deal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _wrong(deal, OrderState.PLACED);
        _accept(deal);
        _wrong(deal, OrderState.ACCEPTED);
        _start(deal);
        _revoke();
        _settleRevoked(deal);
        _wrong(deal, OrderState.REVOKED);
    }

    function test_RevertGiven_TheCvmIsNotRevoked() external {
        Deal memory deal = _setup();
        bytes memory expected = abi.encodeWithSelector(Errors.OrderBook_CvmNotRevoked.selector, cvm);
        _willRevert(expected);
        _settleRevoked(deal);
        _retire();
        _removeProfile();
        skip(60 days);
        _willRevert(expected);
        _settleRevoked(deal);
    }

    function test_GivenSetup() external {
        Deal memory deal = _sponsoredSetup();
        skip(300);
        _say(deal, Said(Phase.SETUP, Outcome.NONE, NO_INPUT, 1, 250, 3, 0, 0));
        skip(300);
        _revoke();
        _settleRevoked(deal);
        assertState(deal, OrderState.REVOKED);
        assertEq(_free(), STAKE);
        uint256 compute = _usage(deal.compute.price, 240, 0);
        assertEq(_due(deal, 0), compute);
        _claimAll(deal, 0);
        assertEq(_credit(sponsor), deal.terms.deposit - compute);
        assertEq(_credit(engineOwner), 0);
    }

    function test_GivenSetupWithoutAProof() external {
        Deal memory deal = _sponsoredSetup();
        skip(300);
        _revoke();
        _settleRevoked(deal);
        _claimAll(deal, 0);
        assertEq(_credit(sponsor), deal.terms.deposit);
        assertEq(_credits(), deal.terms.deposit);
    }

    function test_GivenEngine() external {
        Deal memory deal = _sponsoredEngine();
        skip(300);
        _prove(deal, 350, 9);
        _revoke();
        skip(3650 days);
        _ends(deal, 350, 9, 5);
    }

    function test_GivenTheOrderIsStopping() external {
        Deal memory deal = _sponsoredEngine();
        _stop(deal);
        skip(300);
        _prove(deal, 350, 9);
        _revoke();
        _ends(deal, 350, 9, 6);
    }

    function test_GivenTheDepositPaysForFewerSeconds() external {
        Deal memory deal = _sponsoredDeal();
        deal.terms.deposit = uint128(_deposit(deal, 1040));
        _placeSponsored(deal);
        _acceptPartly(deal);
        _start(deal);
        skip(1300);
        _checkpoint(deal, 1300, 1001);
        _revoke();
        _ends(deal, 1040, 1000, 4);
        assertEq(_credit(sponsor), 0);
    }

    function test_GivenAnInputIsLeased() external {
        Deal memory deal = _leasedDeal();
        _place(deal);
        _accept(deal);
        _start(deal);
        _revoke();
        assertEq(_places(deal.terms.inputs[1].lease), 0);
        _settleRevoked(deal);
        assertEq(_places(deal.terms.inputs[1].lease), 1);
        _claimAll(deal, 0);
    }

    function _ends(Deal memory deal, uint256 secs, uint256 units, uint256 n) private {
        OrderId id = _id(deal);
        bytes memory order = Pack.order(deal.terms);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderEnded(
            id, cvm, OrderState.REVOKED, secs | (units << 64) | (uint256(2) << 128) | (n << 240), 0
        );
        vm.prank(makeAddr("anybody"));
        book.settleRevoked(order);
        assertState(deal, OrderState.REVOKED);
        assertEq(_free(), STAKE);
        assertEq(_desk().active, 0);
        uint256 spent = 0;
        for (uint256 k = 0; k < 4; ++k) {
            uint256 due = _amount(_termsOf(deal, k).price, secs, units);
            assertEq(_due(deal, k), due);
            spent += due;
        }
        _claimAll(deal, 0);
        assertEq(_credit(sponsor), deal.terms.deposit - spent);
        assertEq(_credit(client), 0);
    }

    function _wrong(Deal memory deal, OrderState actual) private {
        _willRevert(_wrongState(deal, actual, OrderState.REVOKED));
        _settleRevoked(deal);
    }
}
