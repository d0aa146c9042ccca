// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Where ReferenceValues publishes what each profile is worth; CvmRegistry keeps it for its readers.
interface IStandings {
    /// @param standing 0 where the profile is not accepted; else the worst accepted TCB status 8 bits, TEE kind 8, and the
    /// highest 240 bits of keccak256(abi.encode(measurement, rootSet, tee)).
    event StandingSet(uint32 indexed profile, uint256 standing);

    /// @notice Replaces a profile's standing. Only by ReferenceValues.
    function setStanding(uint32 profile, uint256 standing) external;
}
