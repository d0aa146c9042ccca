// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {CvmCertificate} from "../../../../contracts/types/Certificates.sol";
import {Order, OrderId, OrderPreimage, OrderState, Phase} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

contract StartTest is Market {
    uint256 private constant _N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    function test_RevertGiven_TheOrderIsNotAccepted() external {
        OrderPreimage memory pre = _placed();
        _wrong(pre, OrderState.PLACED);
        _accept(pre);
        _start(pre);
        // The table lets RUNNING stay RUNNING, but not by starting again.
        _wrong(pre, OrderState.RUNNING);
    }

    function test_RevertGiven_StartWithinIsOver() external {
        OrderPreimage memory pre = _accepted();
        uint256 deadline = T0 + pre.terms.windows.startWithin;
        vm.warp(deadline + 1);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_TooLate.selector, _id(pre), deadline, deadline + 1));
        _start(pre);
        vm.warp(deadline);
        _start(pre);
        assertState(pre, OrderState.RUNNING);
    }

    function test_RevertWhen_AnotherKeySigned() external {
        OrderPreimage memory pre = _accepted();
        bytes memory forged = _stopSignature(pre, signerKey);
        vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
        book.start(pre.terms, forged);
        bytes memory garbage = hex"00";
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NotSigned.selector, _id(pre), address(0), signer));
        _startWith(pre, garbage);
        OrderPreimage memory other = _preimage();
        other.terms.salt = "other";
        bytes memory others = _startSignature(other);
        vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
        book.start(pre.terms, others);
    }

    function test_RevertWhen_TheSignatureIsMalleable() external {
        OrderPreimage memory pre = _accepted();
        bytes memory signature = _startSignature(pre);
        (bytes32 r, bytes32 s, uint8 v) = _split(signature);
        bytes memory twin = abi.encodePacked(r, bytes32(_N - uint256(s)), v == 27 ? 28 : 27);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NotSigned.selector, _id(pre), address(0), signer));
        _startWith(pre, twin);
    }

    function test_RevertGiven_TheCvmWasRevoked() external {
        OrderPreimage memory pre = _accepted();
        _revoke();
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_CvmRevoked.selector, cvmId));
        _start(pre);
    }

    function test_RevertGiven_TheCvmWasRetired() external {
        OrderPreimage memory pre = _accepted();
        vm.prank(operator);
        cvms.retire(cvmId);
        _willRevert(
            abi.encodeWithSelector(Errors.OrderBook_CvmExpires.selector, cvmId, block.timestamp, block.timestamp)
        );
        _start(pre);
    }

    function test_RevertGiven_TheRuntimeWasRemoved() external {
        OrderPreimage memory pre = _accepted();
        vm.prank(admin);
        references.removeTrustClass(ROOT_SET);
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_NotReference.selector, cvmId, MEASUREMENT, ROOT_SET));
        _start(pre);
    }

    function test_WhenTheAcceptedCvmSigned() external {
        OrderPreimage memory pre = _accepted();
        skip(33);
        OrderId id = _id(pre);
        bytes memory signature = _startSignature(pre);
        bytes32 root = hashes.inputsRoot(pre.terms.inputs);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderStarted(id, cvmId, root);
        vm.prank(poker);
        book.start(pre.terms, signature);
        Order memory order = book.getOrder(id);
        assertEq(uint8(order.state), uint8(OrderState.RUNNING));
        assertEq(uint8(order.phase), uint8(Phase.SETUP));
        assertEq(order.since, T0 + 33);
        assertEq(order.lastProof, T0 + 33);
        assertEq(order.sequence, 0);
    }

    function test_GivenTheCertificateWasRenewed() external {
        OrderPreimage memory pre = _accepted();
        CvmCertificate memory renewed = _certificate();
        renewed.expiresAt += 1;
        _certify(renewed);
        _start(pre);
        assertState(pre, OrderState.RUNNING);
    }

    function _split(bytes memory signature) private pure returns (bytes32 r, bytes32 s, uint8 v) {
        (r, s) = abi.decode(signature, (bytes32, bytes32));
        v = uint8(signature[64]);
    }

    function _wrong(OrderPreimage memory pre, OrderState actual) private {
        _willRevert(abi.encodeWithSelector(Errors.OrderBook_WrongState.selector, _id(pre), actual, OrderState.RUNNING));
        _start(pre);
    }
}
