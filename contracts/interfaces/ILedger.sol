// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a contract owes to whom, and the way to fetch it (docs/protocol.md section 6.7).
/// @notice Every payment is first a credit and leaves by a call of its own: a receiver that reverts, or that a token
/// refuses, holds up nobody but himself.
interface ILedger {
    /// @notice `amount` of `account`'s credit left for `to`.
    event Withdrawn(address indexed token, address indexed account, address indexed to, uint256 amount);

    /// @notice Sends the whole credit of `account` to `account` itself, whoever calls: a hot key can fetch, not redirect.
    /// @dev The account's own call gives the storage slot back and takes the refund for it. Another's call leaves the
    /// slot open, for else anybody could make the account's next credit dearer.
    /// @return amount What was sent; a credit of zero reverts.
    function withdraw(address token, address account) external returns (uint256 amount);

    /// @notice Sends `amount` of the caller's credit to `to`, and leaves the slot open.
    function withdrawTo(address token, uint256 amount, address to) external;

    /// @return What `account` can withdraw of `token` at once.
    function creditOf(address token, address account) external view returns (uint256);
}
