// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SettlementLib} from "../libraries/SettlementLib.sol";
import {
    Order,
    OrderId,
    OrderPreimage,
    OrderState,
    OrderTerms,
    Params,
    Phase,
    ReportSummary,
    RuntimePolicy
} from "../types/Orders.sol";

/// @title The life of an order (docs/protocol.md section 6.2).
/// @notice An order is the hash of its terms and two slots. Whoever moves it repeats the preimage in calldata, where
/// it is checked by hash. Anybody may poke a deadline and submit what a CVM signed. A terminal transition freezes what
/// is due and pays nobody; each receiver's amount is claimed afterwards, by anybody, on its own.
interface IOrderBook {
    // ------------------------------------------------------------------------------------------------- events
    /// @notice PLACED: `deposit` of `token` is in escrow.
    /// @param compute  Compute offer that the order asks for.
    /// @param preimage abi.encode(OrderTerms): the whole preimage of the id.
    /// @param location Where the client's order packet may be found: a hint, neither hashed nor believed.
    event OrderPlaced(
        OrderId indexed id,
        address indexed client,
        uint64 indexed compute,
        address payer,
        address token,
        uint128 deposit,
        bytes preimage,
        string location
    );
    /// @notice ACCEPTED by the provider's operator for one CVM.
    /// @param locked Stake held for this order.
    event OrderAccepted(
        OrderId indexed id, bytes32 indexed cvmId, address indexed provider, uint16 paramsVersion, uint256 locked
    );
    /// @notice RUNNING, phase SETUP.
    event OrderStarted(OrderId indexed id, bytes32 indexed cvmId, bytes32 inputsRoot);
    /// @notice RUNNING, phase ENGINE: the IntegrityReport's digest is `summary.statementDigest`.
    event OrderCheckpointed(
        OrderId indexed id, bytes32 indexed cvmId, uint32 secondsProven, ReportSummary summary, string location
    );
    /// @notice REFUSED, COMPLETED, FAILED or HOST: the CVM signed its last word.
    /// @param secondsBilled What the order pays for, after every limit.
    event OrderReported(
        OrderId indexed id,
        bytes32 indexed cvmId,
        OrderState indexed state,
        uint32 secondsBilled,
        uint64 unitsBilled,
        ReportSummary summary,
        string location
    );
    /// @notice The operator of the order's CVM says where the public bundle lies. It counts for more than the locations
    /// of the two events above, which come from whoever carried the CVM's signature.
    event OrderLocated(OrderId indexed id, bytes32 indexed cvmId, string location);
    /// @notice CANCELLED, EXPIRED, REVOKED or STOPPED: the order ended without a report.
    /// @param cvmId   Zero for an order that was never accepted.
    /// @param phase   Where it ended; an order that EXPIRED in NONE was started too late.
    /// @param slashed Taken from the provider's lock, for the client (NONE) or for the inputs' owners.
    event OrderEnded(
        OrderId indexed id,
        bytes32 indexed cvmId,
        OrderState indexed state,
        Phase phase,
        uint32 secondsBilled,
        uint256 slashed
    );
    /// @notice One amount of a settled order was paid out.
    event Claimed(OrderId indexed id, uint8 indexed index, address indexed receiver, uint256 amount);
    event ParamsAdded(uint16 indexed version, uint16 feeBps, uint16 startPenaltyBps, uint32 minGrace, address treasury);

    // ------------------------------------------------------------------------------------------------- placing
    /// @notice Places an order and takes its deposit. Client and payer are the caller.
    /// @param location Where the order packet lies (configuration, result key, runtime policy), at most 256 bytes: an
    /// untrusted hint, emitted, neither stored nor hashed.
    function place(OrderTerms calldata terms, string calldata location) external returns (OrderId id);

