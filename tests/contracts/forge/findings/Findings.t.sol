// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {CvmCertificate} from "../../../../contracts/types/Certificates.sol";
import {OfferKind, OfferTerms, Payee, Price} from "../../../../contracts/types/Offers.sol";
import {InputRef, OrderId, OrderState, Outcome, Params, Phase} from "../../../../contracts/types/Orders.sol";
import {Deal, Market} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";

/// @notice Defects that other markets had, or that our own design met; each test is named after its defect.
contract FindingsTest is Market {
    /// @dev Marlin's and SingularityNET's signatures named no chain or contract, so they were good elsewhere.
    function test_SignaturesAreGoodOnOneChainAndOneContractOnly() external {
        Deal memory deal = _accepted();
        (bytes32 r, bytes32 vs) = _signStart(deal, signerKey);
        OrderId id = _id(deal);
        bytes32 root = _root(deal);
        vm.chainId(block.chainid + 1);
        OrderId other = _id(deal);
        assertNotEq(OrderId.unwrap(other), OrderId.unwrap(id), "the fork gives the order another name");
        vm.expectPartialRevert(Errors.OrderBook_WrongState.selector);
        book.start(other, cvmId, root, r, vs);
        // A fork has the old order in its storage, and still does not take the old signature.
        vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
        book.start(id, cvmId, root, r, vs);
    }

    /// @dev Marlin's jobs accrue from opening, whether anybody serves them or not.
    function test_AnOrderThatNobodyAcceptsCostsNothing() external {
        Deal memory deal = _placed();
        skip(3650 days);
        _cancelAs(poker, deal);
        uint256 before = token.balanceOf(client);
        _withdraw(client);
        assertEq(token.balanceOf(client) - before, deal.terms.deposit);
        assertEq(token.balanceOf(address(book)), 0);
    }

    /// @dev 0G's refunds grew with an array. The largest order there can be stays far below a block.
    function test_TheLargestOrderFitsIntoABlock() external {
        Deal memory deal = _largest();
        uint256 gas = gasleft();
        _place(deal);
        assertLt(gas - gasleft(), 1_500_000, "place");
        gas = gasleft();
        _accept(deal);
        assertLt(gas - gasleft(), 3_000_000, "accept");
        _start(deal);
        _checkpoint(deal, 0, 0);
        skip(300);
        gas = gasleft();
        _complete(deal, Outcome.COMPLETED, 300, 3);
        assertLt(gas - gasleft(), 3_000_000, "complete");
        gas = gasleft();
        _claimRest(deal);
        assertLt(gas - gasleft(), 3_000_000, "claimRest");
        gas = gasleft();
        for (uint256 k = 0; k <= 16; ++k) {
            _claim(deal, k);
        }
        assertLt(gas - gasleft(), 17 * 1_000_000, "claims of 17 offers with 8 payees each");
        for (uint256 a = 0; a < 17 * 8; ++a) {
            _withdraw(address(uint160(0xA000 + a)));
        }
        _withdraw(client);
        _withdraw(treasury);
        assertEq(token.balanceOf(address(book)), 0);
    }

    /// @dev Prices of one unit and of nothing, times of zero: rounding must neither create nor lose a unit.
    function test_FreeAndTinyOrdersSettle() external {
        Deal memory deal = _repriced(_price(0, 0, 0, 0));
        assertEq(deal.terms.deposit, 0);
        _run(deal);
        _complete(deal, Outcome.COMPLETED, 0, 0);
        _claimRest(deal);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NothingDue.selector, _id(deal), 0));
        _claim(deal, 0);
        assertEq(_credits(), 0, "nothing to claim");
        deal = _repriced(_price(1, 1, 1, 1));
        deal.terms.windows.maxSeconds = 0;
        deal.terms.maxUnits = 0;
        _reprice(deal);
        assertEq(deal.terms.deposit, 4);
        _run(deal);
        _complete(deal, Outcome.COMPLETED, 9, 9);
        _claimAll(deal, 0);
    }

    /// @dev Compute at the edge of 128 bits, inputs at the edge of what a desk holds in 112.
    function test_HugeAmountsSettle() external {
        vm.prank(address(authority));
        book.addParams(Params(FEE_BPS, 0, MIN_GRACE, treasury));
        Deal memory deal = _repriced(_price(2 ** 109 + 1, 0, 0, 0));
        deal.compute.price.fixedPrice = type(uint128).max - 3 * (2 ** 109 + 1);
        _addVersion(deal);
        assertEq(deal.terms.deposit, type(uint128).max);
        _stake(provider, 2 ** 111);
        token.mint(client, deal.terms.deposit);
        Deal memory same = _repriced(_price(2 ** 109 + 1, 0, 0, 0));
        _run(deal);
        _complete(deal, Outcome.FAILED, 0, 0);
        _claimAll(deal, 0);
        // And where the lock pays.
        token.mint(client, same.terms.deposit);
        same.terms.salt = "same";
        _run(same);
        skip(401);
        _expire(same);
        _claimAll(same, 3 * (2 ** 109 + 1));
    }

    /// @dev iExec locked one account and seized another: here each order's lock is its own, to the unit.
    function test_ManyOrdersOfOneProviderKeepTheirOwnLocks() external {
        Deal memory a = _salted("a");
        Deal memory b = _salted("b");
        Deal memory c = _salted("c");
        _engineOnly(c);
        _run(a);
        _run(b);
        _place(c);
        _accept(c);
        assertEq(_locked(), _lock(a) + _lock(b) + _lock(c));
        _complete(a, Outcome.COMPLETED, 0, 0);
        assertEq(_locked(), _lock(b) + _lock(c));
        skip(401);
        _expire(c);
        assertEq(_locked(), _lock(b) + _lock(c), "what it owes is found by prices");
        _claimRest(c);
        assertEq(_locked(), _lock(b));
        assertEq(_free(), STAKE - _lock(b) - _penalty(c));
        _expire(b);
        _claimRest(b);
        assertEq(_locked(), 0);
        assertEq(_desk().active, 0);
    }

    /// @dev An offer that changes or closes after acceptance cannot touch the order: prices are pinned by hash.
    function test_AnOwnerCannotHoldARunningOrder() external {
        Deal memory deal = _engine();
        vm.startPrank(ownerA);
        offers.close(inputOffers[1], 1, deal.terms.inputs[1].termsHash);
        offers.retire(inputOffers[1], 1);
        vm.stopPrank();
        vm.startPrank(provider);
        offers.retire(computeOffer, 1);
        providers.setOperator(computeOffer, address(token), poker);
        providers.setCapacity(computeOffer, address(token), 0);
        vm.stopPrank();
        _complete(deal, Outcome.COMPLETED, 100, 0);
        _claimAll(deal, 0);
    }

    /// @dev A provider cannot leave with the stake that a running order stands on.
    function test_StakeOfARunningOrderDoesNotLeave() external {
        Deal memory deal = _setup();
        uint256 free = _free();
        vm.prank(provider);
        providers.requestUnstake(computeOffer, address(token), free);
        skip(UNBONDING);
        providers.finishUnstake(computeOffer, address(token));
        assertEq(token.balanceOf(provider), free);
        _expire(deal);
        // A grace of their time, and what they ask for being used at all.
        _claimAll(deal, 1_000_003 + 2 * (17 + uint256(777_777) * 400 / 3600));
    }

    /// @dev Complete and expire race after the last deadline: whoever is first settles, the second finds it settled.
    function test_ExpireAndCompleteSettleOnce() external {
        Deal memory deal = _engine();
        vm.warp(T0 + 501);
        _expire(deal);
        _willRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_WrongState.selector, _id(deal), OrderState.EXPIRED, OrderState.COMPLETED
            )
        );
        _complete(deal, Outcome.COMPLETED, 500, 0);
        assertEq(uint8(_order(deal).phase), uint8(Phase.ENGINE));
        deal = _salted("the other way round");
        _run(deal);
        skip(401);
        _complete(deal, Outcome.COMPLETED, 400, 0);
        _willRevert(
            abi.encodeWithSelector(
                Errors.OrderBook_WrongState.selector, _id(deal), OrderState.COMPLETED, OrderState.EXPIRED
            )
        );
        _expire(deal);
    }

    /// @dev INV-15. What a call costs is the same in a market of a few orders and in one with sixty more, with as many
    /// offers, leases and CVMs.
    function test_CallsDoNotGrowDearerWithTheMarket() external {
        // One order stays, and everybody had a credit: what is first is dearer.
        _place(_salted("stays"));
        _measured("first");
        uint256[11] memory few = _measured("few");
        for (uint256 n = 0; n < 60; ++n) {
            Deal memory deal = _salted(bytes32(n));
            _place(deal);
            if (n % 3 != 0) _accept(deal);
            if (n % 3 == 2) _start(deal);
            address owner = address(uint160(0xB000 + n));
            _offer(owner, _datasetTerms(owner), "");
            CvmCertificate memory certificate = _certificateOf(vm.addr(0xC000 + n), operator);
            _certifyWith(0xC000 + n, certificate);
            _rent(bytes32(n));
        }
        uint256[11] memory many = _measured("many");
        for (uint256 i = 0; i < 11; ++i) {
            // Calldata alone differs, by how many bytes of a hash are zero; nothing here pays for calldata.
            assertApproxEqAbs(many[i], few[i], 300, vm.toString(i));
        }
    }

    // ------------------------------------------------------------------------------------------- orders
    /// @dev Gas of placing, accepting, starting, proving, claiming, completing, claiming, settling, withdrawing, listing,
    /// leasing.
    /// Each is a transaction of its own: what it touches is cold.
    function _measured(bytes32 salt) private returns (uint256[11] memory gas) {
        Deal memory deal = _salted(salt);
        _last();
        _place(deal);
        gas[0] = _last();
        _accept(deal);
        gas[1] = _last();
        _start(deal);
        gas[2] = _last();
        _checkpoint(deal, 0, 0);
        skip(300);
        _prove(deal, 300, 5);
        gas[3] = _last();
        _claim(deal, 0);
        gas[4] = _last();
        _complete(deal, Outcome.COMPLETED, 300, 5);
        gas[5] = _last();
        _claim(deal, 1);
        gas[6] = _last();
        _claimRest(deal);
        gas[7] = _last();
        _withdraw(client);
        gas[8] = _last();
        _offer(address(uint160(uint256(salt) >> 96)), _datasetTerms(ownerA), "");
        gas[9] = _last();
        _rent(salt);
        gas[10] = _last();
        _withdraw(provider);
        _withdraw(engineOwner);
        _withdraw(treasury);
    }

    function _last() private returns (uint256 gas) {
        gas = vm.lastCallGas().gasTotalUsed;
        address[6] memory touched =
            [address(book), address(offers), address(providers), address(cvms), address(references), address(token)];
        for (uint256 i = 0; i < touched.length; ++i) {
            // forge-std's interface here is older than this cheat code.
            (bool done,) = address(vm).call(abi.encodeWithSignature("cool(address)", touched[i]));
            require(done, "cool");
        }
    }

    function _withdraw(address account) private {
        ILedger(address(book)).withdraw(address(token), account);
    }

    /// @dev One period of dataset A, by terms that are opened for it.
    function _rent(bytes32 salt) private {
        bytes memory terms = abi.encodePacked(inputOffers[1], uint32(1), offers.termsHash(inputOffers[1], 1), token);
        terms = abi.encodePacked(terms, uint128(1000), uint32(10_000), uint16(3), uint8(1), uint32(300), uint32(0));
        terms = abi.encodePacked(terms, uint16(1000), Pack.payeesHash(_solo(ownerA)), salt);
        vm.prank(ownerA);
        leases.openTerms(terms, Pack.payees(_solo(ownerA)));
        token.mint(sponsor, 1000);
        vm.prank(sponsor);
        token.approve(address(leases), 1000);
        vm.prank(sponsor);
        leases.lease(abi.encodePacked(terms, client, sponsor, uint64(1)), 1);
    }

    function _run(Deal memory deal) private {
        _place(deal);
        _accept(deal);
        _start(deal);
        _checkpoint(deal, 0, 0);
    }

    function _salted(bytes32 salt) private view returns (Deal memory deal) {
        deal = _deal();
        deal.terms.salt = salt;
        deal.terms.placeBefore = type(uint40).max;
    }

    function _engineOnly(Deal memory deal) private view {
        OfferTerms[] memory one = new OfferTerms[](1);
        InputRef[] memory refs = new InputRef[](1);
        (one[0], refs[0]) = (deal.inputs[0], deal.terms.inputs[0]);
        (deal.inputs, deal.terms.inputs) = (one, refs);
        _reprice(deal);
    }

    /// @dev All four offers at one price, in a version of their own.
    function _repriced(Price memory price) private returns (Deal memory deal) {
        deal = _deal();
        // Copies: structs in memory are shared where they are assigned.
        deal.compute.price = _price(price.fixedPrice, price.perHour, price.minSeconds, price.perUnit);
        for (uint256 i = 0; i < 3; ++i) {
            deal.inputs[i].price = _price(price.fixedPrice, price.perHour, price.minSeconds, price.perUnit);
        }
        _addVersion(deal);
    }

    function _addVersion(Deal memory deal) private {
        deal.terms.compute.version = _versionOf(computeOffer, deal.compute, provider);
        address[3] memory owners = [engineOwner, ownerA, ownerB];
        for (uint256 i = 0; i < 3; ++i) {
            deal.terms.inputs[i].version = _versionOf(inputOffers[i], deal.inputs[i], owners[i]);
        }
        _reprice(deal);
    }

    function _versionOf(uint64 offer, OfferTerms memory terms, address owner) private returns (uint32 version) {
        version = offers.latestVersion(offer) + 1;
        vm.prank(owner);
        offers.addVersion(offer, version, Pack.listing(terms, ""));
    }

    /// @dev Sixteen inputs and eight payees for each of seventeen offers.
    function _largest() private returns (Deal memory deal) {
        deal = _deal();
        deal.compute.payees = _eight(0);
        deal.terms.compute.version = _versionOf(computeOffer, deal.compute, provider);
        deal.inputs = new OfferTerms[](16);
        deal.terms.inputs = new InputRef[](16);
        for (uint256 i = 0; i < 16; ++i) {
            deal.inputs[i] = i == 0 ? _engineTerms() : _content(OfferKind.DATASET, address(uint160(i)));
            deal.inputs[i].price = _datasetTerms(ownerA).price;
            deal.inputs[i].payees = _eight(i + 1);
            deal.terms.inputs[i].offer = _offer(ownerA, deal.inputs[i], "");
            deal.terms.inputs[i].version = 1;
        }
        _reprice(deal);
    }

    function _eight(uint256 k) private pure returns (Payee[] memory payees) {
        payees = new Payee[](8);
        for (uint256 j = 0; j < 8; ++j) {
            payees[j] = Payee(address(uint160(0xA000 + 8 * k + j)), 1250);
        }
    }
}
