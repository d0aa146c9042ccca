// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CvmFacts, CvmKeys, Possession} from "../types/Certificates.sol";
import {IEvidenceVerifier} from "./IEvidenceVerifier.sol";
import {IReferenceValues} from "./IReferenceValues.sol";
import {IStandings} from "./IStandings.sol";

/// @title Facts: which CVM keys were proven in which measurement, until when (docs/protocol.md section 4.5).
/// @notice It decides money only. Owners, clients and auditors verify the raw evidence themselves; whether a fact is
/// good enough is said elsewhere, by ReferenceValues and by each order's runtime policy.
/// @dev Each CVM has a small number, 1 and up, so that an order can name it in 32 bits, and one word that says all
/// that money asks of it (CvmWord): signer, expiry, TCB status, revoked, retired, profile. TEE, measurement and root set
/// are those of the profile, which ReferenceValues numbered.
interface ICvmRegistry is IStandings {
    /// @notice The arguments of {register}.
    struct Registration {
        CvmKeys keys;
        Possession possession;
        bytes possessionSignature;
        IEvidenceVerifier verifier;
        bytes evidence;
    }

    /// @notice The arguments of {renew}.
    struct Renewal {
        uint32 cvm;
        IEvidenceVerifier verifier;
        bytes evidence;
    }

    /// @param expiresAt Unix time, in seconds, from which the CVM can neither be accepted nor started.
    /// @param profile   Number of {measurement, rootSet, tee} in ReferenceValues.
    event CvmRegistered(
        bytes32 indexed cvmId,
        address indexed operator,
        uint32 indexed cvm,
        address verifier,
        address signer,
        uint40 expiresAt,
        uint8 tcbStatus,
        uint32 profile,
        uint8 tee,
        bytes32 measurement,
        bytes32 rootSet
    );
    event CvmRenewed(
        bytes32 indexed cvmId, uint32 indexed cvm, address indexed verifier, uint40 expiresAt, uint8 tcbStatus
    );
    event CvmRevoked(bytes32 indexed cvmId, uint32 indexed cvm, address indexed revoker);
    event CvmRetired(bytes32 indexed cvmId, uint32 indexed cvm, address indexed operator);
    event VerifierAdded(address indexed verifier);
    event VerifierRemoved(address indexed verifier);
    /// @notice An item of a batch was left out; the others stand.
    /// @param index  Place of the item in the batch, from 0.
    /// @param reason First 32 bytes of its revert data, the error's selector first; 0 where it ran out of gas.
    event ItemFailed(uint256 indexed index, bytes32 reason);

    /// @notice Stores what an accepted verifier proves about a CVM, or renews it until later.
    /// @dev Anybody may carry it: the operator is inside the evidence and inside the signer's own proof of possession.
    /// A renewal may change the TCB status and must expire later; everything else of a CVM is born with its keys.
    /// @param possession          Names this registry, the CVM and the operator.
    /// @param possessionSignature By `keys.signer`, EIP-712, 65 bytes, low s.
    /// @return cvm The CVM's number.
    function register(
        CvmKeys calldata keys,
        Possession calldata possession,
        bytes calldata possessionSignature,
        IEvidenceVerifier verifier,
        bytes calldata evidence
    ) external returns (uint32 cvm);

    /// @notice Prolongs what is known about a CVM: no keys and no possession, which cannot have changed.
    /// @dev Anybody may carry it. The evidence must prove the same CVM id, signer, operator and profile until later.
    function renew(uint32 cvm, IEvidenceVerifier verifier, bytes calldata evidence) external;

    /// @notice `register` for many; an item that is refused is left out with {ItemFailed}.
    /// @return done How many were stored.
    function registerBatch(Registration[] calldata items) external returns (uint256 done);

    /// @notice `renew` for many; an item that is refused is left out with {ItemFailed}.
    /// @return done How many were renewed.
    function renewBatch(Renewal[] calldata items) external returns (uint256 done);

    /// @notice Marks a CVM as not to be believed, for ever, known or not yet known. Restricted.
    function revoke(bytes32 cvmId) external;

    /// @notice The same, after the CVM signed two things that exclude each other. OrderBook only; never reverts there,
    /// so that a proof of equivocation settles whatever was known before.
    function revokeByProof(uint32 cvm) external;

    /// @notice The operator takes its CVM out of service: no new acceptance and no start.
    /// @dev Not a revocation: a running order goes on, and a missed start is paid for.
    function retire(bytes32 cvmId) external;

    /// @notice Believes one more verifier. Restricted; its role is meant to have a delay.
    function addVerifier(IEvidenceVerifier verifier) external;

    /// @notice Stops believing a verifier at once. Restricted.
    /// @dev Facts that it proved stand until they expire or are revoked.
    function removeVerifier(IEvidenceVerifier verifier) external;

    /// @notice What money asks of a CVM, from one slot; 0 where there is no such number.
    function wordOf(uint32 cvm) external view returns (uint256 word);

    /// @return word     As `wordOf`.
    /// @return standing What ReferenceValues published of its profile ({IStandings}), from a second slot.
    function standingOf(uint32 cvm) external view returns (uint256 word, uint256 standing);

    /// @return The account that runs the CVM, 0 where nothing was proven.
    function operatorOf(uint32 cvm) external view returns (address);

    function factsAt(uint32 cvm) external view returns (uint256 word, address operator);

    /// @return The CVM's number, 0 where it was neither proven nor revoked.
    function indexOf(bytes32 cvmId) external view returns (uint32);

    /// @return 0 where there is no such number.
    function cvmIdAt(uint32 cvm) external view returns (bytes32);

    /// @return How many numbers are taken; they are 1 to this.
    function cvmCount() external view returns (uint32);

    /// @return Unix time, in seconds, of the first registration; 0 where nothing was proven.
    function registeredAt(uint32 cvm) external view returns (uint40);

    /// @return All zero where nothing was proven; `revoked` may stand alone.
    function factsOf(bytes32 cvmId) external view returns (CvmFacts memory);

    /// @return Whether the CVM is proven, unexpired and neither revoked nor retired.
    function isUsable(bytes32 cvmId) external view returns (bool);

    function isRetired(bytes32 cvmId) external view returns (bool);

    function isVerifier(IEvidenceVerifier verifier) external view returns (bool);

    /// @return The CVM id of these keys.
    function cvmIdOf(CvmKeys calldata keys) external pure returns (bytes32);

    /// @return The longest time, in seconds, from registration to expiry.
    function MAX_VALIDITY() external view returns (uint256);

    function ORDER_BOOK() external view returns (address);

    function REFERENCES() external view returns (IReferenceValues);
}
