// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Holdback, Order, OrderState, Outcome, Phase} from "../../../../contracts/types/Orders.sol";
import {OfferTerms, Payee, Price} from "../../../../contracts/types/Offers.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Money} from "./Money.sol";

/// @notice Whatever happens while an order runs, each receiver ends with what the table of dues gives it, to the unit: claims
/// on the way never exceed that, and everything together is deposit, additions and slash.
/// @dev The table is written down here once more, from docs/protocol.md and not from SettlementLib.
contract SplitsTest is Money {
    struct Run {
        uint256 seed;
        bool engine;
        uint32 sequence;
        uint256 secs;
        uint256 units;
        uint256 lastProof;
        uint256 added;
        uint256 reclaimed;
        uint256 stoppedAt;
    }

    Run private _run;
    mapping(address account => uint256) private _expected;
    uint256[4] private _before;

    function testFuzz_EveryoneEndsWithWhatTheTableGives(uint256 seed) external {
        _run.seed = seed;
        Deal memory deal = _anyDeal();
        _placeAny(deal);
        _acceptAny(deal);
        _start(deal);
        uint256 steps = 2 + _any(12);
        for (uint256 i = 0; i < steps; ++i) {
            _step(deal);
        }
        _note(deal);
        _finish(deal);
        _check(deal);
    }

    // ------------------------------------------------------------------------------------------- what is dealt
    function _anyDeal() private returns (Deal memory deal) {
        deal = _deal();
        if (_any(2) == 0) deal.terms.accessKeyDigest = keccak256("access key");
        if (_any(3) == 0) deal.terms.payer = sponsor;
        if (_any(2) == 0) deal.terms.holdback = Holdback(uint16(1 + _any(5000)), uint32(1 + _any(3000)));
        deal.terms.windows.maxSeconds = uint32(_any(5) == 0 ? _any(3) : _any(9000));
        deal.terms.windows.setupSeconds = uint32(_any(3) == 0 ? 0 : _any(600));
        deal.terms.windows.grace = uint32(60 + _any(600));
        deal.terms.maxUnits = uint64(_any(3) == 0 ? _any(3) : _any(5000));
        for (uint256 k = 0; k < 4; ++k) {
            Price memory price = _termsOf(deal, k).price;
            price.fixedPrice = _anyPrice();
            price.perHour = _anyPrice();
            price.perUnit = _anyPrice();
            price.minSeconds = uint32(_any(2) == 0 ? 0 : _any(7000));
        }
        _relist(deal);
        _stake(provider, 1e25);
        uint256 most = _deposit(deal, deal.terms.windows.maxSeconds);
        uint256 least = deal.terms.windows.setupSeconds + 2 * uint256(deal.terms.windows.grace);
        if (_any(3) == 0 && least < deal.terms.windows.maxSeconds) {
            deal.terms.deposit = uint128(_between(_deposit(deal, least), most));
        } else if (_any(3) == 0) {
            deal.terms.deposit += uint128(_any(1e12));
        }
    }

    function _anyPrice() private returns (uint128) {
        return _any(4) == 0 ? uint128(_any(3)) : uint128(_any(10 ** _any(19)));
    }

    // ------------------------------------------------------------------------------------------- what happens
    function _step(Deal memory deal) private {
        uint256 what = _any(9);
        if (what < 2) skip(_any(deal.terms.windows.grace));
        else if (what < 5) _anyProof(deal);
        else if (what < 7) _anyClaim(deal, _any(4));
        else if (what == 7) _anyFunds(deal);
        else if (_run.stoppedAt == 0 && _any(4) == 0) _anyStop(deal);
    }

    function _anyStop(Deal memory deal) private {
        _stop(deal);
        _run.stoppedAt = vm.getBlockTimestamp();
    }

    function _anyProof(Deal memory deal) private {
        bool enters = !_run.engine && _any(2) == 0;
        if (enters) _run.engine = true;
        Said memory said = enters ? _integrity(0, 0) : _setupSaid(0, 0);
        said.phase = _run.engine ? Phase.ENGINE : Phase.SETUP;
        said.sequence = _run.sequence += uint32(1 + _any(3));
        uint256 elapsed = vm.getBlockTimestamp() - T0;
        // Sometimes more than the chain's clock allows.
        uint256 reported = _between(_run.secs, elapsed + _any(2) * _any(500));
        (said.secs, said.units) = (uint32(reported), uint64(_run.units + _any(2) * _any(2000)));
        _say(deal, said);
        (_run.secs, _run.units) = (_least(reported, elapsed), said.units);
        _run.lastProof = elapsed;
    }

    function _anyClaim(Deal memory deal, uint256 k) private {
        if (_open(deal, k) != 0) _claim(deal, k);
    }

    function _anyFunds(Deal memory deal) private {
        uint256 max = deal.terms.windows.maxSeconds;
        Order memory order = _order(deal);
        uint256 limit = _limitOf(deal, order);
        if (limit < max && _any(2) == 0) {
            uint256 amount = _any(_deposit(deal, max) + 1);
            _topUpAs(client, deal, amount);
            _run.added += amount;
            return;
        }
        uint256 floor = vm.getBlockTimestamp() - T0 + deal.terms.windows.setupSeconds + 2 * deal.terms.windows.grace;
        uint256 needed = _deposit(deal, _least(floor, max));
        uint256 balance = deal.terms.deposit + _run.added - _run.reclaimed;
        if (balance < needed) return;
        uint256 out = _between(0, balance - needed);
        _reclaimAs(deal.terms.payer, deal, out);
        _run.reclaimed += out;
    }

    /// @dev What each offer could claim just before the end.
    function _note(Deal memory deal) private {
        for (uint256 k = 0; k < 4; ++k) {
            _before[k] = _due(deal, k);
        }
    }

    function _finish(Deal memory deal) private {
        uint256 what = _any(5);
        uint256 elapsed = vm.getBlockTimestamp() - T0;
        if (what == 0) {
            _revoke();
            _settleRevoked(deal);
        } else if (what == 1) {
            // Long enough for every deadline.
            skip(deal.terms.windows.grace + 1 + _any(100_000));
            _expire(deal);
        } else if (!_run.engine || what == 2) {
            (uint256 secs, uint256 units) = (_between(_run.secs, elapsed + 50), _run.units + _any(2000));
            if (_run.engine || _any(2) == 0) {
                Phase phase = _run.engine ? Phase.ENGINE : Phase.SETUP;
                _completeWith(deal, _final(phase, Outcome.HOST, uint32(secs), uint64(units)));
            } else {
                _refuseWith(deal, _final(Phase.SETUP, Outcome.REFUSED, uint32(secs), uint64(units)));
                _run.secs = _least(secs, elapsed);
            }
        } else {
            (uint256 secs, uint256 units) = (_between(_run.secs, elapsed + 50), _run.units + _any(2000));
            Outcome[3] memory outcomes = [Outcome.COMPLETED, Outcome.FAILED, Outcome.LAPSED];
            _complete(deal, outcomes[_any(3)], uint32(secs), uint64(units));
            (_run.secs, _run.units) = (_least(secs, elapsed), units);
        }
        if (_order(deal).state == OrderState.COMPLETED && deal.terms.holdback.bps != 0) _resolve(deal);
    }

    function _resolve(Deal memory deal) private {
        for (uint256 k = 0; k < 4; ++k) {
            assertGe(_due(deal, k), _before[k], "nothing is taken back, pending");
        }
        if (_any(3) == 0) _claimIfOpen(deal, 0);
        uint256 what = _any(3);
        if (what == 0) _receiptAs(client, deal, "");
        else if (what == 1) _contestAs(client, deal);
        else skip(deal.terms.holdback.window + 1);
    }

    function _claimIfOpen(Deal memory deal, uint256 k) private {
        if (_open(deal, k) != 0) _claim(deal, k);
    }

    // ------------------------------------------------------------------------------------------- what it should be
    /// @dev The table of docs/protocol.md sections 6.2 and 6.3.
    function _wanted(Deal memory deal, Order memory order, uint256 k) private view returns (uint256) {
        Price memory price = _termsOf(deal, k).price;
        uint256 limit = _limitOf(deal, order);
        uint256 s = _least(_run.secs, limit);
        uint256 u = _least(_run.units, deal.terms.maxUnits);
        OrderState state = order.state;
        bool whole = state == OrderState.COMPLETED || state == OrderState.FAILED || state == OrderState.REVOKED
            || state == OrderState.STOPPED;
        if (!_run.engine) {
            if (k == 0) return _usage(price, _least(s, deal.terms.windows.setupSeconds), 0);
            return state == OrderState.EXPIRED ? _amount(price, _spanOf(deal, limit, 0), 0) : 0;
        }
        if (whole) return _amount(price, s, u);
        if (k == 0) return _usage(price, s, u);
        if (state == OrderState.EXPIRED) return _amount(price, _spanOf(deal, limit, s), u);
        if (state == OrderState.LAPSED || deal.terms.accessKeyDigest != 0) {
            return deal.terms.windows.maxSeconds == 0
                ? _usage(price, s, u)
                : _prorata(price, s, u, deal.terms.windows.maxSeconds);
        }
        return 0;
    }

    /// @dev Seconds that inputs of an order that expired are due for: until a proof was missing for `grace`.
    function _spanOf(Deal memory deal, uint256 limit, uint256 secs) private view returns (uint256) {
        uint256 elapsed = vm.getBlockTimestamp() - T0;
        return _least(_least(elapsed, secs + deal.terms.windows.grace), limit);
    }

    function _check(Deal memory deal) private {
        Order memory order = _order(deal);
        uint256 slashed = 0;
        (uint256 gross, uint256 fees, uint256 burned) = (0, 0, 0);
        uint256[4] memory dues;
        for (uint256 k = 0; k < 4; ++k) {
            dues[k] = _wanted(deal, order, k);
            if (k == 0 && order.hold == 2) {
                burned = 2 * (dues[0] * deal.terms.holdback.bps / 10_000);
                dues[0] -= burned / 2;
            }
            if (k != 0 && order.state == OrderState.EXPIRED) slashed += dues[k] - _ownPart(deal, order, k);
            assertGe(dues[k], _before[k], "nothing is taken back");
            gross += dues[k];
            fees += dues[k] * FEE_BPS / 10_000;
            _expect(_termsOf(deal, k), _net(dues[k]));
        }
        uint256 all = deal.terms.deposit + _run.added + slashed;
        _expected[deal.terms.payer] += all - gross - burned;
        _expected[treasury] += fees;
        _expected[BURN] += burned;
        _settle(deal);
        address[8] memory known = [client, sponsor, provider, engineOwner, ownerA, ownerB, coAuthor, treasury];
        for (uint256 i = 0; i < 8; ++i) {
            assertEq(_credit(known[i]), _expected[known[i]], "each to the unit");
        }
        assertEq(_credit(BURN), burned);
        assertEq(_credits(), all, "conserved");
        assertEq(token.balanceOf(address(book)), all, "and held");
        assertEq(_free(), STAKE + 1e25 - slashed);
        assertEq(_locked(), 0);
    }

    /// @dev What the client pays of an input's due after an expiry: proven use.
    function _ownPart(Deal memory deal, Order memory order, uint256 k) private view returns (uint256) {
        if (!_run.engine) return 0;
        uint256 s = _least(_run.secs, _limitOf(deal, order));
        return _usage(_termsOf(deal, k).price, s, _least(_run.units, deal.terms.maxUnits));
    }

    function _expect(OfferTerms memory terms, uint256 net) private {
        uint256 left = net;
        for (uint256 j = 0; j < terms.payees.length; ++j) {
            Payee memory payee = terms.payees[j];
            uint256 share = j + 1 == terms.payees.length ? left : net * payee.bps / 10_000;
            left -= share;
            _expected[payee.account] += share;
        }
    }

    /// @dev Everything is claimed, the rest before, between or after the offers.
    function _settle(Deal memory deal) private {
        uint256 first = _order(deal).state == OrderState.EXPIRED ? 0 : _any(5);
        for (uint256 i = 0; i < 5; ++i) {
            if (i == first) _claimRest(deal);
            if (i < 4) _claimIfAny(deal, (i + _run.seed) % 4);
        }
    }

    function _claimIfAny(Deal memory deal, uint256 k) private {
        // An offer whose dues were all drawn has its remainder left: only one without any dues refuses.
        if (_due(deal, k) != 0) _claim(deal, k);
    }

    function _limitOf(Deal memory deal, Order memory order) private pure returns (uint256) {
        bool known = order.extra.limit != 0 || order.extra.stoppedAt != 0 || order.extra.warnBelow != 0;
        return known ? order.extra.limit : deal.terms.windows.maxSeconds;
    }

    // ------------------------------------------------------------------------------------------- chance
    function _any(uint256 below) private returns (uint256) {
        _run.seed = uint256(keccak256(abi.encode(_run.seed)));
        return below == 0 ? 0 : _run.seed % below;
    }

    /// @dev Either end often.
    function _between(uint256 low, uint256 high) private returns (uint256) {
        if (high <= low || _any(5) == 0) return low;
        return _any(4) == 0 ? high : low + _any(high - low + 1);
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
