// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {CvmWord} from "../../../../contracts/libraries/CvmWord.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {CvmFacts, TeeKind} from "../../../../contracts/types/Certificates.sol";
import {Stage} from "./Stage.sol";

contract RegisterTest is Stage {
    using CvmWord for uint256;

    uint256 private constant _N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    function test_RevertWhen_ThePossessionSpeaksOfAnother() external {
        ICvmRegistry.Registration memory item = _registration(_facts());
        item.possession.cvmId = "another";
        _refused(item, abi.encodeWithSelector(Errors.CvmRegistry_OtherCvm.selector, bytes32("another"), cvmId));
        item = _registration(_facts());
        item.possession.registry = poker;
        _refused(item, abi.encodeWithSelector(Errors.CvmRegistry_OtherRegistry.selector, poker, address(cvms)));
        item = _registration(_facts());
        item.possession.operator = poker;
        item.possessionSignature = _signPossession(signerKey, item.possession);
        _refused(item, abi.encodeWithSelector(Errors.CvmRegistry_OtherOperator.selector, operator, poker));
    }

    function test_RevertWhen_AnotherKeyOrNoneSigned() external {
        ICvmRegistry.Registration memory item = _registration(_facts());
        item.possessionSignature = _signPossession(certifierKeys[0], item.possession);
        _refused(item, _notPossessed(vm.addr(certifierKeys[0]), signer));
        item.possessionSignature = "";
        _refused(item, _notPossessed(address(0), signer));
    }

    function test_RevertWhen_TheSignatureIsMalleable() external {
        ICvmRegistry.Registration memory item = _registration(_facts());
        (bytes32 r, bytes32 s) = abi.decode(item.possessionSignature, (bytes32, bytes32));
        uint8 v = uint8(item.possessionSignature[64]) == 27 ? 28 : 27;
        item.possessionSignature = abi.encodePacked(r, bytes32(_N - uint256(s)), v);
        _refused(item, _notPossessed(address(0), signer));
    }

    function test_RevertWhen_TheSignerIsZero() external {
        ICvmRegistry.Registration memory item = _registration(_facts());
        item.keys = _keys(address(0));
        item.possession.cvmId = OrderHashLib.hashKeys(item.keys);
        item.possessionSignature = new bytes(65);
        vm.expectPartialRevert(Errors.CvmRegistry_NotPossessed.selector);
        _register(item);
    }

    function test_RevertWhen_TheVerifierIsNotBelieved() external {
        vm.prank(admin);
        cvms.removeVerifier(fixedVerifier);
        _refused(
            _registration(_facts()),
            abi.encodeWithSelector(Errors.CvmRegistry_UnknownVerifier.selector, address(fixedVerifier))
        );
    }

    function test_RevertWhen_TheEvidenceProvesAnother() external {
        ICvmRegistry.Registration memory item = _registration(_facts());
        item.evidence = abi.encode(bytes32("another"), _facts());
        _refused(item, abi.encodeWithSelector(Errors.CvmRegistry_OtherCvm.selector, bytes32("another"), cvmId));
        CvmFacts memory facts = _facts();
        facts.signer = poker;
        _refused(_registration(facts), abi.encodeWithSelector(Errors.CvmRegistry_OtherSigner.selector, poker, signer));
    }

    function test_RevertWhen_AFactIsEmpty() external {
        CvmFacts memory facts = _facts();
        facts.tcbStatus = 0;
        _refused(_registration(facts), _empty("tcbStatus"));
        facts = _facts();
        facts.operator = address(0);
        _refused(_registration(facts), _empty("operator"));
        facts = _facts();
        facts.tee = 0;
        _refused(_registration(facts), _noProfile("tee"));
        facts = _facts();
        facts.measurement = 0;
        _refused(_registration(facts), _noProfile("measurement"));
        facts = _facts();
        facts.rootSet = 0;
        _refused(_registration(facts), _noProfile("rootSet"));
    }

    function test_RevertWhen_TheCertificateIsOver() external {
        CvmFacts memory facts = _facts();
        facts.expiresAt = uint40(T0);
        _refused(_registration(facts), abi.encodeWithSelector(Errors.CvmRegistry_Expired.selector, cvmId, T0, T0));
    }

    function test_RevertWhen_TheCertificateLastsTooLong() external {
        CvmFacts memory facts = _facts();
        facts.expiresAt = uint40(T0 + 31 days + 1);
        _refused(
            _registration(facts),
            abi.encodeWithSelector(Errors.CvmRegistry_TooLong.selector, cvmId, T0 + 31 days + 1, T0 + 31 days)
        );
        facts.expiresAt -= 1;
        _register(_registration(facts));
    }

    function test_WhenEverythingFits() external {
        CvmFacts memory facts = _facts();
        facts.revoked = true; // A verifier cannot revoke.
        ICvmRegistry.Registration memory item = _registration(facts);
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.CvmRegistered(
            cvmId, operator, 1, address(fixedVerifier), signer, facts.expiresAt, BEST, 1, TDX, MEASUREMENT, ROOT_SET
        );
        vm.prank(poker);
        assertEq(_register(item), 1);
        facts.revoked = false;
        assertEq(keccak256(abi.encode(cvms.factsOf(cvmId))), keccak256(abi.encode(facts)));
        assertTrue(cvms.isUsable(cvmId));
        assertEq(cvms.cvmCount(), 1);
        assertEq(cvms.indexOf(cvmId), 1);
        assertEq(cvms.cvmIdAt(1), cvmId);
        assertEq(cvms.operatorOf(1), operator);
        assertEq(cvms.registeredAt(1), T0);
        assertEq(cvms.cvmIdOf(item.keys), cvmId);
        (uint256 word, address by) = cvms.factsAt(1);
        assertEq(by, operator);
        assertEq(word, cvms.wordOf(1));
        assertEq(
            word, uint256(uint160(signer)) | uint256(facts.expiresAt) << 160 | uint256(BEST) << 200 | uint256(1) << 216
        );
    }

    function test_WhenEverythingFits_NumbersAreDense() external {
        _registered();
        (address other, uint256 key) = makeAddrAndKey("another cvm");
        (signer, signerKey, cvmId) = (other, key, OrderHashLib.hashKeys(_keys(other)));
        assertEq(_registered(), 2);
        assertEq(cvms.wordOf(2).signer(), other);
        // The same runtime on the same hardware has one profile.
        assertEq(cvms.wordOf(2).profile(), 1);
        assertEq(references.profileCount(), 1);
    }

    function test_NobodyHasTheNumberZero() external view {
        assertEq(cvms.wordOf(0), 0);
        assertEq(cvms.cvmIdAt(0), 0);
        assertEq(cvms.indexOf(cvmId), 0);
        assertFalse(cvms.isUsable(cvmId));
        assertEq(cvms.factsOf(cvmId).signer, address(0));
    }

    function test_RevertGiven_ItWasRevokedOrRetired() external {
        _registered();
        uint256 snapshot = vm.snapshotState();
        vm.prank(admin);
        cvms.revoke(cvmId);
        _refused(_registration(_later()), abi.encodeWithSelector(Errors.CvmRegistry_Revoked.selector, cvmId));
        vm.revertToState(snapshot);
        vm.prank(operator);
        cvms.retire(cvmId);
        _refused(_registration(_later()), abi.encodeWithSelector(Errors.CvmRegistry_Retired.selector, cvmId));
    }

    function test_GivenItIsKnown() external {
        uint40 known = _facts().expiresAt;
        _registered();
        _refused(
            _registration(_facts()), abi.encodeWithSelector(Errors.CvmRegistry_NotLater.selector, cvmId, known, known)
        );
        CvmFacts memory facts = _later();
        facts.tee = uint8(TeeKind.SGX);
        _refused(_registration(facts), _otherProfile());
        facts = _later();
        facts.measurement = "other";
        _refused(_registration(facts), _otherProfile());
        facts = _later();
        facts.rootSet = "other";
        _refused(_registration(facts), _otherProfile());
        facts = _later();
        facts.operator = poker;
        _refused(
            _registration(facts), abi.encodeWithSelector(Errors.CvmRegistry_OtherOperator.selector, poker, operator)
        );
        facts = _later();
        facts.tcbStatus = WORSE;
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.CvmRenewed(cvmId, 1, address(fixedVerifier), facts.expiresAt, WORSE);
        assertEq(_register(_registration(facts)), 1);
        assertEq(cvms.factsOf(cvmId).tcbStatus, WORSE);
        assertEq(cvms.cvmCount(), 1);
    }

    function test_GivenTheCertificateIsOver() external {
        _registered();
        skip(1 days);
        assertFalse(cvms.isUsable(cvmId));
        _registered();
        assertTrue(cvms.isUsable(cvmId));
        assertEq(cvms.registeredAt(1), T0);
    }

    function testFuzz_FactsComeBackAsTheyWere(
        bytes32 measurement,
        bytes32 rootSet,
        address by,
        uint8 tee,
        uint8 tcb,
        uint256 lasts
    ) external {
        vm.assume(measurement != 0 && rootSet != 0 && by != address(0) && tee != 0 && tcb != 0);
        CvmFacts memory facts = _facts();
        facts.measurement = measurement;
        facts.rootSet = rootSet;
        facts.operator = by;
        facts.tee = tee;
        facts.tcbStatus = tcb;
        facts.expiresAt = uint40(T0 + bound(lasts, 1, 31 days));
        _register(_registration(facts));
        assertEq(keccak256(abi.encode(cvms.factsOf(cvmId))), keccak256(abi.encode(facts)));
    }

    function _later() private view returns (CvmFacts memory facts) {
        facts = _facts();
        facts.expiresAt += 1;
    }

    function _refused(ICvmRegistry.Registration memory item, bytes memory error_) private {
        vm.expectRevert(error_);
        _register(item);
    }

    function _notPossessed(address recovered, address expected) private view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.CvmRegistry_NotPossessed.selector, cvmId, recovered, expected);
    }

    function _empty(bytes32 field) private view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.CvmRegistry_EmptyFact.selector, cvmId, field);
    }

    function _noProfile(bytes32 field) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.ReferenceValues_Empty.selector, field);
    }

    function _otherProfile() private view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.CvmRegistry_OtherProfile.selector, cvmId, 0, 1);
    }
}
