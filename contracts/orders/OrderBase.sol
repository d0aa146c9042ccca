// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ledger} from "../Ledger.sol";
import {ICvmRegistry} from "../interfaces/ICvmRegistry.sol";
import {ILeaseBook} from "../interfaces/ILeaseBook.sol";
import {IOfferRegistry} from "../interfaces/IOfferRegistry.sol";
import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {IReferenceValues} from "../interfaces/IReferenceValues.sol";
import {CallLib} from "../libraries/CallLib.sol";
import {Errors} from "../libraries/Errors.sol";
import {LockLib} from "../libraries/LockLib.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderHashLib} from "../libraries/OrderHashLib.sol";
import {OrderStateLib} from "../libraries/OrderStateLib.sol";
import {OrderWord} from "../libraries/OrderWord.sol";
import {SettlementLib} from "../libraries/SettlementLib.sol";
import {SignatureLib} from "../libraries/SignatureLib.sol";
import {Current, Extra, OrderId, OrderState, Params, Phase} from "../types/Orders.sol";

/// @title What all parts of the OrderBook share: storage, identity, signatures and the one way to end an order.
/// @dev The parts behind it run by delegatecall in the book's storage, so that all inherit their storage from here alone.
abstract contract OrderBase is Ledger {
    using OrderCodec for bytes;

    /// @notice The contracts an order is measured by; the same in all parts.
    struct Market {
        address authority;
        IOfferRegistry offers;
        IProviderRegistry providers;
        ICvmRegistry cvms;
        IReferenceValues references;
        ILeaseBook leases;
    }

    uint256 internal constant MAX_LOCATION_BYTES = 256;
    /// @dev Every terminal summary carries it, so that two of them are visibly two for one sequence.
    uint256 internal constant TERMINAL_SEQUENCE = type(uint32).max;
    uint256 internal constant NO_INPUT = 255;
    /// @dev Bit of `OrderWord.mark` after the end: refund, fees and penalty were credited.
    uint256 internal constant REST = 1 << 17;
    uint256 internal constant CVM_REVOKED = 1 << 208;
    uint256 internal constant CVM_RETIRED = 1 << 209;

    /// @notice The OrderBook; in its other parts too.
    address public immutable BOOK;
    /// @notice See {IOrderBook-AUTHORITY}.
    address public immutable AUTHORITY;
    IOfferRegistry public immutable OFFERS;
    IProviderRegistry public immutable PROVIDERS;
    ICvmRegistry public immutable CVMS;
    IReferenceValues public immutable REFERENCES;
    ILeaseBook public immutable LEASES;

    bytes32 private immutable _DOMAIN_SEPARATOR;
    uint256 private immutable _CHAIN_ID;

    mapping(OrderId id => OrderWord) internal _words;
    // slither-disable-next-line uninitialized-state: written by another part, by delegatecall
    mapping(OrderId id => Extra) internal _extras;
    mapping(OrderId id => mapping(uint256 k => uint256)) internal _drawn;
    // slither-disable-next-line uninitialized-state: written by another part, by delegatecall
    mapping(uint256 version => Params) internal _params;
    // slither-disable-next-line uninitialized-state: written by another part, by delegatecall
    Current internal _current;

    constructor(address book, Market memory market) {
        BOOK = book;
        AUTHORITY = market.authority;
        _CHAIN_ID = block.chainid;
        _DOMAIN_SEPARATOR = OrderHashLib.domainSeparator("Cloister OrderBook", "1", book);
        OFFERS = market.offers;
        PROVIDERS = market.providers;
        CVMS = market.cvms;
        REFERENCES = market.references;
        LEASES = market.leases;
    }

    /// @notice Runs the call that came in on this storage with another part's code, and answers as that does.
    /// @dev Nothing runs after it, so that memory may be overwritten from 0.
    function _delegate(address part) internal {
        assembly {
            calldatacopy(0, 0, calldatasize())
            let done := delegatecall(gas(), part, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch done
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }

    // ------------------------------------------------------------------------------------------ identity
    function _domain() private view returns (bytes32) {
        if (block.chainid == _CHAIN_ID) return _DOMAIN_SEPARATOR;
        return OrderHashLib.domainSeparator("Cloister OrderBook", "1", BOOK);
    }

    /// @notice The EIP-712 digest under the book's domain, also after a fork changed the chain's id.
    function _digest(bytes32 structHash) internal view returns (bytes32 digest) {
        bytes32 domain = _domain();
        // MessageHashUtils.toTypedDataHash, in place.
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, hex"1901")
            mstore(add(at, 0x02), domain)
            mstore(add(at, 0x22), structHash)
            digest := keccak256(at, 0x42)
        }
    }

    /// @return id    The order's id.
    /// @return count Its number of inputs.
    function _idOf(bytes calldata order) internal view returns (OrderId id, uint256 count) {
        count = order.check();
        id = OrderId.wrap(_digest(order.structHash(count)));
    }

    // ------------------------------------------------------------------------------------------ state
    /// @dev One entry of `_words`, so that a call that reads and writes it looks for it once.
    struct Entry {
        OrderWord word;
    }

    function _entryOf(OrderId id) internal view returns (Entry storage entry) {
        mapping(OrderId => OrderWord) storage words = _words;
        // A struct of one member stands where the value itself would.
        assembly ("memory-safe") {
            mstore(0, id)
            mstore(0x20, words.slot)
            entry.slot := keccak256(0, 0x40)
        }
    }

    /// @notice The order's word, if the table allows it to move on to `to`.
    function _movable(OrderId id, OrderState to) internal view returns (OrderWord word) {
        word = _words[id];
        OrderState actual = word.state();
        if (!OrderStateLib.isAllowed(actual, to)) revert Errors.OrderBook_WrongState(id, actual, to);
    }

    /// @notice The same from one state alone.
    function _movableFrom(OrderId id, OrderState from, OrderState to) internal view returns (OrderWord word) {
        word = _movable(id, to);
        if (word.state() != from) revert Errors.OrderBook_WrongState(id, word.state(), to);
    }

    /// @return packed What acceptances take now, in one read: the slot of `Current`.
    function _currentPacked() internal view returns (uint256 packed) {
        assembly ("memory-safe") {
            packed := sload(_current.slot)
        }
    }

    /// @notice A deadline still holds at its own second.
    function _checkNotAfter(OrderId id, uint256 deadline) internal view {
        if (block.timestamp > deadline) revert Errors.OrderBook_TooLate(id, deadline, block.timestamp);
    }

    function _checkAfter(OrderId id, uint256 deadline) internal view {
        if (block.timestamp <= deadline) revert Errors.OrderBook_TooEarly(id, deadline, block.timestamp);
    }

    /// @notice A location is a hint for readers of events; bounded, since every one of them has to keep it.
    function _checkLocation(string calldata location) internal pure {
        uint256 size = bytes(location).length;
        if (size > MAX_LOCATION_BYTES) revert Errors.OrderBook_LocationTooLong(size, MAX_LOCATION_BYTES);
    }

    /// @notice Most seconds that are paid for.
    function _limitOf(OrderId id, OrderWord word, bytes calldata order) internal view returns (uint256) {
        return word.hasExtra() ? _extras[id].limit : order.maxSeconds();
    }

    function _isLiving(OrderState state) internal pure returns (bool) {
        // slither-disable-next-line incorrect-equality: members of an enum
        return state == OrderState.RUNNING || state == OrderState.STOPPING;
    }

    // ------------------------------------------------------------------------------------------ signatures
    /// @return word The CVM's word in the registry: it is known and was not revoked.
    /// @dev A revoked CVM's order leaves by `voidOrder` or `settleRevoked` alone, so that nobody is slashed for it.
    function _unrevoked(uint32 cvm) internal view returns (uint256 word) {
        word = CallLib.read(address(CVMS), ICvmRegistry.wordOf.selector, cvm);
        if (word & CVM_REVOKED != 0) revert Errors.OrderBook_CvmRevoked(cvm);
    }

    /// @return word     The CVM's word in the registry.
    /// @return standing What the reference values say of its profile.
    function _factsOf(uint32 cvm) internal view returns (uint256 word, uint256 standing) {
        return CallLib.readTwo(address(CVMS), ICvmRegistry.standingOf.selector, cvm);
    }

    /// @return Whether the market accepts this runtime now: removals count at once.
    function _isReference(uint256 facts, uint256 standing) internal pure returns (bool) {
        // The worst accepted TCB status is the lowest byte, and 0 where the profile is not accepted.
        return uint8(standing) != 0 && uint8(facts >> 200) <= uint8(standing);
    }

    /// @notice Checks that the CVM with this registry word signed `structHash` in the book's domain.
    function _checkSigned(OrderId id, uint256 cvmWord, bytes32 structHash, bytes32 r, bytes32 vs) internal view {
        address signer = address(uint160(cvmWord));
        bytes32 domain = _DOMAIN_SEPARATOR;
        if (block.chainid != _CHAIN_ID) domain = _domain();
        address recovered = SignatureLib.recover(domain, structHash, r, vs);
        // A bad signature recovers to zero, which signs for nobody.
        if (recovered != signer || signer == address(0)) revert Errors.OrderBook_NotSigned(id, recovered, signer);
    }

    /// @notice A member of a summary is as the order wants it.
    function _match(bool fits, OrderId id, bytes32 field) internal pure {
        if (!fits) _mismatch(id, field);
    }

    function _mismatch(OrderId id, bytes32 field) internal pure {
        revert Errors.OrderBook_SummaryMismatch(id, field);
    }

    // ------------------------------------------------------------------------------------------ closing
    /// @notice Freezes an order in `to`: one word, the leases' places, the provider's lock.
    /// @dev Looks at no price and moves no token. The caller has emitted the event that `word` still counts.
    /// @param word With the seconds, units and span that are billed.
    function _freeze(bytes calldata order, uint256 count, OrderId id, OrderWord word, OrderState to) internal {
        // slither-disable-next-line incorrect-equality: members of an enum
        _words[id] = word.ended(to, block.timestamp, to == OrderState.CANCELLED ? REST : 0);
        if (order.hasLease()) _freeLeases(order, count);
        // Interaction, with our own registry: capacity and lock are free again. What EXPIRED owes is found by prices,
        // so that its lock waits for `claimRest`.
        if (to != OrderState.EXPIRED && word.paramsVersion() != 0) {
            PROVIDERS.release(order.computeOffer(), OrderCodec.token(order), LockLib.decode(word.lock()), 0);
        }
    }

    /// @notice Ends an order without a report, on the proofs it has.
    /// @param word With the span of an order that EXPIRED while running.
    function _end(bytes calldata order, uint256 count, OrderId id, OrderWord word, OrderState to) internal {
        if (to != OrderState.EXPIRED) word = word.withSpan(0);
        if (word.phase() != Phase.NONE) {
            uint256 secs = SettlementLib.min(word.secs(), _limitOf(id, word, order));
            word = word.withSecs(secs).withUnits(SettlementLib.min(word.units(), order.maxUnits()));
        }
        uint256 billed = word.billed() | (uint256(word.phase()) << 128);
        // The cast cuts nothing: a span has 30 bits.
        emit IOrderBook.OrderEnded(id, word.cvm(), to, billed, uint32(word.span()));
        _freeze(order, count, id, word, to);
    }

    /// @notice Frees the leases' places. LeaseBook never refuses that.
    function _freeLeases(bytes calldata order, uint256 count) private {
        for (uint256 at = order.leasesAt(count); at < order.length; at += 32) {
            // slither-disable-next-line calls-loop: at most 16 inputs, and LeaseBook never refuses
            LEASES.free(order.wordAt(at));
        }
    }

    // ------------------------------------------------------------------------------------------ money
    /// @notice What settlement needs of an order beside prices, running or ended.
    function _frozen(OrderId id, OrderWord word, bytes calldata order)
        internal
        view
        returns (SettlementLib.Frozen memory f)
    {
        f.state = word.state();
        f.phase = word.phase();
        f.limit = _limitOf(id, word, order);
        f.secs = SettlementLib.min(word.secs(), f.limit);
        f.units = SettlementLib.min(word.units(), order.maxUnits());
        f.span = word.span();
        f.served = order.isServed();
        f.setupSeconds = order.setupSeconds();
        f.maxSeconds = order.maxSeconds();
    }

    /// @notice Deposit, what was added, less what was taken out.
    function _balanceOf(OrderId id, OrderWord word, bytes calldata order) internal view returns (uint256 balance) {
        balance = order.deposit();
        if (word.hasExtra()) {
            Extra storage extra = _extras[id];
            balance = balance + extra.added - extra.removed;
        }
    }

    /// @return until End of the window in which a completed order's holdback waits; zero where it does not wait.
    function _pendingUntil(OrderWord word, bytes calldata order) internal view returns (uint256 until) {
        if (word.state() != OrderState.COMPLETED || word.hold() != 0 || order.holdbackBps() == 0) return 0;
        until = word.since() + order.uintAt(OrderCodec.HOLDBACK_WINDOW, 4);
        if (block.timestamp > until) return 0;
    }

    function _checkClient(OrderId id, bytes calldata order) internal view {
        address client = order.client();
        if (msg.sender != client) revert Errors.OrderBook_NotClient(id, msg.sender, client);
    }
}
