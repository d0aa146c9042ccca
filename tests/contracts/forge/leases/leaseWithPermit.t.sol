// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Leases} from "./Leases.sol";

contract LeaseWithPermitTest is Leases {
    address private _signer;
    uint256 private _key;
    bytes private _data;

    function setUp() public override {
        super.setUp();
        (_signer, _key) = makeAddrAndKey("a lessee that signs");
        token.mint(_signer, PRICE);
        _open(_terms());
        _data = _leaseBytes(_terms(), lessee, _signer, 1);
    }

    function test_LeasesWithoutAnAllowance() external {
        (uint8 v, bytes32 r, bytes32 s) = _permit();
        vm.prank(_signer);
        bytes32 id = leases.leaseWithPermit(_data, 1, T0, v, r, s);
        assertEq(_endOf(id), T0 + PERIOD);
        assertEq(token.balanceOf(_signer), 0);
    }

    function test_WhenThePermitWasSpentBefore() external {
        (uint8 v, bytes32 r, bytes32 s) = _permit();
        token.permit(_signer, address(leases), PRICE, T0, v, r, s);
        vm.prank(_signer);
        bytes32 id = leases.leaseWithPermit(_data, 1, T0, v, r, s);
        assertEq(_endOf(id), T0 + PERIOD);
    }

    function test_RevertWhen_TheLengthIsAnother() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_Length.selector, 0, 209));
        leases.leaseWithPermit("", 1, T0, 0, 0, 0);
    }

    function test_RevertWhen_ThePeriodsAreBeyondAllBounds() external {
        bytes32 id = leases.leaseIdOf(_data);
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_TooManyPeriods.selector, id, type(uint256).max, 3));
        vm.prank(_signer);
        leases.leaseWithPermit(_data, type(uint256).max, T0, 0, 0, 0);
    }

    function _permit() private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typehash, _signer, address(leases), PRICE, 0, T0));
        return vm.sign(_key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));
    }
}
