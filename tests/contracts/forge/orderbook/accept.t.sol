// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {CvmCertificate, TcbStatus} from "../../../../contracts/types/Certificates.sol";
import {OfferKind, OfferTerms} from "../../../../contracts/types/Offers.sol";
import {Order, OrderId, OrderPreimage, OrderState, Params, RuntimePolicy} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract AcceptTest is Market {
    function test_RevertGiven_TheOrderIsNotPlaced() external {
        OrderPreimage memory pre = _preimage();
        _wrong(pre, OrderState.NONE);
        _place(pre);
        _accept(pre);
        _wrong(pre, OrderState.ACCEPTED);
        _start(pre);
        _wrong(pre, OrderState.RUNNING);
        _stop(pre);
        _wrong(pre, OrderState.STOPPED);
    }

    function test_RevertGiven_AcceptWithinIsOver() external {
        OrderPreimage memory pre = _placed();
        uint256 deadline = T0 + pre.terms.windows.acceptWithin;
        vm.warp(deadline + 1);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_TooLate.selector, _id(pre), deadline, deadline + 1));
        _accept(pre);
        vm.warp(deadline);
        _accept(pre);
        assertState(pre, OrderState.ACCEPTED);
    }

    function test_RevertWhen_TheOffersTermsAreOthers() external {
        OrderPreimage memory pre = _placed();
        bytes32 expected = pre.terms.inputs[1].termsHash;
        pre.inputs[1].price.fixedPrice += 1;
        _willRevert(_termsHash(inputOffers[1], hashes.hashOffer(pre.inputs[1]), expected));
        _accept(pre);
        pre.inputs[1].price.fixedPrice -= 1;
        pre.compute.payees[0].account = poker;
        _willRevert(_termsHash(computeOffer, hashes.hashOffer(pre.compute), pre.terms.compute.termsHash));
        _accept(pre);
    }

    function test_RevertWhen_ThePreimageHasAnotherNumberOfInputs() external {
        OrderPreimage memory pre = _placed();
        OfferTerms[] memory two = new OfferTerms[](2);
        (two[0], two[1]) = (pre.inputs[0], pre.inputs[1]);
        pre.inputs = two;
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_PreimageInputs.selector, 2, 3));
        _accept(pre);
    }

    function test_RevertGiven_AnOfferIsClosed() external {
        OrderPreimage memory pre = _placed();
        vm.prank(ownerA);
        offers.setActive(inputOffers[1], false);
        _willRevert(abi.encodeWithSelector(Errors.OfferRegistry_Inactive.selector, inputOffers[1]));
        _accept(pre);
    }

    function test_RevertGiven_AVersionIsRetired() external {
        OrderPreimage memory pre = _placed();
        vm.prank(provider);
        offers.retireVersion(computeOffer, 1);
        _willRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, computeOffer, 1));
        _accept(pre);
    }

    function test_RevertWhen_TheVersionHasOtherTerms() external {
        OfferTerms memory dearer = _datasetTerms(ownerA);
        dearer.price.fixedPrice += 1;
        vm.prank(ownerA);
        offers.addVersion(inputOffers[1], dearer, "");
        OrderPreimage memory pre = _preimage();
        pre.terms.inputs[1].version = 2;
        _place(pre);
        _willRevert(
            abi.encodeWithSelector(
                Errors.OfferRegistry_OtherTerms.selector,
                inputOffers[1],
                2,
                hashes.hashOffer(dearer),
                pre.terms.inputs[1].termsHash
            )
        );
        _accept(pre);
    }

    function test_RevertWhen_AnOfferDoesNotExist() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.inputs[1].offer = 99;
        _place(pre);
        _willRevert(abi.encodeWithSelector(Errors.OfferRegistry_UnknownOffer.selector, 99));
        _accept(pre);
    }

    function test_RevertWhen_TheKindsAreWrong() external {
        OrderPreimage memory pre = _preimage();
        pre.compute.kind = uint8(OfferKind.MODEL);
        _placeAndAccept(pre, abi.encodeWithSelector(Errors.OrderBook_ComputeKind.selector, OfferKind.MODEL));
        pre.compute.kind = uint8(OfferKind.COMPUTE);
        pre.inputs[0].kind = uint8(OfferKind.MODEL);
        _placeAndAccept(pre, abi.encodeWithSelector(Errors.OrderBook_InputKind.selector, 0, OfferKind.MODEL));
        pre.inputs[0].kind = uint8(OfferKind.ENGINE);
        pre.inputs[1].kind = uint8(OfferKind.ENGINE);
        _placeAndAccept(pre, abi.encodeWithSelector(Errors.OrderBook_InputKind.selector, 1, OfferKind.ENGINE));
        pre.inputs[1].kind = uint8(OfferKind.DATASET);
        pre.inputs[2].kind = uint8(OfferKind.COMPUTE);
        _placeAndAccept(pre, abi.encodeWithSelector(Errors.OrderBook_InputKind.selector, 2, OfferKind.COMPUTE));
    }

    function test_WhenAnInputIsAModel() external {
        OfferTerms memory model = _content(OfferKind.MODEL, ownerB);
        vm.prank(ownerB);
        uint64 offer = offers.list(model, "");
        OrderPreimage memory pre = _preimage();
        pre.inputs[2] = model;
        pre.terms.inputs[2].offer = offer;
        _reprice(pre);
        _place(pre);
        _accept(pre);
        assertState(pre, OrderState.ACCEPTED);
    }

    function test_RevertWhen_AnOfferCountsInAnotherToken() external {
        OrderPreimage memory pre = _preimage();
        pre.inputs[2].token = poker;
        _placeAndAccept(
            pre, abi.encodeWithSelector(Errors.OrderBook_OtherToken.selector, inputOffers[2], poker, address(token))
        );
        pre.inputs[2].token = address(token);
        pre.compute.token = poker;
        _placeAndAccept(
            pre, abi.encodeWithSelector(Errors.OrderBook_OtherToken.selector, computeOffer, poker, address(token))
        );
    }

    function test_RevertWhen_TheCallerIsNotTheOperator() external {
        OrderPreimage memory pre = _placed();
        // The owner of the offer alone is not enough: its CVM names the operator.
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmOperator.selector, cvmId, operator, provider));
        _acceptAs(provider, pre, _policy(), cvmId);
        // A stranger with a good CVM of its own cannot take another provider's orders.
        (address stranger, uint256 key) = makeAddrAndKey("stranger's cvm");
        bytes32 other = _certifyWith(key, _certificateOf(stranger, poker));
        _willRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOperator.selector, poker, operator));
        _acceptAs(poker, pre, _policy(), other);
    }

    function test_RevertGiven_TheOperatorWasReplaced() external {
        OrderPreimage memory pre = _placed();
        vm.prank(provider);
        providers.setOperator(poker);
        _willRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOperator.selector, operator, poker));
        _accept(pre);
    }

    function test_RevertWhen_ThePolicyIsNotTheClients() external {
        OrderPreimage memory pre = _placed();
        RuntimePolicy memory wider = _policy();
        wider.teeMask = type(uint256).max;
        _willRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_PolicyDigest.selector, hashes.hashPolicy(wider), pre.terms.runtimePolicyDigest
            )
        );
        _acceptAs(operator, pre, wider, cvmId);
    }

    function test_RevertGiven_TheCvmIsUnknown() external {
        OrderPreimage memory pre = _placed();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmUnknown.selector, keccak256("nobody")));
        _acceptAs(operator, pre, _policy(), keccak256("nobody"));
    }

    function test_RevertGiven_TheCvmIsRevoked() external {
        OrderPreimage memory pre = _placed();
        _revoke();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmRevoked.selector, cvmId));
        _accept(pre);
    }

    function test_RevertGiven_TheCvmExpiresWithinStartWithin() external {
        OrderPreimage memory pre = _preimage();
        pre.terms.windows.startWithin = 30 days;
        _place(pre);
        uint256 until = T0 + 30 days;
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmExpires.selector, cvmId, until, until));
        _accept(pre);
        pre.terms.windows.startWithin -= 1;
        _place(pre);
        _accept(pre);
        assertState(pre, OrderState.ACCEPTED);
    }

    function test_RevertGiven_TheClientsPolicyRefuses() external {
        RuntimePolicy memory policy = _policy();
        policy.trustClasses[0] = keccak256("intel");
        _refused(policy, "trustClasses");
        policy = _policy();
        policy.trustClasses = new bytes32[](0);
        _refused(policy, "trustClasses");
        policy = _policy();
        policy.teeMask = ~policy.teeMask;
        _refused(policy, "teeMask");
        policy = _policy();
        policy.measurements[0] = keccak256("another runtime");
        _refused(policy, "measurements");
        policy = _policy();
        policy.measurements = new bytes32[](0);
        _refused(policy, "measurements");
        policy = _policy();
        policy.worstTcb = 0;
        _refused(policy, "worstTcb");
    }

    function test_RevertGiven_TheReferenceValuesRefuse() external {
        OrderPreimage memory pre = _placed();
        vm.prank(admin);
        references.removeMeasurement(MEASUREMENT);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NotReference.selector, cvmId, MEASUREMENT, ROOT_SET));
        _accept(pre);
    }

    function test_RevertGiven_TheTcbIsBelowTheClientsFloor() external {
        CvmCertificate memory worse = _certificate();
        worse.tcbStatus = uint8(TcbStatus.SW_HARDENING_NEEDED);
        worse.expiresAt += 1;
        _certify(worse);
        RuntimePolicy memory policy = _policy();
        policy.worstTcb = uint8(TcbStatus.UP_TO_DATE);
        _refused(policy, "worstTcb");
        OrderPreimage memory pre = _placed();
        _accept(pre);
        assertState(pre, OrderState.ACCEPTED);
    }

    function test_RevertGiven_TheFeeRose() external {
        OrderPreimage memory pre = _placed();
        _params(FEE_BPS + 1, MIN_GRACE);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_FeeAboveMax.selector, FEE_BPS + 1, FEE_BPS));
        _accept(pre);
    }

    function test_RevertGiven_TheMinimumOfTheWindowsRose() external {
        OrderPreimage memory pre = _placed();
        _params(FEE_BPS, 401);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_WindowTooShort.selector, bytes32("grace"), 400, 401));
        _accept(pre);
    }

    function test_RevertWhen_TheDepositIsOneUnitTooLow() external {
        OrderPreimage memory pre = _preimage();
        uint256 needed = pre.terms.deposit;
        pre.terms.deposit -= 1;
        _place(pre);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_DepositTooLow.selector, needed - 1, needed));
        _accept(pre);
    }

    function test_RevertGiven_TheFreeStakeIsOneUnitTooLow() external {
        OrderPreimage memory pre = _placed();
        uint256 needed = _lock(pre);
        vm.prank(provider);
        providers.requestUnstake(address(token), STAKE - needed + 1);
        _willRevert(
            abi.encodeWithSelector(
                Errors.ProviderRegistry_FreeStakeTooLow.selector, provider, address(token), needed - 1, needed
            )
        );
        _accept(pre);
    }

    function test_WhenEverythingHolds() external {
        OrderPreimage memory pre = _placed();
        OrderId id = _id(pre);
        skip(7);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderAccepted(id, cvmId, provider, 1, _lock(pre));
        vm.prank(operator);
        book.accept(pre, _policy(), cvmId);
        Order memory order = book.getOrder(id);
        assertEq(uint8(order.state), uint8(OrderState.ACCEPTED));
        assertEq(order.cvmId, cvmId);
        assertEq(order.since, T0 + 7);
        assertEq(order.paramsVersion, 1);
        assertEq(_locked(), _lock(pre));
        assertEq(_free(), STAKE - _lock(pre));
    }

    function _placeAndAccept(OrderPreimage memory pre, bytes memory error_) private {
        _reprice(pre);
        _place(pre);
        _willRevert(error_);
        _accept(pre);
    }

    function _refused(RuntimePolicy memory policy, bytes32 field) private {
        OrderPreimage memory pre = _preimage();
        pre.terms.runtimePolicyDigest = hashes.hashPolicy(policy);
        _place(pre);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_PolicyRefuses.selector, cvmId, field));
        _acceptAs(operator, pre, policy, cvmId);
    }

    function _params(uint16 feeBps, uint32 minGrace) private {
        vm.prank(address(authority));
        book.addParams(Params(feeBps, PENALTY_BPS, minGrace, treasury));
    }

    function _termsHash(uint64 offer, bytes32 got, bytes32 expected) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_TermsHash.selector, offer, got, expected);
    }

    function _wrong(OrderPreimage memory pre, OrderState actual) private {
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_WrongState.selector, _id(pre), actual, OrderState.ACCEPTED));
        _accept(pre);
    }
}
