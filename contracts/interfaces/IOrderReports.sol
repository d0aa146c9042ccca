// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A terminal report as the order's CVM signed it.
/// @param resultDigest    Ciphertext digest of the sealed result.
/// @param statementDigest Digest of the OrderReport's envelope.
/// @param numbers         From the lowest bit: phase 8, outcome 8, attributable input 8, sequence 32, seconds 32, units 64.
/// @param r               First half of the CVM's signature.
/// @param vs              Second half, the parity in its highest bit (ERC-2098).
struct Report {
    bytes32 cvmId;
    bytes32 resultDigest;
    bytes32 statementDigest;
    uint256 numbers;
    bytes32 r;
    bytes32 vs;
}

/// @title What OfferRegistry asks of the OrderBook: was this order completed, and is this its report?
interface IOrderReports {
    /// @notice Reverts unless the order is COMPLETED and its CVM signed exactly this terminal report.
    /// @param order The order's terms as tight bytes (OrderCodec).
    /// @return id The order id.
    function checkReport(bytes calldata order, Report calldata report) external view returns (bytes32 id);
}
