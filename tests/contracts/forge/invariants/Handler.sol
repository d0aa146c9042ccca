// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Desk} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {OrderWord} from "../../../../contracts/libraries/OrderWord.sol";
import {TestToken} from "../../../../contracts/mocks/TestToken.sol";
import {OrderId, OrderState, Outcome, Phase, Sale} from "../../../../contracts/types/Orders.sol";
import {Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Mood} from "./HandlerToken.sol";
import {HandlerWorld} from "./HandlerWorld.sol";

/// @notice Everybody at once, at random. Actions look for an order that they can move, so that most calls do something;
/// what reverts where nothing else is promised is no harm.
contract Handler is HandlerWorld {
    uint256 public constant MAX_ORDERS = 14;
    mapping(uint256 t => uint256) public donated;

    // ------------------------------------------------------------------------------------------- placing
    /// @notice Places an order and leads it up to four steps on, mostly into ENGINE, so that every state is met often.
    function place(uint256 seed) external {
        seed = _shake(seed);
        require(_ghosts.length < MAX_ORDERS, "enough");
        uint256 i = _make(seed);
        Ghost storage g = _ghosts[i];
        bytes memory data = g.sponsor < 2 ? _placeForData(g, seed) : abi.encodeCall(book.place, (g.order, WHERE));
        if (!_try("place", false, g.sponsor < 2 ? poker : _clients[g.client], data)) {
            _ghosts.pop();
            return;
        }
        uint256 steps = (seed >> 96) % 7;
        if (steps > 0) _accept(i, seed);
        if (steps > 1) _start(i);
        if (steps > 2) {
            skip(seed % 200);
            _prove(i, uint32(seed % 200), uint64(seed % 7), true);
        }
        if (steps > 4) _end(i, seed, 50, 5);
        _note(i);
    }

    function accept(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i,) = _find(seed, OrderState.PLACED);
        _accept(i, seed);
        _note(i);
    }

    function cancel(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _find(seed, OrderState.PLACED);
        OrderWord word = _wordOf(g);
        bool placed = word.state() == OrderState.PLACED;
        bool late = block.timestamp > word.since() + g.windows.acceptWithin;
        address caller = seed % 2 == 0 ? _clients[g.client] : poker;
        bool may = placed && (late || caller != poker);
        if (_try("cancel", may, caller, abi.encodeCall(book.cancel, (g.order))) && !may) {
            wrong = "INV-12: cancelled by a stranger, or twice";
        }
        _note(i);
    }

    // ------------------------------------------------------------------------------------------- running
    function start(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i,) = _find(seed, OrderState.ACCEPTED);
        _start(i);
        _note(i);
    }

    function checkpoint(uint256 seed, uint32 secs, uint64 units) external {
        seed = _shake(seed);
        (uint256 i,) = _find(seed, seed % 4 == 0 ? OrderState.STOPPING : OrderState.RUNNING);
        _prove(i, secs % 3000, units % 300, seed % 3 != 0);
        _note(i);
    }

    function complete(uint256 seed, uint32 secs, uint64 units) external {
        seed = _shake(seed);
        (uint256 i,) = _find(seed, seed % 3 == 0 ? OrderState.STOPPING : OrderState.RUNNING);
        _end(i, seed, secs % 6000, units % 2000);
        _note(i);
    }

    function refuse(uint256 seed, uint32 secs) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _find(seed, OrderState.RUNNING);
        OrderWord word = _wordOf(g);
        Said memory said = _final(Phase.SETUP, Outcome.REFUSED, uint32(word.secs()) + secs % 900, uint64(word.units()));
        bool may = _isAlive(word.state()) && word.phase() == Phase.SETUP && !_isRevoked(_cvms[g.cvm]);
        _try("refuse", may, poker, abi.encodeCall(book.refuse, (g.order, _reportOf(g, said), "")));
        _note(i);
    }

    function locate(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _any(seed);
        _try("locate", g.accepted, operator, abi.encodeCall(book.locate, (g.id, WHERE)));
        _note(i);
    }

    // ------------------------------------------------------------------------------------------- closing
    function stop(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _find(seed, OrderState.RUNNING);
        bool may = _wordOf(g).state() == OrderState.RUNNING;
        bytes memory signature;
        address caller = _clients[g.client];
        if (seed % 2 == 0) {
            caller = poker;
            signature = _sign(_clientKeys[g.client], _bookDigest(OrderHashLib.hashStop(OrderId.unwrap(g.id))));
        }
        _try("stop", may, caller, abi.encodeCall(book.stop, (g.order, signature)));
        _note(i);
    }

    function expire(uint256 seed) external {
        seed = _shake(seed);
        OrderState[3] memory from = [OrderState.ACCEPTED, OrderState.RUNNING, OrderState.STOPPING];
        (uint256 i, Ghost storage g) = _find(seed, from[seed % 3]);
        bool may = _mayExpire(g);
        if (_try("expire", may, poker, abi.encodeCall(book.expire, (g.order))) && !may) {
            wrong = "INV-12: expired before its time, or twice";
        }
        _note(i);
    }

    function voidOrder(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _find(seed, OrderState.ACCEPTED);
        bool may = _wordOf(g).state() == OrderState.ACCEPTED && (_isRevoked(_cvms[g.cvm]) || !_isReference());
        if (_try("voidOrder", may, poker, abi.encodeCall(book.voidOrder, (g.order, Pack.policy(_policy())))) && !may) {
            wrong = "INV-12: voided while its CVM was good";
        }
        _note(i);
    }

    function settleRevoked(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _find(seed, OrderState.RUNNING);
        bool may = _isAlive(_wordOf(g).state()) && _isRevoked(_cvms[g.cvm]);
        if (_try("settleRevoked", may, poker, abi.encodeCall(book.settleRevoked, (g.order))) && !may) {
            wrong = "INV-12: settled as revoked though it was not";
        }
        _note(i);
    }

    /// @notice Whatever ends or moves an order is tried on one that has ended.
    function again(uint256 seed) external {
        seed = _shake(seed);
        (uint256 i, Ghost storage g) = _any(seed);
        if (!_isEnded(_wordOf(g).state())) return;
        bytes memory policy_ = Pack.policy(_policy());
        bool any = _try("again", false, _clients[g.client], abi.encodeCall(book.cancel, (g.order)))
            || _try("again", false, _clients[g.client], abi.encodeCall(book.stop, (g.order, "")))
            || _try("again", false, poker, abi.encodeCall(book.expire, (g.order)))
            || _try("again", false, poker, abi.encodeCall(book.settleRevoked, (g.order)))
            || _try("again", false, poker, abi.encodeCall(book.voidOrder, (g.order, policy_)))
            || _try("again", false, _payerOf(g), abi.encodeCall(book.reclaim, (g.order, _headsOf(g), 0)))
            || _try("again", false, poker, abi.encodeCall(book.topUp, (g.order, _headsOf(g), 0)))
            || _try("again", false, _clients[g.client], abi.encodeCall(book.place, (g.order, "")));
        if (g.accepted) {
            Said memory said = _final(Phase.ENGINE, Outcome.COMPLETED, 9000, 2000);
            any = any || _try("again", false, poker, abi.encodeCall(book.complete, (g.order, _reportOf(g, said), "")));
            said = _final(Phase.SETUP, Outcome.REFUSED, 9000, 2000);
            any = any || _try("again", false, poker, abi.encodeCall(book.refuse, (g.order, _reportOf(g, said), "")));
            any = any || _tryAccept(i, g.cvm);
        }
        if (any) wrong = "INV-6: an order was moved after its end";
        _note(i);
    }

    // ------------------------------------------------------------------------------------------- others
    function donate(uint256 seed) external {
        seed = _shake(seed);
        uint256 t = seed % TOKENS;
        TestToken(_tokens[t]).mint(address(book), seed % 1000);
        donated[t] += seed % 1000;
        ++count["donate"];
    }

    function wait(uint256 secs) external {
        skip(secs % 4 == 0 ? secs % 5000 : secs % 300);
        ++count["wait"];
        for (uint256 i = 0; i < _ghosts.length; ++i) {
            _note(i);
        }
    }

    // ------------------------------------------------------------------------------------------- liveness
    /// @notice Ends order `i` by its client and time alone, whatever state it is in and whatever its token does.
    function finish(uint256 i) external {
        Ghost storage g = _ghosts[i];
        address client_ = _clients[g.client];
        OrderState state = _wordOf(g).state();
        bool revoked = g.accepted && _isRevoked(_cvms[g.cvm]);
        if (state == OrderState.PLACED) _try("cancel", true, client_, abi.encodeCall(book.cancel, (g.order)));
        if (state == OrderState.ACCEPTED) {
            skip(g.windows.startWithin + 1);
            bytes memory data = revoked || !_isReference()
                ? abi.encodeCall(book.voidOrder, (g.order, Pack.policy(_policy())))
                : abi.encodeCall(book.expire, (g.order));
            _try("void or expire", true, client_, data);
        }
        if (!_isAlive(state)) return;
        if (revoked) {
            _try("settleRevoked", true, client_, abi.encodeCall(book.settleRevoked, (g.order)));
            return;
        }
        if (state == OrderState.RUNNING) _try("stop", true, client_, abi.encodeCall(book.stop, (g.order, "")));
        skip(g.windows.grace + 1);
        _try("expire", true, client_, abi.encodeCall(book.expire, (g.order)));
    }

    /// @notice The token is honest again, every window is over.
    function calm() external {
        _moody.setMood(Mood.HONEST, address(0), address(0), "");
        skip(WINDOW + 1);
    }

    /// @notice Claims all of order `i`, by its client alone.
    function settle(uint256 i) external {
        Ghost storage g = _ghosts[i];
        address client_ = _clients[g.client];
        uint256 before = IERC20(_tokens[g.t]).balanceOf(address(providers));
        if (_wordOf(g).mark() & (1 << REST) == 0) _try("claimRest", true, client_, _restData(g));
        g.slashed += before - IERC20(_tokens[g.t]).balanceOf(address(providers));
        for (uint256 k = 0; k <= g.inputs; ++k) {
            (uint256 due,) = _dueAndClaimed(g, k);
            if (due != 0 && _wordOf(g).mark() & (1 << k) == 0) _try("claim", true, client_, _claimData(g, k));
        }
        _note(i);
    }

    function withdrawAll() external {
        for (uint256 t = 0; t < TOKENS; ++t) {
            for (uint256 a = 0; a < _accounts.length; ++a) {
                if (ILedger(address(book)).creditOf(_tokens[t], _accounts[a]) == 0) continue;
                bytes memory data = abi.encodeCall(ILedger.withdraw, (_tokens[t], _accounts[a]));
                _try("withdraw", true, poker, data);
            }
        }
    }

    // ------------------------------------------------------------------------------------------- looking
    function orders() external view returns (uint256) {
        return _ghosts.length;
    }

    /// @return at Order `i` as the chain has it, beside what it has to be.
    function lookAt(uint256 i) external view returns (Look memory at) {
        Ghost storage g = _ghosts[i];
        at.word = _wordOf(g);
        (at.desk, at.t, at.accepted, at.lease, at.lock) = (g.desk, g.t, g.accepted, g.lease, g.lock);
        uint256 credited;
        (credited, at.fell) = _creditedBy(g);
        at.held = g.deposit + g.added + g.slashed - g.removed - credited;
        at.offers = g.inputs + 1;
        at.changed = _isEnded(at.word.state()) && _frozenOf(g) != g.frozen;
    }

    function balancesOf(uint256 t) external view returns (uint256 inBook, uint256 credits, uint256 inProviders) {
        IERC20 token_ = IERC20(_tokens[t]);
        return (token_.balanceOf(address(book)), _creditsOf(t), token_.balanceOf(address(providers)));
    }

    function deskOf(uint256 d, uint256 t) external view returns (Desk memory) {
        return providers.deskOf(_offers[d], _tokens[t]);
    }

    /// @return Stake of the desk that no order here uses.
    function otherStake(uint256 t) external view returns (uint256) {
        Desk memory desk = providers.deskOf(computeOffer, _tokens[t]);
        return uint256(desk.free) + desk.locked + desk.unbonding;
    }

    function leaseIds() external view returns (bytes32[] memory) {
        return _leaseIds;
    }

    function takenPlaces(bytes32 lease_) external view returns (uint256) {
        return LEASE_PLACES - leases.leaseOf(lease_).left;
    }

    // ------------------------------------------------------------------------------------------- steps
    function _placeForData(Ghost storage g, uint256 seed) private view returns (bytes memory) {
        bytes32 id = OrderId.unwrap(g.id);
        bytes memory byClient = _sign(_clientKeys[g.client], id);
        bytes memory byPayer = _sign(_sponsorKeys[g.sponsor], id);
        // Sometimes with the wrong consent: such an order is never placed.
        if (seed % 7 == 0) byPayer = byClient;
        return abi.encodeCall(book.placeFor, (g.order, WHERE, byClient, byPayer));
    }

    function _accept(uint256 i, uint256 seed) private {
        _tryAccept(i, uint8((seed >> 104) % _cvms.length));
    }

    function _tryAccept(uint256 i, uint8 number) private returns (bool ok) {
        Ghost storage g = _ghosts[i];
        bytes memory policy_ = Pack.policy(_policy());
        bytes memory data = abi.encodeCall(book.accept, (g.order, _headsOf(g), policy_, _cvms[number]));
        if (g.deposit < _depositFor(g, g.windows.maxSeconds)) {
            Sale memory sale = Sale(new bytes[](g.inputs + 1), new bytes[](g.inputs + 1));
            data = abi.encodeCall(book.acceptWith, (g.order, _headsOf(g), policy_, _cvms[number], sale));
        }
        ok = _try("accept", false, _operators[g.desk], data);
        if (!ok) return false;
        (g.cvm, g.accepted) = (number, true);
        g.lock = _lockFor(g, book.params(uint16(_wordOf(g).paramsVersion())).startPenaltyBps);
    }

    function _start(uint256 i) private {
        Ghost storage g = _ghosts[i];
        (bytes32 r, bytes32 vs) = _signedStart(g);
        bytes32 id = cvms.cvmIdAt(_cvms[g.cvm]);
        _try("start", false, poker, abi.encodeCall(book.start, (g.id, id, g.root, r, vs)));
    }

    /// @dev `more` on top of what is proven; some enter ENGINE with it.
    function _prove(uint256 i, uint32 secs, uint64 units, bool enter) private {
        Ghost storage g = _ghosts[i];
        OrderWord word = _wordOf(g);
        Said memory said = _integrity(uint32(word.secs()) + secs, uint64(word.units()) + units);
        said.sequence = uint32(word.mark()) + 1 + secs % 3;
        if (word.phase() == Phase.ENGINE || !enter) (said.phase, said.statement) = (word.phase(), 0);
        (bytes32 r, bytes32 vs) = _signedWord(g, said);
        bool must = _isAlive(word.state()) && !_isRevoked(_cvms[g.cvm]);
        bytes memory data = abi.encodeCall(book.checkpoint, (g.id, _numbers(said), r, vs));
        if (said.statement != 0) {
            data = abi.encodeCall(book.enterEngine, (g.id, _numbers(said), said.statement, r, vs));
        }
        _try("checkpoint", must, poker, data);
    }

    function _end(uint256 i, uint256 seed, uint32 secs, uint64 units) private {
        Ghost storage g = _ghosts[i];
        OrderWord word = _wordOf(g);
        Outcome[5] memory outcomes =
            [Outcome.COMPLETED, Outcome.COMPLETED, Outcome.FAILED, Outcome.HOST, Outcome.LAPSED];
        Outcome outcome = outcomes[(seed >> 112) % 5];
        Said memory said = _final(word.phase(), outcome, uint32(word.secs()) + secs, uint64(word.units()) + units);
        bool fits = word.phase() == Phase.ENGINE || outcome == Outcome.HOST;
        bool must = _isAlive(word.state()) && !_isRevoked(_cvms[g.cvm]) && fits;
        _try("complete", must, poker, abi.encodeCall(book.complete, (g.order, _reportOf(g, said), "")));
    }

    function _mayExpire(Ghost storage g) private view returns (bool) {
        OrderWord word = _wordOf(g);
        if (!g.accepted || _isRevoked(_cvms[g.cvm])) return false;
        if (word.state() == OrderState.ACCEPTED) return block.timestamp > word.since() && _isReference();
        return _isAlive(word.state()) && block.timestamp > _deadline(g, word);
    }
}
