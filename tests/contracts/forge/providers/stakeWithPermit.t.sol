// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {Desks} from "./Desks.sol";

contract StakeWithPermitTest is Desks {
    address private _signer;
    uint256 private _key;

    function setUp() public override {
        super.setUp();
        (_signer, _key) = makeAddrAndKey("a staker that signs");
        token.mint(_signer, 9);
    }

    function test_StakesWithoutAnAllowance() external {
        (uint8 v, bytes32 r, bytes32 s) = _permit();
        vm.prank(_signer);
        providers.stakeWithPermit(OFFER, address(token), 9, T0, v, r, s);
        _assertStake(STAKE + 9, 0, 0, 0);
    }

    function test_WhenThePermitWasSpentBefore() external {
        (uint8 v, bytes32 r, bytes32 s) = _permit();
        vm.prank(poker);
        token.permit(_signer, address(providers), 9, T0, v, r, s);
        vm.prank(_signer);
        providers.stakeWithPermit(OFFER, address(token), 9, T0, v, r, s);
        _assertStake(STAKE + 9, 0, 0, 0);
    }

    function test_RevertWhen_ThePermitIsWrongAndNothingWasAllowed() external {
        (uint8 v, bytes32 r, bytes32 s) = _permit();
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, providers, 0, 8));
        vm.prank(_signer);
        providers.stakeWithPermit(OFFER, address(token), 8, T0, v, r, s);
    }

    function _permit() private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typehash, _signer, address(providers), 9, 0, T0));
        return vm.sign(_key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));
    }
}
