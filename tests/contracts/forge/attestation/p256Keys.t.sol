// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IP256Verdict} from "../../../../contracts/interfaces/IP256Verdict.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {P256Verdict} from "../../../../contracts/verifiers/P256Verdict.sol";
import {Stage} from "./Stage.sol";

contract P256KeysTest is Stage {
    P256Verdict private _verdict;
    bytes32 private _x;
    bytes32 private _y;
    bytes32 private _id;

    function setUp() public override {
        super.setUp();
        _verdict = P256Verdict(deployCode("P256Verdict.sol:P256Verdict", abi.encode(authority)));
        (uint256 x, uint256 y) = vm.publicKeyP256(0x7253);
        (_x, _y) = (bytes32(x), bytes32(y));
        _id = keccak256(abi.encode(x, y));
    }

    function test_Add_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        _verdict.addKey(_x, _y);
    }

    function test_Add_RevertWhen_ItIsNoPoint() external {
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_OffCurve.selector, _x, _x));
        _verdict.addKey(_x, _x);
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_OffCurve.selector, 0, 0));
        _verdict.addKey(0, 0);
    }

    function test_Add_RevertGiven_ItIsBelieved() external {
        vm.startPrank(admin);
        _verdict.addKey(_x, _y);
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_AlreadyKey.selector, _id));
        _verdict.addKey(_x, _y);
    }

    function test_Add() external {
        vm.expectEmit(address(_verdict));
        emit IP256Verdict.KeyAdded(_id, _x, _y);
        vm.prank(admin);
        _verdict.addKey(_x, _y);
        assertTrue(_verdict.isKey(_id));
    }

    function test_Remove_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(_unauthorized(poker));
        vm.prank(poker);
        _verdict.removeKey(_id);
    }

    function test_Remove_RevertGiven_ItIsNotBelieved() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.P256Verdict_NotKey.selector, _id));
        vm.prank(admin);
        _verdict.removeKey(_id);
    }

    function test_Remove() external {
        vm.startPrank(admin);
        _verdict.addKey(_x, _y);
        vm.expectEmit(address(_verdict));
        emit IP256Verdict.KeyRemoved(_id);
        _verdict.removeKey(_id);
        assertFalse(_verdict.isKey(_id));
    }
}
