// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Desk} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {LockLib} from "../../../../contracts/libraries/LockLib.sol";
import {OrderState} from "../../../../contracts/types/Orders.sol";
import {Handler} from "./Handler.sol";
import {HandlerMoney} from "./HandlerMoney.sol";
import {HandlerWorld} from "./HandlerWorld.sol";

/// @notice The numbered invariants of docs/invariants.md, after every call of every random history.
contract MarketInvariants is Test {
    uint256 private constant REST = 1 << 17;

    Handler private _handler;

    function setUp() external {
        _handler = new Handler();
        targetContract(address(_handler));
        targetSelector(FuzzSelector(address(_handler), _actions()));
    }

    /// @dev One campaign for all of them: a history is dear, looking at it is cheap.
    /// forge-config: default.invariant.runs = 24
    /// forge-config: heavy.invariant.runs = 400
    function invariant_Market() external view {
        assertEq(_handler.wrong(), "", "a promise was broken");
        Handler.Look[] memory all = new Handler.Look[](_handler.orders());
        uint256[2] memory held;
        uint256[2][2] memory locked;
        uint256[2][2] memory active;
        for (uint256 i = 0; i < all.length; ++i) {
            Handler.Look memory at = _handler.lookAt(i);
            all[i] = at;
            _checkOrder(at);
            held[at.t] += at.held;
            if (!_locks(at)) continue;
            ++active[at.desk][at.t];
            // A punished order's lock is gone with the rest of the stake.
            uint256 lock = LockLib.decode(at.word.lock());
            if (lock != 0 || !at.word.isStruck()) assertEq(lock, at.lock, "INV-3: the lock is what was required");
            locked[at.desk][at.t] += lock;
        }
        for (uint256 t = 0; t < 2; ++t) {
            _checkToken(t, held[t], locked, active);
        }
        _checkLeases(all);
    }

    /// @dev INV-7, at the end of each history: every order ends by its client and time, and all is paid.
    function afterInvariant() external {
        uint256 count = _handler.orders();
        for (uint256 i = 0; i < count; ++i) {
            _handler.finish(i);
            assertGe(uint8(_handler.lookAt(i).word.state()), uint8(OrderState.CANCELLED), "INV-7: every order can end");
        }
        _handler.calm();
        for (uint256 i = 0; i < count; ++i) {
            _handler.settle(i);
            assertEq(_handler.lookAt(i).held, 0, "INV-4: what came in for an order went out");
        }
        _handler.withdrawAll();
        assertEq(_handler.wrong(), "", "INV-7: no way is barred");
        for (uint256 t = 0; t < 2; ++t) {
            (uint256 inBook, uint256 credits,) = _handler.balancesOf(t);
            assertEq(inBook, _handler.donated(t), "INV-7: no unit stays behind");
            assertEq(credits, 0, "INV-7: no credit stays behind");
            for (uint256 d = 0; d < 2; ++d) {
                Desk memory desk = _handler.deskOf(d, t);
                assertEq(desk.locked, 0, "INV-7: no lock stays behind");
                assertEq(desk.active, 0, "INV-7: no place stays taken");
            }
        }
        bytes32[] memory leases = _handler.leaseIds();
        for (uint256 i = 0; i < leases.length; ++i) {
            assertEq(_handler.takenPlaces(leases[i]), 0, "INV-7: no lease's place stays taken");
        }
    }

    // ------------------------------------------------------------------------------------------- checks
    function _checkOrder(Handler.Look memory at) private pure {
        assertNotEq(uint8(at.word.state()), uint8(OrderState.NONE), "INV-6: what was placed stays known");
        assertFalse(at.changed, "INV-6: what settled never changes");
        assertFalse(at.fell, "INV-8: what was earned is never taken back");
        if (at.word.state() < OrderState.CANCELLED) return;
        assertLt(at.word.mark() & ~REST, 1 << at.offers, "INV-5: bits are those of offers");
    }

    function _locks(Handler.Look memory at) private pure returns (bool) {
        OrderState state = at.word.state();
        if (!at.accepted) return false;
        // What EXPIRED owes is found by prices: its lock waits.
        if (state == OrderState.EXPIRED) return at.word.mark() & REST == 0;
        return state < OrderState.CANCELLED;
    }

    function _checkToken(uint256 t, uint256 held, uint256[2][2] memory locked, uint256[2][2] memory active)
        private
        view
    {
        (uint256 inBook, uint256 credits, uint256 inProviders) = _handler.balancesOf(t);
        assertEq(inBook, credits + held + _handler.donated(t), "INV-1: the OrderBook holds credits and escrows");
        uint256 stake = _handler.otherStake(t);
        for (uint256 d = 0; d < 2; ++d) {
            Desk memory desk = _handler.deskOf(d, t);
            stake += uint256(desk.free) + desk.locked + desk.unbonding;
            assertEq(desk.locked, locked[d][t], "INV-3: locked is the sum of the orders' locks");
            assertEq(desk.active, active[d][t], "INV-9: every order with a lock has one place");
        }
        assertEq(inProviders, stake, "INV-2: the ProviderRegistry holds every stake");
    }

    function _checkLeases(Handler.Look[] memory all) private view {
        bytes32[] memory leases = _handler.leaseIds();
        for (uint256 l = 0; l < leases.length; ++l) {
            uint256 holders = 0;
            for (uint256 i = 0; i < all.length; ++i) {
                if (all[i].lease == leases[l] && all[i].word.state() < OrderState.CANCELLED) ++holders;
            }
            assertEq(_handler.takenPlaces(leases[l]), holders, "INV-10: a lease's places are those of living orders");
        }
    }

    // ------------------------------------------------------------------------------------------- actions
    /// @dev An action that only reverts proves nothing: in a few histories each did something.
    function test_EveryActionDoesSomething() external {
        // Together they cost more than one transaction may.
        vm.pauseGasMetering();
        string[26] memory names = [
            "place",
            "accept",
            "start",
            "checkpoint",
            "complete",
            "refuse",
            "stop",
            "cancel",
            "expire",
            "voidOrder",
            "settleRevoked",
            "claim",
            "claimRest",
            "withdraw",
            "contest",
            "receipt",
            "topUp",
            "reclaim",
            "payService",
            "equivocate",
            "lease",
            "mood",
            "revoke",
            "shelve",
            "donate",
            "hostileCertifier"
        ];
        uint256[26] memory done;
        for (uint256 history = 0; history < 20; ++history) {
            Handler handler = _played(history);
            assertEq(handler.wrong(), "");
            for (uint256 i = 0; i < names.length; ++i) {
                done[i] += handler.count(bytes32(bytes(names[i])));
            }
        }
        for (uint256 i = 0; i < names.length; ++i) {
            emit log_named_uint(names[i], done[i]);
            assertGt(done[i], 0, names[i]);
        }
    }

    function _played(uint256 history) private returns (Handler handler) {
        handler = new Handler();
        bytes4[] memory actions = _actions();
        for (uint256 n = 0; n < 240; ++n) {
            uint256 seed = uint256(keccak256(abi.encode(history, n)));
            bytes memory data = abi.encodeWithSelector(actions[seed % actions.length], seed, seed >> 224, seed >> 240);
            // What reverts is no harm.
            (bool done,) = address(handler).call(data);
            done;
        }
    }

    /// @dev Those that make orders and move money more often.
    function _actions() private pure returns (bytes4[] memory list) {
        bytes4[38] memory all = [
            Handler.place.selector,
            Handler.place.selector,
            Handler.accept.selector,
            Handler.cancel.selector,
            Handler.start.selector,
            Handler.start.selector,
            Handler.checkpoint.selector,
            Handler.complete.selector,
            Handler.complete.selector,
            Handler.refuse.selector,
            Handler.locate.selector,
            Handler.stop.selector,
            Handler.expire.selector,
            Handler.expire.selector,
            Handler.voidOrder.selector,
            Handler.settleRevoked.selector,
            Handler.again.selector,
            HandlerMoney.claim.selector,
            HandlerMoney.claim.selector,
            HandlerMoney.claimRest.selector,
            HandlerMoney.withdraw.selector,
            HandlerMoney.resolve.selector,
            HandlerMoney.resolve.selector,
            HandlerMoney.topUp.selector,
            HandlerMoney.reclaim.selector,
            HandlerMoney.payService.selector,
            HandlerMoney.equivocate.selector,
            HandlerWorld.lease.selector,
            HandlerWorld.revoke.selector,
            HandlerWorld.policy.selector,
            HandlerWorld.govern.selector,
            HandlerWorld.hostileCertifier.selector,
            HandlerWorld.stakes.selector,
            HandlerWorld.shelve.selector,
            HandlerWorld.mood.selector,
            Handler.donate.selector,
            Handler.wait.selector,
            Handler.wait.selector
        ];
        list = new bytes4[](all.length);
        for (uint256 i = 0; i < all.length; ++i) {
            list[i] = all[i];
        }
    }
}
