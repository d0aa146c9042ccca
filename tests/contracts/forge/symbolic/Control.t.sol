// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {SettlementLib} from "../../../../contracts/libraries/SettlementLib.sol";

/// @notice Claims that are false by a hair: a prover that proves one of them proves nothing (scripts/prove runs them
/// first and wants all of them refuted or undecided).
contract ControlProof is Test {
    /// @dev False where the sum wraps around.
    function control_SumsNeverWrap(uint256 a, uint256 b) external pure {
        unchecked {
            assert(a + b >= a);
        }
    }

    /// @dev False: 5000 bps of 1, twice.
    function control_FloorsLoseNothing(uint192 net) external pure {
        assert(SettlementLib.shareDown(net, 5000) * 2 == net);
    }

    /// @dev False from 3 to 4: the reason why payees share a floor, not what the royalties' floors leave.
    function control_WhatRoyaltiesLeaveNeverFalls(uint192 net) external pure {
        vm.assume(net < type(uint192).max);
        uint256 one = net - 2 * SettlementLib.shareDown(net, 3000);
        uint256 more = net + 1 - 2 * SettlementLib.shareDown(uint256(net) + 1, 3000);
        assert(one <= more);
    }

    /// @dev False: rounded down, a lock would miss a unit (a grace of 3599 s after 1 s at 1 an hour).
    function control_AFloorOfGraceIsEnough(uint128 perHour, uint32 secs, uint32 grace) external pure {
        unchecked {
            uint256 rate = perHour;
            assert(rate * (uint256(secs) + grace) / 3600 - rate * secs / 3600 <= rate * grace / 3600);
        }
    }
}
