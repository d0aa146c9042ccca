// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

import {Authority} from "../../../../contracts/Authority.sol";

import {P256Verdict} from "../../../../contracts/verifiers/P256Verdict.sol";
import {Stage} from "./Stage.sol";

/// @notice The table that the deployer applies, applied here; each function is then tried as its holder would.
contract GovernanceTest is Stage {
    struct Guarded {
        string role;
        string name;
        bytes4 selector;
        address target;
        uint64 id;
        uint32 delay;
    }

    string private _json;
    P256Verdict private _verdict;
    address private _book = makeAddr("order book with setPaused and addParams");
    address private _governor = makeAddr("governor");
    mapping(string role => uint64) private _ids;
    mapping(string role => uint32) private _delays;
    mapping(string signature => bytes) private _calls;
    Guarded[] private _table;

    function setUp() public override {
        super.setUp();
        _json = vm.readFile("marketplace/chain/roles.json");
        _verdict = P256Verdict(deployCode("P256Verdict.sol:P256Verdict", abi.encode(authority)));
        _prepareCalls();
        vm.startPrank(admin);
        for (uint256 i = 0; vm.keyExistsJson(_json, _path("roles", i, "id")); ++i) {
            string memory name = vm.parseJsonString(_json, _path("roles", i, "name"));
            _ids[name] = uint64(vm.parseJsonUint(_json, _path("roles", i, "id")));
            _delays[name] = uint32(vm.parseJsonUint(_json, _path("roles", i, "delay_s")));
            if (_ids[name] != 0) authority.grantRole(_ids[name], makeAddr(name), _delays[name]);
        }
        for (uint256 i = 0; vm.keyExistsJson(_json, _path("roles", i, "id")); ++i) {
            string memory name = vm.parseJsonString(_json, _path("roles", i, "name"));
            string memory guardian = vm.parseJsonString(_json, _path("roles", i, "guardian"));
            if (_ids[name] != 0) authority.setRoleGuardian(_ids[name], _ids[guardian]);
        }
        for (uint256 i = 0; vm.keyExistsJson(_json, _path("functions", i, "role")); ++i) {
            _guard(i);
        }
        authority.grantRole(0, _governor, _delays["admin"]);
        authority.renounceRole(0, admin);
        vm.stopPrank();
    }

    function test_ItNamesEveryRestrictedFunction() external view {
        _countsAgree("CvmRegistry", "contracts/CvmRegistry.sol");
        _countsAgree("ReferenceValues", "contracts/ReferenceValues.sol");
        _countsAgree("CertifierQuorum", "contracts/verifiers/CertifierQuorum.sol");
        _countsAgree("P256Verdict", "contracts/verifiers/P256Verdict.sol");
    }

    function test_ItDelaysWhatAddsAndNothingThatRemoves() external view {
        for (uint256 i = 0; i < _table.length; ++i) {
            Guarded memory it = _table[i];
            bool removes = _startsWith(it.name, "re") && !_startsWith(it.name, "reopen")
                || _startsWith(it.name, "raise") || _startsWith(it.name, "setPaused");
            assertEq(it.delay == 0, removes, it.name);
        }
    }

    function test_GivenItIsApplied_ForEveryFunction() external {
        uint256 tried = 0;
        for (uint256 i = 0; i < _table.length; ++i) {
            Guarded memory it = _table[i];
            (bool immediate, uint32 delay) = authority.canCall(makeAddr(it.role), it.target, it.selector);
            assertEq(immediate, it.delay == 0, it.name);
            assertEq(delay, it.delay, it.name);
            (immediate, delay) = authority.canCall(poker, it.target, it.selector);
            assertTrue(!immediate && delay == 0, it.name);
            if (it.target == _book) continue;
            _try(it);
            ++tried;
        }
        assertEq(tried, 14);
    }

    function test_GivenTheAdminWasHandedOver() external {
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManager.AccessManagerUnauthorizedAccount.selector, admin, uint64(0))
        );
        vm.prank(admin);
        authority.grantRole(4, poker, 0);
        bytes memory call_ = abi.encodeCall(Authority(address(0)).grantRole, (4, poker, 0));
        vm.startPrank(_governor);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotScheduled.selector);
        authority.execute(address(authority), call_);
        authority.schedule(address(authority), call_, 0);
        skip(_delays["admin"] - 1);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotReady.selector);
        authority.execute(address(authority), call_);
        skip(1);
        authority.execute(address(authority), call_);
        (bool member,) = authority.hasRole(4, poker);
        assertTrue(member);
    }

    function test_GivenABadAdditionIsScheduled() external {
        address registrar = makeAddr("registrar");
        bytes memory call_ = abi.encodeCall(quorum.addCertifier, (poker));
        vm.prank(registrar);
        authority.schedule(address(quorum), call_, 0);
        vm.prank(makeAddr("warden"));
        authority.cancel(registrar, address(quorum), call_);
        skip(_delays["registrar"]);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotScheduled.selector);
        vm.prank(registrar);
        quorum.addCertifier(poker);
        assertFalse(quorum.isCertifier(poker));
    }

    // ------------------------------------------------------------------------------------------- helpers
    /// @dev One call of each function that has an effect, in the order of the table.
    function _prepareCalls() private {
        (uint256 x, uint256 y) = vm.publicKeyP256(0x7253);
        _calls["revoke"] = abi.encodeCall(cvms.revoke, (cvmId));
        _calls["acceptProfile"] = abi.encodeCall(references.acceptProfile, (MEASUREMENT, ROOT_SET, TDX, BEST, RELEASE));
        _calls["lowerFloor"] = abi.encodeCall(references.lowerFloor, (1, WORSE));
        _calls["reopenTrustClass"] = abi.encodeCall(references.reopenTrustClass, ("closed"));
        _calls["addVerifier"] = abi.encodeCall(cvms.addVerifier, (_verdict));
        _calls["addCertifier"] = abi.encodeCall(quorum.addCertifier, (poker));
        _calls["setThreshold"] = abi.encodeCall(quorum.setThreshold, (3));
        _calls["addKey"] = abi.encodeCall(_verdict.addKey, (bytes32(x), bytes32(y)));
        _calls["raiseFloor"] = abi.encodeCall(references.raiseFloor, (_one(1), BEST));
        _calls["removeProfiles"] = abi.encodeCall(references.removeProfiles, (_one(1)));
        _calls["removeTrustClass"] = abi.encodeCall(references.removeTrustClass, (ROOT_SET));
        _calls["removeVerifier"] = abi.encodeCall(cvms.removeVerifier, (_verdict));
        _calls["removeCertifier"] = abi.encodeCall(quorum.removeCertifier, (poker));
        _calls["removeKey"] = abi.encodeCall(_verdict.removeKey, (keccak256(abi.encode(x, y))));
        vm.prank(admin);
        references.removeTrustClass("closed");
    }

    function _guard(uint256 i) private {
        string memory role = vm.parseJsonString(_json, _path("functions", i, "role"));
        string memory target = vm.parseJsonString(_json, _path("functions", i, "target"));
        string memory signature = vm.parseJsonString(_json, _path("functions", i, "signature"));
        Guarded memory it = Guarded({
            role: role,
            name: vm.split(signature, "(")[0],
            selector: bytes4(keccak256(bytes(signature))),
            target: _targetOf(target),
            id: _ids[role],
            delay: _delays[role]
        });
        assertNotEq(it.id, 0, signature);
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = it.selector;
        authority.setTargetFunctionRole(it.target, selectors, it.id);
        _table.push(it);
    }

    function _try(Guarded memory it) private {
        bytes memory data = _calls[it.name];
        assertEq(bytes4(data), it.selector, it.name);
        (bool done, bytes memory reason) = _callAs(poker, it.target, data);
        assertFalse(done, it.name);
        assertEq(reason, _unauthorized(poker), it.name);
        address holder = makeAddr(it.role);
        if (it.delay != 0) {
            (done, reason) = _callAs(holder, it.target, data);
            assertFalse(done, it.name);
            assertEq(bytes4(reason), IAccessManager.AccessManagerNotScheduled.selector, it.name);
            vm.prank(holder);
            authority.schedule(it.target, data, 0);
            skip(it.delay - 1);
            (done, reason) = _callAs(holder, it.target, data);
            assertFalse(done, it.name);
            assertEq(bytes4(reason), IAccessManager.AccessManagerNotReady.selector, it.name);
            skip(1);
        }
        (done, reason) = _callAs(holder, it.target, data);
        assertTrue(done, it.name);
    }

    function _callAs(address caller, address target, bytes memory data) private returns (bool, bytes memory) {
        vm.prank(caller);
        return target.call(data);
    }

    function _countsAgree(string memory target, string memory file) private view {
        uint256 named = 0;
        for (uint256 i = 0; i < _table.length; ++i) {
            if (_table[i].target == _targetOf(target)) ++named;
        }
        assertEq(named, vm.split(vm.readFile(file), " restricted").length - 1, target);
    }

    function _targetOf(string memory name) private view returns (address) {
        bytes32 it = keccak256(bytes(name));
        if (it == keccak256("CvmRegistry")) return address(cvms);
        if (it == keccak256("ReferenceValues")) return address(references);
        if (it == keccak256("CertifierQuorum")) return address(quorum);
        if (it == keccak256("P256Verdict")) return address(_verdict);
        assertEq(name, "OrderBook");
        return _book;
    }

    function _startsWith(string memory text, string memory start) private pure returns (bool) {
        return vm.indexOf(text, start) == 0;
    }

    function _path(string memory list, uint256 i, string memory key) private pure returns (string memory) {
        return string.concat(".", list, "[", vm.toString(i), "].", key);
    }
}
