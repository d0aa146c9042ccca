// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Report} from "../types/Orders.sol";

/// @title What OfferRegistry asks of the OrderBook: was this order completed, and is this its report?
interface IOrderReports {
    /// @notice Reverts unless the order is COMPLETED and its CVM signed exactly this terminal report.
    /// @param order The order's terms as tight bytes (OrderCodec).
    /// @return id The order id.
    function checkReport(bytes calldata order, Report calldata report) external view returns (bytes32 id);
}