    /// @notice The same with an EIP-2612 permit over the deposit instead of an allowance.
    function placeWithPermit(
        OrderTerms calldata terms,
        string calldata location,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (OrderId id);

    /// @notice PLACED -> CANCELLED, by the client at any time, by anybody after acceptWithin.
    function cancel(OrderTerms calldata terms) external;

    /// @notice PLACED -> ACCEPTED, by the operator of the compute offer's owner, until acceptWithin.
    /// @dev Every term is compared with the registry by hash; prices, deposit, fee, stake, runtime and certificate
    /// are checked here, once. The certificate must outlast startWithin.
    function accept(OrderPreimage calldata pre, RuntimePolicy calldata policy, bytes32 cvmId) external;

    /// @notice ACCEPTED -> CANCELLED, by anybody: the CVM was revoked, its runtime was removed from the reference
    /// values, or, until startWithin, a renewed certificate no longer fits the client's policy. Nobody is at fault,
    /// nothing is slashed.
    function voidOrder(OrderPreimage calldata pre, RuntimePolicy calldata policy) external;

    // ------------------------------------------------------------------------------------------------- running
    /// @notice ACCEPTED -> RUNNING, by anybody who has the accepted CVM's signature over `OrderStart`.
    function start(OrderTerms calldata terms, bytes calldata signature) external;

    /// @notice Phase SETUP -> ENGINE, once: every digest was checked, the engine may start.
    /// @param location Here and below: where the order's public bundle (statements, evidence, sealed key) lies, at
    /// most 256 bytes; a hint that is emitted, neither stored nor hashed.
    function checkpoint(
        OrderTerms calldata terms,
        ReportSummary calldata summary,
        bytes calldata signature,
        string calldata location
    ) external;

    /// @notice RUNNING in SETUP -> REFUSED, by anybody who has the CVM's signed refusal.
    function refuse(
        OrderPreimage calldata pre,
        ReportSummary calldata summary,
        bytes calldata signature,
        string calldata location
    ) external;

    /// @notice RUNNING -> COMPLETED, FAILED (both in phase ENGINE) or HOST, by anybody who has the CVM's signed report.
    /// @dev Valid until somebody expires the order.
    function complete(
        OrderPreimage calldata pre,
        ReportSummary calldata summary,
        bytes calldata signature,
        string calldata location
    ) external;

    /// @notice Says where the order's public bundle lies, whatever its state, by the operator of its CVM.
    /// @dev Whoever copies a report out of the mempool and is faster brings another location along with it; the order
    /// has then ended, and this is how its client still hears of the right one.
    function locate(OrderId id, string calldata location) external;

    // ------------------------------------------------------------------------------------------------- closing
    /// @notice ACCEPTED after startWithin, or RUNNING after maxSeconds + grace -> EXPIRED, by anybody.
    /// @dev An order whose CVM is not good any more cannot expire: `voidOrder` and `settleRevoked` are its ways.
    function expire(OrderPreimage calldata pre) external;

    /// @notice RUNNING -> STOPPED, by the client alone.
    /// @dev The client's signature over `Stop` speaks to the CVM, not to this contract: time is paid until the call, so
    /// a host that was given it could wait until it is due the most, and take silence for a stop.
    function stop(OrderPreimage calldata pre) external;

    /// @notice RUNNING with a revoked CVM -> REVOKED, by anybody: paid to the last proof, without slash.
    function settleRevoked(OrderPreimage calldata pre) external;

    /// @notice Pays out amounts of a settled order, each to its own receiver, whoever calls.
    /// @dev An amount is paid once. Bits that name nothing, a zero amount or a paid one are skipped, so that all ones
    /// means everything; a receiver that the token refuses is left out by leaving out its bit. Of an order that was
    /// never accepted only `terms` is looked at.
    /// @param mask Bit n asks for payout index n.
    function claim(OrderPreimage calldata pre, uint256 mask) external;

    // ------------------------------------------------------------------------------------------------- params
    /// @notice Adds a set of shares and makes it current. Accepted orders keep theirs. By AUTHORITY alone.
    function addParams(Params calldata added) external returns (uint16 version);

    // ------------------------------------------------------------------------------------------------- views
    /// @return The EIP-712 hash of `terms` under this contract's domain.
    function orderId(OrderTerms calldata terms) external view returns (OrderId);

    /// @return The stored facts; all zero for an order that was never placed.
    function getOrder(OrderId id) external view returns (Order memory);

    /// @return Every payout of a settled order, zero amounts included.
    function payouts(OrderPreimage calldata pre) external view returns (SettlementLib.Payout[] memory);

    /// @return Bit n set: payout index n was paid.
    function claimedOf(OrderId id) external view returns (uint256);

    /// @return The access manager that adds parameters; it has no other power here.
    function AUTHORITY() external view returns (address);

    /// @return The set of shares of one version, all zero where there is none.
    function params(uint16 version) external view returns (Params memory);

    /// @return The version that acceptances take now.
    function paramsVersion() external view returns (uint16);
}
