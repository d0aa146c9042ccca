// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {ICvmRegistry} from "./interfaces/ICvmRegistry.sol";
import {IEvidenceVerifier} from "./interfaces/IEvidenceVerifier.sol";
import {Errors} from "./libraries/Errors.sol";
import {OrderHashLib} from "./libraries/OrderHashLib.sol";
import {CvmFacts, CvmKeys, Possession} from "./types/Certificates.sol";

/// @title See {ICvmRegistry}.
contract CvmRegistry is ICvmRegistry, AccessManaged, EIP712 {
    /// @inheritdoc ICvmRegistry
    mapping(IEvidenceVerifier verifier => bool) public isVerifier;
    /// @inheritdoc ICvmRegistry
    mapping(bytes32 cvmId => bool) public isRetired;
    mapping(bytes32 cvmId => CvmFacts) private _facts;

    /// @param authority Access manager that holds the revoker's and the manager's roles.
    /// @param verifiers Believed from the start.
    constructor(address authority, IEvidenceVerifier[] memory verifiers)
        AccessManaged(authority)
        EIP712("Cloister CvmRegistry", "1")
    {
        for (uint256 i = 0; i < verifiers.length; ++i) {
            _setVerifier(verifiers[i], true);
        }
    }

    /// @inheritdoc ICvmRegistry
    function register(
        CvmKeys calldata keys,
        Possession calldata possession,
        bytes calldata possessionSignature,
        IEvidenceVerifier verifier,
        bytes calldata evidence
    ) external {
        // Check (1): the proof of possession speaks of these keys, here, and the signer made it.
        bytes32 cvmId = OrderHashLib.hashKeys(keys);
        if (possession.cvmId != cvmId) revert Errors.CvmRegistry_OtherCvm(possession.cvmId, cvmId);
        if (possession.registry != address(this)) {
            revert Errors.CvmRegistry_OtherRegistry(possession.registry, address(this));
        }
        _checkPossession(cvmId, keys.signer, possession, possessionSignature);
        // Check (2): a believed verifier proves the same CVM for the same operator.
        if (!isVerifier[verifier]) revert Errors.CvmRegistry_UnknownVerifier(address(verifier));
        (bytes32 proven, CvmFacts memory facts) = verifier.verify(evidence);
        if (proven != cvmId) revert Errors.CvmRegistry_OtherCvm(proven, cvmId);
        if (facts.signer != keys.signer) revert Errors.CvmRegistry_OtherSigner(facts.signer, keys.signer);
        if (facts.operator != possession.operator) {
            revert Errors.CvmRegistry_OtherOperator(facts.operator, possession.operator);
        }
        // Check (3): the facts are whole, last, and do not contradict what is known.
        _checkFacts(cvmId, facts);
        _checkRenewal(cvmId, facts);
        // Effect: they are known until they expire.
        facts.revoked = false;
        _facts[cvmId] = facts;
        emit CvmRegistered({
            cvmId: cvmId,
            operator: facts.operator,
            verifier: address(verifier),
            signer: facts.signer,
            expiresAt: facts.expiresAt,
            tee: facts.tee,
            tcbStatus: facts.tcbStatus,
            measurement: facts.measurement,
            rootSet: facts.rootSet
        });
    }

    /// @inheritdoc ICvmRegistry
    function revoke(bytes32 cvmId) external restricted {
        if (_facts[cvmId].revoked) revert Errors.CvmRegistry_Revoked(cvmId);
        _facts[cvmId].revoked = true;
        emit CvmRevoked(cvmId, msg.sender);
    }

    /// @inheritdoc ICvmRegistry
    function retire(bytes32 cvmId) external {
        CvmFacts storage facts = _facts[cvmId];
        if (facts.operator != msg.sender) {
            revert Errors.CvmRegistry_NotOperator(cvmId, msg.sender, facts.operator);
        }
        if (isRetired[cvmId]) revert Errors.CvmRegistry_Retired(cvmId);
        isRetired[cvmId] = true;
        if (facts.expiresAt > block.timestamp) facts.expiresAt = uint40(block.timestamp);
        emit CvmRetired(cvmId, msg.sender);
    }

    /// @inheritdoc ICvmRegistry
    function setVerifier(IEvidenceVerifier verifier, bool accepted) external restricted {
        _setVerifier(verifier, accepted);
    }

    /// @inheritdoc ICvmRegistry
    function factsOf(bytes32 cvmId) external view returns (CvmFacts memory) {
        return _facts[cvmId];
    }

    /// @inheritdoc ICvmRegistry
    function signerOf(bytes32 cvmId) external view returns (address signer, uint40 expiresAt, bool revoked) {
        CvmFacts storage facts = _facts[cvmId];
        return (facts.signer, facts.expiresAt, facts.revoked);
    }

    /// @inheritdoc ICvmRegistry
    function isUsable(bytes32 cvmId) external view returns (bool) {
        CvmFacts storage facts = _facts[cvmId];
        return facts.expiresAt > block.timestamp && !facts.revoked;
    }

    /// @inheritdoc ICvmRegistry
    function cvmIdOf(CvmKeys calldata keys) external pure returns (bytes32) {
        return OrderHashLib.hashKeys(keys);
    }

    function _setVerifier(IEvidenceVerifier verifier, bool accepted) private {
        isVerifier[verifier] = accepted;
        emit VerifierSet(address(verifier), accepted);
    }

    function _checkPossession(bytes32 cvmId, address signer, Possession calldata possession, bytes calldata signature)
        private
        view
    {
        bytes32 digest = _hashTypedDataV4(OrderHashLib.hashPossession(possession));
        // ECDSA takes 65 bytes with a low s and nothing else; a bad signature recovers to zero.
        (address recovered,,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (recovered == address(0) || recovered != signer) {
            revert Errors.CvmRegistry_NotPossessed(cvmId, recovered, signer);
        }
    }

    function _checkFacts(bytes32 cvmId, CvmFacts memory facts) private view {
        if (facts.tee == 0) revert Errors.CvmRegistry_EmptyFact(cvmId, "tee");
        if (facts.tcbStatus == 0) revert Errors.CvmRegistry_EmptyFact(cvmId, "tcbStatus");
        if (facts.operator == address(0)) revert Errors.CvmRegistry_EmptyFact(cvmId, "operator");
        if (facts.measurement == 0) revert Errors.CvmRegistry_EmptyFact(cvmId, "measurement");
        if (facts.rootSet == 0) revert Errors.CvmRegistry_EmptyFact(cvmId, "rootSet");
        if (facts.expiresAt <= block.timestamp) {
            revert Errors.CvmRegistry_Expired(cvmId, facts.expiresAt, block.timestamp);
        }
    }

    function _checkRenewal(bytes32 cvmId, CvmFacts memory facts) private view {
        CvmFacts storage known = _facts[cvmId];
        if (known.revoked) revert Errors.CvmRegistry_Revoked(cvmId);
        if (known.signer == address(0)) return;
        if (isRetired[cvmId]) revert Errors.CvmRegistry_Retired(cvmId);
        // An older certificate must not come back over a newer one with another TCB status.
        if (facts.expiresAt <= known.expiresAt) {
            revert Errors.CvmRegistry_NotLater(cvmId, facts.expiresAt, known.expiresAt);
        }
        if (facts.operator != known.operator) revert Errors.CvmRegistry_OtherFact(cvmId, "operator");
        if (facts.tee != known.tee) revert Errors.CvmRegistry_OtherFact(cvmId, "tee");
        if (facts.measurement != known.measurement) revert Errors.CvmRegistry_OtherFact(cvmId, "measurement");
        if (facts.rootSet != known.rootSet) revert Errors.CvmRegistry_OtherFact(cvmId, "rootSet");
    }
}
