// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "forge-std/Vm.sol";

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {Order, OrderId, OrderState, Outcome, Phase} from "../../../../contracts/types/Orders.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Stage} from "./Stage.sol";

contract CheckpointTest is Stage {
    function test_RevertGiven_TheOrderDoesNotRun() external {
        Deal memory deal = _deal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _wrong(deal, OrderState.PLACED);
        _accept(deal);
        _wrong(deal, OrderState.ACCEPTED);
        _start(deal);
        _refuse(deal, 0);
        _wrong(deal, OrderState.REFUSED);
    }

    // ------------------------------------------------------------------------------------------- numbers
    function test_RevertWhen_ThePhaseDoesNotFit() external {
        Deal memory deal = _setup();
        Said memory said = _integrity(0, 0);
        said.phase = Phase.NONE;
        _bad(deal, said, "phase");
        _badNumbers(deal, _numbers(said) | 3, "phase");
        _badNumbers(deal, _numbers(said) | 0xff, "phase");
        _checkpoint(deal, 0, 0);
        said = _integrity(0, 0);
        (said.phase, said.sequence, said.statement) = (Phase.SETUP, 2, 0);
        _bad(deal, said, "phase");
        said.statement = STATEMENT;
        _bad(deal, said, "phase");
    }

    function test_RevertWhen_TheStatementDoesNotFit() external {
        Deal memory deal = _setup();
        Said memory said = _integrity(0, 0);
        said.phase = Phase.SETUP;
        _bad(deal, said, "statementDigest");
        said = _integrity(0, 0);
        said.statement = 0;
        _bad(deal, said, "statementDigest");
        _checkpoint(deal, 0, 0);
        // ENGINE is entered once.
        said = _integrity(0, 0);
        said.sequence = 2;
        _bad(deal, said, "statementDigest");
        // And not without saying by which proof, whatever was signed.
        OrderId id = _id(deal);
        said.statement = 0;
        (bytes32 r, bytes32 vs) = _signSaid(deal, said, signerKey);
        uint256 numbers = _numbers(said);
        vm.expectRevert(_mismatch(deal, "statementDigest"));
        book.enterEngine(id, numbers, 0, r, vs);
        book.checkpoint(id, numbers, r, vs);
    }

    function test_RevertWhen_ThereIsAnOutcomeOrABlame() external {
        Deal memory deal = _setup();
        Said memory said = _integrity(0, 0);
        said.outcome = Outcome.COMPLETED;
        _bad(deal, said, "numbers");
        said.outcome = Outcome.REFUSED;
        _bad(deal, said, "numbers");
        said = _integrity(0, 0);
        said.blamed = 0;
        _bad(deal, said, "numbers");
        said.blamed = 254;
        _bad(deal, said, "numbers");
    }

    function test_RevertWhen_ThereAreBitsBeyondTheLastMember() external {
        Deal memory deal = _setup();
        uint256 numbers = _numbers(_integrity(0, 0));
        // Not signed, so that a carrier could add them: where `n` goes in the event, and everywhere else.
        _badNumbers(deal, numbers | (1 << 152), "numbers");
        _badNumbers(deal, numbers | (1 << 240), "numbers");
        _badNumbers(deal, numbers | (1 << 255), "numbers");
        _badNumbers(deal, numbers | (type(uint256).max << 152), "numbers");
    }

    function test_RevertWhen_TheSequenceDoesNotRise() external {
        Deal memory deal = _setup();
        Said memory said = _integrity(0, 0);
        said.sequence = 0;
        _bad(deal, said, "sequence");
        said.sequence = (1 << 24) - 1;
        _bad(deal, said, "sequence");
        said.sequence = 1 << 24;
        _bad(deal, said, "sequence");
        said.sequence = LAST;
        _bad(deal, said, "sequence");
        said.sequence = 9;
        _say(deal, said);
        said.statement = 0;
        for (uint32 sequence = 8; sequence < 10; ++sequence) {
            said.sequence = sequence;
            _bad(deal, said, "sequence");
        }
        said.sequence = (1 << 24) - 2;
        _say(deal, said);
        assertEq(_order(deal).sequence, (1 << 24) - 2);
        // Nothing comes after it but a last word.
        said.sequence += 1;
        _bad(deal, said, "sequence");
        _complete(deal, Outcome.COMPLETED, 0, 0);
    }

    function test_RevertWhen_UsageFalls() external {
        Deal memory deal = _setup();
        skip(50);
        _checkpoint(deal, 49, 10);
        Said memory said = _integrity(48, 10);
        (said.sequence, said.statement) = (2, 0);
        _bad(deal, said, "secondsUsed");
        (said.secs, said.units) = (49, 9);
        _bad(deal, said, "unitsUsed");
        said.units = 10;
        _say(deal, said);
        assertEq(_order(deal).sequence, 2);
    }

    // ------------------------------------------------------------------------------------------- signatures
    function test_RevertWhen_AnotherKeySigned() external {
        Deal memory deal = _setup();
        uint256[2] memory keys = [operatorKey, clientKey];
        for (uint256 i = 0; i < 2; ++i) {
            _willRevert(_notSigned(deal, vm.addr(keys[i])));
            _sayWith(deal, _integrity(0, 0), keys[i]);
        }
    }

    function test_RevertWhen_SomethingElseWasSigned() external {
        Deal memory deal = _setup();
        Deal memory other = _deal();
        other.terms.salt = "other";
        uint256 numbers = _numbers(_integrity(0, 0));
        bytes32 id = OrderId.unwrap(_id(deal));
        _forged(deal, OrderHashLib.hashSummary(OrderId.unwrap(_id(other)), 0, numbers, 0, 0, STATEMENT));
        _forged(deal, OrderHashLib.hashSummary(id, 0, numbers + (1 << 88), 0, 0, STATEMENT));
        _forged(deal, OrderHashLib.hashSummary(id, 0, numbers, 0, 0, keccak256("another")));
        // What only a last word says.
        _forged(deal, OrderHashLib.hashSummary(id, cvmId, numbers, 0, 0, STATEMENT));
        _forged(deal, OrderHashLib.hashSummary(id, 0, numbers, _root(deal), 0, STATEMENT));
        _forged(deal, OrderHashLib.hashSummary(id, 0, numbers, 0, keccak256("result"), STATEMENT));
        _forged(deal, _startHash(deal));
        bytes32 structHash = _hash(deal, numbers, STATEMENT);
        _elsewhere(deal, _digestAt(block.chainid + 1, address(book), structHash));
        _elsewhere(deal, _digestAt(block.chainid, address(offers), structHash));
    }

    function test_RevertWhen_TheSignatureIsHostile() external {
        Deal memory deal = _setup();
        (bytes32 r, bytes32 vs) = _signSaid(deal, _integrity(0, 0), signerKey);
        _recovers(deal, 0, 0, address(0));
        _recovers(deal, r, 0, address(0));
        _recovers(deal, r, bytes32(type(uint256).max), address(0));
        _recovers(deal, r, bytes32(CURVE_ORDER / 2 + 1), address(0));
        bytes32 turned = vs ^ bytes32(uint256(1) << 255);
        _recovers(deal, r, turned, _recovered(_hash(deal, _numbers(_integrity(0, 0)), STATEMENT), r, turned));
    }

    // ------------------------------------------------------------------------------------------- the CVM
    function test_RevertGiven_TheCvmWasRevoked() external {
        Deal memory deal = _setup();
        _revoke();
        _willRevert(_cvmRevoked());
        _checkpoint(deal, 0, 0);
    }

    function test_GivenTheCvmIsNoLongerGoodForNewOrders() external {
        Deal memory deal = _setup();
        _retire();
        _removeProfile();
        skip(50);
        _checkpoint(deal, 50, 0);
        assertEq(_order(deal).secondsUsed, 50);
        _pause(true);
        _prove(deal, 50, 1);
        assertEq(_order(deal).unitsUsed, 1);
    }

    // ------------------------------------------------------------------------------------------- order of proofs
    function test_RevertWhen_ItIsShownTwice() external {
        Deal memory deal = _setup();
        Said memory said = _integrity(0, 0);
        said.sequence = 5;
        _say(deal, said);
        // The second time it is no step into ENGINE any more.
        _bad(deal, said, "statementDigest");
        (said.sequence, said.statement) = (6, 0);
        _say(deal, said);
        _bad(deal, said, "sequence");
    }

    function test_WhenALaterOneIsShownFirst() external {
        Deal memory deal = _setup();
        skip(50);
        Said memory early = Said(Phase.SETUP, Outcome.NONE, NO_INPUT, 1, 10, 0, 0, 0);
        Said memory later = _integrity(40, 3);
        later.sequence = 2;
        _say(deal, later);
        _bad(deal, early, "phase");
        assertEq(_order(deal).secondsUsed, 40);
    }

    function test_WhenItProvesSetUp() external {
        Deal memory deal = _setup();
        for (uint32 i = 1; i < 4; ++i) {
            skip(100);
            _say(deal, Said(Phase.SETUP, Outcome.NONE, NO_INPUT, i, 90 * i, 0, 0, 0));
            Order memory order = _order(deal);
            assertEq(uint8(order.phase), uint8(Phase.SETUP));
            assertEq(order.secondsUsed, 90 * i);
            assertEq(order.lastProof, 100 * i);
            assertEq(order.sequence, i);
        }
    }

    // ------------------------------------------------------------------------------------------- bounds
    function test_WhenMoreSecondsAreReportedThanPassed() external {
        Deal memory deal = _setup();
        skip(50);
        _checkpoint(deal, 4999, 0);
        assertEq(_order(deal).secondsUsed, 50);
        // Later the same report is one of fewer seconds than it said, and still not of fewer than were proven.
        skip(50);
        _prove(deal, 50, 0);
        assertEq(_order(deal).secondsUsed, 50);
        assertEq(_order(deal).lastProof, 100);
    }

    function test_WhenMoreIsReportedThanIsPaid() external {
        Deal memory deal = _setup();
        skip(5399);
        _checkpoint(deal, 5399, 1001);
        assertEq(_order(deal).secondsUsed, 5399);
        assertEq(_order(deal).unitsUsed, 1001);
        uint256 claimable = _usage(deal.compute.price, 5000, 1000);
        assertEq(_due(deal, 0), claimable);
    }

    function test_WhenItIsMoreThanTheWordHolds() external {
        Deal memory deal = _setup();
        uint256 most = (1 << 30) - 1;
        skip(most + 1);
        _checkpoint(deal, type(uint32).max, type(uint64).max);
        Order memory order = _order(deal);
        assertEq(order.secondsUsed, most);
        assertEq(order.unitsUsed, (1 << 38) - 1);
        assertEq(order.lastProof, most);
        assertEq(order.since, T0);
        assertEq(order.sequence, 1);
        assertEq(order.paramsVersion, 1);
        assertEq(order.cvm, cvm);
        // One second and one unit fewer than were proven.
        Said memory said = _integrity(uint32(most - 1), (1 << 38) - 1);
        (said.sequence, said.statement) = (2, 0);
        _bad(deal, said, "secondsUsed");
        (said.secs, said.units) = (uint32(most), (1 << 38) - 2);
        _bad(deal, said, "unitsUsed");
    }

    function test_WhenNoTimePassed() external {
        Deal memory deal = _setup();
        _checkpoint(deal, 0, 0);
        assertEq(_order(deal).lastProof, 0);
        assertEq(uint8(_order(deal).phase), uint8(Phase.ENGINE));
    }

    // ------------------------------------------------------------------------------------------- stopping, funds
    function test_GivenTheOrderIsStopping() external {
        Deal memory deal = _engine();
        _stop(deal);
        skip(10);
        vm.recordLogs();
        _prove(deal, 110, 3);
        Order memory order = _order(deal);
        assertEq(uint8(order.state), uint8(OrderState.STOPPING));
        assertEq(order.secondsUsed, 110);
        assertEq(order.lastProof, 110);
        assertEq(vm.getRecordedLogs().length, 1, "its slot warns of nothing");
    }

    function test_GivenItIsStoppingInSetUp() external {
        Deal memory deal = _setup();
        _stop(deal);
        skip(10);
        _checkpoint(deal, 10, 0);
        assertEq(uint8(_order(deal).phase), uint8(Phase.ENGINE));
        assertState(deal, OrderState.STOPPING);
    }

    function test_GivenTheDepositPaysForFewerSeconds() external {
        Deal memory deal = _deal();
        deal.terms.deposit = uint128(_deposit(deal, 1040));
        _place(deal);
        _acceptPartly(deal);
        _start(deal);
        skip(240);
        // 800 left: not fewer than two graces.
        vm.recordLogs();
        _checkpoint(deal, 240, 0);
        assertEq(vm.getRecordedLogs().length, 2);
        skip(1);
        _warns(deal, 241, 799);
        skip(798);
        _warns(deal, 1039, 1);
        skip(1);
        _warns(deal, 1040, 0);
        skip(300);
        _warns(deal, 1340, 0);
    }

    // ------------------------------------------------------------------------------------------- all is well
    function test_WhenTheCvmSigned() external {
        Deal memory deal = _sponsoredSetup();
        uint256 lock = _lock(deal);
        skip(50);
        OrderId id = _id(deal);
        Said memory said = _integrity(49, 5);
        said.sequence = 9;
        (bytes32 r, bytes32 vs) = _signSaid(deal, said, signerKey);
        uint256 numbers = _numbers(said);
        vm.recordLogs();
        vm.expectEmit(address(book));
        emit IOrderBook.OrderCheckpointed(id, numbers | (uint256(3) << 240));
        vm.expectEmit(address(book));
        emit IOrderBook.OrderIntegrity(id, cvm, STATEMENT);
        vm.prank(makeAddr("anybody"));
        book.enterEngine(id, numbers, STATEMENT, r, vs);
        Order memory expected;
        expected.state = OrderState.RUNNING;
        expected.phase = Phase.ENGINE;
        expected.since = uint40(T0);
        expected.lastProof = 50;
        expected.sequence = 9;
        expected.secondsUsed = 49;
        expected.unitsUsed = 5;
        expected.paramsVersion = 1;
        expected.cvm = cvm;
        expected.lock = lock;
        expected.events = 4;
        assertEq(abi.encode(book.getOrder(id)), abi.encode(expected));
    }

    function test_WhenItEntersNothing() external {
        Deal memory deal = _engine();
        skip(10);
        vm.recordLogs();
        _prove(deal, 105, 1);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1);
        assertEq(logs[0].topics[0], IOrderBook.OrderCheckpointed.selector);
        assertEq(_order(deal).lastProof, 110);
    }

    // ------------------------------------------------------------------------------------------- helpers
    function _wrong(Deal memory deal, OrderState actual) private {
        _willRevert(_wrongState(deal, actual, OrderState.RUNNING));
        _checkpoint(deal, 0, 0);
    }

    /// @dev Signed, and refused all the same.
    function _bad(Deal memory deal, Said memory said, bytes32 field) private {
        _willRevert(_mismatch(deal, field));
        _say(deal, said);
    }

    function _badNumbers(Deal memory deal, uint256 numbers, bytes32 field) private {
        OrderId id = _id(deal);
        (bytes32 r, bytes32 vs) = _signCompact(signerKey, _bookDigest(_hash(deal, numbers, STATEMENT)));
        vm.expectRevert(_mismatch(deal, field));
        book.enterEngine(id, numbers, STATEMENT, r, vs);
    }

    function _hash(Deal memory deal, uint256 numbers, bytes32 statement) private view returns (bytes32) {
        return OrderHashLib.hashSummary(OrderId.unwrap(_id(deal)), 0, numbers, 0, 0, statement);
    }

    function _forged(Deal memory deal, bytes32 structHash) private {
        _elsewhere(deal, _bookDigest(structHash));
    }

    function _elsewhere(Deal memory deal, bytes32 digest) private {
        (bytes32 r, bytes32 vs) = _signCompact(signerKey, digest);
        _recovers(deal, r, vs, _recovered(_hash(deal, _numbers(_integrity(0, 0)), STATEMENT), r, vs));
    }

    function _recovers(Deal memory deal, bytes32 r, bytes32 vs, address who) private {
        assertNotEq(who, signer);
        OrderId id = _id(deal);
        uint256 numbers = _numbers(_integrity(0, 0));
        vm.expectRevert(_notSigned(deal, who));
        book.enterEngine(id, numbers, STATEMENT, r, vs);
    }

    function _warns(Deal memory deal, uint32 secs, uint256 left) private {
        OrderId id = _id(deal);
        uint256 events = _order(deal).events;
        Said memory said = _integrity(secs, 0);
        (said.sequence, said.statement) = (_order(deal).sequence + 1, 0);
        (bytes32 r, bytes32 vs) = _signSaid(deal, said, signerKey);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderCheckpointed(id, _numbers(said) | (events << 240));
        vm.expectEmit(address(book));
        emit IOrderBook.OrderLowBalance(id, 1040, left);
        book.checkpoint(id, _numbers(said), r, vs);
    }
}
