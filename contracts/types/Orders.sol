// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OfferTerms} from "./Offers.sol";

/// @dev EIP-712 hash of `OrderTerms` under the OrderBook's domain (protocol.md section 2).
type OrderId is bytes32;

/// @dev STOPPING and LAPSED are reserved for payment by checkpoint; nothing enters them yet.
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

/// @param lease Reserved for LeaseBook; zero means the input's own price is paid.
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

/// @notice Reserved for delivery holdback (section 6.9); both must be zero.
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

/// @notice Everything that an order id commits to, repeated in calldata and checked by hash.
struct OrderPreimage {
    OrderTerms terms;
    OfferTerms compute;
    OfferTerms[] inputs;
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

/// @notice Stored facts of an order. Terminal slots are never cleared.
/// @param since     Time of placing, acceptance or start, whichever came last.
/// @param lastProof Time of the last accepted checkpoint, or of start.
struct Order {
    // slot 0
    bytes32 cvmId;
    // slot 1: 8 + 8 + 40 + 40 + 32 + 32 + 64 + 16 = 240 bits
    OrderState state;
    Phase phase;
    uint40 since;
    uint40 lastProof;
    uint32 sequence;
    uint32 secondsUsed;
    uint64 unitsUsed;
    uint16 paramsVersion;
}

/// @notice One immutable set of shares, named by its version in each order.
/// @param feeBps          Protocol fee, taken from each gross amount.
/// @param startPenaltyBps Share of the compute price at maxSeconds that a missed start costs the provider.
/// @param minGrace        Least `grace` and `keysWithin` of an order, in seconds.
/// @param treasury        Receiver of the fee.
struct Params {
    uint16 feeBps;
    uint16 startPenaltyBps;
    uint32 minGrace;
    address treasury;
}
