// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {VmSafe} from "forge-std/Vm.sol";
import {console} from "forge-std/console.sol";

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {CvmCertificate} from "../../../../contracts/types/Certificates.sol";
import {P256Verdict} from "../../../../contracts/verifiers/P256Verdict.sol";
import {Stage} from "./Stage.sol";

/// @notice What a sender pays, the whole transaction with calldata, by certificates of two certifiers.
/// @dev Each outer call is a transaction of its own, with cold slots.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract AttestationGasTest is Stage {
    uint256 private constant _COUNT = 8;

    ICvmRegistry.Registration[] private _items;
    ICvmRegistry.Renewal[] private _renewals;

    function setUp() public override {
        super.setUp();
        // Another CVM of the same profile came before, as ever but once.
        (signer, signerKey) = makeAddrAndKey("first");
        cvmId = OrderHashLib.hashKeys(_keys(signer));
        _registered();
        for (uint256 i = 0; i < _COUNT; ++i) {
            (signer, signerKey) = makeAddrAndKey(string.concat("cvm ", vm.toString(i)));
            cvmId = OrderHashLib.hashKeys(_keys(signer));
            ICvmRegistry.Registration memory item = _registration(_facts());
            item.verifier = quorum;
            item.evidence = _evidence(_certificate(), 2);
            _items.push(item);
            CvmCertificate memory later = _certificate();
            later.expiresAt += 1 hours;
            _renewals.push(ICvmRegistry.Renewal(uint32(2 + i), quorum, _evidence(later, 2)));
        }
    }

    function test_RegisterAndRenew() external {
        _register(_items[0]);
        _most("register", 175_000);
        ICvmRegistry.Renewal memory item = _renewals[0];
        cvms.renew(item.cvm, item.verifier, item.evidence);
        _most("renew", 76_000);
        vm.prank(admin);
        cvms.revoke(cvmId);
        _most("revoke, unknown CVM", 112_000);
        vm.prank(operator);
        cvms.retire(_items[0].possession.cvmId);
        _most("retire", 34_000);
    }

    function test_Batches() external {
        assertEq(cvms.registerBatch(_items), _COUNT);
        _most("registerBatch of 8, each", 141_000 * _COUNT);
        assertEq(cvms.renewBatch(_renewals), _COUNT);
        _most("renewBatch of 8, each", 46_000 * _COUNT);
    }

    function test_RenewByP256() external {
        _register(_items[7]);
        P256Verdict verdict = P256Verdict(deployCode("P256Verdict.sol:P256Verdict", abi.encode(authority)));
        (uint256 x, uint256 y) = vm.publicKeyP256(0x7253);
        vm.prank(admin);
        verdict.addKey(bytes32(x), bytes32(y));
        vm.prank(admin);
        cvms.addVerifier(verdict);
        CvmCertificate memory c = _certificate();
        c.expiresAt += 1;
        (bytes32 r, bytes32 s) = vm.signP256(0x7253, verdict.digestOf(c));
        uint256 n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;
        if (uint256(s) > n / 2) s = bytes32(n - uint256(s));
        cvms.renew(2, verdict, bytes.concat(_claim(c), _own(c), abi.encode(x, y, r, s)));
        _most("renew by P-256", 70_000);
    }

    function test_Policy() external {
        references.declare("new", ROOT_SET, TDX);
        _most("declare", 121_000);
        vm.prank(admin);
        references.acceptProfile("new", ROOT_SET, TDX, BEST, RELEASE);
        _most("acceptProfile", 150_000);
        vm.prank(admin);
        references.removeProfiles(_one(2));
        _most("removeProfiles of 1", 55_000);
    }

    /// @dev The dearest thing that a warden does in one call.
    function test_RemoveTrustClass() external {
        for (uint256 i = 1; i <= references.MAX_ACCEPTED(); ++i) {
            vm.prank(admin);
            references.acceptProfile(bytes32(i), "full", TDX, BEST, RELEASE);
        }
        vm.prank(admin);
        references.removeTrustClass("full");
        _most("removeTrustClass of 128", 1_650_000);
    }

    function _most(string memory name, uint256 bound_) private view {
        uint256 used = vm.lastCallGas().gasTotalUsed;
        console.log(name, used, used / _COUNT);
        // Coverage runs code that is not optimised.
        if (vm.isContext(VmSafe.ForgeContext.Coverage)) return;
        assertLe(used, bound_, name);
    }
}
