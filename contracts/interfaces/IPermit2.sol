// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What the OrderBook needs of Uniswap's Permit2: a signed transfer that names what it is for.
/// @dev Declared from the deployed contract's ABI (https://github.com/Uniswap/permit2, ISignatureTransfer).
interface IPermit2 {
    struct TokenPermissions {
        address token;
        uint256 amount;
    }

    struct PermitTransferFrom {
        TokenPermissions permitted;
        uint256 nonce;
        uint256 deadline;
    }

    struct SignatureTransferDetails {
        address to;
        uint256 requestedAmount;
    }

    /// @param witness           What the owner signed beside the transfer.
    /// @param witnessTypeString End of the EIP-712 type, from the witness' member on.
    function permitWitnessTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external;
}
