// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LockLib} from "../../../../contracts/libraries/LockLib.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {OrderWord, OrderWordLib} from "../../../../contracts/libraries/OrderWord.sol";
import {Price} from "../../../../contracts/types/Offers.sol";
import {
    ComputeRef,
    Holdback,
    InputRef,
    Order,
    OrderId,
    OrderState,
    OrderTerms,
    Report,
    Windows
} from "../../../../contracts/types/Orders.sol";
import {Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {HandlerStage} from "./HandlerStage.sol";

/// @notice The orders of a history: their terms, what their CVMs say, and what has to be true of each.
abstract contract HandlerOrders is HandlerStage {
    /// @param lock    What acceptance had to lock, rounded up to what a code stands for.
    /// @param slashed What came out of that lock.
    /// @param best    By offer, the most that was ever due.
    /// @param frozen  Hash of what an end must leave alone; zero while the order lives.
    struct Ghost {
        OrderId id;
        bytes order;
        bytes32 root;
        bytes32 lease;
        uint8 client;
        uint8 sponsor;
        uint8 desk;
        uint8 t;
        uint8 class;
        uint8 inputs;
        uint8 cvm;
        bool accepted;
        Windows windows;
        uint64 maxUnits;
        Holdback holdback;
        uint256 deposit;
        uint256 lock;
        uint256 slashed;
        uint256 added;
        uint256 removed;
        uint256[4] best;
        bytes32 frozen;
        uint256 claimed;
        uint256 events;
    }

    /// @param held    What the OrderBook still has for this order, by the facts.
    /// @param fell    Something was due that is not due any more.
    /// @param changed An ended order is not as its end left it.
    struct Look {
        OrderWord word;
        uint8 desk;
        uint8 t;
        uint8 offers;
        bool accepted;
        bool fell;
        bool changed;
        bytes32 lease;
        uint256 lock;
        uint256 held;
    }

    Ghost[] internal _ghosts;
    /// @notice Raised where something happened that must not; the invariants look at it.
    string public wrong;

    // ------------------------------------------------------------------------------------------- terms
    /// @dev Order number `n`, whose shape follows from its number and `seed`.
    function _make(uint256 seed) internal returns (uint256 n) {
        n = _ghosts.length;
        Ghost storage g = _ghosts.push();
        (g.client, g.desk) = (uint8(n % 4), uint8(seed % 2));
        g.sponsor = uint8((seed >> 8) % 5);
        g.t = uint8((seed >> 16) % 3 == 0 ? 1 : 0);
        g.class = uint8((seed >> 24) % 2 == 0 ? 0 : (seed >> 25) % CLASSES);
        g.inputs = uint8(1 + (seed >> 32) % 3);
        g.windows = Windows({
            acceptWithin: 600,
            startWithin: 300,
            setupSeconds: uint32(120 * (n % 4)),
            keysWithin: 120,
            loadWithin: 180,
            maxSeconds: uint32((seed >> 40) % 6 == 0 ? 0 : 997 * ((seed >> 40) % 7 + 1)),
            grace: uint32(60 * (1 + n % 7))
        });
        g.maxUnits = uint64(31 * n);
        if ((seed >> 48) % 2 == 0) g.holdback = Holdback(uint16(1 + (seed >> 56) % 5000), WINDOW);
        if (g.t == 0 && g.class == 0 && g.inputs >= 2 && _leaseOf[g.client].length != 0) {
            g.lease = leases.leaseIdOf(_leaseOf[g.client]);
        }
        g.deposit = _depositFor(g, g.windows.maxSeconds) + n % 2;
        uint256 least = g.windows.setupSeconds + 2 * g.windows.grace;
        if ((seed >> 72) % 4 == 0 && least < g.windows.maxSeconds) {
            g.deposit = _depositFor(g, least + (seed >> 80) % (g.windows.maxSeconds - least));
        }
        OrderTerms memory terms = _termsOfOrder(g, n);
        terms.accessKeyDigest = (seed >> 64) % 3 == 0 ? keccak256("access key") : bytes32(0);
        g.order = Pack.order(terms);
        g.root = keccak256(abi.encode(terms.inputs));
        g.id = book.orderId(g.order);
    }

    function _termsOfOrder(Ghost storage g, uint256 n) private view returns (OrderTerms memory terms) {
        uint32 version = _versionOf(g.t, g.class);
        terms.client = _clients[g.client];
        terms.payer = _payerOf(g);
        terms.token = _tokens[g.t];
        terms.compute = ComputeRef(_offers[g.desk], version, _hashOf[g.desk][version]);
        terms.inputs = new InputRef[](g.inputs);
        for (uint256 k = 1; k <= g.inputs; ++k) {
            uint256 slot = _slotOf(g, k);
            terms.inputs[k - 1] =
                InputRef(_offers[slot], version, _hashOf[slot][version], slot == LEASED_SLOT ? g.lease : bytes32(0));
        }
        terms.runtimePolicyDigest = _hashPolicy(_policy());
        terms.placeBefore = type(uint40).max;
        terms.windows = g.windows;
        terms.maxUnits = g.maxUnits;
        terms.holdback = g.holdback;
        terms.maxFeeBps = FEE_BPS;
        terms.deposit = uint128(g.deposit);
        terms.salt = bytes32(n);
    }

    /// @dev Sponsor 0 and 1 pay for others; all else is paid by the client.
    function _payerOf(Ghost storage g) internal view returns (address) {
        return g.sponsor < 2 ? _sponsors[g.sponsor] : _clients[g.client];
    }

    /// @dev Offer `k` of an order (0 compute) among the five for sale.
    function _slotOf(Ghost storage g, uint256 k) internal view returns (uint256) {
        return k == 0 ? g.desk : k + 1;
    }

    function _isLeased(Ghost storage g, uint256 k) internal view returns (bool) {
        return g.lease != 0 && _slotOf(g, k) == LEASED_SLOT && k != 0;
    }

    function _price(Ghost storage g, uint256 k) internal view returns (Price memory) {
        return _priceOf[_slotOf(g, k)][_versionOf(g.t, g.class)];
    }

    function _head(Ghost storage g, uint256 k) internal view returns (bytes memory) {
        return _headOf[_slotOf(g, k)][_versionOf(g.t, g.class)];
    }

    function _payees(Ghost storage g, uint256 k) internal view returns (bytes memory) {
        return _payeesOf[_slotOf(g, k)][_versionOf(g.t, g.class)];
    }

    function _headsOf(Ghost storage g) internal view returns (bytes memory heads) {
        for (uint256 k = 0; k <= g.inputs; ++k) {
            heads = bytes.concat(heads, _head(g, k));
        }
    }

    function _depositFor(Ghost storage g, uint256 limit) internal view returns (uint256 sum) {
        sum = _amount(_price(g, 0), limit, g.maxUnits);
        sum += sum * g.holdback.bps / 10_000;
        for (uint256 k = 1; k <= g.inputs; ++k) {
            if (!_isLeased(g, k)) sum += _amount(_price(g, k), limit, g.maxUnits);
        }
    }

    /// @dev decode(encodeUp(required)): start penalty, and of each input that is paid its fixed part, its minimum rent and
    /// its time for one grace.
    function _lockFor(Ghost storage g, uint256 penaltyBps) internal view returns (uint256 sum) {
        sum = _amount(_price(g, 0), g.windows.maxSeconds, g.maxUnits) * penaltyBps / 10_000;
        for (uint256 k = 1; k <= g.inputs; ++k) {
            if (_isLeased(g, k)) continue;
            Price memory price = _price(g, k);
            sum += price.fixedPrice + (uint256(price.perHour) * price.minSeconds + 3599) / 3600
            + (uint256(price.perHour) * g.windows.grace + 3599) / 3600;
        }
        return LockLib.decode(LockLib.encodeUp(sum));
    }

    // ------------------------------------------------------------------------------------------- words of a CVM
    function _signedStart(Ghost storage g) internal view returns (bytes32 r, bytes32 vs) {
        bytes32 hash = OrderHashLib.hashStart(OrderId.unwrap(g.id), cvms.cvmIdAt(_cvms[g.cvm]), g.root);
        return _signCompact(_cvmKeys[g.cvm], _bookDigest(hash));
    }

    function _signedWord(Ghost storage g, Said memory said) internal view returns (bytes32 r, bytes32 vs) {
        bool last = said.sequence == LAST;
        bytes32 hash = OrderHashLib.hashSummary(
            OrderId.unwrap(g.id),
            last ? cvms.cvmIdAt(_cvms[g.cvm]) : bytes32(0),
            _numbers(said),
            last ? g.root : bytes32(0),
            said.result,
            said.statement
        );
        return _signCompact(_cvmKeys[g.cvm], _bookDigest(hash));
    }

    function _reportOf(Ghost storage g, Said memory said) internal view returns (Report memory) {
        (bytes32 r, bytes32 vs) = _signedWord(g, said);
        return Report(cvms.cvmIdAt(_cvms[g.cvm]), said.result, said.statement, _numbers(said), r, vs);
    }

    // ------------------------------------------------------------------------------------------- looking
    function _wordOf(Ghost storage g) internal view returns (OrderWord) {
        OrderId[] memory ids = new OrderId[](1);
        ids[0] = g.id;
        return OrderWord.wrap(book.wordsOf(ids)[0]);
    }

    function _isEnded(OrderState state) internal pure returns (bool) {
        return state >= OrderState.CANCELLED;
    }

    function _isAlive(OrderState state) internal pure returns (bool) {
        return state == OrderState.RUNNING || state == OrderState.STOPPING;
    }

    function _dueAndClaimed(Ghost storage g, uint256 k) internal view returns (uint256 due, uint256 claimed) {
        return book.dueOf(g.order, k, _head(g, k));
    }

    function _feeBpsOf(OrderWord word) internal view returns (uint256) {
        return book.params(uint16(word.paramsVersion())).feeBps;
    }

    function _isPending(Ghost storage g, OrderWord word) internal view returns (bool) {
        return word.state() == OrderState.COMPLETED && word.hold() == 0 && g.holdback.bps != 0
            && block.timestamp <= word.since() + g.holdback.window;
    }

    /// @dev When silence ends a living order, and what `expire` waits for.
    function _deadline(Ghost storage g, OrderWord word) internal view returns (uint256) {
        Order memory order = book.getOrder(g.id);
        uint256 limit = word.hasExtra() ? order.extra.limit : g.windows.maxSeconds;
        uint256 from = word.state() == OrderState.STOPPING ? order.extra.stoppedAt : word.since() + word.span();
        uint256 most = word.since() + limit;
        return (from < most ? from : most) + g.windows.grace;
    }

    /// @dev Everything of a word that no call may change once the order ended: all but claimed bits, events, and the
    /// three that change once each (holdback, drawn, struck).
    function _frozenOf(Ghost storage g) internal view returns (bytes32) {
        uint256 free = (uint256(3) << OrderWordLib.HOLD) | (1 << OrderWordLib.DRAWN) | (1 << OrderWordLib.STRUCK)
            | (OrderWordLib.MAX_MARK << OrderWordLib.MARK) | (OrderWordLib.MAX_EVENTS << OrderWordLib.EVENTS);
        return keccak256(abi.encode(OrderWord.unwrap(_wordOf(g)) & ~free, book.getOrder(g.id).extra));
    }

    /// @return sum  What the facts say that an order has credited, payouts of `reclaim` apart.
    /// @return fell Whether less is due than once was.
    function _creditedBy(Ghost storage g) internal view returns (uint256 sum, bool fell) {
        OrderWord word = _wordOf(g);
        bool ended = _isEnded(word.state());
        uint256 feeBps = _feeBpsOf(word);
        uint256 dues = 0;
        for (uint256 k = 0; k <= g.inputs; ++k) {
            (uint256 due, uint256 claimed) = _dueAndClaimed(g, k);
            fell = fell || due < g.best[k];
            dues += due - due * feeBps / 10_000;
            uint256 net = claimed - claimed * feeBps / 10_000;
            bool last = ended && word.mark() & (1 << k) != 0;
            sum += last ? net : _floorsOf(_payees(g, k), net);
        }
        // Refund, fees, penalty and what burned: all that the offers do not get.
        if (ended && word.mark() & (1 << REST) != 0) sum += g.deposit + g.added + g.slashed - g.removed - dues;
    }

    function _floorsOf(bytes memory payees, uint256 net) private pure returns (uint256 sum) {
        for (uint256 at = 20; at < payees.length; at += 22) {
            sum += net * (uint256(uint8(payees[at])) << 8 | uint8(payees[at + 1])) / 10_000;
        }
    }

    // ------------------------------------------------------------------------------------------- remembering
    /// @dev After every call that may have touched order `i`.
    function _note(uint256 i) internal {
        Ghost storage g = _ghosts[i];
        OrderWord word = _wordOf(g);
        for (uint256 k = 0; k <= g.inputs; ++k) {
            (uint256 due,) = _dueAndClaimed(g, k);
            if (due > g.best[k]) g.best[k] = due;
        }
        if (word.events() < g.events) wrong = "INV-13: an event was uncounted";
        g.events = word.events();
        if (!_isEnded(word.state())) return;
        if (g.frozen == 0) g.frozen = _frozenOf(g);
        if (word.mark() & g.claimed != g.claimed) wrong = "INV-5: a claimed bit was cleared";
        g.claimed = word.mark();
    }
}
