// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {OrderWord} from "../../../../contracts/libraries/OrderWord.sol";
import {OrderId, OrderState, Outcome, Phase, Report} from "../../../../contracts/types/Orders.sol";
import {Said} from "../utils/Market.sol";
import {HandlerOrders} from "./HandlerOrders.sol";
import {Mood} from "./HandlerToken.sol";

/// @notice The calls that move money: claims, withdrawals, holdback, top-ups, service income, equivocation.
abstract contract HandlerMoney is HandlerOrders {
    mapping(bytes32 what => uint256) public count;
    uint256 private _calls;

    // ------------------------------------------------------------------------------------------- actions
    /// @notice Any offer of any order, by anybody.
    function claim(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _any(seed);
        uint256 k = (seed >> 64) % (g.inputs + 1);
        OrderWord word = _wordOf(g);
        (uint256 due, uint256 claimed) = _dueAndClaimed(g, k);
        // What is due is credited whatever the token does: crediting moves nothing.
        bool early = word.state() == OrderState.EXPIRED && word.mark() & (1 << REST) == 0;
        bool twice = _isEnded(word.state()) && word.mark() & (1 << k) != 0;
        if (_try("claim", due > claimed && !early, poker, _claimData(g, k))) {
            if (early) wrong = "INV-4: paid before the lock had paid";
            if (twice) wrong = "INV-5: one offer was claimed twice";
        }
        _note(i);
    }

    function claimRest(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _any(seed);
        OrderWord word = _wordOf(g);
        bool ended = _isEnded(word.state());
        bool done = word.mark() & (1 << REST) != 0;
        bool pending = _isPending(g, word);
        bool moves = word.state() == OrderState.EXPIRED && g.t == 1 && _moody.mood() != Mood.HONEST;
        uint256 before = IERC20(_tokens[g.t]).balanceOf(address(providers));
        bool ok = _try("claimRest", ended && !done && !pending && !moves, poker, _restData(g));
        if (ok && (!ended || done || pending)) wrong = "INV-5: the rest was claimed at a wrong time";
        g.slashed += before - IERC20(_tokens[g.t]).balanceOf(address(providers));
        if (g.slashed > g.lock) wrong = "INV-3: more was slashed than locked";
        _note(i);
    }

    /// @notice Anybody sends anybody's credit to its owner.
    function withdraw(uint256 seed) external {
        seed = _shake(seed);
        uint256 t = seed % TOKENS;
        address account = _accounts[(seed >> 8) % _accounts.length];
        uint256 credit = ILedger(address(book)).creditOf(_tokens[t], account);
        uint256 before = IERC20(_tokens[t]).balanceOf(account);
        bool honest = t == 0 || _moody.mood() == Mood.HONEST && _moody.refused() != account;
        bool ok =
            _try("withdraw", honest && credit != 0, poker, abi.encodeCall(ILedger.withdraw, (_tokens[t], account)));
        if (ok && honest && IERC20(_tokens[t]).balanceOf(account) != before + credit) {
            wrong = "INV-1: a withdrawal is not the credit";
        }
    }

    function resolve(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _find(seed, OrderState.COMPLETED);
        for (uint256 n = 0; n < _ghosts.length && !_isPending(g, _wordOf(g)); ++n) {
            (i, g) = (n, _ghosts[n]);
        }
        bool pending = _isPending(g, _wordOf(g));
        address client_ = _clients[g.client];
        if (seed % 3 == 0) {
            if (_try("contest", pending, client_, abi.encodeCall(book.contest, (g.order))) && !pending) {
                wrong = "INV-6: contested twice or late";
            }
        } else {
            bytes32 digest = _bookDigest(OrderHashLib.hashReceipt(OrderId.unwrap(g.id)));
            bytes memory signature = _sign(_clientKeys[g.client], digest);
            bool ok = _try("receipt", pending, poker, abi.encodeCall(book.receipt, (g.order, signature)));
            if (ok && !pending) wrong = "INV-6: released twice or late";
        }
        _note(i);
    }

    function topUp(uint256 seed, uint256 amount) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _find(seed, OrderState.RUNNING);
        amount = amount % (g.deposit + 2);
        bytes memory data = abi.encodeCall(book.topUp, (g.order, _headsOf(g), uint128(amount)));
        if (_try("topUp", false, _clients[(g.client + 1) % 4], data)) g.added += amount;
        _note(i);
    }

    function reclaim(uint256 seed, uint256 amount) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _find(seed, seed % 4 == 0 ? OrderState.ACCEPTED : OrderState.RUNNING);
        amount = amount % (g.deposit / 2 + 2);
        bytes memory data = abi.encodeCall(book.reclaim, (g.order, _headsOf(g), uint128(amount)));
        if (_try("reclaim", false, _payerOf(g), data)) g.removed += amount;
        _note(i);
    }

    /// @notice All of it becomes credits at once.
    function payService(uint256 seed, uint256 amount) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _find(seed, OrderState.RUNNING);
        amount = g.class == 0 ? amount % 1e9 : amount % 1e30;
        (bytes[] memory payees, bytes[] memory lineages) = (new bytes[](g.inputs + 1), new bytes[](g.inputs + 1));
        for (uint256 k = 0; k <= g.inputs; ++k) {
            payees[k] = _payees(g, k);
        }
        uint256 before = _creditsOf(g.t);
        bytes memory data = abi.encodeCall(book.payService, (g.order, _headsOf(g), payees, lineages, uint128(amount)));
        bool ok = _try("payService", false, _clients[seed % 4], data);
        // A token that calls somebody may have fetched credits in between.
        bool alone = g.t == 0 || _moody.mood() != Mood.CALLS_SOMEBODY;
        if (ok && alone && _creditsOf(g.t) - before != amount) wrong = "INV-4: service income was not split whole";
        _note(i);
    }

    /// @notice A CVM says two things about one order: two results, or a refusal beside an open engine.
    function equivocate(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _any(seed);
        if (!g.accepted || (seed >> 64) % 4 != 0) return;
        Said memory one = _final(Phase.ENGINE, Outcome.COMPLETED, 7000, 2000);
        Report memory second = _reportOf(g, one);
        one.result = "another";
        if ((seed >> 72) % 2 == 0) one = _final(Phase.SETUP, Outcome.REFUSED, 10, 0);
        Report memory first = _reportOf(g, one);
        bool struck = _wordOf(g).isStruck();
        uint256 before = IERC20(_tokens[g.t]).balanceOf(address(book));
        uint256 credits = _creditsOf(g.t);
        bytes memory data = abi.encodeCall(book.equivocate, (g.order, _headsOf(g), first, second));
        if (_try("equivocate", !struck && g.t == 0, _reporter, data)) {
            uint256 taken = IERC20(_tokens[g.t]).balanceOf(address(book)) - before;
            bool alone = g.t == 0 || _moody.mood() != Mood.CALLS_SOMEBODY;
            if (alone && _creditsOf(g.t) - credits != taken) wrong = "INV-4: struck stake was not credited whole";
            if (struck) wrong = "INV-12: punished twice for one order";
            if (!_isRevoked(_cvms[g.cvm])) wrong = "INV-12: a liar is still believed";
            _newCvm();
            if (g.t == 0) _addStake(g.desk, 0, DESK_STAKE / 2);
        }
        _note(i);
    }

    // ------------------------------------------------------------------------------------------- inside
    /// @dev Fuzzers like small numbers, whose high bits all say the same.
    function _shake(uint256 seed) internal returns (uint256) {
        return uint256(keccak256(abi.encode(seed, ++_calls)));
    }

    function _claimData(Ghost storage g, uint256 k) internal view returns (bytes memory) {
        bytes memory payees = _payees(g, k);
        bytes memory proof = abi.encodePacked(uint8(k), uint8(payees.length / 22), _head(g, k), payees);
        return abi.encodeCall(book.claim, (g.order, proof));
    }

    function _restData(Ghost storage g) internal view returns (bytes memory) {
        return abi.encodeCall(book.claimRest, (g.order, _headsOf(g)));
    }

    /// @dev Calls the OrderBook. Where `must` holds, nothing may stand in the way: no stake, no token, no price.
    function _try(string memory what, bool must, address caller, bytes memory data) internal returns (bool done) {
        vm.prank(caller);
        (done,) = address(book).call(data);
        if (done) ++count[bytes32(bytes(what))];
        else if (must) wrong = string.concat("INV-11: no way for ", what);
    }

    function _any(uint256 seed) internal view returns (uint256 i, Ghost storage g) {
        require(_ghosts.length != 0, "no order yet");
        i = (seed >> 128) % _ghosts.length;
        g = _ghosts[i];
    }

    /// @dev The first order from a random one on that is in this state, else any.
    function _find(uint256 seed, OrderState wanted) internal view returns (uint256 i, Ghost storage g) {
        uint256 total = _ghosts.length;
        for (uint256 step = 0; step < total; ++step) {
            i = ((seed >> 128) % total + step) % total;
            if (_wordOf(_ghosts[i]).state() == wanted) return (i, _ghosts[i]);
        }
        return _any(seed);
    }
}
