// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev EIP-712 hash of `OrderTerms` under the OrderBook's domain (protocol.md section 2).
type OrderId is bytes32;

/// @dev Numbers are part of events and of the twins: append only.
enum OrderState {
    NONE,
    PLACED,
    ACCEPTED,
    RUNNING,
    STOPPING,
    CANCELLED,
    EXPIRED,
    REFUSED,
    COMPLETED,
    FAILED,
    HOST,
    LAPSED,
    REVOKED,
    STOPPED
}

/// @dev NONE until start; ENGINE once the IntegrityReport is on chain.
enum Phase {
    NONE,
    SETUP,
    ENGINE
}

/// @dev What a signed summary claims. NONE marks a checkpoint.
enum Outcome {
    NONE,
    COMPLETED,
    FAILED,
    HOST,
    LAPSED,
    REFUSED
}

struct ComputeRef {
    uint64 offer;
    uint32 version;
    bytes32 termsHash;
}

/// @param lease A lease of LeaseBook that covers this input, which then costs the order nothing; zero pays its price.
struct InputRef {
    uint64 offer;
    uint32 version;
    bytes32 termsHash;
    bytes32 lease;
}

/// @notice All in seconds, counted from the state change that each name speaks of (section 6.2).
struct Windows {
    uint32 acceptWithin;
    uint32 startWithin;
    uint32 setupSeconds;
    uint32 keysWithin;
    uint32 loadWithin;
    uint32 maxSeconds;
    uint32 grace;
}

/// @notice What of the compute price waits for the client's receipt (section 6.9).
/// @param bps    Share of the compute price; zero holds nothing back.
/// @param window Seconds after completion in which the client may contest.
struct Holdback {
    uint16 bps;
    uint32 window;
}

/// @notice The preimage of an order id.
/// @param payer               Who deposits and gets every refund.
/// @param inputs              1 to 16; exactly one engine, first; no duplicates.
/// @param configDigest        Salted digest of the engine's configuration.
/// @param resultKeyDigest     Digest of the client's HPKE public key for result and logs.
/// @param accessKeyDigest     Zero for batch orders; the access key's digest for served ones.
/// @param runtimePolicyDigest EIP-712 struct hash of `RuntimePolicy`.
/// @param placeBefore         Unix time after which nobody may place these terms.
/// @param delivery            0: the host's store. Other modes are reserved.
/// @param deliveryDigest      Digest of the client's own store; zero for mode 0.
/// @param maxFeeBps           The most protocol fee that the client agrees to.
/// @param deposit             Held in escrow, in the token's smallest unit.
struct OrderTerms {
    address client;
    address payer;
    address token;
    ComputeRef compute;
    InputRef[] inputs;
    bytes32 configDigest;
    bytes32 resultKeyDigest;
    bytes32 accessKeyDigest;
    bytes32 runtimePolicyDigest;
    uint40 placeBefore;
    Windows windows;
    uint64 maxUnits;
    Holdback holdback;
    uint8 delivery;
    bytes32 deliveryDigest;
    uint16 maxFeeBps;
    uint128 deposit;
    bytes32 salt;
}

/// @notice Which runtimes a client accepts; a content hash in the terms, so that nothing widens it.
/// @param trustClasses keccak256 of the accepted root set ids ("intel", "dev:<sha256 of root>").
/// @param teeMask      Bit n accepts TeeKind n.
/// @param measurements Accepted measurements; empty refuses.
/// @param worstTcb     The worst accepted TcbStatus.
struct RuntimePolicy {
    bytes32[] trustClasses;
    uint256 teeMask;
    bytes32[] measurements;
    uint8 worstTcb;
}

/// @notice What the accepted CVM signs to start (EIP-712, OrderBook domain).
struct OrderStart {
    bytes32 orderId;
    bytes32 cvmId;
    bytes32 inputsRoot;
}

