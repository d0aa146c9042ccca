// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {CvmCertificate, CvmKeys, Possession} from "../../../contracts/types/Certificates.sol";
import {OrderStart, OrderState, ReportSummary, Stop} from "../../../contracts/types/Orders.sol";
import {HashHarness} from "../harness/HashHarness.sol";
import {SettlementHarness} from "../harness/SettlementHarness.sol";

/// @title The Solidity side of the cases in tests/conformance/vectors, which the Python twins wrote.
contract ConformanceTest is Test {
    string private constant VECTORS = "tests/conformance/vectors/";

    HashHarness private _hashes;
    SettlementHarness private _money;

    function setUp() public {
        _hashes = new HashHarness();
        _money = new SettlementHarness();
    }

    // ------------------------------------------------------------------------------------------ hashes
    function test_OfferTermsHashAsInPython() public view {
        string memory json = _read("offers");
        bytes[] memory heads = vm.parseJsonBytesArray(json, ".head");
        address[] memory tokens = vm.parseJsonAddressArray(json, ".token");
        bytes[] memory payees = vm.parseJsonBytesArray(json, ".payees");
        bytes32[] memory ofPayees = vm.parseJsonBytes32Array(json, ".payees_hash");
        bytes32[] memory expected = vm.parseJsonBytes32Array(json, ".hash");
        assertGt(heads.length, 0);
        for (uint256 i = 0; i < heads.length; ++i) {
            assertEq(_hashes.hashOffer(heads[i], 0, tokens[i]), expected[i]);
            assertEq(_hashes.hashPayees(payees[i]), ofPayees[i]);
        }
    }

    function test_RuntimePoliciesHashAsInPython() public view {
        (, bytes32[] memory expected) = _hashTable("policies");
        bytes[] memory policies = vm.parseJsonBytesArray(_read("policies"), ".tight");
        for (uint256 i = 0; i < policies.length; ++i) {
            assertEq(_hashes.hashPolicy(policies[i]), expected[i]);
        }
    }

    function test_CvmIdsAreAsInPython() public view {
        (bytes[] memory inputs, bytes32[] memory expected) = _hashTable("cvms");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashKeys(abi.decode(inputs[i], (CvmKeys))), expected[i]);
        }
    }

    // ------------------------------------------------------------------------------------------ digests
    function test_OrderIdsAreAsInPython() public view {
        (bytes[] memory structs, bytes32[] memory expected, string memory json) = _digestTable("orders");
        bytes[] memory inputs = vm.parseJsonBytesArray(json, ".order");
        bytes32[] memory inputRoots = vm.parseJsonBytes32Array(json, ".root");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashOrder(inputs[i]), expected[i]);
            assertEq(_hashes.inputsRoot(inputs[i]), inputRoots[i]);
            assertEq(abi.encode(_hashes.decodeOrder(inputs[i])), structs[i]);
        }
        _checkDigests(json, "Cloister OrderBook", expected);
    }

    function test_StartsAreSignedAsInPython() public view {
        (bytes[] memory inputs, bytes32[] memory expected, string memory json) = _digestTable("starts");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashStart(abi.decode(inputs[i], (OrderStart))), expected[i]);
        }
        _checkDigests(json, "Cloister OrderBook", expected);
    }

    function test_SummariesAreSignedAsInPython() public view {
        (bytes[] memory inputs, bytes32[] memory expected, string memory json) = _digestTable("summaries");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashSummary(abi.decode(inputs[i], (ReportSummary))), expected[i]);
        }
        _checkDigests(json, "Cloister OrderBook", expected);
    }

    function test_StopsAreSignedAsInPython() public view {
        (bytes[] memory inputs, bytes32[] memory expected, string memory json) = _digestTable("stops");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashStop(abi.decode(inputs[i], (Stop))), expected[i]);
        }
        _checkDigests(json, "Cloister OrderBook", expected);
    }

    function test_PossessionsAreSignedAsInPython() public view {
        (bytes[] memory inputs, bytes32[] memory expected, string memory json) = _digestTable("possessions");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashPossession(abi.decode(inputs[i], (Possession))), expected[i]);
        }
        _checkDigests(json, "Cloister CvmRegistry", expected);
    }

    function test_CertificatesAreSignedAsInPython() public view {
        (bytes[] memory inputs, bytes32[] memory expected, string memory json) = _digestTable("certificates");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashCertificate(abi.decode(inputs[i], (CvmCertificate))), expected[i]);
        }
        _checkDigests(json, "Cloister CertifierQuorum", expected);
    }

    // ------------------------------------------------------------------------------------------ settlement
    function test_SettlesAsInPython() public view {
        string memory json = _read("settlements");
        bytes[] memory cases = vm.parseJsonBytesArray(json, ".case");
        bytes32[] memory expected = vm.parseJsonBytes32Array(json, ".sums");
        assertGt(cases.length, 0);
        for (uint256 i = 0; i < cases.length; ++i) {
            SettlementHarness.Case memory c = abi.decode(cases[i], (SettlementHarness.Case));
            assertEq(keccak256(abi.encode(_money.settle(c))), expected[i]);
        }
    }

    // ------------------------------------------------------------------------------------------ transitions
    function test_TransitionsAreAsInPython() public view {
        string memory json = _read("transitions");
        bool[] memory terminal = vm.parseJsonBoolArray(json, ".terminal");
        assertEq(terminal.length, uint256(type(OrderState).max) + 1);
        for (uint256 from = 0; from < terminal.length; ++from) {
            assertEq(_money.isTerminal(OrderState(from)), terminal[from]);
            bool[] memory row = vm.parseJsonBoolArray(json, string.concat(".allowed[", vm.toString(from), "]"));
            for (uint256 to = 0; to < row.length; ++to) {
                assertEq(_money.isAllowed(OrderState(from), OrderState(to)), row[to]);
            }
        }
    }

    // ------------------------------------------------------------------------------------------ reading
    function _read(string memory name) private view returns (string memory) {
        return vm.readFile(string.concat(VECTORS, name, ".json"));
    }

    function _hashTable(string memory name) private view returns (bytes[] memory inputs, bytes32[] memory expected) {
        string memory json = _read(name);
        inputs = vm.parseJsonBytesArray(json, ".abi");
        expected = vm.parseJsonBytes32Array(json, ".hash");
        assertGt(inputs.length, 0);
        assertEq(inputs.length, expected.length);
    }

    function _digestTable(string memory name)
        private
        view
        returns (bytes[] memory inputs, bytes32[] memory expected, string memory json)
    {
        (inputs, expected) = _hashTable(name);
        json = _read(name);
    }

    function _checkDigests(string memory json, string memory domain, bytes32[] memory structHashes) private view {
        uint256[] memory chains = vm.parseJsonUintArray(json, ".chain_id");
        address[] memory contracts = vm.parseJsonAddressArray(json, ".contract");
        bytes32[] memory expected = vm.parseJsonBytes32Array(json, ".digest");
        assertEq(expected.length, structHashes.length);
        for (uint256 i = 0; i < expected.length; ++i) {
            assertEq(_hashes.digest(domain, chains[i], contracts[i], structHashes[i]), expected[i]);
        }
    }
}
