// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {IEvidenceVerifier} from "../../../../contracts/interfaces/IEvidenceVerifier.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {CvmCertificate, CvmFacts, CvmKeys, TcbStatus} from "../../../../contracts/types/Certificates.sol";
import {Stage} from "../attestation/Stage.sol";

/// @title Ways to be believed without being genuine, each named after what it would have stolen or stopped.
contract AttestationFindingsTest is Stage {
    uint64 private constant _CURATOR = 2;
    uint32 private constant _DELAY = 2 days;

    /// @dev A certificate that was signed before the revocation is still good paper.
    function test_Finding_RevokedCvmComesBackByRenewal() external {
        CvmCertificate memory c = _certificate();
        uint32 cvm = _register(_byQuorum(c));
        vm.prank(admin);
        cvms.revoke(cvmId);
        uint256 word = cvms.wordOf(cvm);
        c.expiresAt += 1 hours;
        bytes memory evidence = _evidence(c, 2);
        ICvmRegistry.Registration memory item = _byQuorum(c);
        bytes memory refusal = abi.encodeWithSelector(Errors.CvmRegistry_Revoked.selector, cvmId);
        vm.expectRevert(refusal);
        cvms.renew(cvm, quorum, evidence);
        vm.expectRevert(refusal);
        _register(item);
        ICvmRegistry.Renewal[] memory renewals = new ICvmRegistry.Renewal[](1);
        renewals[0] = ICvmRegistry.Renewal(cvm, quorum, evidence);
        assertEq(cvms.renewBatch(renewals), 0);
        ICvmRegistry.Registration[] memory items = new ICvmRegistry.Registration[](1);
        items[0] = item;
        assertEq(cvms.registerBatch(items), 0);
        // Retiring it does not wash it either.
        vm.prank(operator);
        cvms.retire(cvmId);
        assertTrue(cvms.factsOf(cvmId).revoked);
        assertEq(
            cvms.wordOf(cvm) & ~(uint256(type(uint40).max) << 160),
            (word | 1 << 209) & ~(uint256(type(uint40).max) << 160)
        );
    }

    /// @dev The breaker of a sandbox registers the CVM that was revoked by name before it was ever proven.
    function test_Finding_RevokedBeforeItWasKnown() external {
        vm.prank(admin);
        cvms.revoke(cvmId);
        ICvmRegistry.Registration memory item = _byQuorum(_certificate());
        vm.expectRevert(abi.encodeWithSelector(Errors.CvmRegistry_Revoked.selector, cvmId));
        _register(item);
        assertFalse(cvms.isUsable(cvmId));
    }

    /// @dev Certifiers of a test chain vouch for simulated hardware; their word must not travel.
    function test_Finding_CertificateOfAnotherChain() external {
        uint256 home = block.chainid;
        vm.chainId(5611);
        bytes memory evidence = _evidence(_certificate(), 2);
        vm.chainId(home);
        vm.expectPartialRevert(Errors.CertifierQuorum_NotCertifier.selector);
        quorum.verify(evidence);
    }

    /// @dev The same certifiers may stand in two quorums, of which one asks for less.
    function test_Finding_CertificateForAnotherQuorum() external {
        address[] memory set = new address[](2);
        (set[0], set[1]) = (vm.addr(certifierKeys[0]), vm.addr(certifierKeys[1]));
        address other = deployCode("CertifierQuorum.sol:CertifierQuorum", abi.encode(authority, set, 2));
        bytes memory evidence = _evidence(_certificate(), 2);
        vm.expectPartialRevert(Errors.CertifierQuorum_NotCertifier.selector);
        IEvidenceVerifier(other).verify(evidence);
    }

    /// @dev A proof of possession from a test chain, for an operator who has the same address everywhere.
    function test_Finding_PossessionOfAnotherChain() external {
        uint256 home = block.chainid;
        ICvmRegistry.Registration memory item = _registration(_facts());
        vm.chainId(5611);
        item.possessionSignature = _signPossession(signerKey, item.possession);
        vm.chainId(home);
        vm.expectPartialRevert(Errors.CvmRegistry_NotPossessed.selector);
        _register(item);
    }

    /// @dev One hostile certifier of three, where two are asked for: it signs twice, it signs other claims, it puts its
    /// word beside an honest one about another runtime.
    function test_Finding_HostileCertifierBelowQuorum() external {
        uint256 hostile = certifierKeys[1];
        CvmCertificate memory honest = _certificate();
        CvmCertificate memory lie = _certificate();
        lie.measurement = "backdoor";
        bytes memory honestWord = _signedBy(certifierKeys[0], honest);
        bytes memory first = _signedBy(hostile, lie);
        lie.challenge = "another challenge";
        bytes memory second = _signedBy(hostile, lie);
        address who = vm.addr(hostile);
        _refused(bytes.concat(_claim(lie), second), Errors.CertifierQuorum_TooFew.selector);
        bytes memory twice = abi.encodeWithSelector(Errors.CertifierQuorum_NotAscending.selector, who, who);
        vm.expectRevert(twice);
        quorum.verify(bytes.concat(_claim(lie), first, second));
        _refused(bytes.concat(_claim(lie), honestWord, second), Errors.CertifierQuorum_NotCertifier.selector);
        _refused(bytes.concat(_claim(honest), honestWord, second), Errors.CertifierQuorum_NotCertifier.selector);
    }

    /// @dev Whatever one key signs, alone or beside an honest certificate, the quorum proves nothing but the truth.
    function testFuzz_Finding_HostileCertifierBelowQuorum(CvmCertificate memory lie, uint256 which) external {
        which = bound(which, 0, 2);
        CvmCertificate memory truth = _certificate();
        lie.cvmId = OrderHashLib.hashKeys(CvmKeys(lie.signer, lie.hpke, lie.statement, lie.tls));
        uint256 other = which == 0 ? 1 : 0;
        (uint256 low, uint256 high) = which < other ? (which, other) : (other, which);
        bytes memory evidence = bytes.concat(
            _claim(lie),
            _signedBy(certifierKeys[low], low == which ? lie : truth),
            _signedBy(certifierKeys[high], high == which ? lie : truth)
        );
        vm.assume(keccak256(_claim(lie)) != keccak256(_claim(truth)));
        vm.expectRevert();
        quorum.verify(evidence);
    }

    /// @dev A removed certifier's old certificates are paper too.
    function test_Finding_RemovedCertifierStillCounts() external {
        bytes memory evidence = _evidence(_certificate(), 2);
        address gone = vm.addr(certifierKeys[0]);
        vm.prank(admin);
        quorum.removeCertifier(gone);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_NotCertifier.selector, gone));
        quorum.verify(evidence);
    }

    /// @dev Two of two: the hostile one could not be removed while the threshold stood, and lowering it takes days.
    function test_Finding_LastCertifiersCannotBeRemoved() external {
        vm.startPrank(admin);
        quorum.setThreshold(3);
        quorum.removeCertifier(vm.addr(certifierKeys[2]));
        vm.stopPrank();
        bytes memory evidence = _evidence(_certificate(), 2);
        vm.expectRevert(abi.encodeWithSelector(Errors.CertifierQuorum_TooFew.selector, 2, 3));
        quorum.verify(evidence);
    }

    /// @dev The curator's key is stolen: its holder accepts a backdoor and starts an order before anybody looks.
    function test_Finding_DelayedAdditionUsedEarly() external {
        address thief = _curator();
        bytes memory addition = abi.encodeCall(references.acceptProfile, ("backdoor", ROOT_SET, TDX, BEST, RELEASE));
        vm.startPrank(thief);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotScheduled.selector);
        references.acceptProfile("backdoor", ROOT_SET, TDX, BEST, RELEASE);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedCall.selector);
        authority.schedule(address(references), addition, uint48(block.timestamp + _DELAY - 1));
        authority.schedule(address(references), addition, 0);
        skip(_DELAY - 1);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotReady.selector);
        references.acceptProfile("backdoor", ROOT_SET, TDX, BEST, RELEASE);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotReady.selector);
        authority.execute(address(references), addition);
        assertFalse(references.isAccepted("backdoor", ROOT_SET, TDX, BEST));
        // What was scheduled is one call with these arguments, not a right to call.
        skip(1);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotScheduled.selector);
        references.acceptProfile("worse backdoor", ROOT_SET, TDX, BEST, RELEASE);
    }

    /// @dev An acceptance that was scheduled before the class was found broken must not bring it back.
    function test_Finding_ScheduledAdditionOutlivesTheRemoval() external {
        address curator = _curator();
        bytes memory addition = abi.encodeCall(references.acceptProfile, (MEASUREMENT, ROOT_SET, TDX, BEST, RELEASE));
        vm.prank(curator);
        authority.schedule(address(references), addition, 0);
        vm.prank(admin);
        references.removeTrustClass(ROOT_SET);
        skip(_DELAY);
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_Closed.selector, ROOT_SET));
        vm.prank(curator);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, BEST, RELEASE);
    }

    /// @dev Nor may a floor that was to be lowered bring back a profile that was removed meanwhile.
    function test_Finding_ScheduledFloorOutlivesTheRemoval() external {
        vm.prank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, BEST, RELEASE);
        vm.startPrank(admin);
        references.removeProfiles(_one(1));
        vm.expectRevert(abi.encodeWithSelector(Errors.ReferenceValues_NotAccepted.selector, 1));
        references.lowerFloor(1, WORSE);
    }

    /// @dev A removal counts in the block that has it, for CVMs that are known and for such as come.
    function test_Finding_RemovalWaitsForADelay() external {
        vm.prank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
        _registered();
        assertTrue(references.isAccepted(MEASUREMENT, ROOT_SET, TDX, BEST));
        vm.prank(admin);
        references.removeProfiles(_one(1));
        assertEq(references.worstTcbOf(1), 0);
        assertFalse(references.isAccepted(MEASUREMENT, ROOT_SET, TDX, BEST));
    }

    /// @dev Anybody may declare: thousands of made-up runtimes must not make the removal of a class dearer.
    function test_Finding_JunkProfilesBlockTheRemovalOfAClass() external {
        vm.prank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, TDX, WORSE, RELEASE);
        uint256 snapshot = vm.snapshotState();
        uint256 cost = _costOfRemoval();
        vm.revertToState(snapshot);
        vm.startPrank(poker);
        for (uint256 i = 1; i <= 500; ++i) {
            references.declare(bytes32(i), ROOT_SET, TDX);
        }
        vm.stopPrank();
        assertEq(_costOfRemoval(), cost);
        assertEq(references.worstTcbOf(1), 0);
    }

    /// @dev After a TCB recovery the operator carries last week's certificate, which says UP_TO_DATE.
    function test_Finding_OlderCertificateHidesTheTcbStatus() external {
        CvmCertificate memory old = _certificate();
        uint32 cvm = _registered();
        CvmCertificate memory fresh = _certificate();
        fresh.tcbStatus = uint8(TcbStatus.OUT_OF_DATE);
        fresh.expiresAt += 2 hours;
        old.expiresAt += 1 hours;
        bytes memory stale = _evidence(old, 2);
        cvms.renew(cvm, quorum, _evidence(fresh, 2));
        vm.expectRevert(
            abi.encodeWithSelector(Errors.CvmRegistry_NotLater.selector, cvmId, old.expiresAt, fresh.expiresAt)
        );
        cvms.renew(cvm, quorum, stale);
        assertEq(cvms.factsOf(cvmId).tcbStatus, uint8(TcbStatus.OUT_OF_DATE));
    }

    /// @dev A CVM in the hand of its certifiers for a century would outlive their removal.
    function test_Finding_CertificateForACentury() external {
        CvmFacts memory facts = _facts();
        facts.expiresAt = uint40(T0 + 36_500 days);
        ICvmRegistry.Registration memory item = _registration(facts);
        vm.expectPartialRevert(Errors.CvmRegistry_TooLong.selector);
        _register(item);
    }

    /// @dev Somebody else registers the provider's CVM as its own, with the provider's certificates.
    function test_Finding_AnothersCvmRegistered() external {
        ICvmRegistry.Registration memory item = _byQuorum(_certificate());
        item.possession.operator = poker;
        vm.expectPartialRevert(Errors.CvmRegistry_NotPossessed.selector);
        vm.prank(poker);
        _register(item);
        // Carried as it is, it is the operator's, whoever carries it.
        item.possession.operator = operator;
        vm.prank(poker);
        uint32 cvm = _register(item);
        assertEq(cvms.operatorOf(cvm), operator);
    }

    /// @dev One bad item, put in by a rival or gone stale on the way, must not cost the others their renewal.
    function test_Finding_OneBadItemStopsTheBatch() external {
        uint32 cvm = _registered();
        CvmCertificate memory later = _certificate();
        later.expiresAt += 1 hours;
        ICvmRegistry.Renewal[] memory items = new ICvmRegistry.Renewal[](5);
        items[0] = ICvmRegistry.Renewal(77, quorum, "");
        items[1] = ICvmRegistry.Renewal(cvm, IEvidenceVerifier(poker), "");
        items[2] = ICvmRegistry.Renewal(cvm, quorum, "junk");
        items[3] = ICvmRegistry.Renewal(cvm, quorum, _evidence(later, 2));
        items[4] = items[3];
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.ItemFailed(4, bytes32(Errors.CvmRegistry_NotLater.selector) | cvmId >> 32);
        assertEq(cvms.renewBatch(items), 1);
        assertEq(cvms.factsOf(cvmId).expiresAt, later.expiresAt);
    }

    /// @dev A family that somebody could widen would widen every order that was signed under it.
    function test_Finding_FamilyWidenedUnderASignedOrder() external {
        bytes32[] memory list = new bytes32[](1);
        list[0] = "honest";
        bytes32 family = references.declareFamily(list);
        list = new bytes32[](2);
        (list[0], list[1]) = ("backdoor", "honest");
        vm.prank(poker);
        assertNotEq(references.declareFamily(list), family);
        assertFalse(references.inFamily(family, "backdoor"));
    }

    function _byQuorum(CvmCertificate memory c) private view returns (ICvmRegistry.Registration memory item) {
        item = _registration(_facts());
        item.verifier = quorum;
        item.evidence = _evidence(c, 2);
    }

    function _curator() private returns (address who) {
        who = makeAddr("curator");
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = references.acceptProfile.selector;
        vm.startPrank(admin);
        authority.setTargetFunctionRole(address(references), selectors, _CURATOR);
        authority.grantRole(_CURATOR, who, _DELAY);
        vm.stopPrank();
    }

    function _costOfRemoval() private returns (uint256) {
        _cool(address(references));
        vm.prank(admin);
        uint256 before = gasleft();
        references.removeTrustClass(ROOT_SET);
        return before - gasleft();
    }

    function _refused(bytes memory evidence, bytes4 selector) private {
        vm.expectPartialRevert(selector);
        quorum.verify(evidence);
    }
}
