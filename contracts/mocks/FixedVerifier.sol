// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEvidenceVerifier} from "../interfaces/IEvidenceVerifier.sol";
import {CvmFacts} from "../types/Certificates.sol";

/// @title A back end that proves whatever its evidence says: the seam's other side, for tests.
contract FixedVerifier is IEvidenceVerifier {
    /// @inheritdoc IEvidenceVerifier
    function verify(bytes calldata evidence) external pure returns (bytes32 cvmId, CvmFacts memory facts) {
        return abi.decode(evidence, (bytes32, CvmFacts));
    }
}
