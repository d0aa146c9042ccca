// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, OrderId, OrderState, OrderTerms, Params, Report, Sale} from "../types/Orders.sol";

/// @title The life of an order (docs/protocol.md section 6.2).
/// @notice An order is the hash of its terms and one word. Whoever moves it repeats what the call needs as tight bytes
/// (libraries/OrderCodec.sol, libraries/OfferCodec.sol), checked by hash. Anybody may poke a deadline and submit what a
/// CVM signed. A terminal transition freezes what is due: it looks at no price, moves no token and depends on nobody's
/// balance. What is due is claimed afterwards, by anybody, into credits that each receiver withdraws.
/// @dev In each event `n` is the number of the event among those of its order, from 0; placing is 0 and says it by
/// being the first. `order` is an order's bytes, `heads` the heads of its compute offer and inputs, in this order.
interface IOrderBook {
    // ------------------------------------------------------------------------------------------------- events
    /// @notice PLACED: the deposit is in escrow.
    /// @param compute  Compute offer that the order asks for.
    /// @param inputs   Number of inputs.
    /// @param preimage The order's bytes, 300 + 44 * inputs and 32 for each extra (see OrderCodec), and behind them where the client's order packet may be found: a hint in UTF-8,
    /// neither hashed nor believed.
    event OrderPlaced(OrderId indexed id, address indexed client, uint64 indexed compute, uint8 inputs, bytes preimage);
    /// @notice ACCEPTED by the desk's operator for one CVM.
    /// @param taken From the least significant bit: most seconds that the deposit pays for 32, stake held for this order
    /// 192, version of the parameters 16, `n` 16.
    event OrderAccepted(OrderId indexed id, uint64 indexed compute, uint32 indexed cvm, uint256 taken);
    /// @notice RUNNING, phase SETUP.
    event OrderStarted(OrderId indexed id, uint32 indexed cvm, bytes32 indexed cvmId, uint16 n, bytes32 inputsRoot);
    /// @notice The CVM that accepted the order proved what it used so far.
    /// @param numbers As signed (`Report.numbers`), with `n` from bit 240.
    event OrderCheckpointed(OrderId indexed id, uint256 numbers);
    /// @notice Phase ENGINE was entered with that checkpoint: every digest was checked.
    /// @param statementDigest Of the IntegrityReport.
    event OrderIntegrity(OrderId indexed id, uint32 indexed cvm, bytes32 statementDigest);
    /// @notice Fewer funded seconds are left than the order asked to be warned of.
    event OrderLowBalance(OrderId indexed id, uint32 limit, uint256 secondsLeft);
    /// @notice STOPPING: the client wants no more; the CVM has `grace` to prove what it did.
    event OrderStopping(OrderId indexed id, address indexed client, uint16 n, uint256 until);
    /// @notice REFUSED, COMPLETED, FAILED, HOST or LAPSED: the CVM signed its last word.
    /// @param numbers As signed.
    /// @param billed  What the order pays for after every limit: seconds, units from bit 64, `n` from bit 240.
    event OrderReported(
        OrderId indexed id,
        uint32 indexed cvm,
        OrderState indexed state,
        uint256 numbers,
        uint256 billed,
        bytes32 resultDigest,
        bytes32 statementDigest,
        string location
    );
    /// @notice The operator of the order's CVM says where the public bundle lies. It counts for more than the location
    /// of the event above, which comes from whoever carried the CVM's signature.
    event OrderLocated(OrderId indexed id, uint32 indexed cvm, uint16 n, string location);
    /// @notice CANCELLED, EXPIRED, REVOKED or STOPPED: the order ended without a report.
    /// @param cvm    Zero for an order that was never accepted.
    /// @param billed As in `OrderReported`, phase from bit 128; units and seconds are those of the last checkpoint.
    /// @param span   EXPIRED while running: seconds that inputs are due for.
    event OrderEnded(OrderId indexed id, uint32 indexed cvm, OrderState indexed state, uint256 billed, uint32 span);
    /// @notice The deposit changed; `limit` is the most seconds that it pays for now.
    event OrderFunded(OrderId indexed id, address indexed account, bool added, uint16 n, uint32 limit, uint256 amount);
    /// @notice Dues of offer `k` (0 compute) were credited.
    /// @param credited From the least significant bit: gross due so far 224, fees inside; `k` 8; whether this was the last
    /// of it 8; `n` 16.
    event Claimed(OrderId indexed id, uint256 credited);
    /// @notice Refund, fees, penalty and what a contest burned were credited; `slashed` came from the provider's lock.
    event Settled(
        OrderId indexed id, uint16 n, uint256 refund, uint256 fees, uint256 penalty, uint256 burned, uint256 slashed
    );
    /// @notice The client has the result (`contested` false) or says that it was withheld: what was held back is then
    /// burned, together with as much of the client's own.
    event HoldbackResolved(OrderId indexed id, address indexed client, bool contested, uint16 n);
    /// @notice A served order earned `amount`; what no offer has a share in went to the client.
    event ServicePaid(OrderId indexed id, address indexed from, uint256 amount, uint256 toClient);
    /// @notice A CVM signed two words where one is possible.
    event Equivocated(
        OrderId indexed id,
        uint32 indexed cvm,
        address indexed reporter,
        uint16 n,
        uint256 taken,
        uint256 toPayer,
        uint256 toReporter
    );
    /// @notice One call of a batch failed; the others stand.
    event BatchItemFailed(uint256 indexed index, bytes reason);
    event ParamsAdded(uint16 indexed version, uint16 feeBps, uint16 startPenaltyBps, uint32 minGrace, address treasury);
    event PausedSet(bool paused);

