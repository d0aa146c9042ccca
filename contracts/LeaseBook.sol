// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {Ledger} from "./Ledger.sol";
import {ILeaseBook} from "./interfaces/ILeaseBook.sol";
import {IOfferOwners} from "./interfaces/IOfferOwners.sol";
import {Errors} from "./libraries/Errors.sol";
import {LeaseLib} from "./libraries/LeaseLib.sol";
import {OfferCodec} from "./libraries/OfferCodec.sol";
import {Lease, LeaseTerms, TopUp} from "./types/Leases.sol";
import {OfferKind} from "./types/Offers.sol";

/// @title See {ILeaseBook}.
/// @dev Its balance of a token is the sum of all credits and of what its leases have paid and not credited yet. Each
/// lease credits, in the end, what was paid for it: payees, treasury and refunds together, to the last unit.
contract LeaseBook is ILeaseBook, Ledger, EIP712, AccessManaged {
    using LeaseLib for uint256;

    /// @notice Nobody can set a fee above this.
    uint256 public constant MAX_FEE_BPS = 1000;

    IOfferOwners public immutable OFFERS;
    /// @inheritdoc ILeaseBook
    address public immutable ORDER_BOOK;

    /// @inheritdoc ILeaseBook
    mapping(bytes32 terms => bool) public isOpen;
    mapping(bytes32 lease => uint256 word) private _leases;
    mapping(bytes32 lease => TopUp) private _topUps;
    /// @notice The protocol's share of leases sold from now on.
    uint16 public feeBps;
    /// @notice Where the protocol's share goes, of leases sold before too.
    address public treasury;

    modifier onlyOrderBook() {
        if (msg.sender != ORDER_BOOK) revert Errors.LeaseBook_NotOrderBook(msg.sender, ORDER_BOOK);
        _;
    }

    /// @param offers    Says whose an offer is and what is for sale.
    /// @param orderBook Where the OrderBook will stand: it is deployed after this, and checks it.
    /// @param authority Access manager that holds the role of `setFee`.
    constructor(IOfferOwners offers, address orderBook, address authority, uint16 feeBps_, address treasury_)
        EIP712("Cloister LeaseBook", "1")
        AccessManaged(authority)
    {
        OFFERS = offers;
        // slither-disable-next-line missing-zero-check: the OrderBook's constructor compares it
        ORDER_BOOK = orderBook;
        _setFee(feeBps_, treasury_);
    }

    // ------------------------------------------------------------------------------------------ the owner
    /// @inheritdoc ILeaseBook
    function openTerms(bytes calldata terms, bytes calldata payees) external returns (bytes32 id) {
        LeaseLib.checkTerms(terms);
        LeaseTerms memory asked = LeaseLib.decode(terms);
        _checkOwner(asked.offer);
        _checkTerms(asked);
        _checkPayees(payees, asked.payeesHash);
        id = _termsId(asked);
        isOpen[id] = true;
        emit LeaseTermsOpened(id, asked.offer, msg.sender, bytes.concat(terms, payees));
    }

    /// @inheritdoc ILeaseBook
    function giveNotice(bytes calldata terms) external {
        LeaseLib.checkTerms(terms);
        LeaseTerms memory asked = LeaseLib.decode(terms);
        _checkOwner(asked.offer);
        bytes32 id = _termsId(asked);
        if (!isOpen[id]) revert Errors.LeaseBook_NotOpen(id);
        isOpen[id] = false;
        emit NoticeGiven(id, asked.offer, msg.sender);
    }

    /// @inheritdoc ILeaseBook
    function recall(bytes calldata lease_) external {
        (LeaseTerms memory terms, bytes32 termsId, bytes32 id, uint256 word) = _load(lease_);
        _checkOwner(terms.offer);
        if (isOpen[termsId]) revert Errors.LeaseBook_StillOpen(termsId);
        // Check: never below what an order was promised that holds a place.
        uint256 lasts = block.timestamp - (word >> LeaseLib.START) + terms.noticeSeconds;
        if (word.left() != terms.places && word.held() > lasts) lasts = word.held();
        (uint256 refund, uint256 newEnd) = _shorten(terms, id, word, lasts);
        address payer = LeaseLib.payer(lease_);
        _credit(terms.token, payer, refund);
        emit Recalled(id, payer, newEnd, refund);
    }

    /// @inheritdoc ILeaseBook
    function collect(bytes calldata lease_, bytes calldata payees) external returns (uint256 amount) {
        (LeaseTerms memory terms, bytes32 termsId, bytes32 id, uint256 word) = _load(lease_);
        bytes32 hash = OfferCodec.hashPayees(payees);
        if (hash != terms.payeesHash) revert Errors.LeaseBook_OtherPayees(hash, terms.payeesHash);
        uint256 from = word.collected();
        uint256 to = block.timestamp - (word >> LeaseLib.START);
        bool over = to >= word.paid();
        if (over) to = word.paid();
        // Check: a lease brought to its end right after a collection still owes the last payee the remainder.
        if (from == LeaseLib.FINAL || (from == to && !over)) revert Errors.LeaseBook_NothingEarned(id);
        _leases[id] = word.withCollected(over ? LeaseLib.FINAL : to);

        uint256 before = LeaseLib.earnedDown(terms.pricePerPeriod, terms.periodSeconds, from);
        uint256 after_ = LeaseLib.earnedDown(terms.pricePerPeriod, terms.periodSeconds, to);
        amount = after_ - before;
        uint256 fee;
        (before, after_, fee) = _payFee(terms.token, before, after_, word.feeBps());
        _payPayees(terms.token, payees, before, after_, over);
        emit Collected(id, termsId, (word >> LeaseLib.START) + to, amount, fee);
    }

    // ------------------------------------------------------------------------------------------ the lessee
    /// @inheritdoc ILeaseBook
    function lease(bytes calldata lease_, uint256 periods) external nonReentrant returns (bytes32 id) {
        return _lease(lease_, periods);
    }

    /// @inheritdoc ILeaseBook
    function leaseWithPermit(bytes calldata lease_, uint256 periods, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
        returns (bytes32 id)
    {
        LeaseLib.checkLease(lease_);
        LeaseTerms memory terms = LeaseLib.decode(lease_);
        if (periods <= type(uint16).max) {
            // slither-disable-next-line reentrancy-benign: guarded; only the token is called, whose lease it is
            _tryPermit(terms.token, msg.sender, periods * terms.pricePerPeriod, Permit(deadline, v, r, s));
        }
        return _lease(lease_, periods);
    }

    /// @inheritdoc ILeaseBook
    function renew(bytes calldata lease_, uint256 periods) external nonReentrant {
        (LeaseTerms memory terms, bytes32 termsId, bytes32 id, uint256 word) = _load(lease_);
        _renew(terms, termsId, id, word, periods, msg.sender);
    }

    /// @inheritdoc ILeaseBook
    function setTopUp(bytes calldata lease_, TopUp calldata topUp) external {
        (,, bytes32 id,) = _load(lease_);
        address payer = LeaseLib.payer(lease_);
        // Check: the payer alone. A lessee who could would spend the money of whoever gave him a lease.
        if (msg.sender != payer) revert Errors.LeaseBook_NotPayer(id, msg.sender, payer);
        _topUps[id] = topUp;
        emit TopUpSet(id, topUp.periods, topUp.until, topUp.within);
    }

    /// @inheritdoc ILeaseBook
    function renewFor(bytes calldata lease_) external nonReentrant {
        (LeaseTerms memory terms, bytes32 termsId, bytes32 id, uint256 word) = _load(lease_);
        TopUp memory allowed = _topUps[id];
        if (allowed.periods == 0) revert Errors.LeaseBook_NoTopUp(id);
        if (block.timestamp > allowed.until) revert Errors.LeaseBook_TopUpOver(id, allowed.until, block.timestamp);
        uint256 ends = word.endOf();
        if (block.timestamp + allowed.within < ends) {
            revert Errors.LeaseBook_TopUpLater(id, ends - allowed.within, block.timestamp);
        }
        _topUps[id].periods = allowed.periods - 1;
        _renew(terms, termsId, id, word, 1, LeaseLib.payer(lease_));
    }

    /// @inheritdoc ILeaseBook
    function end(bytes calldata lease_) external {
        (LeaseTerms memory terms,, bytes32 id, uint256 word) = _load(lease_);
        address lessee = LeaseLib.lessee(lease_);
        if (msg.sender != lessee) revert Errors.LeaseBook_NotLessee(id, msg.sender, lessee);
        // Check: no order goes on under a lease that is paid back.
        uint256 left = word.left();
        if (left != terms.places) revert Errors.LeaseBook_PlacesTaken(id, terms.places - left);
        uint256 lasts = block.timestamp - (word >> LeaseLib.START);
        if (lasts < terms.minSeconds) lasts = terms.minSeconds;
        (uint256 refund, uint256 newEnd) = _shorten(terms, id, word, lasts);
        address payer = LeaseLib.payer(lease_);
        _credit(terms.token, payer, refund);
        emit Ended(id, payer, newEnd, refund);
    }

    // ------------------------------------------------------------------------------------------ the OrderBook
    /// @inheritdoc ILeaseBook
    function take(bytes32 lease_, address lessee, uint64 offer, uint32 version, bytes32 termsHash, uint256 until)
        external
        onlyOrderBook
    {
        uint256 word = _leases[lease_];
        if (word == 0) revert Errors.LeaseBook_NoLease(lease_);
        if (uint96(word) != LeaseLib.tagOf(lease_, lessee, offer, version, termsHash)) {
            revert Errors.LeaseBook_OtherUse(lease_, lessee, offer, version, termsHash);
        }
        if (until > word.endOf()) revert Errors.LeaseBook_EndsBefore(lease_, word.endOf(), until);
        if (word.left() == 0) revert Errors.LeaseBook_NoPlace(lease_);
        unchecked {
            word -= 1 << LeaseLib.LEFT;
            uint256 start = word >> LeaseLib.START;
            if (until > start + word.held()) word = word.withHeld(until - start);
        }
        _leases[lease_] = word;
    }

    /// @inheritdoc ILeaseBook
    function free(bytes32 lease_) external onlyOrderBook {
        uint256 word = _leases[lease_];
        if (word == 0 || word.left() == type(uint8).max) return;
        unchecked {
            _leases[lease_] = word + (1 << LeaseLib.LEFT);
        }
    }

    // ------------------------------------------------------------------------------------------ governance
    /// @inheritdoc ILeaseBook
    function setFee(uint16 feeBps_, address treasury_) external restricted {
        _setFee(feeBps_, treasury_);
    }

    // ------------------------------------------------------------------------------------------ views
    /// @inheritdoc ILeaseBook
    function leaseOf(bytes32 lease_) external view returns (Lease memory) {
        uint256 word = _leases[lease_];
        // forge-lint: disable-start(unsafe-typecast)
        return Lease({
            tag: uint96(word),
            feeBps: uint16(word.feeBps()),
            left: uint8(word.left()),
            held: uint32(word.held()),
            collected: uint32(word.collected()),
            paid: uint32(word.paid()),
            start: uint40(word >> LeaseLib.START)
        });
        // forge-lint: disable-end(unsafe-typecast)
    }

    /// @inheritdoc ILeaseBook
    function topUpOf(bytes32 lease_) external view returns (TopUp memory) {
        return _topUps[lease_];
    }

    /// @inheritdoc ILeaseBook
    function termsIdOf(bytes calldata terms) external view returns (bytes32) {
        LeaseLib.checkTerms(terms);
        return _termsId(LeaseLib.decode(terms));
    }

    /// @inheritdoc ILeaseBook
    function leaseIdOf(bytes calldata lease_) external view returns (bytes32) {
        LeaseLib.checkLease(lease_);
        return _leaseId(lease_, _termsId(LeaseLib.decode(lease_)));
    }

    // ------------------------------------------------------------------------------------------ inside
    function _lease(bytes calldata lease_, uint256 periods) private returns (bytes32 id) {
        LeaseLib.checkLease(lease_);
        LeaseTerms memory terms = LeaseLib.decode(lease_);
        bytes32 termsId = _termsId(terms);
        if (!isOpen[termsId]) revert Errors.LeaseBook_NotOpen(termsId);
        id = _leaseId(lease_, termsId);
        if (_leases[id] != 0) revert Errors.LeaseBook_AlreadyLeased(id);
        if (msg.sender != LeaseLib.payer(lease_)) {
            revert Errors.LeaseBook_NotPayer(id, msg.sender, LeaseLib.payer(lease_));
        }
        if (LeaseLib.lessee(lease_) == address(0)) revert Errors.LeaseBook_NoLessee();
        uint256 fee = feeBps;
        if (fee > terms.maxFeeBps) revert Errors.LeaseBook_FeeAboveMax(fee, terms.maxFeeBps);
        uint256 lasts = _periods(terms, id, periods, 0);
        _leases[id] = LeaseLib.tagOf(id, LeaseLib.lessee(lease_), terms.offer, terms.version, terms.termsHash)
            | (fee << LeaseLib.FEE_BPS) | (uint256(terms.places) << LeaseLib.LEFT) | (lasts << LeaseLib.PAID)
            | (block.timestamp << LeaseLib.START);
        uint256 price = periods * terms.pricePerPeriod;
        _emitLeased(lease_, id, termsId, lasts, price, fee);
        // Interaction:
        _pull(terms.token, msg.sender, price);
    }

    /// @dev Apart, for the compiler's sixteen places.
    function _emitLeased(bytes calldata lease_, bytes32 id, bytes32 termsId, uint256 lasts, uint256 price, uint256 fee)
        private
    {
        emit Leased({
            lease: id,
            terms: termsId,
            lessee: LeaseLib.lessee(lease_),
            payer: msg.sender,
            salt: LeaseLib.salt(lease_),
            end: block.timestamp + lasts,
            price: price,
            feeBps: uint16(fee) // forge-lint: disable-line(unsafe-typecast)
        });
    }

    function _renew(LeaseTerms memory terms, bytes32 termsId, bytes32 id, uint256 word, uint256 periods, address from)
        private
    {
        if (!isOpen[termsId]) revert Errors.LeaseBook_NotOpen(termsId);
        uint256 ends = word.endOf();
        if (block.timestamp >= ends) revert Errors.LeaseBook_Over(id, ends, block.timestamp);
        uint256 lasts = word.paid() + _periods(terms, id, periods, ends - block.timestamp);
        if (lasts >= LeaseLib.FINAL) revert Errors.LeaseBook_TooLong(id, lasts, LeaseLib.FINAL - 1);
        _leases[id] = word.withPaid(lasts);
        uint256 price = periods * terms.pricePerPeriod;
        emit Renewed(id, from, (word >> LeaseLib.START) + lasts, price);
        // Interaction:
        _pull(terms.token, from, price);
    }

    /// @dev The seconds of so many periods, if they may be paid ahead on top of `rest` seconds that are paid already.
    function _periods(LeaseTerms memory terms, bytes32 id, uint256 periods, uint256 rest)
        private
        pure
        returns (uint256 lasts)
    {
        uint256 most = terms.maxPeriods;
        if (periods == 0 || periods > most) revert Errors.LeaseBook_TooManyPeriods(id, periods, most);
        lasts = periods * terms.periodSeconds;
        uint256 ahead = (rest + lasts) / terms.periodSeconds;
        if (ahead > most) revert Errors.LeaseBook_TooManyPeriods(id, ahead, most);
        if (lasts >= LeaseLib.FINAL) revert Errors.LeaseBook_TooLong(id, lasts, LeaseLib.FINAL - 1);
    }

    /// @dev Lets a lease last `lasts` seconds, less than it did; what this costs less is the refund.
    function _shorten(LeaseTerms memory terms, bytes32 id, uint256 word, uint256 lasts)
        private
        returns (uint256 refund, uint256 newEnd)
    {
        uint256 paid = word.paid();
        newEnd = (word >> LeaseLib.START) + lasts;
        if (lasts >= paid) revert Errors.LeaseBook_EndsAnyway(id, word.endOf(), newEnd);
        _leases[id] = word.withPaid(lasts);
        refund = LeaseLib.earnedDown(terms.pricePerPeriod, terms.periodSeconds, paid)
            - LeaseLib.earnedDown(terms.pricePerPeriod, terms.periodSeconds, lasts);
    }

    /// @dev Takes the protocol's share out of the growth of the earnings, and returns them without it.
    function _payFee(address token, uint256 before, uint256 after_, uint256 bps)
        private
        returns (uint256 netBefore, uint256 netAfter, uint256 fee)
    {
        uint256 feeBefore = LeaseLib.shareDown(before, bps);
        uint256 feeAfter = LeaseLib.shareDown(after_, bps);
        fee = feeAfter - feeBefore;
        if (fee != 0) _credit(token, treasury, fee);
        return (before - feeBefore, after_ - feeAfter, fee);
    }

    /// @dev Every payee gets the floor of its share of the running sum; the last, once that is final, what is left.
    function _payPayees(address token, bytes calldata payees, uint256 before, uint256 after_, bool over) private {
        uint256 last = payees.length / OfferCodec.PAYEE - 1;
        uint256 others = 0;
        for (uint256 i = 0; i < last; ++i) {
            (address account, uint256 bps) = OfferCodec.payee(payees, i);
            others += LeaseLib.shareDown(after_, bps);
            _credit(token, account, LeaseLib.growthDown(before, after_, bps));
        }
        (address lastAccount, uint256 lastBps) = OfferCodec.payee(payees, last);
        uint256 upTo = over ? after_ - others : LeaseLib.shareDown(after_, lastBps);
        _credit(token, lastAccount, upTo - LeaseLib.shareDown(before, lastBps));
    }

    function _setFee(uint16 feeBps_, address treasury_) private {
        if (feeBps_ > MAX_FEE_BPS) revert Errors.LeaseBook_FeeAboveMax(feeBps_, MAX_FEE_BPS);
        if (treasury_ == address(0)) revert Errors.LeaseBook_NoTreasury();
        (feeBps, treasury) = (feeBps_, treasury_);
        emit FeeSet(feeBps_, treasury_);
    }

    function _load(bytes calldata lease_)
        private
        view
        returns (LeaseTerms memory terms, bytes32 termsId, bytes32 id, uint256 word)
    {
        LeaseLib.checkLease(lease_);
        terms = LeaseLib.decode(lease_);
        termsId = _termsId(terms);
        id = _leaseId(lease_, termsId);
        word = _leases[id];
        if (word == 0) revert Errors.LeaseBook_NoLease(id);
    }

    function _termsId(LeaseTerms memory terms) private view returns (bytes32) {
        return _hashTypedDataV4(LeaseLib.hashTerms(terms));
    }

    function _leaseId(bytes calldata lease_, bytes32 termsId) private view returns (bytes32) {
        return _hashTypedDataV4(LeaseLib.hashLease(lease_, termsId));
    }

    function _checkOwner(uint64 offer) private view {
        address owner = OFFERS.ownerOf(offer);
        if (msg.sender != owner) revert Errors.LeaseBook_NotOwner(offer, msg.sender, owner);
    }

    function _checkTerms(LeaseTerms memory terms) private view {
        // Check: the kind is in the id, the top four bits of the serial; compute is not leased.
        uint256 kind = (terms.offer >> 28) & 0xf;
        if (kind == uint8(OfferKind.NONE) || kind > uint8(OfferKind.DATASET)) {
            revert Errors.LeaseBook_NotLeasable(terms.offer, kind);
        }
        // Check: a version that is for sale, with these terms.
        bytes32 registered = OFFERS.termsHash(terms.offer, terms.version);
        if (registered == 0 || registered != terms.termsHash) {
            revert Errors.LeaseBook_OtherTerms(terms.offer, terms.version, registered, terms.termsHash);
        }
        if (terms.token == address(0)) revert Errors.LeaseBook_Empty("token");
        if (terms.periodSeconds == 0) revert Errors.LeaseBook_Empty("periodSeconds");
        if (terms.maxPeriods == 0) revert Errors.LeaseBook_Empty("maxPeriods");
        if (terms.places == 0) revert Errors.LeaseBook_Empty("places");
    }

    function _checkPayees(bytes calldata payees, bytes32 expected) private pure {
        bytes32 hash = OfferCodec.hashPayees(payees);
        if (hash != expected) revert Errors.LeaseBook_OtherPayees(hash, expected);
        uint256 count = payees.length / OfferCodec.PAYEE;
        uint256 sum = 0;
        for (uint256 i = 0; i < count; ++i) {
            (address account, uint256 bps) = OfferCodec.payee(payees, i);
            if (account == address(0) || bps == 0) revert Errors.LeaseBook_Empty("payee");
            sum += bps;
        }
        if (sum != LeaseLib.BPS) revert Errors.LeaseBook_PayeeSum(sum, LeaseLib.BPS);
    }
}
