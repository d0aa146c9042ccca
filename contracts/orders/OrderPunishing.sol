// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {Errors} from "../libraries/Errors.sol";
import {LockLib} from "../libraries/LockLib.sol";
import {OfferCodec} from "../libraries/OfferCodec.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderWord} from "../libraries/OrderWord.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {OrderId, OrderState, Outcome, Phase, Report} from "../types/Orders.sol";
import {OrderRunning} from "./OrderRunning.sol";
import {OrderSettling} from "./OrderSettling.sol";

/// @title Equivocation: a CVM that says two things broke its measurement's promise (docs/protocol.md section 6.8).
abstract contract OrderPunishing is OrderRunning, OrderSettling {
    using OfferCodec for bytes;
    using OrderCodec for bytes;

    /// @dev A tenth: enough to pay for looking, too little to break a sandbox for.
    uint256 internal constant REPORTER_BPS = 1000;

    /// @notice See {IOrderBook-equivocate}.
    function equivocate(bytes calldata order, bytes calldata heads, Report calldata first, Report calldata second)
        external
        inBook
        nonReentrant
    {
        (OrderId id, uint256 count) = _idOf(order);
        OrderWord word = _words[id];
        // Check (1): the order has a CVM, and was not avenged.
        if (word.cvm() == 0 || word.isStruck()) revert Errors.OrderBook_NoEquivocation(id);
        // Check (2): that CVM signed both, and they cannot both be.
        _checkBoth(order, count, id, word, first, second);
        _checkHashes(order, heads, count);
        // Effect: once, and without a lock that could be taken again.
        uint256 lock = _openLock(word);
        uint256 loss = _costOf(id, word, order, heads);
        OrderWord struck = word.withStruck().counted();
        _words[id] = lock == 0 ? struck : struck.withLock(0);
        _punish(id, word, order, lock, loss);
    }

    /// @dev Interaction: stake comes here; from now on nothing of this CVM is believed.
    function _punish(OrderId id, OrderWord word, bytes calldata order, uint256 lock, uint256 loss) private {
        // slither-disable-next-line reentrancy-benign: guarded; what is credited is what arrived
        uint256 taken = _strike(order, lock);
        CVMS.revokeByProof(word.cvm());
        uint256 toReporter = SettlementLib.shareDown(taken, REPORTER_BPS);
        uint256 toPayer = SettlementLib.min(loss, taken - toReporter);
        address token = OrderCodec.token(order);
        _credit(token, msg.sender, toReporter);
        _credit(token, order.payer(), toPayer);
        _credit(token, BURN, taken - toReporter - toPayer);
        emit IOrderBook.Equivocated(id, word.cvm(), msg.sender, word.events(), taken, toPayer, toReporter);
    }

    function _checkBoth(
        bytes calldata order,
        uint256 count,
        OrderId id,
        OrderWord word,
        Report calldata first,
        Report calldata second
    ) private view {
        bytes32 one = _hashOf(order, count, id, first);
        bytes32 two = _hashOf(order, count, id, second);
        bool conflict = one != two && _sequenceOf(first.numbers) == _sequenceOf(second.numbers);
        if (!conflict && !(_isRefusal(first) && _isEngine(second))) revert Errors.OrderBook_NoEquivocation(id);
        // The registry's word also of a CVM that was revoked since: its signatures are as telling as before.
        uint256 facts = CVMS.wordOf(word.cvm());
        _checkSigned(id, facts, one, first.r, first.vs);
        _checkSigned(id, facts, two, second.r, second.vs);
        _match((first.numbers | second.numbers) >> NUMBERS_BITS == 0, id, "numbers");
    }

    /// @return The lock as long as it is there: until the end, and of an order that EXPIRED until `claimRest`. The
    /// latter pays owners and client, and is left to them.
    function _openLock(OrderWord word) private pure returns (uint256) {
        OrderState state = word.state();
        if (state == OrderState.ACCEPTED || _isLiving(state)) return LockLib.decode(word.lock());
        return 0;
    }

    /// @return cost What the payer pays for this order, as it ended or as it has to end now.
    function _costOf(OrderId id, OrderWord word, bytes calldata order, bytes calldata heads)
        private
        view
        returns (uint256 cost)
    {
        if (word.phase() == Phase.NONE) return 0;
        SettlementLib.Frozen memory f = _frozen(id, word, order);
        // A living order has one end left: its CVM is being revoked.
        if (_isLiving(f.state)) f.state = OrderState.REVOKED;
        cost = SettlementLib.computeDueDown(heads.price(0), f);
        for (uint256 at = OfferCodec.HEAD; at < heads.length; at += OfferCodec.HEAD) {
            bool leased = order.isLeased(at / OfferCodec.HEAD - 1);
            cost += SettlementLib.inputDueDown(heads.price(at), f, leased);
            cost -= SettlementLib.inputLockShareDown(heads.price(at), f, leased);
        }
    }

    function _strike(bytes calldata order, uint256 lock) private returns (uint256 taken) {
        address token = OrderCodec.token(order);
        uint256 known = IERC20(token).balanceOf(address(this));
        taken = PROVIDERS.strike(order.computeOffer(), token, lock);
        _checkReceived(token, known, taken);
    }

    function _isRefusal(Report calldata report) private pure returns (bool) {
        return (report.numbers >> 8) & 0xff == uint256(Outcome.REFUSED);
    }

    /// @dev A refusal says that nothing was opened; any other word from ENGINE says that all was.
    function _isEngine(Report calldata report) private pure returns (bool) {
        return report.numbers & 0xff == uint256(Phase.ENGINE) && !_isRefusal(report);
    }
}