    // ------------------------------------------------------------------------------------------------- placing
    /// @notice Places an order and takes its deposit. Client and payer are the caller.
    /// @dev What the market wants of an order, its least grace and not to be paused, is asked where it is accepted.
    /// @param location Where the order packet lies (configuration, result key, runtime policy), at most 256 bytes.
    function place(bytes calldata order, string calldata location) external returns (OrderId id);

    /// @notice Places several orders of the caller in one token; all or none. The deposits move together.
    function placeBatch(bytes[] calldata orders, string calldata location) external;

    /// @notice `place` with an EIP-2612 permit over the deposit instead of an allowance.
    function placeWithPermit(
        bytes calldata order,
        string calldata location,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (OrderId id);

    /// @notice Places for others: client and payer each signed the order id (EIP-712, or ERC-1271), or are the caller.
    /// @dev A permit authorises no terms: the payer's signature does, so that nobody else's order can spend it.
    /// @param clientSignature Empty where the client calls.
    /// @param payerSignature  Empty where the payer calls or is the client.
    function placeFor(
        bytes calldata order,
        string calldata location,
        bytes calldata clientSignature,
        bytes calldata payerSignature
    ) external returns (OrderId id);

    /// @notice `placeFor` where the payer's signature is a Permit2 transfer whose witness is the order id.
    /// @dev Needs Permit2 at its usual address on this chain.
    function placeWithPermit2(
        bytes calldata order,
        string calldata location,
        bytes calldata clientSignature,
        uint256 nonce,
        uint256 deadline,
        bytes calldata payerSignature
    ) external returns (OrderId id);

    /// @notice PLACED -> CANCELLED, by the client at any time, by anybody after acceptWithin. Credits the payer.
    function cancel(bytes calldata order) external;

    // ------------------------------------------------------------------------------------------------- accepting
    /// @notice PLACED -> ACCEPTED, by the operator of the compute offer's desk, until acceptWithin.
    /// @dev Every term is compared with the registry by hash; prices, deposit, fee, stake, runtime and certificate
    /// are checked here, once. The certificate must outlast startWithin.
    /// @param policy The client's runtime policy as tight bytes (libraries/PolicyCodec.sol).
    /// @param cvm    Index of the CVM in CvmRegistry.
    function accept(bytes calldata order, bytes calldata heads, bytes calldata policy, uint32 cvm) external;

    /// @notice `accept` for orders whose inputs are restricted, or offered by signature, or whose deposit pays for fewer
    /// seconds than maxSeconds: at least for setupSeconds + 2 * grace.
    function acceptWith(
        bytes calldata order,
        bytes calldata heads,
        bytes calldata policy,
        uint32 cvm,
        Sale calldata sale
    ) external;

    /// @notice ACCEPTED -> CANCELLED, by anybody: the CVM was revoked, its runtime was removed from the reference
    /// values, or, until the start deadline, a renewed certificate no longer fits the client's policy. Nobody is at
    /// fault, nothing is slashed; the payer is credited.
    function voidOrder(bytes calldata order, bytes calldata policy) external;

    // ------------------------------------------------------------------------------------------------- running
    /// @notice ACCEPTED -> RUNNING, by anybody who has the accepted CVM's signature over `OrderStart`.
    function start(OrderId id, bytes32 cvmId, bytes32 inputsRoot, bytes32 r, bytes32 vs) external;

    /// @notice RUNNING or STOPPING, paid as far as the CVM's signature proves, from its start on.
    /// @param numbers `Report.numbers` with the phase that the order is in, outcome 0 and attributableInput 255. The
    /// sequence rises strictly, seconds and units never fall. What else a summary has is signed as zero: the key that
    /// signs says which CVM, the order id which inputs.
    function checkpoint(OrderId id, uint256 numbers, bytes32 r, bytes32 vs) external;

    /// @notice The checkpoint that enters ENGINE, which is never left: every digest was checked.
    /// @param statementDigest Of the IntegrityReport, as signed.
    function enterEngine(OrderId id, uint256 numbers, bytes32 statementDigest, bytes32 r, bytes32 vs) external;

    /// @notice RUNNING or STOPPING in SETUP -> REFUSED, by anybody who has the CVM's signed refusal.
    function refuse(bytes calldata order, Report calldata report, string calldata location) external;

    /// @notice RUNNING or STOPPING -> COMPLETED, FAILED, LAPSED (in ENGINE) or HOST, by anybody who has the report.
    /// @dev Valid until somebody expires the order.
    function complete(bytes calldata order, Report calldata report, string calldata location) external;

    /// @notice Says where the order's public bundle lies, whatever its state, by the operator of its CVM.
    function locate(OrderId id, string calldata location) external;

    // ------------------------------------------------------------------------------------------------- closing
    /// @notice RUNNING -> STOPPING, by the client, or by anybody with the client's signature over `Stop`.
    /// @dev Time is paid by proof alone, so that the holder of a signed stop gains nothing by choosing its moment.
    function stop(bytes calldata order, bytes calldata signature) external;

    /// @notice ACCEPTED after the start deadline; RUNNING without a proof for `grace`, or after its last paid second
    /// and `grace`; STOPPING after the stop and `grace` -> EXPIRED, or STOPPED where a proof followed the stop.
    /// @dev An order whose CVM was revoked cannot expire: `voidOrder` and `settleRevoked` are its ways.
    function expire(bytes calldata order) external;

    /// @notice RUNNING or STOPPING with a revoked CVM -> REVOKED, by anybody: paid to the last proof, without slash.
    function settleRevoked(bytes calldata order) external;

    /// @notice Punishes two signed words of one CVM for one order where only one is possible: two for one sequence, or
    /// a refusal beside a proof that ENGINE was entered. Takes the order's lock, all free and all unbonding stake of the
    /// desk, and revokes the CVM. The payer gets at most what the order cost, the reporter a tenth, the rest burns.
    /// @dev `resultDigest` and `statementDigest` are as signed.
    function equivocate(bytes calldata order, bytes calldata heads, Report calldata first, Report calldata second)
        external;

    // ------------------------------------------------------------------------------------------------- money
    /// @notice Credits the payees of offer `k` (0 compute, i + 1 input i) with what is due and not yet claimed.
    /// @dev While the order runs only what no end can take back. Of an EXPIRED order after `claimRest` alone.
    /// @param proof `k` 1 byte, number of the offer's payees 1, the offer's head, its payees, and for a derived model its
    /// lineage: order id 32 and royalty table.
    function claim(bytes calldata order, bytes calldata proof) external;

    /// @notice Credits refund, fees, penalty and burned amounts of an ended order, and ends the provider's lock where
    /// that waited for it. While a holdback is pending it reverts.
    function claimRest(bytes calldata order, bytes calldata heads) external;

    /// @notice The client has its result: what was held back of a COMPLETED order is free.
    /// @param signature Over `Receipt`, empty where the client calls.
    function receipt(bytes calldata order, bytes calldata signature) external;

    /// @notice The client says that the result was withheld, within the window: what was held back burns, and as much of
    /// the client's own reserve.
    function contest(bytes calldata order) external;

    /// @notice Adds to the deposit of an order that is not funded in full, by anybody.
    function topUp(bytes calldata order, bytes calldata heads, uint128 amount) external;

    /// @notice The payer takes out what the order does not need before `floor` more seconds: setupSeconds + 2 * grace
    /// from now. Credited to the payer.
    function reclaim(bytes calldata order, bytes calldata heads, uint128 amount) external;

    /// @notice Pays `amount` as earnings of a served order and splits it at once among the offers with a revenue share.
    /// An input under a lease has none: the lease is what it earns.
    /// @param payees   One per offer, empty where `revenueBps` is zero.
    /// @param lineages One per offer, as in `claim`.
    function payService(
        bytes calldata order,
        bytes calldata heads,
        bytes[] calldata payees,
        bytes[] calldata lineages,
        uint128 amount
    ) external;

    // ------------------------------------------------------------------------------------------------- batches
    /// @notice Makes several calls of the caller to this contract; a failing one is undone alone and reported.
    /// @param calls One behind the other, at most 256: length 2 bytes, then the call's data.
    /// @return succeeded Bit i set: call i stands.
    function batch(bytes calldata calls) external returns (uint256 succeeded);

    // ------------------------------------------------------------------------------------------------- governance
    /// @notice Adds a set of shares and makes it current. Accepted orders keep theirs. By AUTHORITY alone.
    function addParams(Params calldata added) external returns (uint16 version);

    /// @notice Stops or allows accepting; no other way on or out of an order is touched. By AUTHORITY alone.
    function setPaused(bool paused) external;

    // ------------------------------------------------------------------------------------------------- views
    /// @return The EIP-712 hash of the order under this contract's domain.
    function orderId(bytes calldata order) external view returns (OrderId);

    /// @return The order's terms as a struct.
    function decodeOrder(bytes calldata order) external pure returns (OrderTerms memory);

    /// @return The stored facts; all zero for an order that was never placed.
    function getOrder(OrderId id) external view returns (Order memory);

    /// @return The packed words of many orders, as libraries/OrderWord.sol lays them out.
    function wordsOf(OrderId[] calldata ids) external view returns (uint256[] memory);

    /// @return gross Dues of offer `k` now, fees inside.
    /// @return claimed Of these, what was claimed.
    function dueOf(bytes calldata order, uint256 k, bytes calldata head)
        external
        view
        returns (uint256 gross, uint256 claimed);

    /// @notice Reverts unless the order is COMPLETED and its CVM signed exactly this terminal report.
    /// @return id The order's id. Lineage of derived models stands on it (OfferRegistry).
    function checkReport(bytes calldata order, Report calldata report) external view returns (OrderId id);

    /// @return The set of shares of one version, all zero where there is none.
    function params(uint16 version) external view returns (Params memory);

    /// @return The version that acceptances take now.
    function paramsVersion() external view returns (uint16);

    /// @return Whether accepting is stopped.
    function isPaused() external view returns (bool);

    /// @return The access manager that adds parameters and pauses; it has no other power here.
    function AUTHORITY() external view returns (address);

    /// @return entries  The contracts with the rest of this one's code, fixed at deployment.
    /// @return endings  See `entries`.
    /// @return accounts See `entries`.
    function parts() external view returns (address entries, address endings, address accounts);
}
