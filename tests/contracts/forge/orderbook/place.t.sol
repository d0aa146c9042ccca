// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {InputRef, Order, OrderId, OrderState, Windows} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

/// @dev What the hostile tokens of contracts/mocks have in common; their code is deployed by name.
interface IMintable {
    function mint(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
}

contract PlaceTest is Stage {
    function test_RevertGiven_TheIdIsTaken() external {
        Deal memory deal = _placed();
        _taken(deal, OrderState.PLACED);
        _accept(deal);
        _taken(deal, OrderState.ACCEPTED);
        _revoke();
        _void(deal);
        _taken(deal, OrderState.CANCELLED);
    }

    function test_GivenTheBookIsPaused() external {
        _pause(true);
        Deal memory deal = _placed();
        assertState(deal, OrderState.PLACED);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_Paused.selector));
        _accept(deal);
    }

    function test_RevertWhen_TheCallerIsNotTheClient() external {
        Deal memory deal = _deal();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NotClient.selector, _id(deal), poker, client));
        _placeAs(poker, deal);
        deal = _sponsoredDeal();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NotClient.selector, _id(deal), sponsor, client));
        _placeAs(sponsor, deal);
    }

    function test_RevertWhen_PayerAndClientDiffer() external {
        Deal memory deal = _sponsoredDeal();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_OtherPayer.selector, sponsor, client));
        _place(deal);
    }

    function test_RevertWhen_PlaceBeforeIsOver() external {
        Deal memory deal = _deal();
        vm.warp(deal.terms.placeBefore + 1);
        _willRevert(_tooLate(deal, deal.terms.placeBefore));
        _place(deal);
        vm.warp(deal.terms.placeBefore);
        _place(deal);
        assertState(deal, OrderState.PLACED);
    }

    function test_RevertWhen_TheBytesAreNoOrders() external {
        Deal memory deal = _deal();
        bytes memory good = Pack.order(deal.terms);
        assertEq(good.length, 300 + 3 * 44);
        _badBytes("");
        _badBytes(new bytes(299));
        _badBytes(bytes.concat(good, hex"00"));
        assembly {
            mstore(good, sub(mload(good), 1))
        }
        _badBytes(good);
        deal.terms.inputs = new InputRef[](0);
        _badBytes(Pack.order(deal.terms));
        deal.terms.inputs = new InputRef[](17);
        _badBytes(Pack.order(deal.terms));
    }

    function test_RevertWhen_TheExtrasAreOfNoUse() external {
        Deal memory deal = _deal();
        bytes memory good = Pack.order(deal.terms);
        bytes32 extra = bytes32(uint256(1));
        // Three inputs: bits 0 to 2 are theirs, and 16 is the access key's.
        uint24[4] memory wrong = [uint24(1 << 3), 1 << 15, 1 << 17, 1 << 23];
        for (uint256 i = 0; i < 4; ++i) {
            _badExtras(bytes.concat(_named(good, wrong[i]), extra), wrong[i]);
        }
        _badExtras(bytes.concat(_named(good, (1 << 16) | (1 << 3)), extra, extra), (1 << 16) | (1 << 3));
        uint24[4] memory empty = [uint24(1), 1 << 2, 1 << 16, 7];
        for (uint256 i = 0; i < 3; ++i) {
            _badExtras(bytes.concat(_named(good, empty[i]), bytes32(0)), empty[i]);
        }
        _badExtras(bytes.concat(_named(good, 7), extra, extra, bytes32(0)), 7);
        // As many as are named, none more and none fewer.
        _badBytes(_named(good, 1));
        _badBytes(bytes.concat(good, extra));
        _badBytes(bytes.concat(_named(good, 3), extra));
        _badBytes(bytes.concat(_named(good, 1 << 16), extra, extra));
        _badBytes(_named(new bytes(300), type(uint24).max));
    }

    /// @return order `bytes_` with other extras.
    function _named(bytes memory bytes_, uint24 extras) private pure returns (bytes memory order) {
        order = bytes.concat(bytes_);
        for (uint256 i = 0; i < 3; ++i) {
            order[297 + i] = bytes3(extras)[i];
        }
    }

    function _badExtras(bytes memory order, uint24 extras) private {
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderCodec_Extras.selector, extras));
        vm.prank(client);
        book.place(order, WHERE);
    }

    function test_WhenThereAreSixteenInputs() external {
        Deal memory deal = _deal();
        deal.terms.inputs = new InputRef[](16);
        for (uint64 i = 0; i < 16; ++i) {
            deal.terms.inputs[i].offer = i;
        }
        _place(deal);
        assertState(deal, OrderState.PLACED);
        // The last two of sixteen are compared too.
        deal.terms.inputs[15].offer = 14;
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_DuplicateInput.selector, 15, 14));
    }

    function test_RevertWhen_TwoInputsNameOneOffer() external {
        Deal memory deal = _deal();
        deal.terms.inputs[2].offer = inputOffers[1];
        deal.terms.inputs[2].version = 2;
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_DuplicateInput.selector, 2, inputOffers[1]));
    }

    function test_WhenGraceOrKeysWithinIsBelowTheMinimum() external {
        Deal memory deal = _deal();
        deal.terms.windows.grace = MIN_GRACE - 1;
        _place(deal);
        _willRevert(_tooShort("grace"));
        _accept(deal);
        deal.terms.windows.grace = MIN_GRACE;
        deal.terms.windows.keysWithin = MIN_GRACE - 1;
        _place(deal);
        _willRevert(_tooShort("keysWithin"));
        _accept(deal);
    }

    function test_RevertWhen_MaxSecondsAndGraceNeedMoreThan30Bits() external {
        Deal memory deal = _deal();
        uint32 most = (1 << 30) - 1;
        deal.terms.windows.maxSeconds = most - 400 + 1;
        _refused(deal, _tooLong(uint256(most) + 1));
        deal.terms.windows.maxSeconds = type(uint32).max;
        deal.terms.windows.grace = type(uint32).max;
        _refused(deal, _tooLong(2 * uint256(type(uint32).max)));
        deal.terms.windows.grace = 400;
        deal.terms.windows.maxSeconds = most - 400;
        _place(deal);
    }

    function test_RevertWhen_MaxUnitsNeedMoreThan38Bits() external {
        Deal memory deal = _deal();
        deal.terms.maxUnits = 1 << 38;
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_UnitsTooMany.selector, uint256(1) << 38, (1 << 38) - 1));
        deal.terms.maxUnits = (1 << 38) - 1;
        _place(deal);
    }

    function test_RevertWhen_TheHoldbackIsOutOfBounds() external {
        _badHoldback(5001, 1 days);
        _badHoldback(type(uint16).max, 1 days);
        _badHoldback(5000, 90 days + 1);
        _badHoldback(1, 0);
        _badHoldback(0, 1);
        Deal memory deal = _deal();
        (deal.terms.holdback.bps, deal.terms.holdback.window) = (5000, 90 days);
        _place(deal);
        (deal.terms.holdback.bps, deal.terms.holdback.window) = (1, 1);
        _place(deal);
    }

    function test_RevertWhen_TheLocationIsTooLong() external {
        bytes memory order = Pack.order(_deal().terms);
        vm.startPrank(client);
        vm.expectRevert(_locationTooLong());
        book.place(order, string(new bytes(257)));
        book.place(order, string(new bytes(256)));
    }

    function test_RevertGiven_TheLeaseIsNotForThisUse() external {
        Deal memory deal = _deal();
        bytes32 lease = _lease(poker, 2);
        deal.terms.inputs[1].lease = lease;
        _otherUse(deal, 1, lease);
        // The lessee himself, but another version, other terms, or another input of the order.
        deal.terms.client = poker;
        deal.terms.payer = poker;
        deal.terms.inputs[1].version = 2;
        _otherUse(deal, 1, lease);
        deal.terms.inputs[1].version = 1;
        deal.terms.inputs[1].termsHash = keccak256("other terms");
        _otherUse(deal, 1, lease);
        deal = _deal();
        deal.terms.client = poker;
        deal.terms.payer = poker;
        deal.terms.inputs[2].lease = lease;
        _otherUse(deal, 2, lease);
        deal.terms.inputs[2].lease = "nobody's";
        _refused(deal, abi.encodeWithSelector(Errors.LeaseBook_NoLease.selector, bytes32("nobody's")));
    }

    function test_RevertGiven_TheLeaseEndsBeforeTheOrder() external {
        Deal memory deal = _leasedDeal();
        bytes32 lease = deal.terms.inputs[1].lease;
        uint256 end = T0 + 2 * PERIOD;
        Windows memory w = deal.terms.windows;
        // Were each window used up, it would be running a second after the lease.
        vm.warp(end - w.acceptWithin - w.startWithin - w.maxSeconds - w.grace + 1);
        _refused(deal, abi.encodeWithSelector(Errors.LeaseBook_EndsBefore.selector, lease, end, end + 1));
        vm.warp(block.timestamp - 1);
        _place(deal);
        assertState(deal, OrderState.PLACED);
        assertEq(leases.leaseOf(lease).held, 2 * PERIOD);
    }

    function test_RevertGiven_TheLeasesPlacesAreTaken() external {
        Deal memory deal = _leasedDeal();
        bytes32 lease = deal.terms.inputs[1].lease;
        assertEq(_places(lease), 1);
        _place(deal);
        assertEq(_places(lease), 0);
        Deal memory next = _deal();
        next.terms.inputs[1].lease = lease;
        next.terms.salt = "next";
        _refused(next, abi.encodeWithSelector(Errors.LeaseBook_NoPlace.selector, lease));
        _cancelAs(client, deal);
        assertEq(_places(lease), 1);
        _place(next);
        assertEq(_places(lease), 0);
    }

    function test_WhenEveryOtherWindowIsZero() external {
        Deal memory deal = _deal();
        deal.terms.windows = Windows(0, 0, 0, MIN_GRACE, 0, 0, MIN_GRACE);
        deal.terms.maxUnits = 0;
        _place(deal);
        assertState(deal, OrderState.PLACED);
    }

    function test_RevertWhen_TheClientHasTooLittle() external {
        Deal memory deal = _deal();
        uint256 deposit = deal.terms.deposit;
        vm.prank(client);
        token.approve(address(book), deposit - 1);
        _refused(
            deal,
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector, address(book), deposit - 1, deposit
            )
        );
        vm.startPrank(client);
        token.approve(address(book), deposit);
        token.transfer(poker, token.balanceOf(client) - deposit + 1);
        vm.stopPrank();
        _refused(
            deal, abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, client, deposit - 1, deposit)
        );
    }

    function test_RevertWhen_TheTokenGivesLessOrMore() external {
        _odd("FeeToken", 9900);
        _odd("BonusToken", 10_001);
    }

    function test_RevertWhen_TheTokenReturnsFalse() external {
        Deal memory deal = _in(_hostile("FalseToken"));
        bytes memory order = Pack.order(deal.terms);
        // OpenZeppelin's SafeERC20 takes false for what it is.
        vm.expectRevert(abi.encodeWithSignature("SafeERC20FailedOperation(address)", deal.terms.token));
        vm.prank(client);
        book.place(order, WHERE);
    }

    function test_WhenTheDepositIsZero() external {
        Deal memory deal = _deal();
        deal.terms.deposit = 0;
        // Not even a contract: nobody asks it.
        deal.terms.token = makeAddr("no token");
        _place(deal);
        assertState(deal, OrderState.PLACED);
        assertEq(token.balanceOf(address(book)), 0);
    }

    function test_WhenTheDepositIsOneUnitOrAllOf128Bits() external {
        Deal memory deal = _deal();
        deal.terms.deposit = 1;
        _place(deal);
        assertEq(token.balanceOf(address(book)), 1);
        token.mint(client, type(uint128).max);
        deal.terms.deposit = type(uint128).max;
        _place(deal);
        assertEq(token.balanceOf(address(book)), uint256(type(uint128).max) + 1);
        _cancelAs(client, deal);
        assertEq(_credit(client), type(uint128).max);
    }

    function test_WhenTheClockNeedsAllOf33Bits() external {
        Deal memory deal = _deal();
        deal.terms.placeBefore = type(uint40).max;
        vm.warp((1 << 33) - 1);
        _place(deal);
        assertEq(_order(deal).since, (1 << 33) - 1);
        assertState(deal, OrderState.PLACED);
        assertEq(_order(deal).lastProof, 0, "nothing ran over into the next member");
    }

    function test_WhenTheTermsAreGood() external {
        Deal memory deal = _deal();
        OrderId id = _id(deal);
        bytes memory order = Pack.order(deal.terms);
        uint256 before = token.balanceOf(client);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderPlaced(id, client, computeOffer, 3, bytes.concat(order, bytes(WHERE)));
        vm.prank(client);
        OrderId returned = book.place(order, WHERE);
        assertEq(OrderId.unwrap(returned), OrderId.unwrap(id));
        assertEq(token.balanceOf(address(book)), deal.terms.deposit);
        assertEq(before - token.balanceOf(client), deal.terms.deposit);
        Order memory expected;
        expected.state = OrderState.PLACED;
        expected.since = uint40(T0);
        expected.events = 1;
        assertEq(abi.encode(book.getOrder(id)), abi.encode(expected));
    }

    // ------------------------------------------------------------------------------------------- helpers
    function _refused(Deal memory deal, bytes memory error_) private {
        _willRevert(error_);
        _place(deal);
    }

    function _taken(Deal memory deal, OrderState actual) private {
        _refused(deal, _wrongState(deal, actual, OrderState.PLACED));
    }

    function _badBytes(bytes memory order) private {
        vm.expectRevert(_wrongLength(order.length));
        vm.prank(client);
        book.place(order, WHERE);
    }

    function _badHoldback(uint16 bps, uint32 window) private {
        Deal memory deal = _deal();
        (deal.terms.holdback.bps, deal.terms.holdback.window) = (bps, window);
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_Holdback.selector, bps, window));
    }

    function _otherUse(Deal memory deal, uint256 i, bytes32 lease) private {
        InputRef memory input = deal.terms.inputs[i];
        _refused(
            deal,
            abi.encodeWithSelector(
                Errors.LeaseBook_OtherUse.selector,
                lease,
                deal.terms.client,
                input.offer,
                input.version,
                input.termsHash
            )
        );
    }

    function _hostile(string memory name) private returns (address at) {
        at = deployCode(string.concat("HostileTokens.sol:", name));
        IMintable(at).mint(client, 1e18);
        vm.prank(client);
        IMintable(at).approve(address(book), type(uint256).max);
    }

    function _in(address token_) private view returns (Deal memory deal) {
        deal = _deal();
        deal.terms.token = token_;
        deal.terms.deposit = 10_000;
    }

    function _odd(string memory name, uint256 arrives) private {
        Deal memory deal = _in(_hostile(name));
        _refused(deal, abi.encodeWithSelector(Errors.Escrow_ReceivedOther.selector, deal.terms.token, arrives, 10_000));
    }

    function _tooShort(bytes32 field) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_WindowTooShort.selector, field, MIN_GRACE - 1, MIN_GRACE);
    }

    function _tooLong(uint256 got) private pure returns (bytes memory) {
        return
            abi.encodeWithSelector(Errors.OrderBook_WindowTooLong.selector, bytes32("maxSeconds"), got, (1 << 30) - 1);
    }
}
