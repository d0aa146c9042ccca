// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {BlacklistToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {OfferTerms, Payee} from "../../../../contracts/types/Offers.sol";
import {InputRef, OrderId, OrderState, Outcome, Params, Report} from "../../../../contracts/types/Orders.sol";
import {Money} from "../money/Money.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";

/// @notice Defects that other marketplaces shipped; each test is named after its row and says what it was. Rows about
/// sponsors are in Sponsors.t.sol, about signed offers in OfferThefts.t.sol, about certifiers in Attestation.t.sol.
contract MarketplacesTest is Money {
    // ------------------------------------------------------------------------------------------- iExec
    /// @dev "Owner can brick finalisation; unbounded contributors loop." The largest order there can be, sixteen inputs with
    /// eight payees each, ends and is claimed far below a block, and no owner is asked on the way.
    function test_UnboundedContributorsLoop() external {
        Deal memory deal = _largest();
        _stake(provider, 1e15);
        _place(deal);
        uint256 gasBefore = gasleft();
        _accept(deal);
        _start(deal);
        _checkpoint(deal, 0, 0);
        skip(100);
        _complete(deal, Outcome.COMPLETED, 100, 5);
        _claimRest(deal);
        for (uint256 k = 0; k < 17; ++k) {
            _claim(deal, k);
        }
        assertLt(gasBefore - gasleft(), 15_000_000, "the whole of it, test code included");
        assertEq(_order(deal).claimed, (1 << 18) - 1);
    }

    // ------------------------------------------------------------------------------------------- Marlin
    /// @dev "Drain without service: a job accrues from opening." Nothing accrues before the CVM proves it.
    function test_DrainWithoutService() external {
        Deal memory deal = _placed();
        skip(601);
        _cancelAs(poker, deal);
        assertEq(_credit(client), deal.terms.deposit);
        deal.terms.salt = "runs, proves nothing";
        _place(deal);
        _accept(deal);
        _start(deal);
        skip(400);
        assertEq(_due(deal, 0), 0);
        skip(1);
        _expire(deal);
        _claimRest(deal);
        assertEq(_credit(client), 2 * uint256(deal.terms.deposit));
    }

    /// @dev "Push payout: a blacklisted provider makes closing revert, and the client's refund is stuck." Also Particle's
    /// reverting receiver.
    function test_BlacklistedProviderHoldsUpTheRefund() external {
        Deal memory deal = _completed();
        // As a token with a blacklist would: transfers to the provider revert.
        vm.mockCallRevert(
            address(token),
            abi.encodeWithSelector(token.transfer.selector, provider),
            abi.encodeWithSelector(BlacklistToken.Refused.selector, provider)
        );
        _claimAll(deal, 0);
        ILedger ledger = ILedger(address(book));
        vm.expectRevert();
        ledger.withdraw(address(token), provider);
        uint256 mine = _credit(client);
        uint256 before = token.balanceOf(client);
        ledger.withdraw(address(token), client);
        assertEq(token.balanceOf(client) - before, mine);
        // What is the provider's stays the provider's.
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 1000, 50)));
        vm.prank(provider);
        ledger.withdrawTo(address(token), _net(_amount(deal.compute.price, 1000, 50)), poker);
    }

    /// @dev "Domain without chainId or contract: replay across chains and deployments." Also 0G's 0LS-15 and -14.
    function test_ReplayAcrossChainsAndDeployments() external {
        Deal memory deal = _accepted();
        bytes32 structHash = _startHash(deal);
        uint256 home = block.chainid;
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 digest = i == 0
                ? _digestAt(home + 1, address(book), structHash)
                : _digestAt(home, address(providers), structHash);
            (bytes32 r, bytes32 vs) = _signCompact(signerKey, digest);
            _willRevert(_notSigned(deal, _recovered(structHash, r, vs)));
            _startWith(deal, r, vs);
        }
        // After a fork the same order has another id here, and the home chain's signature is none.
        (bytes32 homeR, bytes32 homeVs) = _signStart(deal, signerKey);
        OrderId homeId = _id(deal);
        bytes32 root = _root(deal);
        vm.chainId(home + 1);
        assertTrue(OrderId.unwrap(_id(deal)) != OrderId.unwrap(homeId));
        vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
        book.start(homeId, cvmId, root, homeR, homeVs);
        vm.chainId(home);
        _start(deal);
    }

    /// @dev "Fee read from a mutable place at payout, zeroed or raised in the middle." An order keeps its version's.
    function test_FeeChangedUnderAnOrder() external {
        Deal memory deal = _engine();
        vm.prank(address(authority));
        book.addParams(Params(1000, 5000, 0, poker));
        _claim(deal, 0);
        assertEq(_credit(provider), _net(_usage(deal.compute.price, 100, 0)));
        _complete(deal, Outcome.COMPLETED, 100, 0);
        _claimWhatIsThere(deal);
        assertEq(_credits(), deal.terms.deposit);
        assertEq(_credit(poker), 0);
        assertEq(_credit(provider), _net(_amount(deal.compute.price, 100, 0)));
    }

    /// @dev "Uncapped call of the job's owner after payout." A receiver is an account in a ledger: its code never runs.
    function test_CallbackOfAReceiver() external {
        Deal memory deal = _deal();
        Trap trap = new Trap();
        deal.compute.payees = _solo(address(trap));
        _relist(deal);
        _ended(deal, Outcome.COMPLETED);
        _claimWhatIsThere(deal);
        ILedger(address(book)).withdraw(address(token), address(trap));
        assertEq(token.balanceOf(address(trap)), _net(_amount(deal.compute.price, 1000, 50)));
    }

    // ------------------------------------------------------------------------------------------- Ocean
    /// @dev "Raw ecrecover with address(0) passes where the address is 0." A CVM that nobody knows signs nothing.
    function test_SignatureOfNobody() external {
        Deal memory deal = _engine();
        Said memory said = _integrity(100, 0);
        (said.sequence, said.statement) = (2, 0);
        OrderId id = _id(deal);
        uint256 numbers = _numbers(said);
        vm.expectRevert(_notSigned(deal, address(0)));
        book.checkpoint(id, numbers, 0, 0);
        Deal memory none = _deal();
        none.terms.salt = "never placed";
        Report memory report;
        report.numbers = _numbers(said);
        bytes memory order = Pack.order(none.terms);
        vm.expectRevert(_wrongState(none, OrderState.NONE, OrderState.COMPLETED));
        book.checkReport(order, report);
        Report[2] memory two;
        (two[0], two[1]) = (report, report);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NoEquivocation.selector, _id(none)));
        _equivocateAs(poker, none, two[0], two[1]);
    }

    /// @dev "Withdrawing silently does nothing; an expired claim returns success." Whatever does nothing reverts.
    function test_NothingDoneReturnsSuccess() external {
        Deal memory deal = _expired();
        ILedger ledger = ILedger(address(book));
        vm.expectRevert(abi.encodeWithSelector(Errors.Ledger_NothingCredited.selector, address(token), poker));
        ledger.withdraw(address(token), poker);
        _willRevert(_wrongState(deal, OrderState.EXPIRED, OrderState.EXPIRED));
        _expire(deal);
        _claimRest(deal);
        _willRevert(_alreadyClaimed(deal, REST));
        _claimRest(deal);
        _claim(deal, 1);
        _willRevert(_alreadyClaimed(deal, 1));
        _claim(deal, 1);
    }

    // ------------------------------------------------------------------------------------------- 0G
    /// @dev "Unprotected logic initialiser" (0LS-10): the parts behind the book do nothing by themselves.
    function test_UnprotectedLogic() external {
        (address entries, address endings, address accounts) = book.parts();
        Deal memory deal = _completed();
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        bytes[5] memory calls = [
            abi.encodeCall(IOrderBook.addParams, (Params(0, 0, 0, poker))),
            abi.encodeCall(IOrderBook.cancel, (order)),
            abi.encodeCall(IOrderBook.claimRest, (order, heads)),
            abi.encodeCall(IOrderBook.topUp, (order, heads, 1)),
            abi.encodeCall(IOrderBook.receipt, (order, ""))
        ];
        address[5] memory parts = [entries, endings, accounts, endings, accounts];
        for (uint256 i = 0; i < 5; ++i) {
            vm.prank(address(authority));
            (bool done, bytes memory why) = parts[i].call(calls[i]);
            assertFalse(done);
            assertEq(why, abi.encodeWithSelector(Errors.OrderBook_NotTheBook.selector, parts[i], address(book)));
        }
    }

    /// @dev "One bad item reverts the batch" (0LS-16), and Akash's losing bids.
    function test_OneBadItemRevertsTheBatch() external {
        Deal memory deal = _completed();
        bytes[] memory calls = new bytes[](3);
        OfferTerms memory terms = deal.inputs[0];
        calls[0] = abi.encodeCall(IOrderBook.claimRest, (Pack.order(deal.terms), ""));
        calls[1] = abi.encodeCall(IOrderBook.claim, (Pack.order(deal.terms), Pack.proof(1, terms, "")));
        calls[2] = abi.encodeCall(ILedger.withdraw, (address(token), engineOwner));
        assertEq(book.batch(Pack.calls(calls)), 6);
        assertEq(token.balanceOf(engineOwner), _net(_amount(terms.price, 1000, 50)));
    }

    /// @dev "Delete and recreate resets the nonce" (0LS-07): an order's id is used once, whatever became of it.
    function test_DeletedAndRecreated() external {
        Deal memory deal = _placed();
        Report memory refusal;
        for (uint256 i = 0; i < 2; ++i) {
            if (i == 0) {
                _cancelAs(client, deal);
                _willRevert(_wrongState(deal, OrderState.CANCELLED, OrderState.PLACED));
            } else {
                deal.terms.salt = "ended and claimed";
                _ended(deal, Outcome.COMPLETED);
                refusal = _report(deal, _final(_order(deal).phase, Outcome.COMPLETED, 1000, 50), signerKey);
                _claimAll2(deal);
                _willRevert(_wrongState(deal, OrderState.COMPLETED, OrderState.PLACED));
            }
            _place(deal);
        }
        _willRevert(_wrongState(deal, OrderState.COMPLETED, OrderState.COMPLETED));
        _completeWithReport(deal, refusal);
    }

    /// @dev "What is delivered is missing from the signed struct" (CRIT-2): every member that selects money, result or
    /// order is signed. Bits beyond the members are refused.
    function test_UnsignedMember() external {
        Deal memory deal = _engine();
        skip(100);
        for (uint256 i = 0; i < 8; ++i) {
            Report memory report = _report(deal, _final(_order(deal).phase, Outcome.COMPLETED, 150, 5), signerKey);
            if (i == 0) report.cvmId = "another";
            if (i == 1) report.resultDigest = "another";
            if (i == 2) report.statementDigest = "another";
            if (i == 3) report.numbers += 1 << 56;
            if (i == 4) report.numbers += 1 << 88;
            if (i == 5) report.numbers += 1 << 8; // FAILED
            if (i == 6) report.numbers += 3 << 8; // LAPSED, by way of what HOST is
            if (i == 7) report.numbers |= 1 << 152;
            bytes memory order = Pack.order(deal.terms);
            vm.expectPartialRevert(
                i == 7 ? Errors.OrderBook_SummaryMismatch.selector : Errors.OrderBook_NotSigned.selector
            );
            book.complete(order, report, WHERE);
        }
        // Inputs are signed by their root: another order of the same CVM is another report.
        Deal memory other = _deal();
        other.terms.salt = "other";
        Report memory elsewhere = _report(other, _final(_order(deal).phase, Outcome.COMPLETED, 150, 5), signerKey);
        bytes memory mine = Pack.order(deal.terms);
        vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
        book.complete(mine, elsewhere, WHERE);
    }

    /// @dev "Stake that is never slashed": a missed start, a missing proof and a lie each cost it.
    function test_StakeNeverSlashed() external {
        Deal memory deal = _accepted();
        uint256 here = vm.snapshotState();
        skip(301);
        _expire(deal);
        _claimRest(deal);
        assertEq(_free(), STAKE - _penalty(deal));
        vm.revertToState(here);
        _start(deal);
        skip(401);
        _expire(deal);
        _claimRest(deal);
        assertLt(_free(), STAKE);
        vm.revertToState(here);
        (Report memory one, Report memory two) = _twoWords(deal, 0, 0);
        _equivocateAs(poker, deal, one, two);
        assertEq(_free() + _locked(), 0);
    }

    // ------------------------------------------------------------------------------------------- Morpheus, Akash, Karak
    /// @dev "Held funds need a call that nobody exposes." Whoever comes, everything leaves the book.
    function test_HeldFundsThatNobodyCanFetch() external {
        Deal memory deal = _held();
        skip(WINDOW + 1);
        _claimAll(deal, 0);
        address[7] memory known = [client, provider, engineOwner, ownerA, ownerB, coAuthor, treasury];
        for (uint256 i = 0; i < 7; ++i) {
            _withdraw(known[i]);
        }
        assertEq(token.balanceOf(address(book)), 0);
    }

    /// @dev "An overdrawn account could not be closed." An order that used more than it was funded for ends in each way.
    function test_OverdrawnOrderCannotBeClosed() external {
        Deal memory deal = _partlyDeal(1100);
        _runs(deal);
        for (uint256 i = 1; i < 4; ++i) {
            skip(390);
            _prove(deal, uint32(100 + 390 * i), 1000);
        }
        assertGt(_order(deal).secondsUsed, 1100);
        uint256 here = vm.snapshotState();
        for (uint256 way = 0; way < 4; ++way) {
            vm.revertToState(here);
            uint256 stake = _free() + _locked();
            if (way == 0) _complete(deal, Outcome.COMPLETED, 1300, 1000);
            if (way == 1) _revoke();
            if (way == 1) _settleRevoked(deal);
            if (way == 2) _stop(deal);
            if (way > 1) skip(401);
            if (way > 1) _expire(deal);
            _claimWhatIsThere(deal);
            assertEq(_credits(), deal.terms.deposit + stake - _free());
            assertEq(token.balanceOf(address(book)), _credits());
        }
    }

    /// @dev "A cap on slashing, passed by within one event." One order's lock is taken once, by whichever comes first, and
    /// never more than there is.
    function test_SlashedTwice() external {
        Deal memory deal = _expired();
        uint256 lock = _locked();
        (Report memory one, Report memory two) = _twoWords(deal, 400, 0);
        uint256 here = vm.snapshotState();
        _claimRest(deal);
        uint256 slashed = STAKE - _free();
        assertLe(slashed, lock);
        _equivocateAs(poker, deal, one, two);
        assertEq(_free() + _locked(), 0);
        assertEq(token.balanceOf(address(book)), uint256(deal.terms.deposit) + STAKE, "all of it, once");
        vm.revertToState(here);
        _equivocateAs(poker, deal, one, two);
        _claimRest(deal);
        assertEq(_free(), lock - slashed);
        assertEq(token.balanceOf(address(book)) + _free(), uint256(deal.terms.deposit) + STAKE);
    }

    // ------------------------------------------------------------------------------------------- edges
    /// @dev Prices of one unit and of nothing, times of zero: rounding neither makes nor loses a unit.
    function test_OneWeiAndZeroDurations() external {
        uint32[3] memory times = [uint32(0), 1, 3599];
        for (uint256 i = 0; i < 6; ++i) {
            Deal memory deal = _deal();
            deal.terms.salt = bytes32(i + 1);
            uint128 one = uint128(i / 3);
            for (uint256 k = 0; k < 4; ++k) {
                _termsOf(deal, k).price = _price(one, one, 0, one);
            }
            deal.terms.windows.maxSeconds = times[i % 3];
            deal.terms.windows.setupSeconds = 0;
            deal.terms.maxUnits = uint64(i % 2);
            _relist(deal);
            uint256 before = _credits();
            _place(deal);
            _accept(deal);
            _start(deal);
            _checkpoint(deal, 0, 0);
            skip(times[i % 3]);
            _complete(deal, Outcome.COMPLETED, times[i % 3], 1);
            _claimAll(deal, 0);
            assertEq(_credits() - before, deal.terms.deposit);
        }
    }

    /// @dev The largest deposit there is, and a token of 18 decimals' worth of each price.
    function test_Uint128Edges() external {
        Deal memory deal = _deal();
        for (uint256 k = 0; k < 4; ++k) {
            _termsOf(deal, k).price = _price(1e18, 1e18, 0, 1e18);
        }
        deal.compute.price.fixedPrice = 2 ** 112;
        _relist(deal);
        deal.terms.deposit = type(uint128).max;
        token.mint(client, type(uint128).max);
        _stake(provider, 2 ** 111);
        _ended(deal, Outcome.COMPLETED);
        _reverts(deal);
        _claimAll(deal, 0);
        assertEq(_credits(), type(uint128).max);
        assertEq(_credit(provider), _net(2 ** 112 + 50e18 + uint256(1e18) * 1000 / 3600));
    }

    /// @dev A price that no deposit covers is refused at acceptance, not later.
    function test_PricesThatNoDepositCovers() external {
        Deal memory deal = _deal();
        deal.inputs[0].price = _price(type(uint128).max, type(uint128).max, type(uint32).max, type(uint128).max);
        _relist(deal);
        deal.terms.deposit = type(uint128).max;
        token.mint(client, type(uint128).max);
        _place(deal);
        _willRevert(_depositTooLow(type(uint128).max, _deposit(deal, 5000)));
        _accept(deal);
        _cancelAs(client, deal);
        assertEq(_credit(client), type(uint128).max);
    }

    // ------------------------------------------------------------------------------------------- inside
    /// @dev A living or ended order has no second deposit in it.
    function _reverts(Deal memory deal) private {
        _willRevert(_wrongState(deal, OrderState.COMPLETED, OrderState.RUNNING));
        _reclaimAs(client, deal, 1);
        _willRevert(_wrongState(deal, OrderState.COMPLETED, OrderState.RUNNING));
        _topUpAs(client, deal, 1);
    }

    function _claimAll2(Deal memory deal) private {
        uint256 before = _credits();
        _claimWhatIsThere(deal);
        assertEq(_credits() - before, deal.terms.deposit);
    }

    function _largest() private returns (Deal memory deal) {
        deal = _deal();
        OfferTerms[] memory inputs = new OfferTerms[](16);
        InputRef[] memory refs = new InputRef[](16);
        deal.compute.payees = _eight(0);
        deal.terms.compute.version = 1;
        for (uint256 i = 0; i < 16; ++i) {
            address owner = address(uint160(0xA000 + i));
            inputs[i] = i == 0 ? _engineTerms() : _datasetTerms(owner);
            inputs[i].payees = _eight(i + 1);
            refs[i] = InputRef(_offer(owner, inputs[i], ""), 1, 0, 0);
        }
        (deal.inputs, deal.terms.inputs) = (inputs, refs);
        _relist(deal);
    }

    function _eight(uint256 number) private pure returns (Payee[] memory payees) {
        payees = new Payee[](8);
        for (uint256 j = 0; j < 8; ++j) {
            payees[j] = Payee(address(uint160(0xB000 + 16 * number + j)), 1250);
        }
    }
}

/// @notice Burns all gas of whoever calls it.
contract Trap {
    fallback() external payable {
        while (true) {}
    }
}
