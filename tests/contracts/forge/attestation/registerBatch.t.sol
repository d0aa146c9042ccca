// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {IEvidenceVerifier} from "../../../../contracts/interfaces/IEvidenceVerifier.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {CvmFacts} from "../../../../contracts/types/Certificates.sol";
import {Stage} from "./Stage.sol";

/// @dev Reverts with as many bytes as the evidence has, all 0xee.
contract FloodingVerifier is IEvidenceVerifier {
    function verify(bytes calldata evidence) external pure returns (bytes32, CvmFacts memory) {
        bytes memory flood = new bytes(evidence.length);
        for (uint256 i = 0; i < flood.length; ++i) {
            flood[i] = 0xee;
        }
        assembly ("memory-safe") {
            revert(add(flood, 32), mload(flood))
        }
    }
}

contract RegisterBatchTest is Stage {
    function test_WhenAnItemIsRefused() external {
        ICvmRegistry.Registration[] memory items = new ICvmRegistry.Registration[](3);
        items[0] = _nth(0);
        items[1] = _nth(1);
        items[1].possessionSignature = "";
        items[2] = _nth(2);
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.ItemFailed(
            1, bytes32(Errors.CvmRegistry_NotPossessed.selector) | items[1].possession.cvmId >> 32
        );
        vm.prank(poker);
        assertEq(cvms.registerBatch(items), 2);
        assertEq(cvms.cvmCount(), 2);
        assertTrue(cvms.isUsable(items[0].possession.cvmId));
        assertFalse(cvms.isUsable(items[1].possession.cvmId));
        assertTrue(cvms.isUsable(items[2].possession.cvmId));
        assertEq(cvms.cvmIdAt(2), items[2].possession.cvmId);
    }

    function test_WhenAVerifierReverts() external {
        FloodingVerifier flooding = new FloodingVerifier();
        vm.prank(admin);
        cvms.addVerifier(flooding);
        ICvmRegistry.Registration[] memory items = new ICvmRegistry.Registration[](3);
        items[0] = _nth(0);
        (items[0].verifier, items[0].evidence) = (flooding, "");
        items[1] = _nth(1);
        (items[1].verifier, items[1].evidence) = (flooding, new bytes(10_000));
        items[2] = _nth(2);
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.ItemFailed(0, 0);
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.ItemFailed(1, 0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee);
        assertEq(cvms.registerBatch(items), 1);
    }

    function test_WhenTheSameCvmComesTwice() external {
        ICvmRegistry.Registration[] memory items = new ICvmRegistry.Registration[](2);
        items[0] = _nth(0);
        items[1] = _nth(0);
        assertEq(cvms.registerBatch(items), 1);
        assertEq(cvms.cvmCount(), 1);
    }

    function test_WhenItIsEmpty() external {
        vm.recordLogs();
        assertEq(cvms.registerBatch(new ICvmRegistry.Registration[](0)), 0);
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function _nth(uint256 n) private returns (ICvmRegistry.Registration memory) {
        (signer, signerKey) = makeAddrAndKey(string.concat("cvm ", vm.toString(n)));
        cvmId = OrderHashLib.hashKeys(_keys(signer));
        return _registration(_facts());
    }
}
