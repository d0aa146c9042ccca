// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Escrow} from "./Escrow.sol";
import {ILedger} from "./interfaces/ILedger.sol";
import {Errors} from "./libraries/Errors.sol";

/// @title Credits by account and token; OrderBook and LeaseBook stand on it. See {ILedger}.
/// @dev Whoever credits has the tokens already: the sum of all credits in a token never exceeds this contract's
/// balance of it. Amounts are sums of what `_pull` took, uint128 each, so that twice such a sum fits into a word.
abstract contract Ledger is ILedger, Escrow {
    /// @dev 0 while closed, else (amount << 1) | 1: an open slot of a zero credit is cheap to fill again.
    mapping(address account => mapping(address token => uint256)) private _credits;

    /// @inheritdoc ILedger
    function withdraw(address token, address account) external nonReentrant returns (uint256 amount) {
        mapping(address => uint256) storage credits = _credits[account];
        amount = credits[token] >> 1;
        if (amount == 0) revert Errors.Ledger_NothingCredited(token, account);
        credits[token] = msg.sender == account ? 0 : 1;
        _send(token, account, account, amount);
    }

    /// @inheritdoc ILedger
    function withdrawTo(address token, uint256 amount, address to) external nonReentrant {
        mapping(address => uint256) storage credits = _credits[msg.sender];
        uint256 credit = credits[token] >> 1;
        if (amount == 0) revert Errors.Ledger_NothingCredited(token, msg.sender);
        if (amount > credit) revert Errors.Ledger_CreditTooLow(token, msg.sender, credit, amount);
        unchecked {
            credits[token] = ((credit - amount) << 1) | 1;
        }
        _send(token, msg.sender, to, amount);
    }

    /// @inheritdoc ILedger
    function creditOf(address token, address account) external view returns (uint256) {
        return _credits[account][token] >> 1;
    }

    /// @notice Adds to a credit. Calls nobody and cannot fail; a zero amount leaves no trace.
    function _credit(address token, address account, uint256 amount) internal {
        // slither-disable-next-line incorrect-equality: zero is the only amount that changes nothing
        if (amount == 0) return;
        mapping(address => uint256) storage credits = _credits[account];
        unchecked {
            credits[token] = (credits[token] | 1) + (amount << 1);
        }
    }

    function _send(address token, address account, address to, uint256 amount) private {
        // Check: what came back to this contract would belong to nobody.
        if (to == address(0) || to == address(this)) revert Errors.Ledger_NoReceiver(to);
        emit Withdrawn(token, account, to, amount);
        // Interaction:
        _push(token, to, amount);
    }
}
