// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "./interfaces/IOrderBook.sol";
import {Errors} from "./libraries/Errors.sol";
import {OfferCodec} from "./libraries/OfferCodec.sol";
import {OrderCodec} from "./libraries/OrderCodec.sol";
import {OrderAccepting} from "./orders/OrderAccepting.sol";
import {OrderBase} from "./orders/OrderBase.sol";
import {OrderClaiming} from "./orders/OrderClaiming.sol";
import {OrderParams} from "./orders/OrderParams.sol";
import {OrderRunning} from "./orders/OrderRunning.sol";
import {OrderId, Params, Report} from "./types/Orders.sol";

/// @title The OrderBook: what every order calls, in one contract; what few orders call, behind it.
/// @notice Immutable, with its extension: nothing can replace either, and nothing pauses an exit. See {IOrderBook},
/// whose functions all answer at this address.
/// @dev The whole code exceeds what one contract may hold (EIP-170). The busy part is called directly, so that its
/// callers pay for no second contract; any other selector is delegated to one of three more (docs/adr/0017).
/// Reentrancy is barred by one transient slot for whatever moves tokens, `withdraw` foremost; what only writes, and calls
/// nobody but our own registries, does not pay for it: whoever comes in through a token's hook can earn credits as at any
/// other time, and take none out.
contract OrderBook is OrderAccepting, OrderRunning, OrderClaiming, OrderParams {
    using OfferCodec for bytes;
    using OrderCodec for bytes;

    uint256 internal constant MAX_BATCH = 256;

    /// @notice Where the rest of the code stands; see {IOrderBook-parts}.
    address internal immutable _ENTRIES;
    address internal immutable _ENDINGS;
    address internal immutable _ACCOUNTS;

    /// @param others  The other parts, made for this very address: entries, endings, accounts.
    /// @param initial Parameters of version 1.
    constructor(address[3] memory others, Market memory market, Params memory initial)
        OrderBase(address(this), market)
    {
        (_ENTRIES, _ENDINGS, _ACCOUNTS) = (others[0], others[1], others[2]);
        // Check: whoever was told our address before we existed was told the right one, and all know the same market.
        for (uint256 i = 0; i < 3; ++i) {
            _checkPart(OrderBase(others[i]), market);
        }
        _checkWired(market.providers.ORDER_BOOK());
        _checkWired(address(market.offers.ORDER_BOOK()));
        _checkWired(market.cvms.ORDER_BOOK());
        _checkWired(market.leases.ORDER_BOOK());
        _checkSame(address(market.cvms.REFERENCES()), address(market.references));
        _checkSame(address(market.references.STANDINGS()), address(market.cvms));
        _addParams(initial);
    }

    /// @notice Everything that the other parts answer.
    fallback() external {
        _delegate(_partOf(msg.sig));
    }

    /// @notice See {IOrderBook-parts}.
    function parts() external view returns (address entries, address endings, address accounts) {
        return (_ENTRIES, _ENDINGS, _ACCOUNTS);
    }

    /// @notice See {IOrderBook-place}.
    function place(bytes calldata order, string calldata location) external nonReentrant returns (OrderId id) {
        id = _open(order, location);
        _checkOwn(id, order);
        // Interaction:
        _pull(OrderCodec.token(order), msg.sender, order.deposit());
    }

    /// @notice See {IOrderBook-placeBatch}.
    function placeBatch(bytes[] calldata orders, string calldata location) external nonReentrant {
        address token = address(0);
        uint256 sum = 0;
        for (uint256 i = 0; i < orders.length; ++i) {
            bytes calldata order = orders[i];
            _checkOwn(_open(order, location), order);
            if (i == 0) token = OrderCodec.token(order);
            else if (OrderCodec.token(order) != token) revert Errors.OrderBook_OtherInBatch(i, "token");
            unchecked {
                // Deposits are uint128: no calldata holds enough of them.
                sum += order.deposit();
            }
        }
        // Interaction: one transfer for all.
        _pull(token, msg.sender, sum);
    }

    /// @notice See {IOrderBook-accept}.
    function accept(bytes calldata order, bytes calldata heads, bytes calldata policy, uint32 cvm) external {
        Taking memory taking = _accept(order, heads, policy, cvm);
        // Check: nobody restricted an input, and all are for sale with these very terms.
        if (taking.restrictions != 0) revert Errors.OrderBook_NeedsProof(taking.id);
        OFFERS.checkForSale(order);
    }

    /// @notice See {IOrderBook-start}.
    function start(OrderId id, bytes32 cvmId, bytes32 inputsRoot, bytes32 r, bytes32 vs) external {
        _start(id, cvmId, inputsRoot, r, vs);
    }

    /// @notice See {IOrderBook-checkpoint}.
    function checkpoint(OrderId id, uint256 numbers, bytes32 r, bytes32 vs) external {
        _checkpoint(id, numbers, 0, r, vs);
    }

    /// @notice See {IOrderBook-enterEngine}.
    function enterEngine(OrderId id, uint256 numbers, bytes32 statementDigest, bytes32 r, bytes32 vs) external {
        _match(statementDigest != 0, id, "statementDigest");
        _checkpoint(id, numbers, statementDigest, r, vs);
        emit IOrderBook.OrderIntegrity(id, _words[id].cvm(), statementDigest);
    }

    /// @notice See {IOrderBook-complete}.
    function complete(bytes calldata order, Report calldata report, string calldata location) external {
        _complete(order, report, location);
    }

    /// @notice See {IOrderBook-claim}.
    function claim(bytes calldata order, bytes calldata proof) external {
        _claim(order, proof);
    }

    /// @notice See {IOrderBook-batch}.
    /// @dev Each call is a delegatecall to this contract: the caller stays the caller, no ether is accepted anywhere,
    /// and each takes and frees the reentrancy guard by itself.
    function batch(bytes calldata calls) external returns (uint256 succeeded) {
        unchecked {
            uint256 at = calls.pointer();
            uint256 end = at + calls.length;
            for (uint256 i = 0; at < end; ++i) {
                if (i == MAX_BATCH) revert Errors.OrderBook_BatchTooLong(MAX_BATCH);
                uint256 size = OrderCodec.load(at) >> 240;
                at += 2;
                if (at + size > end) revert Errors.OrderBook_BatchCut(i, size);
                if (_callSelf(at, size)) succeeded |= 1 << i;
                else emit IOrderBook.BatchItemFailed(i, _answer());
                at += size;
            }
        }
    }

    /// @dev Leaves the answer where it is: that of a call that stands is not looked at.
    function _callSelf(uint256 from, uint256 size) private returns (bool done) {
        assembly ("memory-safe") {
            let at := mload(0x40)
            calldatacopy(at, from, size)
            done := delegatecall(gas(), address(), at, size, 0, 0)
        }
    }

    /// @return answer Of the last call.
    function _answer() private pure returns (bytes memory answer) {
        assembly ("memory-safe") {
            answer := mload(0x40)
            mstore(0x40, add(answer, and(add(returndatasize(), 0x3f), not(0x1f))))
            mstore(answer, returndatasize())
            returndatacopy(add(answer, 0x20), 0, returndatasize())
        }
    }

    function _checkOwn(OrderId id, bytes calldata order) private view {
        // The common order: client and payer stand in front, side by side.
        uint256 client = OrderCodec.load(order.pointer());
        uint256 same = (client ^ OrderCodec.load(order.pointer() + OrderCodec.PAYER)) >> 96;
        if (same == 0 && client >> 96 == uint160(msg.sender)) return;
        _checkClient(id, order);
        address payer = order.payer();
        if (payer != msg.sender) revert Errors.OrderBook_OtherPayer(payer, msg.sender);
    }

    /// @dev tests/contracts/forge/orderbook/selectors.t.sol finds every function of IOrderBook behind this.
    function _partOf(bytes4 selector) private view returns (address) {
        if (
            selector == IOrderBook.placeWithPermit.selector || selector == IOrderBook.placeFor.selector
                || selector == IOrderBook.placeWithPermit2.selector || selector == IOrderBook.acceptWith.selector
                || selector == IOrderBook.addParams.selector || selector == IOrderBook.setPaused.selector
        ) return _ENTRIES;
        if (
            selector == IOrderBook.cancel.selector || selector == IOrderBook.voidOrder.selector
                || selector == IOrderBook.refuse.selector || selector == IOrderBook.stop.selector
                || selector == IOrderBook.expire.selector || selector == IOrderBook.settleRevoked.selector
                || selector == IOrderBook.locate.selector || selector == IOrderBook.topUp.selector
                || selector == IOrderBook.reclaim.selector || selector == IOrderBook.payService.selector
        ) return _ENDINGS;
        return _ACCOUNTS;
    }

    /// @dev A part runs with its own idea of the market: another one would move this book's money by strangers' words.
    function _checkPart(OrderBase part, Market memory market) private view {
        // slither-disable-start calls-loop: three parts, once and for all
        _checkWired(part.BOOK());
        _checkSame(part.AUTHORITY(), market.authority);
        _checkSame(address(part.OFFERS()), address(market.offers));
        _checkSame(address(part.PROVIDERS()), address(market.providers));
        _checkSame(address(part.CVMS()), address(market.cvms));
        _checkSame(address(part.REFERENCES()), address(market.references));
        _checkSame(address(part.LEASES()), address(market.leases));
        // slither-disable-end calls-loop: behind the last of them
    }

    function _checkWired(address got) private view {
        _checkSame(got, address(this));
    }

    function _checkSame(address got, address expected) private pure {
        if (got != expected) revert Errors.OrderBook_Wiring(got, expected);
    }
}