/// @notice What a CVM signs for checkpoints, refusals and reports (EIP-712, OrderBook domain).
/// @param sequence          Strictly rises; every terminal summary has type(uint32).max.
/// @param attributableInput Index of the input at fault in a refusal; 255 for none.
/// @param inputsRoot        keccak256(abi.encode(terms.inputs)).
/// @param resultDigest      Ciphertext digest of the sealed result; zero where there is none.
/// @param statementDigest   SHA-256 of the DSSE payload: IntegrityReport, refusal or OrderReport.
/// @param secondsUsed       Cumulative seconds since start, by the CVM's clock.
/// @param unitsUsed         Cumulative metered units.
struct ReportSummary {
    bytes32 orderId;
    bytes32 cvmId;
    uint8 phase;
    uint32 sequence;
    uint8 outcome;
    uint8 attributableInput;
    bytes32 inputsRoot;
    bytes32 resultDigest;
    bytes32 statementDigest;
    uint32 secondsUsed;
    uint64 unitsUsed;
}

/// @notice What the client signs so that the CVM ends its engine early (EIP-712, OrderBook domain). It moves no money.
struct Stop {
    bytes32 orderId;
}

/// @notice What a CVM's last word needs beside the order itself, as calldata carries it; the signed struct is
/// `ReportSummary`, whose other members the contract knows (`orderId`, and `inputsRoot` from the order's bytes).
/// @param numbers From the least significant bit: phase 8, outcome 8, attributableInput 8, sequence 32, secondsUsed 32,
/// unitsUsed 64; the rest zero.
/// @param r  Signature, EIP-2098: r, then s with the parity in the highest bit.
/// @param vs See `r`.
struct Report {
    bytes32 cvmId;
    bytes32 resultDigest;
    bytes32 statementDigest;
    uint256 numbers;
    bytes32 r;
    bytes32 vs;
}

/// @notice What `acceptWith` needs beyond `accept`, one entry per offer, compute first.
/// @param proofs RestrictionLib's proof; empty where the offer is unrestricted.
/// @param signed abi.encode(bytes signed, bytes signature) for IOfferRegistry-fillSigned; empty where it is listed.
struct Sale {
    bytes[] proofs;
    bytes[] signed;
}

/// @notice The stored facts of an order, unpacked for readers (libraries/OrderWord.sol has the slot).
/// @param since     See OrderWord: time of placing, last second to start, time of start, or time of the end.
/// @param lastProof Seconds from start to the last proof; of an EXPIRED order the seconds that inputs are due for.
/// @param sequence  Of the last checkpoint; zero after the end.
/// @param claimed   After the end: bit k set when offer k was claimed, bit 17 for refund, fees and penalty.
/// @param limit     Most seconds that are paid: maxSeconds, or fewer where the deposit funds fewer; zero when unknown.
struct Order {
    OrderState state;
    Phase phase;
    uint8 hold;
    bool drawn;
    bool struck;
    uint40 since;
    uint32 lastProof;
    uint32 sequence;
    uint32 claimed;
    uint32 secondsUsed;
    uint64 unitsUsed;
    uint16 paramsVersion;
    uint32 cvm;
    uint256 lock;
    uint16 events;
    Extra extra;
}

/// @notice What an order has beside its word once somebody funded it otherwise than in full, or stopped it.
/// @param added     Paid in after placing.
/// @param removed   Taken out by the payer before the end.
/// @param limit     Most seconds that deposit and additions pay for.
/// @param warnBelow Fewer funded seconds left than this, and a checkpoint says so.
/// @param stoppedAt Time of the client's stop, or zero.
struct Extra {
    // slot 0
    uint128 added;
    uint128 removed;
    // slot 1: 32 + 32 + 40 = 104 bits
    uint32 limit;
    uint32 warnBelow;
    uint40 stoppedAt;
}

/// @notice One immutable set of shares, named by its version in each order.
/// @param feeBps          Protocol fee, taken from each gross amount.
/// @param startPenaltyBps Share of the compute price at its most that a missed start costs the provider.
/// @param minGrace        Least `grace` and `keysWithin` of an order, in seconds.
/// @param treasury        Receiver of the fee.
struct Params {
    // slot 0: 16 + 16 + 32 + 160 = 224 bits
    uint16 feeBps;
    uint16 startPenaltyBps;
    uint32 minGrace;
    address treasury;
}

/// @notice The set that acceptances take now, in one slot with the switch that stops them.
struct Current {
    // slot 0: 224 + 16 + 8 = 248 bits (members of `Params` once more: a struct inside would begin a slot of its own)
    uint16 feeBps;
    uint16 startPenaltyBps;
    uint32 minGrace;
    address treasury;
    uint16 version;
    bool paused;
}
