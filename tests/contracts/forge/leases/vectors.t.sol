// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LeaseLib} from "../../../../contracts/libraries/LeaseLib.sol";
import {LeaseTerms} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

/// @notice Histories that the Python twin worked out (tests/unit/marketplace/domain/test_lease.py), on the contract.
contract VectorsTest is Leases {
    string private _json;
    bytes private _payeesOf;

    function setUp() public override {
        super.setUp();
        _json = vm.readFile("tests/conformance/vectors/leases/histories.json");
    }

    function test_TermsHash() external view {
        bytes memory data = vm.parseJsonBytes(_json, ".termsBytes");
        assertEq(this.hashOf(data), vm.parseJsonBytes32(_json, ".termsHash"));
    }

    function test_Histories() external {
        uint256[] memory prices = _column("price");
        assertEq(prices.length, 100);
        for (uint256 i = 0; i < prices.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            _replay(i);
            assertTrue(vm.revertToStateAndDelete(snapshot));
        }
    }

    function hashOf(bytes calldata data) external pure returns (bytes32) {
        return LeaseLib.hashTerms(LeaseLib.decode(data));
    }

    function _replay(uint256 i) private {
        bytes memory data = _sell(i);
        vm.warp(T0 + _cell("first", i));
        if (_cell("first", i) != 0) leases.collect(data, _payeesOf);
        _compare("half", i);
        vm.warp(T0 + _cell("ended", i));
        _end(data);
        assertEq(_credit(lessee), _cell("refund", i), "refund");
        leases.collect(data, _payeesOf);
        _compare("full", i);
        assertEq(_credited(), _held());
    }

    function _sell(uint256 i) private returns (bytes memory data) {
        uint256 one = _cell("bpsOne", i);
        uint256 two = _cell("bpsTwo", i);
        // forge-lint: disable-start(unsafe-typecast)
        _payeesOf = abi.encodePacked(owner, uint16(one), coAuthor, uint16(two), lastPayee, uint16(10_000 - one - two));
        LeaseTerms memory terms = _terms();
        terms.pricePerPeriod = uint128(_cell("price", i));
        terms.periodSeconds = uint32(_cell("period", i));
        terms.minSeconds = 0;
        terms.payeesHash = _payeesHash(_payeesOf);
        vm.prank(admin);
        leases.setFee(uint16(_cell("feeBps", i)), treasury);
        // forge-lint: disable-end(unsafe-typecast)
        vm.prank(owner);
        leases.openTerms(_bytes(terms), _payeesOf);
        data = _leaseBytes(terms);
        uint256 periods = _cell("periods", i);
        vm.prank(lessee);
        leases.lease(data, periods);
    }

    function _compare(string memory when, uint256 i) private view {
        assertEq(_credit(treasury), _cell(string.concat(when, "Fee"), i), when);
        assertEq(_credit(owner), _cell(string.concat(when, "One"), i), when);
        assertEq(_credit(coAuthor), _cell(string.concat(when, "Two"), i), when);
        assertEq(_credit(lastPayee), _cell(string.concat(when, "Last"), i), when);
    }

    function _cell(string memory name, uint256 i) private view returns (uint256) {
        return vm.parseJsonUint(_json, string.concat(".", name, "[", vm.toString(i), "]"));
    }

    function _column(string memory name) private view returns (uint256[] memory) {
        return vm.parseJsonUintArray(_json, string.concat(".", name));
    }
}
