// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {FixedVerifier} from "../../../../contracts/mocks/FixedVerifier.sol";
import {
    CvmCertificate,
    CvmFacts,
    CvmKeys,
    Possession,
    TcbStatus,
    TeeKind
} from "../../../../contracts/types/Certificates.sol";
import {Market} from "../utils/Market.sol";

contract CvmRegistryTest is Market {
    uint256 private constant _N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    FixedVerifier private _fixed;
    address private _fresh;
    uint256 private _freshKey;
    bytes32 private _freshId;

    function setUp() public override {
        super.setUp();
        _fixed = new FixedVerifier();
        vm.prank(admin);
        cvms.setVerifier(_fixed, true);
        (_fresh, _freshKey) = makeAddrAndKey("fresh cvm");
        _freshId = hashes.hashKeys(_keys(_fresh));
    }

    // ------------------------------------------------------------------------------------------- register
    function test_Register_RevertWhen_ThePossessionSpeaksOfAnother() external {
        Possession memory p = _possession(cvmId, operator);
        _refused(p, _facts(), abi.encodeWithSelector(Errors.CvmRegistry_OtherCvm.selector, cvmId, _freshId));
        p = _possession(_freshId, operator);
        p.registry = poker;
        _refused(p, _facts(), abi.encodeWithSelector(Errors.CvmRegistry_OtherRegistry.selector, poker, address(cvms)));
        p = _possession(_freshId, poker);
        _refused(p, _facts(), abi.encodeWithSelector(Errors.CvmRegistry_OtherOperator.selector, operator, poker));
    }

    function test_Register_RevertWhen_AnotherKeySigned() external {
        Possession memory p = _possession(_freshId, operator);
        bytes memory forged = _signPossession(operatorKey, p);
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_NotPossessed.selector, _freshId, operator, _fresh));
        cvms.register(_keys(_fresh), p, forged, _fixed, "");
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_NotPossessed.selector, _freshId, address(0), _fresh));
        cvms.register(_keys(_fresh), p, "", _fixed, "");
    }

    function test_Register_RevertWhen_TheSignatureIsMalleable() external {
        Possession memory p = _possession(_freshId, operator);
        bytes memory signature = _signPossession(_freshKey, p);
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        bytes memory twin = abi.encodePacked(r, bytes32(_N - uint256(s)), uint8(signature[64]) == 27 ? 28 : 27);
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_NotPossessed.selector, _freshId, address(0), _fresh));
        cvms.register(_keys(_fresh), p, twin, _fixed, "");
    }

    function test_Register_RevertWhen_TheSignerIsZero() external {
        CvmKeys memory keys = _keys(address(0));
        Possession memory p = _possession(hashes.hashKeys(keys), operator);
        vm.expectPartialRevert(Errors.CvmRegistry_NotPossessed.selector);
        cvms.register(keys, p, new bytes(65), _fixed, "");
    }

    function test_Register_RevertWhen_TheVerifierIsNotBelieved() external {
        vm.prank(admin);
        cvms.setVerifier(_fixed, false);
        _refused(
            _possession(_freshId, operator),
            _facts(),
            abi.encodeWithSelector(Errors.CvmRegistry_UnknownVerifier.selector, address(_fixed))
        );
    }

    function test_Register_RevertWhen_TheEvidenceProvesAnother() external {
        Possession memory p = _possession(_freshId, operator);
        bytes memory signature = _signPossession(_freshKey, p);
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_OtherCvm.selector, cvmId, _freshId));
        cvms.register(_keys(_fresh), p, signature, _fixed, abi.encode(cvmId, _facts()));
        CvmFacts memory facts = _facts();
        facts.signer = signer;
        _refused(p, facts, abi.encodeWithSelector(Errors.CvmRegistry_OtherSigner.selector, signer, _fresh));
    }

    function test_Register_RevertWhen_AFactIsEmpty() external {
        Possession memory p = _possession(_freshId, operator);
        CvmFacts memory facts = _facts();
        facts.tee = 0;
        _refused(p, facts, _empty("tee"));
        facts = _facts();
        facts.tcbStatus = 0;
        _refused(p, facts, _empty("tcbStatus"));
        facts = _facts();
        facts.measurement = 0;
        _refused(p, facts, _empty("measurement"));
        facts = _facts();
        facts.rootSet = 0;
        _refused(p, facts, _empty("rootSet"));
        facts = _facts();
        facts.operator = address(0);
        _refused(_possession(_freshId, address(0)), facts, _empty("operator"));
    }

    function test_Register_RevertWhen_TheCertificateIsOver() external {
        CvmFacts memory facts = _facts();
        facts.expiresAt = uint40(block.timestamp);
        _refused(
            _possession(_freshId, operator),
            facts,
            abi.encodeWithSelector(Errors.CvmRegistry_Expired.selector, _freshId, block.timestamp, block.timestamp)
        );
    }

    function test_Register_WhenEverythingFits() external {
        CvmFacts memory facts = _facts();
        facts.revoked = true; // A verifier cannot revoke.
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.CvmRegistered(
            _freshId,
            operator,
            address(_fixed),
            _fresh,
            facts.expiresAt,
            facts.tee,
            facts.tcbStatus,
            MEASUREMENT,
            ROOT_SET
        );
        _register(_possession(_freshId, operator), facts);
        CvmFacts memory stored = cvms.factsOf(_freshId);
        facts.revoked = false;
        assertEq(keccak256(abi.encode(stored)), keccak256(abi.encode(facts)));
        assertTrue(cvms.isUsable(_freshId));
        (address signer_, uint40 expiresAt, bool revoked) = cvms.signerOf(_freshId);
        assertEq(signer_, _fresh);
        assertEq(expiresAt, facts.expiresAt);
        assertFalse(revoked);
        assertEq(cvms.cvmIdOf(_keys(_fresh)), _freshId);
    }

    function test_Register_RevertGiven_ItWasRevoked() external {
        vm.prank(admin);
        cvms.revoke(_freshId);
        _refused(
            _possession(_freshId, operator),
            _facts(),
            abi.encodeWithSelector(Errors.CvmRegistry_Revoked.selector, _freshId)
        );
    }

    function test_Register_GivenACertificateIsKnown() external {
        Possession memory p = _possession(_freshId, operator);
        CvmFacts memory facts = _facts();
        _register(p, facts);
        _refused(
            p,
            facts,
            abi.encodeWithSelector(Errors.CvmRegistry_NotLater.selector, _freshId, facts.expiresAt, facts.expiresAt)
        );
        facts.expiresAt += 1;
        CvmFacts memory other = abi.decode(abi.encode(facts), (CvmFacts));
        other.tee = uint8(TeeKind.SGX);
        _refused(p, other, _otherFact("tee"));
        other = abi.decode(abi.encode(facts), (CvmFacts));
        other.measurement = "other";
        _refused(p, other, _otherFact("measurement"));
        other = abi.decode(abi.encode(facts), (CvmFacts));
        other.rootSet = "other";
        _refused(p, other, _otherFact("rootSet"));
        other = abi.decode(abi.encode(facts), (CvmFacts));
        other.operator = poker;
        _refused(_possession(_freshId, poker), other, _otherFact("operator"));
        facts.tcbStatus = uint8(TcbStatus.OUT_OF_DATE);
        _register(p, facts);
        assertEq(cvms.factsOf(_freshId).tcbStatus, uint8(TcbStatus.OUT_OF_DATE));
    }

    function test_Register_GivenItExpired() external {
        Possession memory p = _possession(_freshId, operator);
        CvmFacts memory facts = _facts();
        _register(p, facts);
        vm.warp(facts.expiresAt);
        assertFalse(cvms.isUsable(_freshId));
        facts.expiresAt += 1 days;
        _register(p, facts);
        assertTrue(cvms.isUsable(_freshId));
    }

    // ------------------------------------------------------------------------------------------- revoke
    function test_Revoke_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, operator));
        vm.prank(operator);
        cvms.revoke(cvmId);
    }

    function test_Revoke() external {
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.CvmRevoked(cvmId, admin);
        _revoke();
        assertFalse(cvms.isUsable(cvmId));
        (,, bool revoked) = cvms.signerOf(cvmId);
        assertTrue(revoked);
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_Revoked.selector, cvmId));
        vm.prank(admin);
        cvms.revoke(cvmId);
        CvmCertificate memory later = _certificate();
        later.expiresAt += 1;
        bytes memory evidence = _evidence(later, 2);
        Possession memory p = _possession(cvmId, operator);
        bytes memory signature = _signPossession(signerKey, p);
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_Revoked.selector, cvmId));
        cvms.register(_keys(signer), p, signature, quorum, evidence);
    }

    function test_Revoke_WhenARoleIsGiven() external {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = cvms.revoke.selector;
        vm.startPrank(admin);
        authority.setTargetFunctionRole(address(cvms), selectors, 7);
        authority.grantRole(7, poker, 0);
        vm.stopPrank();
        vm.prank(poker);
        cvms.revoke(cvmId);
        assertFalse(cvms.isUsable(cvmId));
    }

    // ------------------------------------------------------------------------------------------- retire
    function test_Retire_RevertWhen_TheCallerIsNotTheOperator() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_NotOperator.selector, cvmId, provider, operator));
        vm.prank(provider);
        cvms.retire(cvmId);
    }

    function test_Retire() external {
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.CvmRetired(cvmId, operator);
        vm.prank(operator);
        cvms.retire(cvmId);
        assertFalse(cvms.isUsable(cvmId));
        assertTrue(cvms.isRetired(cvmId));
        (, uint40 expiresAt, bool revoked) = cvms.signerOf(cvmId);
        assertEq(expiresAt, block.timestamp);
        assertFalse(revoked);
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_Retired.selector, cvmId));
        vm.prank(operator);
        cvms.retire(cvmId);
        // An old certificate in somebody's hands does not bring it back.
        CvmCertificate memory later = _certificate();
        bytes memory evidence = _evidence(later, 2);
        Possession memory p = _possession(cvmId, operator);
        bytes memory signature = _signPossession(signerKey, p);
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_Retired.selector, cvmId));
        cvms.register(_keys(signer), p, signature, quorum, evidence);
    }

    function test_Retire_GivenItExpired() external {
        uint40 expiresAt = cvms.factsOf(cvmId).expiresAt;
        vm.warp(uint256(expiresAt) + 9);
        vm.prank(operator);
        cvms.retire(cvmId);
        assertEq(cvms.factsOf(cvmId).expiresAt, expiresAt);
    }

    // ------------------------------------------------------------------------------------------- verifiers
    function test_SetVerifier_RevertWhen_TheCallerHasNoSuchRole() external {
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, poker));
        vm.prank(poker);
        cvms.setVerifier(_fixed, true);
    }

    function test_SetVerifier() external {
        assertTrue(cvms.isVerifier(quorum));
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.VerifierSet(address(quorum), false);
        vm.prank(admin);
        cvms.setVerifier(quorum, false);
        assertFalse(cvms.isVerifier(quorum));
    }

    function test_IsUsable() external {
        assertFalse(cvms.isUsable(keccak256("nobody")));
        assertTrue(cvms.isUsable(cvmId));
        vm.warp(cvms.factsOf(cvmId).expiresAt - 1);
        assertTrue(cvms.isUsable(cvmId));
        skip(1);
        assertFalse(cvms.isUsable(cvmId));
    }

    function _facts() private view returns (CvmFacts memory) {
        return CvmFacts({
            signer: _fresh,
            expiresAt: uint40(T0 + 1 days),
            tee: uint8(TeeKind.TDX),
            tcbStatus: uint8(TcbStatus.UP_TO_DATE),
            revoked: false,
            operator: operator,
            measurement: MEASUREMENT,
            rootSet: ROOT_SET
        });
    }

    function _register(Possession memory p, CvmFacts memory facts) private {
        cvms.register(_keys(_fresh), p, _signPossession(_freshKey, p), _fixed, abi.encode(_freshId, facts));
    }

    function _refused(Possession memory p, CvmFacts memory facts, bytes memory error_) private {
        bytes memory signature = _signPossession(_freshKey, p);
        vm.expectRevert(error_);
        cvms.register(_keys(_fresh), p, signature, _fixed, abi.encode(_freshId, facts));
    }

    function _empty(bytes32 field) private view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.CvmRegistry_EmptyFact.selector, _freshId, field);
    }

    function _otherFact(bytes32 field) private view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.CvmRegistry_OtherFact.selector, _freshId, field);
    }
}
