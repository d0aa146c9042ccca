// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lease, TopUp} from "../types/Leases.sol";

/// @title The right to use an offer for a time, paid in advance (docs/protocol.md section 6.6).
/// @notice An owner opens terms for one version of an offer; anybody pays for a lessee; the lessee's orders name the
/// lease and pay nothing for that input. The price is earned by the second; what is not earned yet comes back when the
/// lease ends early. A lease gives use, never the content: an owner that grants no keys earns until the lessee ends it.
/// @dev `terms` are the 161 bytes of LeaseTerms; a lease is terms ‖ lessee 20 ‖ payer 20 ‖ salt 8, 209 bytes in all;
/// `payees` is 1 to 8 times account 20 ‖ bps 2. Each is checked by hash, so that nothing of it is stored.
/// Which orders hold a place, the OrderBook's own events tell.
/// A lease stands whether or not the offer is still for sale: the OrderBook asks here instead of the OfferRegistry, so
/// that closing an offer takes nothing from those who paid, and no list of leases per offer is needed.
interface ILeaseBook {
    /// @param preimage Terms and payees, as given.
    event LeaseTermsOpened(bytes32 indexed terms, uint64 indexed offer, address indexed owner, bytes preimage);
    /// @notice The owner sells no more of these: no new lease, no renewal. What runs, runs on.
    event NoticeGiven(bytes32 indexed terms, uint64 indexed offer, address indexed owner);
    event Leased(
        bytes32 indexed lease,
        bytes32 indexed terms,
        address indexed lessee,
        address payer,
        uint64 salt,
        uint256 end,
        uint256 price,
        uint16 feeBps
    );
    event Renewed(bytes32 indexed lease, address indexed payer, uint256 end, uint256 price);
    event TopUpSet(bytes32 indexed lease, uint16 periods, uint40 until, uint32 within);
    /// @notice The owner brought the end forward, by his notice; `refund` was credited to the payer.
    event Recalled(bytes32 indexed lease, address indexed payer, uint256 end, uint256 refund);
    /// @notice The lessee ended it; `refund` was credited to the payer.
    event Ended(bytes32 indexed lease, address indexed payer, uint256 end, uint256 refund);
    /// @notice What was earned up to `until` was credited: `amount`, of which `fee` to the treasury.
    event Collected(bytes32 indexed lease, bytes32 indexed terms, uint256 until, uint256 amount, uint256 fee);
    event FeeSet(uint16 feeBps, address indexed treasury);

    /// @notice Opens terms, or opens them again after a notice. Offer's owner only; the version must be for sale.
    function openTerms(bytes calldata terms, bytes calldata payees) external returns (bytes32 id);

    /// @notice Stops new leases and renewals by these terms at once. Offer's owner only.
    function giveNotice(bytes calldata terms) external;

    /// @notice Buys `periods` for the lessee; the caller pays and is the payer, to whom every refund goes.
    function lease(bytes calldata lease_, uint256 periods) external returns (bytes32 id);

    /// @notice The same with an EIP-2612 permit instead of an allowance.
    function leaseWithPermit(bytes calldata lease_, uint256 periods, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        returns (bytes32 id);

    /// @notice Adds periods before the end, at the price of the same terms, paid by the caller, whoever he is.
    /// @dev Warning: a refund goes to the lease's payer, whoever renewed.
    function renew(bytes calldata lease_, uint256 periods) external;

    /// @notice Says how far anybody may renew with the payer's allowance. Payer only: it is his money.
    function setTopUp(bytes calldata lease_, TopUp calldata topUp) external;

    /// @notice Adds one period from the payer's allowance, as far as he said. Anybody.
    function renewFor(bytes calldata lease_) external;

    /// @notice Ends a lease now, or when the least time is over; what will not be earned goes to the payer. Lessee only,
    /// when all places are free.
    function end(bytes calldata lease_) external;

    /// @notice Brings the end forward to the notice's time, but not before the latest end of any order that ever took
    /// a place; what will not be earned goes to the payer. Offer's owner only, after notice.
    function recall(bytes calldata lease_) external;

    /// @notice Credits to the payees and the treasury what was earned since the last time. Anybody.
    function collect(bytes calldata lease_, bytes calldata payees) external returns (uint256 amount);

    /// @notice Takes a place for an order that ends by `until` at the latest. OrderBook only.
    function take(bytes32 lease_, address lessee, uint64 offer, uint32 version, bytes32 termsHash, uint256 until)
        external;

    /// @notice Frees a place. OrderBook only, once for each `take`; never reverts.
    function free(bytes32 lease_) external;

    /// @notice Sets the protocol's share of leases to come, and where every share goes. Authority's roles only.
    function setFee(uint16 feeBps, address treasury) external;

    /// @return The only caller of `take` and `free`.
    function ORDER_BOOK() external view returns (address);

    /// @return Whether leases are sold by the terms with this id.
    function isOpen(bytes32 terms) external view returns (bool);

    /// @return The lease; its start is zero where there is none.
    function leaseOf(bytes32 lease_) external view returns (Lease memory);

    /// @return What anybody may still renew from the payer's allowance.
    function topUpOf(bytes32 lease_) external view returns (TopUp memory);

    /// @return The id of these terms.
    function termsIdOf(bytes calldata terms) external view returns (bytes32);

    /// @return The id of this lease.
    function leaseIdOf(bytes calldata lease_) external view returns (bytes32);
}
