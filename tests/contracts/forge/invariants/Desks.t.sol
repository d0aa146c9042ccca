// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Desk} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {DesksHandler} from "./DesksHandler.sol";

/// @notice What always holds of stake, after every call of every random history.
contract DesksInvariants is Test {
    DesksHandler private _handler;

    function setUp() external {
        _handler = new DesksHandler();
        bytes4[] memory selectors = new bytes4[](9);
        selectors[0] = DesksHandler.stake.selector;
        selectors[1] = DesksHandler.reserve.selector;
        selectors[2] = DesksHandler.release.selector;
        selectors[3] = DesksHandler.strike.selector;
        selectors[4] = DesksHandler.unstake.selector;
        selectors[5] = DesksHandler.finish.selector;
        selectors[6] = DesksHandler.change.selector;
        selectors[7] = DesksHandler.refuse.selector;
        selectors[8] = DesksHandler.steal.selector;
        targetContract(address(_handler));
        targetSelector(FuzzSelector(address(_handler), selectors));
    }

    /// @dev One campaign for all of them: a history is dear, looking at it is cheap.
    function invariant_Desks() external view {
        address[2] memory tokens = _handler.tokens();
        uint256[2] memory sums;
        for (uint256 i = 0; i < 5; ++i) {
            (DesksHandler.Where memory at, Desk memory desk) = _handler.deskAt(i);
            (uint256 locks, uint256 alive) = _handler.ordersAt(i);
            assertEq(desk.locked, locks, "DESK-2: locked is the sum of the running orders' locks");
            assertEq(desk.active, alive, "DESK-3: every running order has one place");
            assertLe(uint256(desk.free) + desk.locked, type(uint112).max, "DESK-4: what comes back finds room");
            sums[at.token == tokens[0] ? 0 : 1] += uint256(desk.free) + desk.locked + desk.unbonding;
        }
        for (uint256 t = 0; t < 2; ++t) {
            assertEq(_handler.balance(tokens[t]), sums[t], "DESK-1: the registry holds its stake");
            assertEq(
                _handler.staked(tokens[t]),
                sums[t] + _handler.left(tokens[t]),
                "DESK-5: stake goes to payees and the OrderBook, and nowhere else"
            );
        }
        assertEq(_handler.hotKeysHold(), 0, "DESK-6: a hot key moves nothing");
        assertEq(_handler.wrong(), "", "DESK-6: a hot key moves nothing");
    }

    /// @dev After the last call of each history: owners and time get everything back.
    function afterInvariant() external {
        _handler.finishAll();
        address[2] memory tokens = _handler.tokens();
        assertEq(_handler.balance(tokens[0]) + _handler.balance(tokens[1]), 0, "DESK-7: no stake stays behind");
    }
}
