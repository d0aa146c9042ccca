// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IStandings} from "./IStandings.sol";

/// @title Policy: which runtimes, trust classes and TCB levels this market accepts (docs/protocol.md section 4.4).
/// @notice Facts stand in CvmRegistry and do not change when a value here is removed. A removal counts at once: an
/// order that is not yet running is voided; a running one goes on, since its CVM was not revoked.
/// @dev A profile is {measurement, root set, TEE}. Anybody may give one its number, which says nothing about it;
/// governance accepts some of them down to a TCB status. A trust class is a root set: all profiles under it.
/// Additions and lower floors belong to a role with a delay, removals and higher floors to one without.
interface IReferenceValues {
    event ProfileDeclared(uint32 indexed profile, bytes32 indexed measurement, bytes32 indexed rootSet, uint8 tee);
    event ProfileAccepted(uint32 indexed profile, bytes32 indexed rootSet, bytes32 indexed release, uint8 worstTcb);
    event ProfileRemoved(uint32 indexed profile, bytes32 indexed rootSet);
    event FloorSet(uint32 indexed profile, uint8 worstTcb);
    event TrustClassRemoved(bytes32 indexed rootSet);
    event TrustClassReopened(bytes32 indexed rootSet);
    /// @param members The measurements, 32 bytes each, in rising order: the preimage of `family`.
    event FamilyDeclared(bytes32 indexed family, uint256 count, bytes members);

    /// @notice Numbers a profile. Anybody; says nothing about whether it is good.
    /// @dev Repeating it returns the same number and changes nothing.
    function declare(bytes32 measurement, bytes32 rootSet, uint8 tee) external returns (uint32 profile);

    /// @notice Accepts a profile down to a TCB status. Restricted; its role is meant to have a delay.
    /// @dev Warning: "dev:" root sets are simulated hardware. They are accepted on development chains alone.
    /// @param worstTcb The worst status that is good enough, 1 to MAX_TCB.
    /// @param release  Hash of the release label, so that anyone finds the source the measurement was built from.
    function acceptProfile(bytes32 measurement, bytes32 rootSet, uint8 tee, uint8 worstTcb, bytes32 release)
        external
        returns (uint32 profile);

    /// @notice Removes profiles at once; those that are not accepted are passed over. Restricted.
    function removeProfiles(uint32[] calldata profiles) external;

    /// @notice Removes every profile of a root set at once and closes it to new ones. Restricted.
    /// @dev Costs at most MAX_ACCEPTED removals, however many profiles anybody declared. An acceptance that was
    /// scheduled before cannot bring the class back: it has to be reopened first.
    function removeTrustClass(bytes32 rootSet) external;

    /// @notice Lets profiles of a removed root set be accepted again. Restricted; its role is meant to have a delay.
    function reopenTrustClass(bytes32 rootSet) external;

    /// @notice Asks a better TCB status of profiles, at once; those that ask it already, or are not accepted, are
    /// passed over. Restricted.
    function raiseFloor(uint32[] calldata profiles, uint8 worstTcb) external;

    /// @notice Is content with a worse TCB status. Restricted; its role is meant to have a delay.
    function lowerFloor(uint32 profile, uint8 worstTcb) external;

    /// @notice Names a set of measurements by its content. Anybody; nothing can be added or taken out later.
    /// @param measurements In strictly rising order, at least one.
    /// @return family keccak256 of the measurements, 32 bytes each.
    function declareFamily(bytes32[] calldata measurements) external returns (bytes32 family);

    /// @return Whether the family was declared with this measurement. It does not say that anyone accepts it.
    function inFamily(bytes32 family, bytes32 measurement) external view returns (bool);

    /// @return The worst accepted TCB status, 0 where the profile is not accepted; from one slot.
    function worstTcbOf(uint32 profile) external view returns (uint8);

    /// @return worstTcb 0 where the profile is not accepted.
    function profileOf(uint32 profile)
        external
        view
        returns (uint8 worstTcb, uint8 tee, bytes32 measurement, bytes32 rootSet);

    /// @return The profile's number, 0 where nobody declared it.
    function idOf(bytes32 measurement, bytes32 rootSet, uint8 tee) external view returns (uint32);

    /// @return Hash of the release label under which the profile was accepted last.
    function releaseOf(uint32 profile) external view returns (bytes32);

    /// @return The accepted profiles of a root set, at most MAX_ACCEPTED, in no order.
    function acceptedIn(bytes32 rootSet) external view returns (uint32[] memory);

    /// @return Whether the root set was removed and not reopened.
    function isClosed(bytes32 rootSet) external view returns (bool);

    /// @return Whether facts like these are good enough for any order of this market.
    function isAccepted(bytes32 measurement, bytes32 rootSet, uint8 tee, uint8 tcbStatus) external view returns (bool);

    /// @return How many numbers are taken; they are 1 to this.
    function profileCount() external view returns (uint32);

    /// @return Where every change of a standing is published at once: CvmRegistry.
    function STANDINGS() external view returns (IStandings);
}
