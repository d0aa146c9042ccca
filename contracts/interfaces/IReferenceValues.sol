// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Policy: which runtimes, trust classes and TCB levels this market accepts (docs/protocol.md section 4.4).
/// @notice Facts stand in CvmRegistry and do not change when a value here is removed. A removal counts at once: an
/// order that is not yet running is voided; a running one goes on, since its CVM was not revoked.
interface IReferenceValues {
    event MeasurementAccepted(bytes32 indexed measurement, uint8 indexed tee, bytes32 indexed release);
    event MeasurementRemoved(bytes32 indexed measurement);
    event TrustClassAccepted(bytes32 indexed rootSet, uint8 worstTcb);
    event TrustClassRemoved(bytes32 indexed rootSet);

    /// @notice Accepts a runtime's measurement on one kind of TEE. Restricted.
    /// @param release Hash of the release label, so that anyone finds the source the measurement was built from.
    function acceptMeasurement(bytes32 measurement, uint8 tee, bytes32 release) external;

    /// @notice Removes a measurement. Restricted; counts at once.
    function removeMeasurement(bytes32 measurement) external;

    /// @notice Accepts a root set and the worst TCB status under it. Restricted.
    /// @dev Warning: "dev:" classes are simulated hardware. They are accepted on development chains alone.
    function acceptTrustClass(bytes32 rootSet, uint8 worstTcb) external;

    /// @notice Removes a root set. Restricted; counts at once.
    function removeTrustClass(bytes32 rootSet) external;

    /// @return tee     The kind of TEE that the measurement belongs to, zero where it is not accepted.
    /// @return release Hash of its release label.
    function measurementOf(bytes32 measurement) external view returns (uint8 tee, bytes32 release);

    /// @return The worst accepted TCB status, zero where the class is not accepted.
    function worstTcbOf(bytes32 rootSet) external view returns (uint8);

    /// @return Whether facts like these are good enough for any order of this market.
    function isAccepted(bytes32 measurement, bytes32 rootSet, uint8 tee, uint8 tcbStatus) external view returns (bool);
}
