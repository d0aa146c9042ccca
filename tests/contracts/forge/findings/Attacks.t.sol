// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {CvmCertificate, TcbStatus} from "../../../../contracts/types/Certificates.sol";
import {
    OrderId,
    OrderPreimage,
    OrderState,
    Outcome,
    Params,
    Phase,
    ReportSummary
} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

/// @notice What was tried against the market's money; each test is named after what the attacker does not get.
contract AttacksTest is Market {
    /// @dev A client's `Stop` for the CVM lies with the host. While the contract took it too, a silent host kept it
    /// until the deadline, and was paid for the whole time instead of losing its lock.
    function test_AStopThatTheHostKeptDoesNotPayForSilence() external {
        OrderPreimage memory pre = _engine();
        bytes memory letter = _stopSignature(pre, clientKey);
        vm.warp(T0 + 5401);
        vm.startPrank(operator);
        (bool taken,) = address(book).call(abi.encodePacked(abi.encodeWithSelector(book.stop.selector, pre), letter));
        assertFalse(taken);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_NotClient.selector, _id(pre), operator, client));
        book.stop(pre);
        vm.stopPrank();
        _expire(pre);
        assertEq(_payout(pre, 8), 0, "silence is not paid");
        assertEq(_payout(pre, 0), pre.terms.deposit, "the client has everything back");
    }

    /// @dev Anybody may carry a report, and with it any location. A copy out of the mempool that is faster must not
    /// keep the client from the bundle with its key.
    function test_AFasterCopyOfAReportDoesNotHideTheBundle() external {
        OrderPreimage memory pre = _engine();
        ReportSummary memory summary = _final(pre, Phase.ENGINE, Outcome.COMPLETED, 100, 0);
        bytes memory signature = _signSummary(summary);
        vm.prank(poker);
        book.complete(pre, summary, signature, "file:///nowhere");
        OrderId id = _id(pre);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_CvmOperator.selector, cvmId, operator, poker));
        vm.prank(poker);
        book.locate(id, "file:///nowhere");
        vm.expectEmit(address(book));
        emit IOrderBook.OrderLocated(id, cvmId, WHERE);
        vm.prank(operator);
        book.locate(id, WHERE);
        assertState(pre, OrderState.COMPLETED);
    }

    function test_NobodyLocatesAnOrderThatWasNotAccepted() external {
        OrderPreimage memory pre = _placed();
        OrderId id = _id(pre);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderBook_CvmOperator.selector, bytes32(0), address(0), operator));
        vm.prank(operator);
        book.locate(id, WHERE);
    }

    /// @dev An operator's key cannot withdraw, but whoever has it can accept an order whose dues go to himself and
    /// then be silent. The provider's bound is its free stake, and the brake is to take that out of reach.
    function test_AStolenOperatorKeyReachesFreeStakeAndNoMore() external {
        uint256 safe = STAKE / 2;
        vm.prank(provider);
        providers.requestUnstake(address(token), safe);
        OrderPreimage memory pre = _preimage();
        pre.terms.windows.maxSeconds = 4_000_000;
        pre.terms.deposit = uint128(_deposit(pre));
        assertGt(_lock(pre), STAKE - safe);
        _place(pre);
        _willRevert(
            abi.encodeWithSelector(
                Errors.ProviderRegistry_FreeStakeTooLow.selector, provider, address(token), STAKE - safe, _lock(pre)
            )
        );
        _accept(pre);
        (uint256 free, uint256 locked, uint256 unbonding,) = providers.stakeOf(provider, address(token));
        assertEq(free + locked, STAKE - safe);
        assertEq(unbonding, safe);
    }

    /// @dev A renewal with a worse TCB keeps nobody from starting, so that after a missed start the penalty must not
    /// hang on who calls first: the client `expire`, or the provider `voidOrder`.
    function test_AWorseCertificateIsNoWayOutOfAMissedStart() external {
        vm.prank(admin);
        references.acceptTrustClass(ROOT_SET, uint8(TcbStatus.OUT_OF_DATE));
        OrderPreimage memory pre = _accepted();
        vm.warp(T0 + 301);
        CvmCertificate memory worse = _certificate();
        worse.tcbStatus = uint8(TcbStatus.OUT_OF_DATE);
        worse.expiresAt += 1;
        _certify(worse);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_TooLate.selector, _id(pre), T0 + 300, T0 + 301));
        _void(pre);
        _expire(pre);
        assertEq(_payout(pre, 3), _penalty(pre));
    }

    /// @dev Everything that the administrator holds, used against an order that runs: it settles as if nothing was.
    function test_TheAdministratorReachesNothingOfARunningOrder() external {
        OrderPreimage memory pre = _engine();
        skip(900);
        vm.startPrank(admin);
        references.removeMeasurement(MEASUREMENT);
        references.removeTrustClass(ROOT_SET);
        cvms.setVerifier(quorum, false);
        quorum.setThreshold(1);
        for (uint256 i = 0; i < 2; ++i) {
            quorum.removeCertifier(vm.addr(certifierKeys[i]));
        }
        Params memory greedy = Params(1000, 5000, 1 days, admin);
        authority.execute(address(book), abi.encodeCall(book.addParams, (greedy)));
        authority.setTargetClosed(address(cvms), true);
        authority.setTargetClosed(address(references), true);
        authority.setTargetClosed(address(book), true);
        authority.setTargetClosed(address(providers), true);
        authority.updateAuthority(address(quorum), address(token));
        vm.stopPrank();
        _complete(pre, Outcome.COMPLETED, 1000, 0);
        uint256 compute = _amount(pre.compute.price, 1000, 0);
        assertEq(_payout(pre, 8), compute - compute * FEE_BPS / 10_000, "the fee of its acceptance");
        _claimAll(pre, 0);
        assertEq(token.balanceOf(admin), 0);
        assertEq(_locked(), 0);
    }
}
