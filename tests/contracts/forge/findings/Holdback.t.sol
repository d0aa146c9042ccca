// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Holdback, Outcome} from "../../../../contracts/types/Orders.sol";
import {Money} from "../money/Money.sol";
import {Deal} from "../utils/Market.sol";

/// @notice Delivery as a game (docs/protocol.md section 6.9). The chain does not see whether a result was delivered; it sees
/// the client's receipt, contest or silence. So there are six cells, two of each answer:
///
/// |          | receipt                  | silence                  | contest                        |
/// |----------|--------------------------|--------------------------|--------------------------------|
/// | delivers | host P, client V         | host P, client V         | host P - h, client V - h       |
/// | withholds| host P, client 0         | host P, client 0         | host P - h, client - h         |
///
/// P is what the host is paid, h what is held back of it, V what the result is worth to the client. Who threatens gains
/// nothing by carrying it out: a contest costs the client h of its own in either row. What can be extorted by a threat that
/// is believed is bounded: from the host h, since a contest takes no more; from the client V, since the result is worth no
/// more, and a client known to contest makes each withheld result cost the host h. The owners are in no cell.
contract HoldbackTest is Money {
    enum Answer {
        RECEIPT,
        SILENCE,
        CONTEST
    }

    /// @dev What the chain gives each, and V where the result was delivered.
    struct Cell {
        uint256 host;
        int256 clientGains;
        uint256 owners;
        uint256 fees;
        uint256 burned;
    }

    uint256 private constant WORTH = 50_000_000;

    function test_TheSixCells() external {
        Deal memory deal = _held();
        uint256 full = _amount(deal.compute.price, 1000, 50);
        uint256 held = full * HELD_BPS / 10_000;
        for (uint256 row = 0; row < 2; ++row) {
            bool delivers = row == 0;
            Cell memory receipt = _play(deal, delivers, Answer.RECEIPT);
            Cell memory silence = _play(deal, delivers, Answer.SILENCE);
            Cell memory contest = _play(deal, delivers, Answer.CONTEST);
            assertEq(receipt.host, _net(full));
            assertEq(abi.encode(silence), abi.encode(receipt), "silence is a receipt, later");
            assertEq(contest.host, _net(full - held));
            assertEq(receipt.clientGains - contest.clientGains, int256(held), "a contest costs its author as much");
            assertEq(contest.burned, 2 * held);
            assertEq(receipt.burned, 0);
            assertEq(contest.owners, receipt.owners, "owners are in no cell");
            assertLe(contest.fees, receipt.fees);
        }
        assertEq(
            _play(deal, true, Answer.SILENCE).clientGains - _play(deal, false, Answer.SILENCE).clientGains,
            int256(WORTH),
            "withholding costs the client the result and no money"
        );
    }

    /// @dev "Give me x, or I contest what you delivered": the host loses at most h by refusing, the client h by carrying it
    /// out. So x is at most h, at most half of the price, and the threat dies with the receipt, the window or the contest.
    function testFuzz_TheClientThreatens(uint16 bps, uint128 perHour) external {
        Deal memory deal = _deal();
        deal.compute.price.perHour = perHour % 1e15;
        deal.terms.holdback = Holdback(uint16(bound(bps, 1, 5000)), WINDOW);
        _relist(deal);
        _stake(provider, 1e18);
        _ended(deal, Outcome.COMPLETED);
        Cell memory yields = _play(deal, true, Answer.RECEIPT);
        Cell memory refuses = _play(deal, true, Answer.CONTEST);
        uint256 held = _amount(deal.compute.price, 1000, 50) * deal.terms.holdback.bps / 10_000;
        uint256 ransom = yields.host - refuses.host;
        assertLe(ransom, held);
        assertLe(ransom, yields.host / 2 + 1);
        assertEq(yields.clientGains - refuses.clientGains, int256(held), "carried out it costs the client");
        assertGe(held, ransom, "never less than it costs the host");
        // Both together lose all of it: there is nothing to share in a bribe.
        assertEq(
            int256(yields.host + yields.fees) + yields.clientGains,
            int256(refuses.host + refuses.fees) + refuses.clientGains + int256(2 * held)
        );
    }

    /// @dev "Give me x, or the result stays with me": whoever is paid in full either way could ask for the result's whole
    /// worth. With a client that contests what was withheld, each threat carried out costs the host h.
    function test_TheHostThreatens() external {
        Deal memory deal = _held();
        uint256 held = _amount(deal.compute.price, 1000, 50) * HELD_BPS / 10_000;
        Cell memory carriedOut = _play(deal, false, Answer.CONTEST);
        Cell memory delivered = _play(deal, true, Answer.RECEIPT);
        assertGe(delivered.host - carriedOut.host + 1, _net(held), "h less its fee, which is rounded");
        // A client whose result is worth less than h does not follow a threat either: it bounds, it does not remove.
        assertEq(_play(deal, false, Answer.SILENCE).host, delivered.host, "a client that never contests is paid for");
        // No report at all is the worst of all: usage alone, and the lock pays the owners.
        deal.terms.salt = "no report";
        _runs(deal);
        skip(401);
        _expire(deal);
        assertEq(_due(deal, 0), _usage(deal.compute.price, 100, 0));
    }

    /// @dev A receipt, the window's end or a contest is the last word: no threat comes after it.
    function test_NoThreatOutlivesItsAnswer() external {
        Deal memory deal = _held();
        bytes memory none = abi.encodeWithSelector(Errors.OrderBook_NoHoldback.selector, _id(deal));
        uint256 here = vm.snapshotState();
        for (uint256 i = 0; i < 3; ++i) {
            vm.revertToState(here);
            if (i == 0) _receiptAs(client, deal, "");
            if (i == 1) _contestAs(client, deal);
            if (i == 2) skip(WINDOW + 1);
            _willRevert(none);
            _contestAs(client, deal);
            _willRevert(none);
            _receiptAs(client, deal, "");
        }
    }

    /// @dev Who claims meanwhile, and how often, moves nobody's money into another cell.
    function test_ClaimsWhileItWaitsChangeNothing() external {
        Deal memory deal = _held();
        Cell memory plain = _play(deal, true, Answer.CONTEST);
        for (uint256 k = 0; k < 4; ++k) {
            _claim(deal, k);
        }
        Cell memory drawn = _play(deal, true, Answer.CONTEST);
        assertEq(abi.encode(drawn), abi.encode(plain));
    }

    /// @dev A host cannot hurry: what it was paid while the order ran leaves the holdback whole.
    function test_TheHoldbackIsNotDrawnWhileItRuns() external {
        Deal memory deal = _heldDeal();
        _runs(deal);
        uint256 drawn = 0;
        for (uint32 secs = 200; secs <= 1000; secs += 100) {
            skip(100);
            _prove(deal, secs, 50);
            _claim(deal, 0);
            drawn = _credit(provider);
        }
        _complete(deal, Outcome.COMPLETED, 1000, 50);
        uint256 full = _amount(deal.compute.price, 1000, 50);
        assertLe(drawn, _net(full - full * HELD_BPS / 10_000));
        Cell memory contest = _play(deal, false, Answer.CONTEST);
        assertEq(contest.host, _net(full - full * HELD_BPS / 10_000));
    }

    /// @dev A result that FAILED, LAPSED or was lost by the host is nothing to withhold: nothing waits, nothing burns.
    function test_OnlyResultsAreHeldBack() external {
        Outcome[3] memory outcomes = [Outcome.FAILED, Outcome.LAPSED, Outcome.HOST];
        for (uint256 i = 0; i < 3; ++i) {
            Deal memory deal = _heldDeal();
            deal.terms.salt = bytes32(i + 1);
            _ended(deal, outcomes[i]);
            _willRevert(abi.encodeWithSelector(Errors.OrderBook_NoHoldback.selector, _id(deal)));
            _contestAs(client, deal);
            _claimRest(deal);
        }
    }

    /// @dev Plays one cell to its end, and takes it back.
    function _play(Deal memory deal, bool delivers, Answer answer) private returns (Cell memory cell) {
        uint256 here = vm.snapshotState();
        if (answer == Answer.RECEIPT) _receiptAs(client, deal, "");
        if (answer == Answer.CONTEST) _contestAs(client, deal);
        skip(WINDOW + 1);
        _claimWhatIsThere(deal);
        assertEq(_credits(), deal.terms.deposit, "conserved");
        cell.host = _credit(provider);
        cell.clientGains = int256(_credit(client)) + int256(delivers ? WORTH : 0);
        cell.owners = _credit(engineOwner) + _credit(ownerA) + _credit(ownerB) + _credit(coAuthor);
        cell.fees = _credit(treasury);
        cell.burned = _credit(BURN);
        vm.revertToState(here);
    }
}
