// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {ICvmRegistry} from "./interfaces/ICvmRegistry.sol";
import {IEvidenceVerifier} from "./interfaces/IEvidenceVerifier.sol";
import {IReferenceValues} from "./interfaces/IReferenceValues.sol";
import {IStandings} from "./interfaces/IStandings.sol";
import {CvmWord} from "./libraries/CvmWord.sol";
import {Errors} from "./libraries/Errors.sol";
import {OrderHashLib} from "./libraries/OrderHashLib.sol";
import {CvmFacts, CvmKeys, Possession} from "./types/Certificates.sol";

/// @title See {ICvmRegistry}.
contract CvmRegistry is ICvmRegistry, AccessManaged, EIP712 {
    using CvmWord for uint256;

    struct Cvm {
        // slot 0: CvmWord
        uint256 word;
        // slot 1
        address operator;
        uint40 registeredAt;
        // slot 2
        bytes32 cvmId;
    }

    /// @inheritdoc ICvmRegistry
    uint256 public constant MAX_VALIDITY = 31 days;
    /// @inheritdoc ICvmRegistry
    address public immutable ORDER_BOOK;
    /// @inheritdoc ICvmRegistry
    IReferenceValues public immutable REFERENCES;

    /// @inheritdoc ICvmRegistry
    uint32 public cvmCount;
    /// @inheritdoc ICvmRegistry
    mapping(IEvidenceVerifier verifier => bool) public isVerifier;
    /// @inheritdoc ICvmRegistry
    mapping(bytes32 cvmId => uint32 cvm) public indexOf;
    mapping(uint32 cvm => Cvm) private _cvms;
    mapping(uint32 profile => uint256) private _standings;

    /// @param authority  Access manager that holds the roles.
    /// @param orderBook  Where proofs of equivocation are judged; it need not stand yet.
    /// @param references Numbers the profiles.
    /// @param verifiers  Believed from the start.
    constructor(address authority, address orderBook, IReferenceValues references, IEvidenceVerifier[] memory verifiers)
        AccessManaged(authority)
        EIP712("Cloister CvmRegistry", "1")
    {
        // slither-disable-next-line missing-zero-check: the OrderBook's constructor compares it
        ORDER_BOOK = orderBook;
        REFERENCES = references;
        for (uint256 i = 0; i < verifiers.length; ++i) {
            _addVerifier(verifiers[i]);
        }
    }

    /// @inheritdoc ICvmRegistry
    function register(
        CvmKeys calldata keys,
        Possession calldata possession,
        bytes calldata possessionSignature,
        IEvidenceVerifier verifier,
        bytes calldata evidence
    ) external returns (uint32 cvm) {
        // Check (1): the proof of possession speaks of these keys, here, and the signer made it.
        bytes32 cvmId = OrderHashLib.hashKeys(keys);
        if (possession.cvmId != cvmId) revert Errors.CvmRegistry_OtherCvm(possession.cvmId, cvmId);
        if (possession.registry != address(this)) {
            revert Errors.CvmRegistry_OtherRegistry(possession.registry, address(this));
        }
        _checkPossession(cvmId, keys.signer, possession, possessionSignature);
        // Check (2): a believed verifier proves the same CVM for the same operator.
        CvmFacts memory facts = _prove(cvmId, keys.signer, verifier, evidence);
        if (facts.operator != possession.operator) {
            revert Errors.CvmRegistry_OtherOperator(facts.operator, possession.operator);
        }
        // Effect: it gets the next number, or it is renewed.
        cvm = indexOf[cvmId];
        if (cvm == 0) {
            cvm = _number(cvmId);
            _enter(cvm, cvmId, verifier, facts);
        } else {
            uint256 word = _cvms[cvm].word;
            _checkAlive(cvmId, word);
            _renew(cvm, word, cvmId, verifier, facts);
        }
    }

    /// @inheritdoc ICvmRegistry
    function renew(uint32 cvm, IEvidenceVerifier verifier, bytes calldata evidence) external {
        Cvm storage known = _cvms[cvm];
        uint256 word = known.word;
        bytes32 cvmId = known.cvmId;
        if (cvmId == 0) revert Errors.CvmRegistry_UnknownCvm(cvm);
        _checkAlive(cvmId, word);
        CvmFacts memory facts = _prove(cvmId, word.signer(), verifier, evidence);
        _renew(cvm, word, cvmId, verifier, facts);
    }

    /// @inheritdoc ICvmRegistry
    function registerBatch(Registration[] calldata items) external returns (uint256 done) {
        for (uint256 i = 0; i < items.length; ++i) {
            Registration calldata item = items[i];
            bytes memory data = abi.encodeCall(
                this.register, (item.keys, item.possession, item.possessionSignature, item.verifier, item.evidence)
            );
            if (_try(i, data)) ++done;
        }
    }

    /// @inheritdoc ICvmRegistry
    function renewBatch(Renewal[] calldata items) external returns (uint256 done) {
        for (uint256 i = 0; i < items.length; ++i) {
            Renewal calldata item = items[i];
            if (_try(i, abi.encodeCall(this.renew, (item.cvm, item.verifier, item.evidence)))) ++done;
        }
    }

    /// @inheritdoc ICvmRegistry
    function revoke(bytes32 cvmId) external restricted {
        uint32 cvm = indexOf[cvmId];
        if (cvm == 0) cvm = _number(cvmId);
        if (!_revoke(cvm, cvmId)) revert Errors.CvmRegistry_Revoked(cvmId);
    }

    /// @inheritdoc ICvmRegistry
    function revokeByProof(uint32 cvm) external {
        if (msg.sender != ORDER_BOOK) revert Errors.CvmRegistry_NotOrderBook(msg.sender, ORDER_BOOK);
        bytes32 cvmId = _cvms[cvm].cvmId;
        // A number that nobody has yet must not be born revoked.
        if (cvmId != 0) _revoke(cvm, cvmId);
    }

    /// @inheritdoc ICvmRegistry
    function retire(bytes32 cvmId) external {
        uint32 cvm = indexOf[cvmId];
        Cvm storage known = _cvms[cvm];
        if (known.operator != msg.sender) {
            revert Errors.CvmRegistry_NotOperator(cvmId, msg.sender, known.operator);
        }
        uint256 word = known.word;
        if (word.isRetired()) revert Errors.CvmRegistry_Retired(cvmId);
        if (word.expiresAt() > block.timestamp) word = word.renewed(uint40(block.timestamp), word.tcbStatus());
        known.word = word | CvmWord.RETIRED;
        emit CvmRetired(cvmId, cvm, msg.sender);
    }

    /// @inheritdoc ICvmRegistry
    function addVerifier(IEvidenceVerifier verifier) external restricted {
        _addVerifier(verifier);
    }

    /// @inheritdoc ICvmRegistry
    function removeVerifier(IEvidenceVerifier verifier) external restricted {
        if (!isVerifier[verifier]) revert Errors.CvmRegistry_UnknownVerifier(address(verifier));
        isVerifier[verifier] = false;
        emit VerifierRemoved(address(verifier));
    }

    /// @inheritdoc IStandings
    function setStanding(uint32 profile, uint256 standing) external {
        if (msg.sender != address(REFERENCES)) {
            revert Errors.CvmRegistry_NotReferences(msg.sender, address(REFERENCES));
        }
        _standings[profile] = standing;
        emit StandingSet(profile, standing);
    }

    /// @inheritdoc ICvmRegistry
    function standingOf(uint32 cvm) external view returns (uint256 word, uint256 standing) {
        // The OrderBook asks for these two with every order: answered without the encoder's buffer.
        word = _cvms[cvm].word;
        standing = _standings[word.profile()];
        assembly {
            mstore(0, word)
            mstore(0x20, standing)
            return(0, 0x40)
        }
    }

    /// @inheritdoc ICvmRegistry
    function wordOf(uint32 cvm) external view returns (uint256 word) {
        word = _cvms[cvm].word;
        assembly {
            mstore(0, word)
            return(0, 0x20)
        }
    }

    /// @inheritdoc ICvmRegistry
    function operatorOf(uint32 cvm) external view returns (address) {
        return _cvms[cvm].operator;
    }

    /// @inheritdoc ICvmRegistry
    function factsAt(uint32 cvm) external view returns (uint256 word, address operator) {
        Cvm storage known = _cvms[cvm];
        return (known.word, known.operator);
    }

    /// @inheritdoc ICvmRegistry
    function cvmIdAt(uint32 cvm) external view returns (bytes32) {
        return _cvms[cvm].cvmId;
    }

    /// @inheritdoc ICvmRegistry
    function registeredAt(uint32 cvm) external view returns (uint40) {
        return _cvms[cvm].registeredAt;
    }

    /// @inheritdoc ICvmRegistry
    function factsOf(bytes32 cvmId) external view returns (CvmFacts memory facts) {
        Cvm storage known = _cvms[indexOf[cvmId]];
        uint256 word = known.word;
        // slither-disable-next-line unused-return: the floor is no fact of a CVM
        (, facts.tee, facts.measurement, facts.rootSet) = REFERENCES.profileOf(word.profile());
        facts.signer = word.signer();
        facts.expiresAt = word.expiresAt();
        facts.tcbStatus = word.tcbStatus();
        facts.revoked = word.isRevoked();
        facts.operator = known.operator;
    }

    /// @inheritdoc ICvmRegistry
    function isUsable(bytes32 cvmId) external view returns (bool) {
        uint256 word = _cvms[indexOf[cvmId]].word;
        return word.expiresAt() > block.timestamp && !word.isRevoked() && !word.isRetired();
    }

    /// @inheritdoc ICvmRegistry
    function isRetired(bytes32 cvmId) external view returns (bool) {
        return _cvms[indexOf[cvmId]].word.isRetired();
    }

    /// @inheritdoc ICvmRegistry
    function cvmIdOf(CvmKeys calldata keys) external pure returns (bytes32) {
        return OrderHashLib.hashKeys(keys);
    }

    function _addVerifier(IEvidenceVerifier verifier) private {
        if (address(verifier).code.length == 0) revert Errors.CvmRegistry_NoVerifier(address(verifier));
        if (isVerifier[verifier]) revert Errors.CvmRegistry_KnownVerifier(address(verifier));
        isVerifier[verifier] = true;
        emit VerifierAdded(address(verifier));
    }

    function _number(bytes32 cvmId) private returns (uint32 cvm) {
        cvm = ++cvmCount;
        indexOf[cvmId] = cvm;
        _cvms[cvm].cvmId = cvmId;
    }

    function _enter(uint32 cvm, bytes32 cvmId, IEvidenceVerifier verifier, CvmFacts memory facts) private {
        Cvm storage fresh = _cvms[cvm];
        // slither-disable-next-line reentrancy-no-eth,reentrancy-events: our own ReferenceValues, which calls nobody
        uint32 profile = REFERENCES.declare(facts.measurement, facts.rootSet, facts.tee);
        fresh.word = CvmWord.pack(facts.signer, facts.expiresAt, facts.tcbStatus, profile);
        fresh.operator = facts.operator;
        fresh.registeredAt = uint40(block.timestamp);
        emit CvmRegistered({
            cvmId: cvmId,
            operator: facts.operator,
            cvm: cvm,
            verifier: address(verifier),
            signer: facts.signer,
            expiresAt: facts.expiresAt,
            tcbStatus: facts.tcbStatus,
            profile: profile,
            tee: facts.tee,
            measurement: facts.measurement,
            rootSet: facts.rootSet
        });
    }

    /// @dev `facts` are proven of this CVM id and its signer; what is left to compare is the operator and the profile.
    function _renew(uint32 cvm, uint256 word, bytes32 cvmId, IEvidenceVerifier verifier, CvmFacts memory facts)
        private
    {
        if (facts.operator != _cvms[cvm].operator) {
            revert Errors.CvmRegistry_OtherOperator(facts.operator, _cvms[cvm].operator);
        }
        // An older certificate must not come back over a newer one with another TCB status.
        if (facts.expiresAt <= word.expiresAt()) {
            revert Errors.CvmRegistry_NotLater(cvmId, facts.expiresAt, word.expiresAt());
        }
        uint32 profile = REFERENCES.idOf(facts.measurement, facts.rootSet, facts.tee);
        if (profile != word.profile()) revert Errors.CvmRegistry_OtherProfile(cvmId, profile, word.profile());
        _cvms[cvm].word = word.renewed(facts.expiresAt, facts.tcbStatus);
        emit CvmRenewed(cvmId, cvm, address(verifier), facts.expiresAt, facts.tcbStatus);
    }

    /// @return done False where it was revoked before.
    function _revoke(uint32 cvm, bytes32 cvmId) private returns (bool done) {
        uint256 word = _cvms[cvm].word;
        if (word.isRevoked()) return false;
        _cvms[cvm].word = word | CvmWord.REVOKED;
        emit CvmRevoked(cvmId, cvm, msg.sender);
        return true;
    }

    /// @dev Calls this contract itself, so that an item that reverts takes nothing with it. At most 32 bytes of the
    /// reason are copied, whatever a verifier returns.
    function _try(uint256 index, bytes memory data) private returns (bool done) {
        bytes32 reason = 0;
        assembly ("memory-safe") {
            done := call(gas(), address(), 0, add(data, 32), mload(data), 0, 0)
            if iszero(done) {
                mstore(0, 0)
                let size := returndatasize()
                if gt(size, 32) { size := 32 }
                returndatacopy(0, 0, size)
                reason := mload(0)
            }
        }
        if (!done) emit ItemFailed(index, reason);
    }

    function _checkPossession(bytes32 cvmId, address signer, Possession calldata possession, bytes calldata signature)
        private
        view
    {
        bytes32 digest = _hashTypedDataV4(OrderHashLib.hashPossession(possession));
        // ECDSA takes 65 bytes with a low s and nothing else; a bad signature recovers to zero.
        // slither-disable-next-line unused-return: zero says all that the others say
        (address recovered,,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (recovered == address(0) || recovered != signer) {
            revert Errors.CvmRegistry_NotPossessed(cvmId, recovered, signer);
        }
    }

    function _prove(bytes32 cvmId, address signer, IEvidenceVerifier verifier, bytes calldata evidence)
        private
        view
        returns (CvmFacts memory facts)
    {
        if (!isVerifier[verifier]) revert Errors.CvmRegistry_UnknownVerifier(address(verifier));
        bytes32 proven;
        (proven, facts) = verifier.verify(evidence);
        if (proven != cvmId) revert Errors.CvmRegistry_OtherCvm(proven, cvmId);
        if (facts.signer != signer) revert Errors.CvmRegistry_OtherSigner(facts.signer, signer);
        if (facts.operator == address(0)) revert Errors.CvmRegistry_EmptyFact(cvmId, "operator");
        if (facts.tcbStatus == 0) revert Errors.CvmRegistry_EmptyFact(cvmId, "tcbStatus");
        if (facts.expiresAt <= block.timestamp) {
            revert Errors.CvmRegistry_Expired(cvmId, facts.expiresAt, block.timestamp);
        }
        uint256 latest = block.timestamp + MAX_VALIDITY;
        if (facts.expiresAt > latest) revert Errors.CvmRegistry_TooLong(cvmId, facts.expiresAt, latest);
    }

    function _checkAlive(bytes32 cvmId, uint256 word) private pure {
        if (word.isRevoked()) revert Errors.CvmRegistry_Revoked(cvmId);
        if (word.isRetired()) revert Errors.CvmRegistry_Retired(cvmId);
    }
}
