// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {CvmCertificate, TcbStatus} from "../../../../contracts/types/Certificates.sol";
import {OrderId, OrderState, Outcome, Params, Phase, Report} from "../../../../contracts/types/Orders.sol";
import {Deal, Market} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";

/// @notice What was tried against the market's money; each test is named after what the attacker does not get.
contract AttacksTest is Market {
    /// @dev A client's `Stop` for the CVM lies with the host. While a stop paid by the clock, a silent host kept it until
    /// the deadline, and was paid for the whole time instead of losing its lock. Now it moves no money: only proof does.
    function test_AStopThatTheHostKeptDoesNotPayForSilence() external {
        Deal memory kept = _engine();
        bytes memory letter = _stopSignature(kept, clientKey);
        Deal memory plain = _deal();
        plain.terms.salt = "plain";
        _place(plain);
        _accept(plain);
        _start(plain);
        skip(100);
        _checkpoint(plain, 100, 0);
        // The last second before anybody may expire it.
        vm.warp(T0 + 500);
        bytes memory order = Pack.order(kept.terms);
        vm.prank(operator);
        book.stop(order, letter);
        vm.warp(T0 + 901);
        _expire(kept);
        _expire(plain);
        assertState(kept, OrderState.EXPIRED);
        assertEq(_due(kept, 0), _usage(kept.compute.price, 100, 0), "silence is not paid");
        for (uint256 k = 0; k <= 3; ++k) {
            assertEq(_due(kept, k), _due(plain, k), "the letter changed nothing");
        }
        uint256 locked = _locked();
        _claimRest(kept);
        assertEq(locked - _locked(), _lock(kept));
        assertLt(_free() + _locked(), STAKE, "and the lock paid the inputs");
    }

    /// @dev Anybody may carry a report, and with it any location. A copy out of the mempool that is faster must not
    /// keep the client from the bundle with its key.
    function test_AFasterCopyOfAReportDoesNotHideTheBundle() external {
        Deal memory deal = _engine();
        Report memory report = _report(deal, _final(Phase.ENGINE, Outcome.COMPLETED, 100, 0), signerKey);
        bytes memory order = Pack.order(deal.terms);
        vm.prank(poker);
        book.complete(order, report, "file:///nowhere");
        OrderId id = _id(deal);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_CvmOperator.selector, cvm, operator, poker));
        vm.prank(poker);
        book.locate(id, "file:///nowhere");
        vm.expectEmit(address(book));
        emit IOrderBook.OrderLocated(id, cvm, 5, WHERE);
        vm.prank(operator);
        book.locate(id, WHERE);
        assertState(deal, OrderState.COMPLETED);
    }

    function test_NobodyLocatesAnOrderThatWasNotAccepted() external {
        OrderId id = _id(_placed());
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_CvmOperator.selector, 0, address(0), operator));
        vm.prank(operator);
        book.locate(id, WHERE);
    }

    /// @dev An operator's key cannot withdraw, but whoever has it can accept an order whose dues go to himself and
    /// then be silent. The provider's bound is its free stake, and the brake is to take that out of reach.
    function test_AStolenOperatorKeyReachesFreeStakeAndNoMore() external {
        uint256 safe = STAKE / 2;
        vm.prank(provider);
        providers.requestUnstake(computeOffer, address(token), safe);
        Deal memory deal = _deal();
        // What a silent host owes to owners is a grace of their time.
        (deal.terms.windows.maxSeconds, deal.terms.windows.grace) = (4_000_000, 4_000_000);
        _reprice(deal);
        assertGt(_lock(deal), STAKE - safe);
        _place(deal);
        _willRevert(
            abi.encodeWithSelector(
                Errors.ProviderRegistry_FreeStakeTooLow.selector, computeOffer, token, STAKE - safe, _lock(deal)
            )
        );
        _accept(deal);
        assertEq(_free(), STAKE - safe);
        assertEq(_locked(), 0);
        assertEq(_desk().unbonding, safe);
    }

    /// @dev A renewal with a worse TCB keeps nobody from starting, so that after a missed start the penalty must not
    /// hang on who calls first: the client `expire`, or the provider `voidOrder`.
    function test_AWorseCertificateIsNoWayOutOfAMissedStart() external {
        vm.prank(admin);
        references.lowerFloor(profile, uint8(TcbStatus.OUT_OF_DATE));
        Deal memory deal = _accepted();
        vm.warp(T0 + 301);
        CvmCertificate memory worse = _certificate();
        worse.tcbStatus = uint8(TcbStatus.OUT_OF_DATE);
        worse.expiresAt += 1;
        cvms.renew(cvm, quorum, _evidence(worse, 2));
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_TooLate.selector, _id(deal), T0 + 300, T0 + 301));
        _void(deal);
        _expire(deal);
        _claimRest(deal);
        assertEq(_credit(client), deal.terms.deposit + _penalty(deal));
        assertEq(_free(), STAKE - _penalty(deal));
    }

    /// @dev Everything that the administrator holds, used against an order that runs: it settles as if nothing was.
    function test_TheAdministratorReachesNothingOfARunningOrder() external {
        Deal memory deal = _engine();
        skip(300);
        uint32[] memory profiles = new uint32[](1);
        profiles[0] = profile;
        vm.startPrank(admin);
        references.removeProfiles(profiles);
        references.removeTrustClass(ROOT_SET);
        cvms.removeVerifier(quorum);
        quorum.setThreshold(1);
        for (uint256 i = 0; i < 2; ++i) {
            quorum.removeCertifier(vm.addr(certifierKeys[i]));
        }
        authority.execute(address(book), abi.encodeCall(book.addParams, (Params(1000, 5000, 1 days, admin))));
        authority.execute(address(book), abi.encodeCall(book.setPaused, (true)));
        authority.setTargetClosed(address(cvms), true);
        authority.setTargetClosed(address(references), true);
        authority.setTargetClosed(address(book), true);
        authority.setTargetClosed(address(providers), true);
        authority.setTargetClosed(address(leases), true);
        authority.updateAuthority(address(quorum), address(token));
        vm.stopPrank();
        _prove(deal, 400, 1);
        _claim(deal, 0);
        skip(600);
        _complete(deal, Outcome.COMPLETED, 1000, 1);
        uint256 compute = _amount(deal.compute.price, 1000, 1);
        uint256 before = _credits();
        _claim(deal, 0);
        assertEq(_credit(provider), compute - compute * FEE_BPS / 10_000, "the fee of its acceptance");
        assertGt(_credits(), before);
        _claimRest(deal);
        for (uint256 k = 1; k <= 3; ++k) {
            _claim(deal, k);
        }
        assertEq(_credits(), deal.terms.deposit);
        assertEq(_credit(admin), 0);
        assertEq(_locked(), 0);
    }
}
