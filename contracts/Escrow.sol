// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {CallLib} from "./libraries/CallLib.sol";
import {Errors} from "./libraries/Errors.sol";

/// @title The only code that moves tokens; Ledger and ProviderRegistry stand on it.
/// @notice Knows tokens and amounts, not what an order or a stake is.
/// @dev Assumes of a token that what it credited stays credited: rebasing tokens are unfit. A token that takes a fee,
/// returns false, reverts or re-enters harms only orders and stakes counted in itself (tests/contracts/forge/findings).
/// Every function that ends here is `nonReentrant` and has written its own state before the call.
abstract contract Escrow is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice EIP-2612 permission that comes along with a payment.
    struct Permit {
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice Takes exactly `amount` from `from`, who allowed it.
    /// @dev Check by balance: what arrived is what was asked, or nothing happened.
    function _pull(address token, address from, uint256 amount) internal {
        if (amount == 0) return;
        uint256 known = _holding(token);
        // slither-disable-next-line arbitrary-send-erc20: `from` is the sender, or a payer whose signature was checked
        IERC20(token).safeTransferFrom(from, address(this), amount);
        _checkReceived(token, known, amount);
    }

    /// @notice Since the balance was `known`, exactly `amount` arrived.
    function _checkReceived(address token, uint256 known, uint256 amount) internal view {
        uint256 held = _holding(token);
        uint256 received = held > known ? held - known : 0;
        if (received != amount) revert Errors.Escrow_ReceivedOther(token, received, amount);
    }

    /// @return What this contract has of `token`.
    function _holding(address token) internal view returns (uint256) {
        return CallLib.read(token, IERC20.balanceOf.selector, uint160(address(this)));
    }

    /// @notice Sends `amount` to `to`.
    function _push(address token, address to, uint256 amount) internal {
        if (amount == 0) return;
        IERC20(token).safeTransfer(to, amount);
    }

    /// @notice Uses a permit where it still works.
    /// @dev Anybody may have spent the permit first (it is public in the mempool); the allowance then stands already,
    /// so that a failing permit says nothing. Whether the allowance is there, the transfer finds out.
    function _tryPermit(address token, address owner, uint256 amount, Permit memory permit) internal {
        try IERC20Permit(token).permit(owner, address(this), amount, permit.deadline, permit.v, permit.r, permit.s) {}
            catch {}
    }
}
