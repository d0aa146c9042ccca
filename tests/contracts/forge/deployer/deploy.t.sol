// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Deployer} from "../../../../contracts/Deployer.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";

contract Named {
    error Named_Nobody(uint256 code);

    address public immutable OTHER;

    constructor(address other) {
        if (other == address(0)) revert Named_Nobody(7);
        OTHER = other;
    }
}

contract DeployTest is Test {
    bytes32 internal constant SALT = "salt";

    Deployer internal deployer = new Deployer();
    address internal alice = makeAddr("alice");

    function test_RevertWhen_TheAddressIsTaken() external {
        address at = deployer.deploy(SALT, _named(alice));
        vm.expectRevert(abi.encodeWithSelector(Errors.Deployer_Taken.selector, at));
        deployer.deploy(SALT, _named(alice));
    }

    function test_RevertWhen_TheConstructorReverts_WithItsReason() external {
        vm.expectRevert(abi.encodeWithSelector(Named.Named_Nobody.selector, 7));
        deployer.deploy(SALT, _named(address(0)));
        // The address is still free: what reverted left nothing behind.
        assertEq(deployer.deploy(SALT, _named(alice)), deployer.addressOf(address(this), SALT));
    }

    function test_RevertWhen_TheCreationCodeReturnsNoCode() external {
        address at = deployer.addressOf(address(this), SALT);
        vm.expectRevert(abi.encodeWithSelector(Errors.Deployer_NoCode.selector, at));
        deployer.deploy(SALT, "");
    }

    function testFuzz_CreatesAtTheAddressToldBefore_WhateverTheArguments(address sender, bytes32 salt, address other)
        external
    {
        vm.assume(other != address(0));
        address told = deployer.addressOf(sender, salt);
        vm.expectEmit(true, true, true, true, address(deployer));
        emit Deployer.Deployed(told, sender, salt);
        vm.prank(sender);
        assertEq(deployer.deploy(salt, _named(other)), told);
        assertEq(Named(told).OTHER(), other);
        assertEq(vm.getNonce(told), 1);
    }

    function test_TwoContractsNameEachOther() external {
        address first = deployer.addressOf(address(this), "first");
        address second = deployer.addressOf(address(this), "second");
        deployer.deploy("first", _named(second));
        deployer.deploy("second", _named(first));
        assertEq(Named(first).OTHER(), second);
        assertEq(Named(second).OTHER(), first);
    }

    function testFuzz_SendersAreKeptApart(address one, address two, bytes32 salt) external view {
        vm.assume(one != two);
        assertNotEq(deployer.addressOf(one, salt), deployer.addressOf(two, salt));
    }

    function _named(address other) private pure returns (bytes memory) {
        return abi.encodePacked(type(Named).creationCode, abi.encode(other));
    }
}
