// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {Holdback, OrderState, Outcome, Phase, Report} from "../../../../contracts/types/Orders.sol";
import {OfferTerms, Payee, Price} from "../../../../contracts/types/Offers.sol";
import {Stage} from "../orderbook/Stage.sol";
import {Deal, Said} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";

/// @notice What the tests of money share: orders with other prices, served, held back or partly funded, and the calls
/// that move money beside claims.
abstract contract Money is Stage {
    address internal constant BURN = 0x000000000000000000000000000000000000dEaD;
    uint16 internal constant HELD_BPS = 2000;
    uint32 internal constant WINDOW = 1000;

    // ------------------------------------------------------------------------------------------- offers
    /// @dev Puts every offer of `deal` up for sale as the deal has it, in a new version where terms changed.
    function _relist(Deal memory deal) internal {
        deal.terms.compute.version = _versionOf(deal.terms.compute.offer, deal.compute);
        for (uint256 i = 0; i < deal.inputs.length; ++i) {
            deal.terms.inputs[i].version = _versionOf(deal.terms.inputs[i].offer, deal.inputs[i]);
        }
        _reprice(deal);
    }

    function _versionOf(uint64 offer, OfferTerms memory terms) private returns (uint32 version) {
        version = offers.latestVersion(offer);
        if (offers.termsHash(offer, version) == offers.hashTerms(terms)) return version;
        ++version;
        vm.prank(offers.ownerOf(offer));
        offers.addVersion(offer, version, Pack.listing(terms, ""));
    }

    // ------------------------------------------------------------------------------------------- orders
    /// @dev Has an access key: its inputs earn as it runs.
    function _servedDeal() internal view returns (Deal memory deal) {
        deal = _deal();
        deal.terms.accessKeyDigest = keccak256("access key");
    }

    /// @dev A served order of which compute gets 10 %, the engine 3,33 % and dataset A 5,01 %.
    function _sharingDeal() internal returns (Deal memory deal) {
        deal = _servedDeal();
        deal.compute.price.revenueBps = 1000;
        deal.inputs[0].price.revenueBps = 333;
        deal.inputs[1].price.revenueBps = 501;
        _relist(deal);
    }

    /// @dev A fifth of compute's price waits for the client.
    function _heldDeal() internal view returns (Deal memory deal) {
        deal = _deal();
        deal.terms.holdback = Holdback(HELD_BPS, WINDOW);
        _reprice(deal);
    }

    /// @dev The deposit pays for `limit` seconds and no more.
    function _partlyDeal(uint256 limit) internal view returns (Deal memory deal) {
        deal = _deal();
        deal.terms.deposit = uint128(_deposit(deal, limit));
    }

    /// @dev From placing to phase ENGINE, 100 seconds of set-up proven.
    function _runs(Deal memory deal) internal {
        _placeAny(deal);
        _acceptAny(deal);
        _start(deal);
        skip(100);
        _checkpoint(deal, 100, 0);
    }

    function _placeAny(Deal memory deal) internal {
        if (deal.terms.payer == deal.terms.client) _place(deal);
        else _placeSponsored(deal);
    }

    function _acceptAny(Deal memory deal) internal {
        if (deal.terms.deposit < _deposit(deal, deal.terms.windows.maxSeconds)) _acceptPartly(deal);
        else _accept(deal);
    }

    /// @dev Completed after 1000 proven seconds and 50 units.
    function _ended(Deal memory deal, Outcome outcome) internal {
        _runs(deal);
        skip(900);
        _complete(deal, outcome, 1000, 50);
    }

    function _completed() internal returns (Deal memory deal) {
        deal = _deal();
        _ended(deal, Outcome.COMPLETED);
    }

    /// @dev Completed, and its holdback waits.
    function _held() internal returns (Deal memory deal) {
        deal = _heldDeal();
        _ended(deal, Outcome.COMPLETED);
    }

    /// @dev Silent in ENGINE after 100 proven seconds, and expired.
    function _expired() internal returns (Deal memory deal) {
        deal = _engine();
        skip(deal.terms.windows.grace + 1);
        _expire(deal);
    }

    // ------------------------------------------------------------------------------------------- steps
    function _receiptAs(address caller, Deal memory deal, bytes memory signature) internal {
        bytes memory order = Pack.order(deal.terms);
        _arm(caller);
        book.receipt(order, signature);
    }

    function _contestAs(address caller, Deal memory deal) internal {
        bytes memory order = Pack.order(deal.terms);
        _arm(caller);
        book.contest(order);
    }

    function _topUpAs(address caller, Deal memory deal, uint256 amount) internal {
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        _arm(caller);
        book.topUp(order, heads, uint128(amount));
    }

    function _reclaimAs(address caller, Deal memory deal, uint256 amount) internal {
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        _arm(caller);
        book.reclaim(order, heads, uint128(amount));
    }

    function _payServiceAs(address caller, Deal memory deal, uint256 amount) internal {
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        (bytes[] memory payees, bytes[] memory lineages) = _receivers(deal);
        _arm(caller);
        book.payService(order, heads, payees, lineages, uint128(amount));
    }

    function _equivocateAs(address caller, Deal memory deal, Report memory one, Report memory two) internal {
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        _arm(caller);
        book.equivocate(order, heads, one, two);
    }

    /// @dev Payees of each offer; nobody has parents.
    function _receivers(Deal memory deal) internal pure returns (bytes[] memory payees, bytes[] memory lineages) {
        uint256 count = deal.inputs.length + 1;
        (payees, lineages) = (new bytes[](count), new bytes[](count));
        for (uint256 k = 0; k < count; ++k) {
            payees[k] = Pack.payees(_termsOf(deal, k).payees);
        }
    }

    /// @dev Two last words of one CVM: a result, and another.
    function _twoWords(Deal memory deal, uint32 secs, uint64 units)
        internal
        view
        returns (Report memory one, Report memory two)
    {
        Said memory said = _final(Phase.ENGINE, Outcome.COMPLETED, secs, units);
        one = _report(deal, said, signerKey);
        said.result = keccak256("another result");
        two = _report(deal, said, signerKey);
    }

    function _withdraw(address account) internal {
        _arm(poker);
        ILedger(address(book)).withdraw(address(token), account);
    }

    /// @dev A checkpoint in SETUP.
    function _setupSaid(uint32 sequence, uint32 secs) internal pure returns (Said memory) {
        return Said(Phase.SETUP, Outcome.NONE, NO_INPUT, sequence, secs, 0, 0, 0);
    }

    /// @dev Claims everything of an ended order; of an offer whose dues were all drawn before, what rounding left.
    function _claimWhatIsThere(Deal memory deal) internal {
        if (_order(deal).claimed & (1 << REST) == 0) _claimRest(deal);
        for (uint256 k = 0; k <= deal.inputs.length; ++k) {
            if (_order(deal).claimed & (1 << k) == 0 && _due(deal, k) != 0) _claim(deal, k);
        }
    }

    // ------------------------------------------------------------------------------------------- looking
    /// @return Dues of offer `k` that were not claimed.
    function _open(Deal memory deal, uint256 k) internal view returns (uint256) {
        (uint256 due, uint256 claimed) = book.dueOf(Pack.order(deal.terms), k, Pack.head(_termsOf(deal, k)));
        return due - claimed;
    }

    function _net(uint256 gross) internal pure returns (uint256) {
        return gross - gross * FEE_BPS / 10_000;
    }

    function _prorata(Price memory price, uint256 secs, uint256 units, uint256 maxSeconds)
        internal
        pure
        returns (uint256)
    {
        return uint256(price.fixedPrice) * secs / maxSeconds + _usage(price, secs, units);
    }

    // ------------------------------------------------------------------------------------------- errors
    function _notTerminal(Deal memory deal, OrderState state) internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_NotTerminal.selector, _id(deal), state);
    }

    function _nothingDue(Deal memory deal, uint256 k) internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_NothingDue.selector, _id(deal), k);
    }

    function _alreadyClaimed(Deal memory deal, uint256 k) internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_AlreadyClaimed.selector, _id(deal), k);
    }

    function _otherTerms(uint64 offer, OfferTerms memory got, OfferTerms memory expected)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeWithSelector(
            Errors.OrderBook_TermsHash.selector, offer, offers.hashTerms(got), offers.hashTerms(expected)
        );
    }

    function _otherPayees(uint64 offer, Payee[] memory got, Payee[] memory expected)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(
            Errors.OrderBook_PayeesHash.selector, offer, Pack.payeesHash(got), Pack.payeesHash(expected)
        );
    }

    function _depositTooLow(uint256 balance, uint256 needed) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_DepositTooLow.selector, balance, needed);
    }

    function _notTheClient(Deal memory deal, address caller) internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_NotClient.selector, _id(deal), caller, deal.terms.client);
    }

    function _headsLength(uint256 got, uint256 expected) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OfferCodec_HeadsLength.selector, got, expected);
    }
}
