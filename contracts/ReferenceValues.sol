// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";

import {IReferenceValues} from "./interfaces/IReferenceValues.sol";
import {Errors} from "./libraries/Errors.sol";
import {TcbStatus, TeeKind} from "./types/Certificates.sol";

/// @title See {IReferenceValues}.
contract ReferenceValues is IReferenceValues, AccessManaged {
    struct Measurement {
        // slot 0
        bytes32 release;
        // slot 1
        uint8 tee;
    }

    /// @dev The last status but REVOKED, which no class can accept.
    uint8 public constant MAX_TCB = uint8(TcbStatus.REVOKED) - 1;

    mapping(bytes32 measurement => Measurement) private _measurements;
    /// @inheritdoc IReferenceValues
    mapping(bytes32 rootSet => uint8) public worstTcbOf;

    constructor(address authority) AccessManaged(authority) {}

    /// @inheritdoc IReferenceValues
    function acceptMeasurement(bytes32 measurement, uint8 tee, bytes32 release) external restricted {
        if (measurement == 0) revert Errors.ReferenceValues_Empty("measurement");
        if (release == 0) revert Errors.ReferenceValues_Empty("release");
        if (tee == 0 || tee > uint8(type(TeeKind).max)) revert Errors.ReferenceValues_UnknownTee(tee);
        _measurements[measurement] = Measurement({release: release, tee: tee});
        emit MeasurementAccepted(measurement, tee, release);
    }

    /// @inheritdoc IReferenceValues
    function removeMeasurement(bytes32 measurement) external restricted {
        if (_measurements[measurement].tee == 0) revert Errors.ReferenceValues_Empty("measurement");
        delete _measurements[measurement];
        emit MeasurementRemoved(measurement);
    }

    /// @inheritdoc IReferenceValues
    function acceptTrustClass(bytes32 rootSet, uint8 worstTcb) external restricted {
        if (rootSet == 0) revert Errors.ReferenceValues_Empty("rootSet");
        if (worstTcb == 0 || worstTcb > MAX_TCB) revert Errors.ReferenceValues_WorstTcb(worstTcb, MAX_TCB);
        worstTcbOf[rootSet] = worstTcb;
        emit TrustClassAccepted(rootSet, worstTcb);
    }

    /// @inheritdoc IReferenceValues
    function removeTrustClass(bytes32 rootSet) external restricted {
        if (worstTcbOf[rootSet] == 0) revert Errors.ReferenceValues_Empty("rootSet");
        delete worstTcbOf[rootSet];
        emit TrustClassRemoved(rootSet);
    }

    /// @inheritdoc IReferenceValues
    function measurementOf(bytes32 measurement) external view returns (uint8 tee, bytes32 release) {
        Measurement storage known = _measurements[measurement];
        return (known.tee, known.release);
    }

    /// @inheritdoc IReferenceValues
    function isAccepted(bytes32 measurement, bytes32 rootSet, uint8 tee, uint8 tcbStatus) external view returns (bool) {
        // An unknown measurement has TEE 0 and an unknown class has worst TCB 0; neither value passes.
        return tee != 0 && _measurements[measurement].tee == tee && tcbStatus != 0 && tcbStatus <= worstTcbOf[rootSet];
    }
}
