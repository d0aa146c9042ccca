// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {LockLib} from "../../../../contracts/libraries/LockLib.sol";
import {TcbStatus} from "../../../../contracts/types/Certificates.sol";
import {OfferKind, OfferTerms} from "../../../../contracts/types/Offers.sol";
import {Order, OrderId, OrderState, RuntimePolicy, Windows} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Stage} from "./Stage.sol";

contract AcceptTest is Stage {
    function test_RevertGiven_TheOrderIsNotPlaced() external {
        Deal memory deal = _deal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _accept(deal);
        _wrong(deal, OrderState.ACCEPTED);
        _start(deal);
        _wrong(deal, OrderState.RUNNING);
        _stop(deal);
        _wrong(deal, OrderState.STOPPING);
        _refuse(deal, 0);
        _wrong(deal, OrderState.REFUSED);
        deal.terms.salt = "cancelled";
        _place(deal);
        _cancelAs(client, deal);
        _wrong(deal, OrderState.CANCELLED);
    }

    function test_RevertGiven_TheBookIsPaused() external {
        Deal memory deal = _placed();
        _pause(true);
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_Paused.selector));
        _pause(false);
        _accept(deal);
    }

    function test_RevertGiven_AcceptWithinIsOver() external {
        Deal memory deal = _placed();
        uint256 deadline = T0 + deal.terms.windows.acceptWithin;
        vm.warp(deadline + 1);
        _refused(deal, _tooLate(deal, deadline));
        vm.warp(deadline);
        _accept(deal);
        assertState(deal, OrderState.ACCEPTED);
    }

    // ------------------------------------------------------------------------------------------- parameters
    function test_RevertGiven_TheFeeRose() external {
        Deal memory deal = _placed();
        _setParams(FEE_BPS + 1, MIN_GRACE);
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_FeeAboveMax.selector, FEE_BPS + 1, FEE_BPS));
        _setParams(FEE_BPS, MIN_GRACE);
        _accept(deal);
        assertEq(_order(deal).paramsVersion, 3);
    }

    function test_RevertGiven_TheMinimumOfTheWindowsRose() external {
        Deal memory deal = _placed();
        _setParams(FEE_BPS, 401);
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_WindowTooShort.selector, bytes32("grace"), 400, 401));
        _setParams(FEE_BPS, 121);
        _refused(
            deal, abi.encodeWithSelector(Errors.OrderBook_WindowTooShort.selector, bytes32("keysWithin"), 120, 121)
        );
        _setParams(FEE_BPS, 120);
        _accept(deal);
    }

    // ------------------------------------------------------------------------------------------- offers
    function test_RevertWhen_TheHeadsAreTooManyOrTooFew() external {
        Deal memory deal = _placed();
        OfferTerms[] memory all = deal.inputs;
        deal.inputs = new OfferTerms[](2);
        (deal.inputs[0], deal.inputs[1]) = (all[0], all[1]);
        _refused(deal, abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, 3 * 241, 4 * 241));
        deal.inputs = new OfferTerms[](4);
        (deal.inputs[0], deal.inputs[1], deal.inputs[2], deal.inputs[3]) = (all[0], all[1], all[2], all[2]);
        _refused(deal, abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, 5 * 241, 4 * 241));
    }

    function test_RevertWhen_AHeadIsAnother() external {
        Deal memory deal = _placed();
        bytes32 expected = deal.terms.inputs[1].termsHash;
        deal.inputs[1].price.fixedPrice += 1;
        _otherTerms(deal, inputOffers[1], deal.inputs[1], expected);
        deal.inputs[1].price.fixedPrice -= 1;
        deal.inputs[1].price.maxSeconds = 5000;
        _otherTerms(deal, inputOffers[1], deal.inputs[1], expected);
        deal.inputs[1].price.maxSeconds = 0;
        deal.inputs[1].grantKey = poker;
        _otherTerms(deal, inputOffers[1], deal.inputs[1], expected);
        deal.inputs[1] = _datasetTerms(ownerA);
        deal.compute.payees[0].account = poker;
        _otherTerms(deal, computeOffer, deal.compute, deal.terms.compute.termsHash);
        deal.compute = _computeTerms();
        (deal.inputs[1], deal.inputs[2]) = (deal.inputs[2], deal.inputs[1]);
        _otherTerms(deal, inputOffers[1], deal.inputs[1], expected);
    }

    function test_RevertWhen_AnOfferCountsInAnotherToken() external {
        Deal memory deal = _deal();
        deal.inputs[2].token = poker;
        _reprice(deal);
        _place(deal);
        // Heads carry no token: what is hashed is the order's.
        OfferTerms memory inTheOrdersToken = _datasetTerms(ownerB);
        _refused(
            deal,
            abi.encodeWithSelector(
                Errors.OrderBook_TermsHash.selector,
                inputOffers[2],
                offers.hashTerms(inTheOrdersToken),
                offers.hashTerms(deal.inputs[2])
            )
        );
    }

    function test_RevertWhen_TheKindsAreWrong() external {
        Deal memory deal = _deal();
        uint8[4] memory noCompute = [0, uint8(OfferKind.ENGINE), uint8(OfferKind.DATASET), 5];
        for (uint256 i = 0; i < noCompute.length; ++i) {
            deal.compute.kind = noCompute[i];
            _placeAndRefuse(deal, abi.encodeWithSelector(Errors.OrderBook_ComputeKind.selector, noCompute[i]));
        }
        deal.compute.kind = uint8(OfferKind.COMPUTE);
        uint8[5] memory noEngine = [0, uint8(OfferKind.MODEL), uint8(OfferKind.DATASET), uint8(OfferKind.COMPUTE), 255];
        for (uint256 i = 0; i < noEngine.length; ++i) {
            deal.inputs[0].kind = noEngine[i];
            _placeAndRefuse(deal, abi.encodeWithSelector(Errors.OrderBook_InputKind.selector, 0, noEngine[i]));
        }
        deal.inputs[0].kind = uint8(OfferKind.ENGINE);
        uint8[4] memory noContent = [0, uint8(OfferKind.ENGINE), uint8(OfferKind.COMPUTE), 255];
        for (uint256 i = 0; i < noContent.length; ++i) {
            deal.inputs[2].kind = noContent[i];
            _placeAndRefuse(deal, abi.encodeWithSelector(Errors.OrderBook_InputKind.selector, 2, noContent[i]));
        }
    }

    function test_WhenAnInputIsAModel() external {
        OfferTerms memory model = _content(OfferKind.MODEL, ownerB);
        Deal memory deal = _deal();
        deal.inputs[2] = model;
        deal.terms.inputs[2].offer = _offer(ownerB, model, "");
        _reprice(deal);
        _place(deal);
        _accept(deal);
        assertState(deal, OrderState.ACCEPTED);
    }

    function test_RevertWhen_AnOfferRentsForLess() external {
        Deal memory deal = _deal();
        deal.inputs[2].price.maxSeconds = 4999;
        deal.terms.inputs[2].offer = _offer(ownerB, deal.inputs[2], "");
        bytes memory tooLong =
            abi.encodeWithSelector(Errors.OrderBook_RentTooLong.selector, deal.terms.inputs[2].offer, 5000, 4999);
        _placeAndRefuse(deal, tooLong);
        deal.terms.windows.maxSeconds = 4999;
        _reprice(deal);
        _place(deal);
        _accept(deal);
        deal = _deal();
        deal.compute.price.maxSeconds = 1;
        _placeAndRefuse(deal, abi.encodeWithSelector(Errors.OrderBook_RentTooLong.selector, computeOffer, 5000, 1));
    }

    function test_RevertWhen_ALeasedOfferRentsForLess() external {
        Deal memory deal = _deal();
        deal.inputs[1].price.maxSeconds = 4999;
        uint64 offer = _offer(ownerA, deal.inputs[1], "");
        deal.terms.inputs[1].offer = offer;
        deal.terms.inputs[1].lease = _leaseOf(offer, offers.hashTerms(deal.inputs[1]), client, 2);
        _placeAndRefuse(deal, abi.encodeWithSelector(Errors.OrderBook_RentTooLong.selector, offer, 5000, 4999));
    }

    function test_RevertWhen_TheSharesOfRevenueAreMoreThanAll() external {
        Deal memory deal = _deal();
        deal.compute.price.revenueBps = 4000;
        deal.inputs[0].price.revenueBps = 3000;
        deal.inputs[1].price.revenueBps = 3000;
        deal.inputs[2].price.revenueBps = 1;
        _placeAndRefuse(deal, abi.encodeWithSelector(Errors.OrderBook_RevenueAboveAll.selector, 10_001));
        deal.inputs[0].price.revenueBps = type(uint16).max;
        _placeAndRefuse(
            deal, abi.encodeWithSelector(Errors.OrderBook_RevenueAboveAll.selector, 7001 + uint256(type(uint16).max))
        );
    }

    function test_RevertGiven_AnOfferIsNotForSale() external {
        Deal memory deal = _placed();
        bytes32 hash = deal.terms.inputs[1].termsHash;
        vm.prank(ownerA);
        offers.close(inputOffers[1], 1, hash);
        _refused(deal, abi.encodeWithSelector(Errors.OfferRegistry_Closed.selector, inputOffers[1], 1));
        vm.prank(ownerA);
        offers.reopen(inputOffers[1], 1, hash);
        vm.prank(provider);
        offers.retire(computeOffer, 1);
        _refused(deal, abi.encodeWithSelector(Errors.OfferRegistry_Retired.selector, computeOffer, 1));
    }

    function test_RevertWhen_TheVersionHasOtherTerms() external {
        OfferTerms memory dearer = _datasetTerms(ownerA);
        dearer.price.fixedPrice += 1;
        vm.prank(ownerA);
        offers.addVersion(inputOffers[1], 2, Pack.listing(dearer, ""));
        Deal memory deal = _deal();
        deal.terms.inputs[1].version = 2;
        _place(deal);
        _refused(
            deal,
            abi.encodeWithSelector(
                Errors.OfferRegistry_OtherTerms.selector,
                inputOffers[1],
                2,
                offers.hashTerms(dearer),
                deal.terms.inputs[1].termsHash
            )
        );
        deal.terms.inputs[1].version = 3;
        _place(deal);
        _refused(deal, abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, inputOffers[1], 3));
        deal.terms.inputs[1].version = 1;
        deal.terms.inputs[1].offer = 99;
        _place(deal);
        _refused(deal, abi.encodeWithSelector(Errors.OfferRegistry_UnknownVersion.selector, 99, 1));
    }

    function test_RevertGiven_AnInputIsRestricted() external {
        Deal memory deal = _deal();
        deal.inputs[2].restrictions = keccak256("roots");
        deal.terms.inputs[2].offer = _offer(ownerB, deal.inputs[2], "");
        _reprice(deal);
        _place(deal);
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_NeedsProof.selector, _id(deal)));
    }

    // ------------------------------------------------------------------------------------------- runtime
    function test_RevertWhen_ThePolicyIsNotTheClients() external {
        Deal memory deal = _placed();
        RuntimePolicy memory wider = _policy();
        wider.teeMask = type(uint256).max;
        _willRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_PolicyDigest.selector, _hashPolicy(wider), deal.terms.runtimePolicyDigest
            )
        );
        _acceptAs(operator, deal, wider, cvm);
    }

    function test_RevertWhen_ThePolicysBytesHaveNoFittingLength() external {
        Deal memory deal = _placed();
        bytes memory good = _packedPolicy();
        assertEq(good.length, 98);
        _badPolicy(deal, "");
        _badPolicy(deal, new bytes(33));
        _badPolicy(deal, bytes.concat(good, hex"00"));
        // One entry, and two classes.
        bytes memory bad = new bytes(66);
        bad[33] = 0x02;
        _badPolicy(deal, bad);
        // The same entries, divided otherwise, are another policy.
        _willRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_PolicyDigest.selector, _hashPolicy(_both(true)), deal.terms.runtimePolicyDigest
            )
        );
        _acceptAs(operator, deal, _both(true), cvm);
        _willRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_PolicyDigest.selector, _hashPolicy(_both(false)), deal.terms.runtimePolicyDigest
            )
        );
        _acceptAs(operator, deal, _both(false), cvm);
    }

    function test_RevertGiven_TheCvmIsUnknown() external {
        Deal memory deal = _placed();
        uint32[3] memory nobody = [0, cvm + 1, type(uint32).max];
        for (uint256 i = 0; i < 3; ++i) {
            _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmUnknown.selector, nobody[i]));
            _acceptAs(operator, deal, _policy(), nobody[i]);
        }
        // A number that was given out for a revocation beforehand has no keys behind it either.
        vm.prank(admin);
        cvms.revoke(keccak256("nobody yet"));
        uint32 early = cvms.indexOf(keccak256("nobody yet"));
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmUnknown.selector, early));
        _acceptAs(operator, deal, _policy(), early);
    }

    function test_RevertGiven_TheCvmIsRevokedOrRetired() external {
        Deal memory deal = _placed();
        _retire();
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_CvmRetired.selector, cvm));
        _revoke();
        _refused(deal, _cvmRevoked());
    }

    function test_RevertGiven_TheCvmExpiresWithinStartWithin() external {
        Deal memory deal = _deal();
        deal.terms.windows.startWithin = 30 days;
        _place(deal);
        uint256 until = T0 + 30 days;
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_CvmExpires.selector, cvm, until, until));
        deal.terms.windows.startWithin = 30 days - 1;
        _place(deal);
        _accept(deal);
        assertState(deal, OrderState.ACCEPTED);
    }

    function test_GivenTheFloorIsTheBestStatus() external {
        uint32[] memory list = new uint32[](1);
        list[0] = profile;
        vm.prank(admin);
        references.raiseFloor(list, uint8(TcbStatus.UP_TO_DATE));
        Deal memory deal = _placed();
        _accept(deal);
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    function test_RevertGiven_TheReferenceValuesRefuse() external {
        Deal memory deal = _placed();
        _removeProfile();
        _refused(deal, _notReference());
        vm.prank(admin);
        references.acceptProfile(MEASUREMENT, ROOT_SET, 1, uint8(TcbStatus.UP_TO_DATE), keccak256("again"));
        _renewWith(TcbStatus.SW_HARDENING_NEEDED);
        _refused(deal, _notReference());
    }

    function test_RevertGiven_TheClientsPolicyRefuses() external {
        RuntimePolicy memory policy = _policy();
        policy.trustClasses[0] = keccak256("intel");
        _unfit(policy, "trustClasses");
        policy = _policy();
        policy.trustClasses = new bytes32[](0);
        _unfit(policy, "trustClasses");
        policy = _policy();
        policy.teeMask = ~policy.teeMask;
        _unfit(policy, "teeMask");
        policy = _policy();
        policy.measurements[0] = keccak256("another runtime");
        _unfit(policy, "measurements");
        policy = _policy();
        policy.measurements = new bytes32[](0);
        _unfit(policy, "measurements");
        policy = _policy();
        policy.worstTcb = 0;
        _unfit(policy, "worstTcb");
    }

    function test_GivenAPolicyWithManyNames() external {
        RuntimePolicy memory policy = _policy();
        policy.trustClasses = new bytes32[](3);
        policy.trustClasses[2] = ROOT_SET;
        policy.measurements = new bytes32[](4);
        policy.measurements[3] = MEASUREMENT;
        _fits(policy);
    }

    function test_GivenThePolicyNamesAFamily() external {
        bytes32[] memory members = new bytes32[](2);
        (members[0], members[1]) = (bytes32(uint256(1)), MEASUREMENT);
        bytes32 family = references.declareFamily(members);
        RuntimePolicy memory policy = _policy();
        policy.measurements = new bytes32[](2);
        policy.measurements[1] = family;
        _fits(policy);
        // A family that does not have the measurement, or that nobody declared, admits nobody.
        members[1] = keccak256(abi.encode(MEASUREMENT));
        policy.measurements[1] = references.declareFamily(members);
        _unfit(policy, "measurements");
        policy.measurements[1] = keccak256(abi.encode(MEASUREMENT));
        _unfit(policy, "measurements");
        // A family opens no other class.
        policy.measurements[1] = family;
        policy.trustClasses[0] = keccak256("intel");
        _unfit(policy, "trustClasses");
    }

    function test_RevertGiven_TheTcbIsBelowTheClientsFloor() external {
        _renewWith(TcbStatus.SW_HARDENING_NEEDED);
        RuntimePolicy memory policy = _policy();
        policy.worstTcb = uint8(TcbStatus.UP_TO_DATE);
        _unfit(policy, "worstTcb");
        _fits(_policy());
    }

    // ------------------------------------------------------------------------------------------- money
    function test_RevertWhen_TheDepositIsOneUnitTooLow() external {
        Deal memory deal = _deal();
        _oneUnitTooLow(deal);
        _accept(deal);
        (deal.terms.holdback.bps, deal.terms.holdback.window) = (5000, 1 days);
        uint256 without = deal.terms.deposit;
        _reprice(deal);
        assertEq(deal.terms.deposit, without + _amount(deal.compute.price, 5000, 1000) / 2);
        _oneUnitTooLow(deal);
        _accept(deal);
        assertState(deal, OrderState.ACCEPTED);
    }

    function test_RevertWhen_TheCallerIsNotTheOperator() external {
        Deal memory deal = _sponsoredPlaced();
        address[4] memory others = [provider, client, sponsor, poker];
        for (uint256 i = 0; i < 4; ++i) {
            _willRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOperator.selector, others[i], operator));
            _acceptAs(others[i], deal, _policy(), cvm);
        }
        // A stranger with a good CVM of its own cannot take another provider's orders.
        (address stranger, uint256 key) = makeAddrAndKey("stranger's cvm");
        uint32 other = cvms.indexOf(_certifyWith(key, _certificateOf(stranger, poker)));
        _willRevert(abi.encodeWithSelector(Errors.ProviderRegistry_NotOperator.selector, poker, operator));
        _acceptAs(poker, deal, _policy(), other);
        // Nor does yesterday's operator.
        vm.prank(provider);
        providers.setOperator(computeOffer, address(token), poker);
        _refused(deal, abi.encodeWithSelector(Errors.ProviderRegistry_NotOperator.selector, operator, poker));
    }

    function test_RevertGiven_ThereIsNoDesk() external {
        Deal memory deal = _deal();
        deal.compute.price.fixedPrice += 1;
        deal.terms.compute.offer = _offer(provider, deal.compute, "");
        _reprice(deal);
        _place(deal);
        _refused(
            deal,
            abi.encodeWithSelector(Errors.ProviderRegistry_NoDesk.selector, deal.terms.compute.offer, address(token))
        );
    }

    function test_RevertGiven_TheDeskIsFull() external {
        vm.prank(provider);
        providers.setCapacity(computeOffer, address(token), 1);
        Deal memory first = _accepted();
        Deal memory second = _deal();
        second.terms.salt = "second";
        _place(second);
        _refused(second, abi.encodeWithSelector(Errors.ProviderRegistry_Full.selector, computeOffer, address(token), 1));
        _start(first);
        _refuse(first, 0);
        _accept(second);
        assertEq(_desk().active, 1);
    }

    function test_RevertGiven_TheFreeStakeIsOneUnitTooLow() external {
        Deal memory deal = _placed();
        uint256 needed = _lock(deal);
        vm.prank(provider);
        providers.requestUnstake(computeOffer, address(token), STAKE - needed + 1);
        _refused(
            deal,
            abi.encodeWithSelector(
                Errors.ProviderRegistry_FreeStakeTooLow.selector, computeOffer, address(token), needed - 1, needed
            )
        );
        _stake(provider, 1);
        _accept(deal);
        assertEq(_free(), 0);
    }

    function test_RevertGiven_APriceThatNoLockCanHold() external {
        Deal memory deal = _deal();
        deal.compute.price.perUnit = type(uint128).max;
        deal.terms.maxUnits = (1 << 38) - 1;
        _reprice(deal);
        deal.terms.deposit = type(uint128).max;
        token.mint(client, type(uint128).max);
        _place(deal);
        uint256 most = _deposit(deal, deal.terms.windows.maxSeconds);
        assertGt(_penalty(deal), LockLib.MAX);
        // The deposit is looked at first; no deposit of 128 bits pays for a price that a lock cannot hold.
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_DepositTooLow.selector, type(uint128).max, most));
    }

    function test_GivenAnInputIsLeased() external {
        Deal memory deal = _leasedDeal();
        assertEq(
            _deal().terms.deposit - deal.terms.deposit,
            _amount(deal.inputs[1].price, 5000, 1000),
            "the deposit of an order without the input"
        );
        _oneUnitTooLow(deal);
        // Closing takes nothing from those who paid for a lease.
        vm.prank(ownerA);
        offers.close(inputOffers[1], 1, deal.terms.inputs[1].termsHash);
        _accept(deal);
        assertEq(_locked(), _lock(deal));
        assertLt(_lock(deal), _lock(_deal()));
    }

    function test_WhenWindowsPricesAndDepositAreZero() external {
        Deal memory deal = _deal();
        deal.terms.windows = Windows(0, 0, 0, MIN_GRACE, 0, 0, MIN_GRACE);
        deal.terms.maxUnits = 0;
        deal.compute.price = _price(0, 0, 0, 0);
        deal.terms.compute.offer = _offer(provider, deal.compute, "");
        vm.prank(provider);
        providers.openDesk(deal.terms.compute.offer, address(token), operator, provider, 1);
        for (uint256 i = 0; i < 3; ++i) {
            deal.inputs[i].price = _price(0, 0, 0, 0);
            deal.terms.inputs[i].offer = _offer(i == 0 ? engineOwner : i == 1 ? ownerA : ownerB, deal.inputs[i], "");
        }
        _reprice(deal);
        assertEq(deal.terms.deposit, 0);
        _place(deal);
        _accept(deal);
        assertEq(_order(deal).since, T0);
        assertEq(_order(deal).lock, 0);
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    /// @dev In the year 2242. The certificate has to be fetched anew.
    function test_WhenTheLastSecondToStartNeedsAllOf33Bits() external {
        Deal memory deal = _deal();
        deal.terms.placeBefore = type(uint40).max;
        uint256 last = (1 << 33) - 1;
        vm.warp(last - deal.terms.windows.startWithin);
        _renewWith(TcbStatus.UP_TO_DATE);
        _place(deal);
        _accept(deal);
        Order memory order = _order(deal);
        assertEq(order.since, last);
        assertEq(order.lastProof, 0, "nothing ran over into the next member");
        assertEq(order.cvm, cvm);
        vm.warp(last);
        _start(deal);
        assertEq(_order(deal).since, last);
        assertState(deal, OrderState.RUNNING);
    }

    // ------------------------------------------------------------------------------------------- all is well
    function test_WhenEverythingHolds() external {
        Deal memory deal = _sponsoredPlaced();
        OrderId id = _id(deal);
        skip(7);
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        bytes memory policy = _packedPolicy();
        uint256 lock = _lock(deal);
        assertNotEq(lock, 0);
        uint256 before = token.balanceOf(address(book));
        vm.expectEmit(address(book));
        emit IOrderBook.OrderAccepted(
            id, computeOffer, cvm, 5000 | (lock << 32) | (uint256(1) << 224) | (uint256(1) << 240)
        );
        vm.prank(operator);
        book.accept(order, heads, policy, cvm);
        Order memory expected;
        expected.state = OrderState.ACCEPTED;
        expected.since = uint40(T0 + 7 + 300);
        expected.paramsVersion = 1;
        expected.cvm = cvm;
        expected.lock = lock;
        expected.events = 2;
        assertEq(abi.encode(book.getOrder(id)), abi.encode(expected));
        assertEq(_locked(), lock);
        assertEq(_free(), STAKE - lock);
        assertEq(_desk().active, 1);
        assertEq(token.balanceOf(address(book)), before, "stake stays at the desk");
    }

    // ------------------------------------------------------------------------------------------- helpers
    function _refused(Deal memory deal, bytes memory error_) private {
        _willRevert(error_);
        _accept(deal);
    }

    function _wrong(Deal memory deal, OrderState actual) private {
        _refused(deal, _wrongState(deal, actual, OrderState.ACCEPTED));
    }

    function _placeAndRefuse(Deal memory deal, bytes memory error_) private {
        _reprice(deal);
        _place(deal);
        _refused(deal, error_);
    }

    function _otherTerms(Deal memory deal, uint64 offer, OfferTerms memory shown, bytes32 expected) private {
        _refused(
            deal, abi.encodeWithSelector(Errors.OrderBook_TermsHash.selector, offer, offers.hashTerms(shown), expected)
        );
    }

    function _badPolicy(Deal memory deal, bytes memory policy) private {
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        vm.expectRevert(abi.encodeWithSelector(Errors.PolicyCodec_Length.selector, policy.length));
        vm.prank(operator);
        book.accept(order, heads, policy, cvm);
    }

    /// @dev Both entries as classes, or as measurements.
    function _both(bool asClasses) private pure returns (RuntimePolicy memory policy) {
        policy = _policy();
        bytes32[] memory both = new bytes32[](2);
        (both[0], both[1]) = (policy.trustClasses[0], policy.measurements[0]);
        policy.trustClasses = asClasses ? both : new bytes32[](0);
        policy.measurements = asClasses ? new bytes32[](0) : both;
    }

    function _oneUnitTooLow(Deal memory deal) private {
        uint256 needed = deal.terms.deposit;
        deal.terms.deposit -= 1;
        _place(deal);
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_DepositTooLow.selector, needed - 1, needed));
        // A leased input's place is free for the next order.
        _cancelAs(client, deal);
        deal.terms.deposit += 1;
        _place(deal);
    }

    function _withPolicy(RuntimePolicy memory policy) private returns (Deal memory deal) {
        deal = _deal();
        deal.terms.runtimePolicyDigest = _hashPolicy(policy);
        deal.terms.salt = keccak256(abi.encode(block.timestamp, policy));
        _place(deal);
    }

    function _unfit(RuntimePolicy memory policy, bytes32 field) private {
        Deal memory deal = _withPolicy(policy);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_PolicyRefuses.selector, cvm, field));
        _acceptAs(operator, deal, policy, cvm);
    }

    function _fits(RuntimePolicy memory policy) private {
        Deal memory deal = _withPolicy(policy);
        _acceptAs(operator, deal, policy, cvm);
        assertState(deal, OrderState.ACCEPTED);
    }
}
