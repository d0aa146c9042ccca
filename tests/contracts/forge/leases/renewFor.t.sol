// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {ILeaseBook} from "../../../../contracts/interfaces/ILeaseBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {TopUp} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

contract RenewForTest is Leases {
    bytes private _data;
    bytes32 private _id;

    function setUp() public override {
        super.setUp();
        (_data, _id) = _leasedBy(sponsor, 1);
    }

    function test_RevertGiven_NothingWasAllowed() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoTopUp.selector, _id));
        leases.renewFor(_data);
    }

    function test_RevertGiven_TheLastDayForItIsOver() external {
        _allow(1, uint40(T0 + 10), PERIOD);
        skip(11);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_TopUpOver.selector, _id, T0 + 10, T0 + 11));
        leases.renewFor(_data);
    }

    function test_RevertWhen_TheEndIsNotNear() external {
        _allow(1, type(uint40).max, 100);
        skip(PERIOD - 101);
        vm.expectRevert(
            abi.encodeWithSelector(Errors.LeaseBook_TopUpLater.selector, _id, T0 + PERIOD - 100, T0 + PERIOD - 101)
        );
        leases.renewFor(_data);
        skip(1);
        leases.renewFor(_data);
    }

    function test_RevertWhen_TheLeaseIsOver() external {
        _allow(1, type(uint40).max, 100);
        skip(PERIOD);
        vm.expectPartialRevert(Errors.LeaseBook_Over.selector);
        leases.renewFor(_data);
    }

    function test_RevertWhen_ThePayersAllowanceIsTooLow() external {
        _allow(1, type(uint40).max, PERIOD);
        vm.prank(sponsor);
        token.approve(address(leases), PRICE - 1);
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientAllowance.selector);
        leases.renewFor(_data);
        assertEq(leases.topUpOf(_id).periods, 1);
    }

    function test_AddsOnePeriodAtATimeFromThePayersAllowance() external {
        _allow(2, type(uint40).max, PERIOD);
        uint256 before = token.balanceOf(sponsor);
        vm.expectEmit(address(leases));
        emit ILeaseBook.Renewed(_id, sponsor, T0 + 2 * PERIOD, PRICE);
        vm.prank(poker);
        leases.renewFor(_data);
        assertEq(before - token.balanceOf(sponsor), PRICE);
        vm.expectPartialRevert(Errors.LeaseBook_TopUpLater.selector);
        leases.renewFor(_data);
        skip(PERIOD);
        leases.renewFor(_data);
        skip(PERIOD);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NoTopUp.selector, _id));
        leases.renewFor(_data);
        assertEq(before - token.balanceOf(sponsor), 2 * PRICE);
        assertEq(_endOf(_id), T0 + 3 * PERIOD);
    }

    function _allow(uint16 periods, uint40 until, uint32 within) private {
        vm.prank(sponsor);
        leases.setTopUp(_data, TopUp(periods, until, within));
    }
}
