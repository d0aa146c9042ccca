// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {console} from "forge-std/console.sol";

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {CvmWord} from "../../../../contracts/libraries/CvmWord.sol";
import {AttestationHandler} from "./AttestationHandler.sol";

/// @notice What always holds of CVMs and policy, after every call of every random history.
contract AttestationInvariants is Test {
    using CvmWord for uint256;

    AttestationHandler private _handler;
    ICvmRegistry private _cvms;

    function setUp() external {
        _handler = new AttestationHandler();
        _cvms = _handler.registry();
        bytes4[] memory selectors = new bytes4[](13);
        selectors[0] = AttestationHandler.register.selector;
        selectors[1] = AttestationHandler.registerMany.selector;
        selectors[2] = AttestationHandler.renew.selector;
        selectors[3] = AttestationHandler.lie.selector;
        selectors[4] = AttestationHandler.revoke.selector;
        selectors[5] = AttestationHandler.retire.selector;
        selectors[6] = AttestationHandler.wait.selector;
        selectors[7] = AttestationHandler.declare.selector;
        selectors[8] = AttestationHandler.accept.selector;
        selectors[9] = AttestationHandler.remove.selector;
        selectors[10] = AttestationHandler.shift.selector;
        selectors[11] = AttestationHandler.classes.selector;
        selectors[12] = AttestationHandler.trespass.selector;
        targetContract(address(_handler));
        targetSelector(FuzzSelector(address(_handler), selectors));
    }

    /// @dev One campaign for all of them: a history is dear, looking at it is cheap.
    function invariant_Attestation() external view {
        uint256 known = 0;
        for (uint256 i = 0; i < _handler.CVMS(); ++i) {
            if (_checkCvm(_handler.idAt(i))) ++known;
        }
        assertEq(_cvms.cvmCount(), known, "ATT-1: numbers are dense, and each is one CVM's");
        (uint256 listed, bool fits) = _handler.listed();
        assertTrue(fits, "ATT-5: a class lists accepted profiles of its own, each once, and none while it is closed");
        assertEq(listed, _handler.floors(), "ATT-5: every accepted profile is in its class' list");
        assertEq(_handler.toldOtherwise(), 0, "ATT-7: what an order reads is what ReferenceValues decided last");
        assertEq(_handler.hostileDid(), 0, "ATT-6: strangers and one certifier below the quorum achieve nothing");
        assertFalse(_handler.backdoorIsAccepted(), "ATT-6: what governance did not accept is not accepted");
    }

    /// @dev With -vv: an action that only reverts proves nothing.
    function afterInvariant() external view {
        console.log("registered", _handler.did("register"), "in batches", _handler.did("registerBatch"));
        console.log("renewed", _handler.did("renew"), "accepted", _handler.did("accept"));
        console.log("revoked", _handler.did("revoke"), "retired", _handler.did("retire"));
    }

    function _checkCvm(bytes32 cvmId) private view returns (bool known) {
        uint32 cvm = _cvms.indexOf(cvmId);
        if (cvm == 0) return false;
        uint256 word = _cvms.wordOf(cvm);
        assertEq(_cvms.cvmIdAt(cvm), cvmId, "ATT-1: number and id name each other");
        assertEq(_handler.firstNumber(cvmId), cvm, "ATT-1: a CVM keeps its number");
        assertEq(_handler.wasRevoked(cvmId), word.isRevoked(), "ATT-2: revoked is for ever, and by those who may");
        assertEq(_handler.wasRetired(cvmId), word.isRetired(), "ATT-2: retired is for ever, and by the operator");
        if (word.isRevoked() || word.isRetired()) {
            assertFalse(_cvms.isUsable(cvmId), "ATT-2: revoked and retired CVMs are not usable");
        }
        uint256 first = _handler.firstWord(cvmId);
        if (first.signer() != address(0)) {
            assertEq(word.signer(), first.signer(), "ATT-3: a CVM keeps its signer");
            assertEq(word.profile(), first.profile(), "ATT-3: a CVM keeps its profile");
            assertEq(_cvms.operatorOf(cvm), _handler.firstOperator(cvmId), "ATT-3: a CVM keeps its operator");
            assertGt(word.profile(), 0, "ATT-3: what is proven has a profile");
            assertGt(word.tcbStatus(), 0, "ATT-3: and a TCB status");
        } else {
            assertEq(word, CvmWord.REVOKED, "ATT-2: revoked before it was proven, it is nothing else");
        }
        assertLe(word.expiresAt(), block.timestamp + _cvms.MAX_VALIDITY(), "ATT-4: no certificate outlasts the bound");
        assertEq(word >> 248, 0, "ATT-4: the free bits are zero");
        return true;
    }
}
