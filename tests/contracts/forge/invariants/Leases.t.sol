// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Lease} from "../../../../contracts/types/Leases.sol";
import {LeasesHandler} from "./LeasesHandler.sol";

/// @notice What always holds of leases, after every call of every random history.
contract LeasesInvariants is Test {
    LeasesHandler private _handler;

    function setUp() external {
        _handler = new LeasesHandler();
        bytes4[] memory selectors = new bytes4[](14);
        selectors[0] = LeasesHandler.lease.selector;
        selectors[1] = LeasesHandler.renew.selector;
        selectors[2] = LeasesHandler.topUp.selector;
        selectors[3] = LeasesHandler.take.selector;
        selectors[4] = LeasesHandler.free.selector;
        selectors[5] = LeasesHandler.end.selector;
        selectors[6] = LeasesHandler.notice.selector;
        selectors[7] = LeasesHandler.recall.selector;
        selectors[8] = LeasesHandler.collect.selector;
        selectors[9] = LeasesHandler.withdraw.selector;
        selectors[10] = LeasesHandler.refuse.selector;
        selectors[11] = LeasesHandler.govern.selector;
        selectors[12] = LeasesHandler.steal.selector;
        selectors[13] = LeasesHandler.wait.selector;
        targetContract(address(_handler));
        targetSelector(FuzzSelector(address(_handler), selectors));
    }

    /// @dev One campaign for all of them: a history is dear, looking at it is cheap.
    function invariant_Leases() external view {
        address[] memory tokens = _handler.tokens();
        for (uint256 t = 0; t < 3; ++t) {
            (uint256 unearned, uint256 dust) = _checkLeases(tokens[t]);
            uint256 held = _handler.balance(tokens[t]);
            uint256 owed = _handler.credits(tokens[t]) + unearned;
            assertGe(held, owed, "LEASE-1: the book holds all credits and all that is not credited yet");
            assertLe(held, owed + dust, "LEASE-1: and no more than what floors leave to the last payees");
        }
        assertEq(_handler.wrong(), "", "LEASE-5: nobody does what is not his");
    }

    /// @dev After the last call of each history: time alone frees everything.
    function afterInvariant() external {
        _handler.finish();
        address[] memory tokens = _handler.tokens();
        for (uint256 t = 0; t < 3; ++t) {
            assertEq(_handler.balance(tokens[t]), 0, "LEASE-6: every lease pays out exactly what was paid for it");
        }
    }

    function _checkLeases(address token) private view returns (uint256 unearned, uint256 dust) {
        for (uint256 i = 0; i < _handler.sold(); ++i) {
            LeasesHandler.Sold memory one = _handler.soldAt(i);
            Lease memory got = _handler.lookUp(i);
            assertEq(
                one.paidIn - one.refunded, _handler.cost(i, got.paid), "LEASE-2: paid less refunded is what it costs"
            );
            assertEq(got.left + one.untils.length, one.terms.places, "LEASE-3: a place is free or an order's");
            for (uint256 u = 0; u < one.untils.length; ++u) {
                assertLe(one.untils[u], uint256(got.start) + got.paid, "LEASE-4: no lease ends under an order");
            }
            if (one.terms.token != token || got.collected == type(uint32).max) continue;
            unearned += _handler.cost(i, got.paid) - _handler.cost(i, got.collected);
            // Three payees, each at most one unit short of its share.
            dust += 3;
        }
    }
}
