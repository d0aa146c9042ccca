// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {SettlementLib} from "../../../../contracts/libraries/SettlementLib.sol";

/// @notice Proofs about shares (docs/protocol.md sections 6.4 and 6.5): the split of any net income below 2^193 over
/// up to two royalties and three payees. The loops treat every entry alike; the twins go to 24 royalties and 8 payees.
contract SplitProof is Test {
    /// @dev External, since the library reads packed lists from calldata.
    function split(uint256 from, uint256 to, bool isFinal, bytes calldata royalties, bytes calldata payees)
        external
        pure
        returns (uint256[] memory)
    {
        return SettlementLib.splitDown(from, to, isFinal, royalties, payees);
    }

    function check_AFinalSplitIsExact(uint192 net, uint16 a, uint16 b, uint16 x, uint16 y) external view {
        vm.assume(uint256(a) + b <= 10_000);
        vm.assume(uint256(x) + y <= 10_000);
        bytes memory payees = abi.encodePacked(_pair(x, y), address(3), uint16(10_000 - uint256(x) - y));
        assert(_sum(this.split(0, net, true, _table(a, b), payees)) == net);
    }

    function check_WithoutRoyaltiesTooItIsExact(uint192 net, uint16 x, uint16 y) external view {
        vm.assume(uint256(x) + y <= 10_000);
        bytes memory payees = abi.encodePacked(_pair(x, y), address(3), uint16(10_000 - uint256(x) - y));
        assert(_sum(this.split(0, net, true, "", payees)) == net);
    }

    function check_NobodyIsAboveItsShare(uint192 net, uint16 a, uint16 b, uint16 x) external view {
        vm.assume(uint256(a) + b <= 10_000);
        vm.assume(x <= 10_000);
        uint256[] memory got = this.split(0, net, true, _table(a, b), _pair(x, uint16(10_000 - uint256(x))));
        uint256 left = uint256(net) * (10_000 - uint256(a) - b) / 10_000;
        assert(got[0] == uint256(net) * a / 10_000);
        assert(got[1] == uint256(net) * b / 10_000);
        assert(got[2] == left * x / 10_000);
        // The last one gets what rounding took from the other three and from what all payees share: less than 4 units.
        uint256 share = left * (10_000 - uint256(x)) / 10_000;
        assert(got[3] >= share && got[3] <= share + 4);
    }

    function check_WhileRunningNoMoreIsPaidThanEarned(uint192 net, uint16 a, uint16 b, uint16 x) external view {
        vm.assume(uint256(a) + b <= 10_000);
        vm.assume(x <= 10_000);
        bytes memory payees = _pair(x, uint16(10_000 - uint256(x)));
        assert(_sum(this.split(0, net, false, _table(a, b), payees)) <= net);
    }

    /// @dev Two claims pay each receiver what one claim in their place pays, and neither asks anything back: a
    /// difference below zero would have wrapped around. So any number of claims pays what the last alone would.
    function check_ClaimsInStepsMakeOneClaim(uint192 first, uint192 last, uint16 a, uint16 x) external view {
        _steps(first, last, false, a, x);
    }

    function check_ALastStepMakesOneClaimToo(uint192 first, uint192 last, uint16 a, uint16 x) external view {
        _steps(first, last, true, a, x);
    }

    function _steps(uint256 first, uint256 last, bool isFinal, uint16 a, uint16 x) private view {
        vm.assume(a <= 10_000);
        vm.assume(x <= 10_000);
        vm.assume(first <= last);
        // What was asserted is known to the solver from there on: shares of shares rise because shares do.
        uint256 y = 10_000 - uint256(x);
        uint256 kept = 10_000 - uint256(a);
        assert(SettlementLib.shareDown(first, a) <= SettlementLib.shareDown(last, a));
        (uint256 less, uint256 more) = (SettlementLib.shareDown(first, kept), SettlementLib.shareDown(last, kept));
        assert(less <= more);
        assert(SettlementLib.shareDown(less, x) <= SettlementLib.shareDown(more, x));
        assert(SettlementLib.shareDown(less, y) <= SettlementLib.shareDown(more, y));
        bytes memory table = abi.encodePacked(address(1), a, uint8(1));
        bytes memory payees = _pair(x, uint16(y));
        uint256[] memory before = this.split(0, first, false, table, payees);
        uint256[] memory rest = this.split(first, last, isFinal, table, payees);
        uint256[] memory once = this.split(0, last, isFinal, table, payees);
        unchecked {
            for (uint256 k = 0; k < 3; ++k) {
                assert(before[k] + rest[k] == once[k]);
            }
            assert(before[0] <= once[0]);
            assert(before[1] <= once[1]);
            // The last one's claim so far is its floor; in the end it gets no less than that.
            assert(before[2] <= SettlementLib.shareDown(more, y));
            if (!isFinal) assert(once[2] == SettlementLib.shareDown(more, y));
        }
    }

    /// @dev A table of RoyaltyLib: an entry's depth behind its account and share.
    function _table(uint16 a, uint16 b) private pure returns (bytes memory) {
        return abi.encodePacked(address(1), a, uint8(1), address(2), b, uint8(2));
    }

    function _pair(uint16 x, uint16 y) private pure returns (bytes memory) {
        return abi.encodePacked(address(1), x, address(2), y);
    }

    /// @dev Unchecked: an overflow would be a path of its own, and no four shares of 2^193 have one.
    function _sum(uint256[] memory amounts) private pure returns (uint256 sum) {
        unchecked {
            for (uint256 i = 0; i < amounts.length; ++i) {
                sum += amounts[i];
            }
        }
    }
}
