// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";

import {IReferenceValues} from "./interfaces/IReferenceValues.sol";
import {IStandings} from "./interfaces/IStandings.sol";
import {Errors} from "./libraries/Errors.sol";
import {TcbStatus} from "./types/Certificates.sol";

/// @title See {IReferenceValues}.
/// @dev A start reads what a profile is worth in CvmRegistry, beside the CVM's word: a second contract would cost each
/// start and each acceptance 3,000 gas. This contract decides, and publishes there within the same call; CvmRegistry
/// keeps it and has no say. One slot must answer, so that a class cannot have a switch of its own (a second slot
/// for each start, for ever, to make a rare call cheaper). Instead a class keeps the list of its *accepted* profiles,
/// which governance alone makes longer and MAX_ACCEPTED bounds; what anybody declares never enters it.
contract ReferenceValues is IReferenceValues, AccessManaged {
    struct Profile {
        // slot 0
        bytes32 measurement;
        // slot 1
        bytes32 rootSet;
        // slot 2
        bytes32 release;
        // slot 3; `place` is its place in the class' list, from 1
        uint8 tee;
        uint8 worstTcb;
        uint8 place;
    }

    /// @notice The last status but REVOKED, which no profile can accept.
    uint8 public constant MAX_TCB = uint8(TcbStatus.REVOKED) - 1;
    /// @notice The most profiles of one root set that are accepted at a time.
    uint256 public constant MAX_ACCEPTED = 128;

    /// @inheritdoc IReferenceValues
    uint32 public profileCount;
    /// @inheritdoc IReferenceValues
    mapping(bytes32 rootSet => bool) public isClosed;
    /// @inheritdoc IReferenceValues
    mapping(bytes32 family => mapping(bytes32 measurement => bool)) public inFamily;
    mapping(uint32 profile => Profile) private _profiles;
    mapping(bytes32 content => uint32 profile) private _ids;
    mapping(bytes32 rootSet => uint32[]) private _accepted;

    /// @inheritdoc IReferenceValues
    IStandings public immutable STANDINGS;

    /// @param authority Access manager that holds the roles.
    /// @param standings CvmRegistry, which need not stand yet: it has what orders read beside what they read it for.
    constructor(address authority, IStandings standings) AccessManaged(authority) {
        STANDINGS = standings;
    }

    /// @inheritdoc IReferenceValues
    function declare(bytes32 measurement, bytes32 rootSet, uint8 tee) external returns (uint32 profile) {
        return _declare(measurement, rootSet, tee);
    }

    /// @inheritdoc IReferenceValues
    function acceptProfile(bytes32 measurement, bytes32 rootSet, uint8 tee, uint8 worstTcb, bytes32 release)
        external
        restricted
        returns (uint32 profile)
    {
        if (release == 0) revert Errors.ReferenceValues_Empty("release");
        _checkFloor(worstTcb);
        if (isClosed[rootSet]) revert Errors.ReferenceValues_Closed(rootSet);
        uint32[] storage accepted = _accepted[rootSet];
        if (accepted.length >= MAX_ACCEPTED) revert Errors.ReferenceValues_Full(rootSet, MAX_ACCEPTED);
        profile = _declare(measurement, rootSet, tee);
        Profile storage known = _profiles[profile];
        if (known.worstTcb != 0) revert Errors.ReferenceValues_Accepted(profile);
        accepted.push(profile);
        known.release = release;
        known.worstTcb = worstTcb;
        known.place = uint8(accepted.length);
        emit ProfileAccepted(profile, rootSet, release, worstTcb);
        _publish(profile, known);
    }

    /// @inheritdoc IReferenceValues
    function removeProfiles(uint32[] calldata profiles) external restricted {
        for (uint256 i = 0; i < profiles.length; ++i) {
            Profile storage known = _profiles[profiles[i]];
            if (known.worstTcb == 0) continue;
            // The last of the list takes the place that falls free.
            bytes32 rootSet = known.rootSet;
            uint32[] storage accepted = _accepted[rootSet];
            uint32 last = accepted[accepted.length - 1];
            accepted[known.place - 1] = last;
            _profiles[last].place = known.place;
            accepted.pop();
            _forget(profiles[i], known, rootSet);
        }
    }

    /// @inheritdoc IReferenceValues
    function removeTrustClass(bytes32 rootSet) external restricted {
        if (isClosed[rootSet]) revert Errors.ReferenceValues_Closed(rootSet);
        isClosed[rootSet] = true;
        uint32[] memory accepted = _accepted[rootSet];
        delete _accepted[rootSet];
        for (uint256 i = 0; i < accepted.length; ++i) {
            _forget(accepted[i], _profiles[accepted[i]], rootSet);
        }
        emit TrustClassRemoved(rootSet);
    }

    /// @inheritdoc IReferenceValues
    function reopenTrustClass(bytes32 rootSet) external restricted {
        if (!isClosed[rootSet]) revert Errors.ReferenceValues_Open(rootSet);
        isClosed[rootSet] = false;
        emit TrustClassReopened(rootSet);
    }

    /// @inheritdoc IReferenceValues
    function raiseFloor(uint32[] calldata profiles, uint8 worstTcb) external restricted {
        _checkFloor(worstTcb);
        for (uint256 i = 0; i < profiles.length; ++i) {
            Profile storage known = _profiles[profiles[i]];
            // A smaller number is a better status; 0, not accepted, stays as it is.
            if (known.worstTcb <= worstTcb) continue;
            known.worstTcb = worstTcb;
            emit FloorSet(profiles[i], worstTcb);
            _publish(profiles[i], known);
        }
    }

    /// @inheritdoc IReferenceValues
    function lowerFloor(uint32 profile, uint8 worstTcb) external restricted {
        _checkFloor(worstTcb);
        Profile storage known = _profiles[profile];
        if (known.worstTcb == 0) revert Errors.ReferenceValues_NotAccepted(profile);
        if (worstTcb <= known.worstTcb) revert Errors.ReferenceValues_NotLower(profile, worstTcb, known.worstTcb);
        known.worstTcb = worstTcb;
        emit FloorSet(profile, worstTcb);
        _publish(profile, known);
    }

    /// @inheritdoc IReferenceValues
    function declareFamily(bytes32[] calldata measurements) external returns (bytes32 family) {
        if (measurements.length == 0) revert Errors.ReferenceValues_Empty("measurements");
        bytes memory members = abi.encodePacked(measurements);
        family = keccak256(members);
        if (inFamily[family][measurements[0]]) return family;
        bytes32 previous = 0;
        for (uint256 i = 0; i < measurements.length; ++i) {
            if (measurements[i] <= previous) revert Errors.ReferenceValues_NotAscending(previous, measurements[i]);
            previous = measurements[i];
            inFamily[family][previous] = true;
        }
        emit FamilyDeclared(family, measurements.length, members);
    }

    /// @inheritdoc IReferenceValues
    function worstTcbOf(uint32 profile) external view returns (uint8) {
        return _profiles[profile].worstTcb;
    }

    /// @inheritdoc IReferenceValues
    function profileOf(uint32 profile)
        external
        view
        returns (uint8 worstTcb, uint8 tee, bytes32 measurement, bytes32 rootSet)
    {
        Profile storage known = _profiles[profile];
        return (known.worstTcb, known.tee, known.measurement, known.rootSet);
    }

    /// @inheritdoc IReferenceValues
    function idOf(bytes32 measurement, bytes32 rootSet, uint8 tee) external view returns (uint32) {
        return _ids[_contentOf(measurement, rootSet, tee)];
    }

    /// @inheritdoc IReferenceValues
    function releaseOf(uint32 profile) external view returns (bytes32) {
        return _profiles[profile].release;
    }

    /// @inheritdoc IReferenceValues
    function acceptedIn(bytes32 rootSet) external view returns (uint32[] memory) {
        return _accepted[rootSet];
    }

    /// @inheritdoc IReferenceValues
    function isAccepted(bytes32 measurement, bytes32 rootSet, uint8 tee, uint8 tcbStatus) external view returns (bool) {
        // An unknown profile has the number 0 and the floor 0, which nothing passes.
        uint8 worstTcb = _profiles[_ids[_contentOf(measurement, rootSet, tee)]].worstTcb;
        return tcbStatus != 0 && tcbStatus <= worstTcb;
    }

    function _declare(bytes32 measurement, bytes32 rootSet, uint8 tee) private returns (uint32 profile) {
        bytes32 content = _contentOf(measurement, rootSet, tee);
        profile = _ids[content];
        if (profile != 0) return profile;
        if (measurement == 0) revert Errors.ReferenceValues_Empty("measurement");
        if (rootSet == 0) revert Errors.ReferenceValues_Empty("rootSet");
        if (tee == 0) revert Errors.ReferenceValues_Empty("tee");
        profile = ++profileCount;
        _ids[content] = profile;
        Profile storage fresh = _profiles[profile];
        fresh.measurement = measurement;
        fresh.rootSet = rootSet;
        fresh.tee = tee;
        emit ProfileDeclared(profile, measurement, rootSet, tee);
    }

    /// @dev The release stays, for whoever asks what was once accepted.
    function _forget(uint32 profile, Profile storage known, bytes32 rootSet) private {
        known.worstTcb = 0;
        known.place = 0;
        emit ProfileRemoved(profile, rootSet);
        _publish(profile, known);
    }

    /// @dev Interaction, with our own registry: it keeps what it is told and calls nobody.
    function _publish(uint32 profile, Profile storage known) private {
        uint256 standing = 0;
        if (known.worstTcb != 0) {
            uint256 content = uint256(_contentOf(known.measurement, known.rootSet, known.tee));
            standing = (content & ~uint256(0xffff)) | (uint256(known.tee) << 8) | known.worstTcb;
        }
        // slither-disable-next-line calls-loop: governance chose the list; our own registry calls nobody
        STANDINGS.setStanding(profile, standing);
    }

    function _checkFloor(uint8 worstTcb) private pure {
        if (worstTcb == 0 || worstTcb > MAX_TCB) revert Errors.ReferenceValues_WorstTcb(worstTcb, MAX_TCB);
    }

    function _contentOf(bytes32 measurement, bytes32 rootSet, uint8 tee) private pure returns (bytes32) {
        return keccak256(abi.encode(measurement, rootSet, tee));
    }
}
