// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IPermit2} from "../interfaces/IPermit2.sol";
import {Errors} from "../libraries/Errors.sol";
import {OrderCodec} from "../libraries/OrderCodec.sol";
import {OrderId} from "../types/Orders.sol";
import {OrderPart} from "./OrderPart.sol";
import {OrderPlacing} from "./OrderPlacing.sol";

/// @title Orders that somebody else carries or pays (docs/protocol.md section 6.1).
/// @dev The order id is what client and payer sign: it is the EIP-712 digest of the terms, in which both are named.
abstract contract OrderSponsoring is OrderPlacing, OrderPart {
    using OrderCodec for bytes;

    /// @dev Where Permit2 stands on every chain that has it.
    IPermit2 internal constant PERMIT2 = IPermit2(0x000000000022D473030F116dDEE9F6B43aC78BA3);
    /// @dev The end of Permit2's type: the witness is an order, named by its id.
    string internal constant WITNESS_TYPE =
        "OrderWitness witness)OrderWitness(bytes32 orderId)TokenPermissions(address token,uint256 amount)";
    bytes32 internal constant WITNESS_TYPEHASH = keccak256("OrderWitness(bytes32 orderId)");

    /// @notice See {IOrderBook-placeWithPermit}.
    function placeWithPermit(
        bytes calldata order,
        string calldata location,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external inBook nonReentrant returns (OrderId id) {
        id = _open(order, location);
        _checkClient(id, order);
        // A permit authorises no terms: client and payer are the caller, so that the call itself does.
        address payer = order.payer();
        if (payer != msg.sender) revert Errors.OrderBook_OtherPayer(payer, msg.sender);
        // Interaction:
        _tryPermit(OrderCodec.token(order), msg.sender, order.deposit(), Permit(deadline, v, r, s));
        _pull(OrderCodec.token(order), msg.sender, order.deposit());
    }

    /// @notice See {IOrderBook-placeFor}.
    function placeFor(
        bytes calldata order,
        string calldata location,
        bytes calldata clientSignature,
        bytes calldata payerSignature
    ) external inBook nonReentrant returns (OrderId id) {
        id = _open(order, location);
        (address client, address payer) = (order.client(), order.payer());
        _checkConsent(id, client, clientSignature);
        // Check: what the payer's allowance is spent on, the payer has signed.
        if (payer != client) _checkConsent(id, payer, payerSignature);
        // Interaction:
        _pull(OrderCodec.token(order), payer, order.deposit());
    }

    /// @notice See {IOrderBook-placeWithPermit2}.
    function placeWithPermit2(
        bytes calldata order,
        string calldata location,
        bytes calldata clientSignature,
        uint256 nonce,
        uint256 deadline,
        bytes calldata payerSignature
    ) external inBook nonReentrant returns (OrderId id) {
        id = _open(order, location);
        _checkConsent(id, order.client(), clientSignature);
        // Interaction:
        _pullByPermit2(id, order, nonce, deadline, payerSignature);
    }

    /// @dev Check: Permit2 verifies that the payer signed this transfer for this very order.
    function _pullByPermit2(OrderId id, bytes calldata order, uint256 nonce, uint256 deadline, bytes calldata signature)
        private
    {
        IPermit2.TokenPermissions memory permitted = IPermit2.TokenPermissions(OrderCodec.token(order), order.deposit());
        if (permitted.amount == 0) return;
        uint256 known = IERC20(permitted.token).balanceOf(address(this));
        PERMIT2.permitWitnessTransferFrom(
            IPermit2.PermitTransferFrom(permitted, nonce, deadline),
            IPermit2.SignatureTransferDetails(address(this), permitted.amount),
            order.payer(),
            keccak256(abi.encode(WITNESS_TYPEHASH, id)),
            WITNESS_TYPE,
            signature
        );
        _checkReceived(permitted.token, known, permitted.amount);
    }

    /// @notice `account` is the caller, or signed the order id: by key, or as a contract (ERC-1271).
    function _checkConsent(OrderId id, address account, bytes calldata signature) private view {
        if (account == msg.sender) return;
        if (!SignatureChecker.isValidSignatureNowCalldata(account, OrderId.unwrap(id), signature)) {
            revert Errors.OrderBook_NotSignedBy(id, account);
        }
    }
}
