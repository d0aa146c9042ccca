// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {SettlementLib} from "../../../contracts/libraries/SettlementLib.sol";
import {CvmCertificate, CvmKeys, Possession} from "../../../contracts/types/Certificates.sol";
import {OfferTerms} from "../../../contracts/types/Offers.sol";
import {
    InputRef,
    OrderPreimage,
    OrderStart,
    OrderState,
    OrderTerms,
    Params,
    Phase,
    ReportSummary,
    RuntimePolicy,
    Stop
} from "../../../contracts/types/Orders.sol";
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
        (bytes[] memory inputs, bytes32[] memory expected) = _hashTable("offers");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashOffer(abi.decode(inputs[i], (OfferTerms))), expected[i]);
        }
    }

    function test_RuntimePoliciesHashAsInPython() public view {
        (bytes[] memory inputs, bytes32[] memory expected) = _hashTable("policies");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashPolicy(abi.decode(inputs[i], (RuntimePolicy))), expected[i]);
        }
    }

    function test_CvmIdsAreAsInPython() public view {
        (bytes[] memory inputs, bytes32[] memory expected) = _hashTable("cvms");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashKeys(abi.decode(inputs[i], (CvmKeys))), expected[i]);
        }
    }

    function test_InputsRootsAreAsInPython() public view {
        (bytes[] memory inputs, bytes32[] memory expected) = _hashTable("inputs");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.inputsRoot(abi.decode(inputs[i], (InputRef[]))), expected[i]);
        }
    }

    // ------------------------------------------------------------------------------------------ digests
    function test_OrderIdsAreAsInPython() public view {
        (bytes[] memory inputs, bytes32[] memory expected, string memory json) = _digestTable("orders");
        for (uint256 i = 0; i < inputs.length; ++i) {
            assertEq(_hashes.hashOrder(abi.decode(inputs[i], (OrderTerms))), expected[i]);
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
    struct Row {
        OrderPreimage pre;
        Params params;
        SettlementLib.Frozen frozen;
    }

    function test_PricesAreAsInPython() public view {
        string memory json = _read("settlements");
        uint256[] memory deposits = vm.parseJsonUintArray(json, ".deposit_required");
        uint256[] memory penalties = vm.parseJsonUintArray(json, ".start_penalty");
        uint256[] memory locks = vm.parseJsonUintArray(json, ".lock_required");
        Row[] memory rows = _rows(json);
        for (uint256 i = 0; i < rows.length; ++i) {
            uint256 bps = rows[i].params.startPenaltyBps;
            assertEq(_money.depositRequired(rows[i].pre), deposits[i]);
            assertEq(_money.startPenaltyDown(rows[i].pre, bps), penalties[i]);
            assertEq(_money.lockRequired(rows[i].pre, bps), locks[i]);
        }
    }

    function test_BillsAsInPython() public view {
        string memory json = _read("settlements");
        uint256[] memory reported = vm.parseJsonUintArray(json, ".reported");
        uint256[] memory units = vm.parseJsonUintArray(json, ".units");
        uint256[] memory elapsed = vm.parseJsonUintArray(json, ".elapsed");
        Row[] memory rows = _rows(json);
        for (uint256 i = 0; i < rows.length; ++i) {
            SettlementLib.Frozen memory frozen = rows[i].frozen;
            (uint256 secs, uint256 billed) =
                _money.bill(rows[i].pre.terms, frozen.state, frozen.phase, reported[i], units[i], elapsed[i]);
            assertEq(secs, frozen.secondsUsed);
            assertEq(billed, frozen.unitsUsed);
        }
    }

    function test_SettlesAsInPython() public view {
        string memory json = _read("settlements");
        Row[] memory rows = _rows(json);
        string[6] memory names = [".compute_gross", ".inputs_gross", ".fees", ".slashed", ".penalty", ".refund"];
        uint256[][6] memory expected;
        for (uint256 n = 0; n < names.length; ++n) {
            expected[n] = vm.parseJsonUintArray(json, names[n]);
        }
        for (uint256 i = 0; i < rows.length; ++i) {
            SettlementLib.Settlement memory s = _money.settle(rows[i].pre, rows[i].params, rows[i].frozen);
            assertEq(s.gross[0], expected[0][i]);
            assertEq(_sum(s.gross) - s.gross[0], expected[1][i]);
            assertEq(s.fees, expected[2][i]);
            assertEq(s.slashed, expected[3][i]);
            assertEq(s.penalty, expected[4][i]);
            assertEq(s.refund, expected[5][i]);
        }
    }

    function test_PaysOutAsInPython() public view {
        string memory json = _read("settlements");
        bytes32[] memory expected = vm.parseJsonBytes32Array(json, ".payouts");
        Row[] memory rows = _rows(json);
        for (uint256 i = 0; i < rows.length; ++i) {
            SettlementLib.Payout[] memory list = _money.payouts(rows[i].pre, rows[i].params, rows[i].frozen);
            assertEq(keccak256(abi.encode(list)), expected[i]);
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

    function _rows(string memory json) private pure returns (Row[] memory rows) {
        bytes[] memory preimages = vm.parseJsonBytesArray(json, ".preimages");
        uint256[] memory orders = vm.parseJsonUintArray(json, ".order");
        uint256[] memory fees = vm.parseJsonUintArray(json, ".fee_bps");
        uint256[] memory penalties = vm.parseJsonUintArray(json, ".start_penalty_bps");
        address[] memory treasuries = vm.parseJsonAddressArray(json, ".treasury");
        rows = new Row[](orders.length);
        for (uint256 i = 0; i < orders.length; ++i) {
            rows[i].pre = abi.decode(preimages[orders[i]], (OrderPreimage));
            rows[i].params = Params({
                feeBps: uint16(fees[i]), startPenaltyBps: uint16(penalties[i]), minGrace: 1, treasury: treasuries[i]
            });
        }
        _freeze(json, rows);
    }

    function _freeze(string memory json, Row[] memory rows) private pure {
        uint256[] memory states = vm.parseJsonUintArray(json, ".state");
        uint256[] memory phases = vm.parseJsonUintArray(json, ".phase");
        uint256[] memory secs = vm.parseJsonUintArray(json, ".seconds_billed");
        uint256[] memory units = vm.parseJsonUintArray(json, ".units_billed");
        for (uint256 i = 0; i < rows.length; ++i) {
            rows[i].frozen = SettlementLib.Frozen({
                state: OrderState(states[i]),
                phase: Phase(phases[i]),
                secondsUsed: uint32(secs[i]),
                unitsUsed: uint64(units[i])
            });
        }
    }

    function _sum(uint256[] memory values) private pure returns (uint256 total) {
        for (uint256 i = 0; i < values.length; ++i) {
            total += values[i];
        }
    }
}
