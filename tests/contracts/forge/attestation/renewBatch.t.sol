// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {IEvidenceVerifier} from "../../../../contracts/interfaces/IEvidenceVerifier.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {CvmFacts} from "../../../../contracts/types/Certificates.sol";
import {Stage} from "./Stage.sol";

/// @dev Burns all the gas that it gets.
contract BurningVerifier is IEvidenceVerifier {
    function verify(bytes calldata) external pure returns (bytes32, CvmFacts memory) {
        assembly ("memory-safe") {
            invalid()
        }
    }
}

contract RenewBatchTest is Stage {
    uint256 private constant _COUNT = 8;

    bytes32[_COUNT] private _ids;
    ICvmRegistry.Renewal[] private _items;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < _COUNT; ++i) {
            (signer, signerKey) = makeAddrAndKey(string.concat("cvm ", vm.toString(i)));
            cvmId = OrderHashLib.hashKeys(_keys(signer));
            _ids[i] = cvmId;
            uint32 cvm = _registered();
            CvmFacts memory facts = _facts();
            facts.expiresAt += 1 hours;
            _items.push(ICvmRegistry.Renewal(cvm, fixedVerifier, abi.encode(cvmId, facts)));
        }
    }

    function test_WhenAnItemIsRefused() external {
        vm.prank(admin);
        cvms.revoke(_ids[3]);
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.ItemFailed(3, bytes32(Errors.CvmRegistry_Revoked.selector) | _ids[3] >> 32);
        assertEq(cvms.renewBatch(_items), _COUNT - 1);
        for (uint256 i = 0; i < _COUNT; ++i) {
            assertEq(cvms.factsOf(_ids[i]).expiresAt, T0 + 1 days + (i == 3 ? 0 : 1 hours));
        }
    }

    function testFuzz_WhenSomeAreRefused(uint8 bad) external {
        uint256 good = 0;
        for (uint256 i = 0; i < _COUNT; ++i) {
            if (bad >> i & 1 == 1) _items[i].cvm = 99;
            else ++good;
        }
        assertEq(cvms.renewBatch(_items), good);
    }

    function test_WhenAnItemRunsOutOfGas() external {
        BurningVerifier burning = new BurningVerifier();
        vm.prank(admin);
        cvms.addVerifier(burning);
        _items[7].verifier = burning;
        vm.expectEmit(address(cvms));
        emit ICvmRegistry.ItemFailed(7, 0);
        assertEq(cvms.renewBatch{gas: 2_000_000}(_items), _COUNT - 1);
    }

    function test_WhenItIsEmpty() external {
        vm.recordLogs();
        assertEq(cvms.renewBatch(new ICvmRegistry.Renewal[](0)), 0);
        assertEq(vm.getRecordedLogs().length, 0);
    }
}
