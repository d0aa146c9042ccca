// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Order, OrderState} from "../../../../contracts/types/Orders.sol";
import {Handler} from "./Handler.sol";

/// @notice The numbered invariants of docs/invariants.md, after every call of every random history.
contract MarketInvariants is Test {
    Handler private _handler;

    function setUp() external {
        _handler = new Handler();
        bytes4[] memory selectors = new bytes4[](18);
        selectors[0] = Handler.place.selector;
        selectors[1] = Handler.accept.selector;
        selectors[2] = Handler.start.selector;
        selectors[3] = Handler.checkpoint.selector;
        selectors[4] = Handler.complete.selector;
        selectors[5] = Handler.refuse.selector;
        selectors[6] = Handler.stop.selector;
        selectors[7] = Handler.cancel.selector;
        selectors[8] = Handler.expire.selector;
        selectors[9] = Handler.voidOrder.selector;
        selectors[10] = Handler.settleRevoked.selector;
        selectors[11] = Handler.claim.selector;
        selectors[12] = Handler.revoke.selector;
        selectors[13] = Handler.policy.selector;
        selectors[14] = Handler.govern.selector;
        selectors[15] = Handler.stakeMore.selector;
        selectors[16] = Handler.unstake.selector;
        selectors[17] = Handler.wait.selector;
        targetContract(address(_handler));
        targetSelector(FuzzSelector(address(_handler), selectors));
    }

    /// @dev One campaign for all of them: a history is dear, looking at it is cheap.
    function invariant_MoneyAndOrders() external view {
        uint256 held = 0;
        uint256 locked = 0;
        for (uint256 i = 0; i < _handler.orders(); ++i) {
            (uint256 heldByIt, uint256 lockedByIt) = _checkOrder(i);
            held += heldByIt;
            locked += lockedByIt;
        }
        (uint256 inBook, uint256 inProviders) = _handler.money();
        assertEq(inBook, held, "INV-1: the OrderBook holds what its orders still owe");
        (uint256 free, uint256 lockedNow, uint256 unbonding) = _handler.stakeNow();
        assertEq(inProviders, free + lockedNow + unbonding, "INV-2: the ProviderRegistry holds every stake");
        assertEq(lockedNow, locked, "INV-3: locks are those of accepted and running orders");
    }

    /// @dev INV-7, at the end of each history: every order ends by its client, anybody and time, and all is paid.
    function afterInvariant() external {
        for (uint256 i = 0; i < _handler.orders(); ++i) {
            _handler.finish(i);
            assertTrue(_handler.isTerminal(_handler.orderOf(i).state), "INV-7: every order can end");
        }
        (uint256 inBook,) = _handler.money();
        assertEq(inBook, 0, "INV-7: no unit stays behind");
        (, uint256 lockedNow,) = _handler.stakeNow();
        assertEq(lockedNow, 0, "INV-7: no lock stays behind");
    }

    function _checkOrder(uint256 i) private view returns (uint256 held, uint256 locked) {
        Order memory order = _handler.orderOf(i);
        Handler.Ghost memory ghost = _handler.ghostOf(i);
        if (!_handler.isTerminal(order.state)) {
            assertEq(_handler.claimedOf(i), 0, "INV-5: nothing is claimed before the end");
            assertNotEq(uint8(order.state), uint8(OrderState.NONE));
            return (ghost.deposit, ghost.lock);
        }
        assertEq(_handler.frozenOf(i), ghost.frozen, "INV-6: what settled never changes");
        uint256 claimed = _handler.claimedOf(i);
        uint256 sum = 0;
        for (uint256 p = 0; p < ghost.amounts.length; ++p) {
            sum += ghost.amounts[p];
            if ((claimed >> ghost.indices[p]) & 1 == 0) held += ghost.amounts[p];
        }
        assertEq(sum, ghost.deposit + ghost.slashed, "INV-4: payouts are the deposit and what was slashed");
        assertEq(sum - held, ghost.paid, "INV-5: what was paid is what the bits say, once");
    }
}
