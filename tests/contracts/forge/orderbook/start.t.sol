// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {TcbStatus} from "../../../../contracts/types/Certificates.sol";
import {Order, OrderId, OrderState, Phase} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Stage} from "./Stage.sol";

contract StartTest is Stage {
    function test_RevertGiven_TheOrderIsNotAccepted() external {
        Deal memory deal = _deal();
        _wrong(deal, OrderState.NONE);
        _place(deal);
        _wrong(deal, OrderState.PLACED);
        _accept(deal);
        _start(deal);
        // The table lets RUNNING stay RUNNING, but not by starting again.
        _wrong(deal, OrderState.RUNNING);
        _stop(deal);
        _wrong(deal, OrderState.STOPPING);
        _refuse(deal, 0);
        _wrong(deal, OrderState.REFUSED);
    }

    function test_RevertGiven_StartWithinIsOver() external {
        Deal memory deal = _accepted();
        uint256 deadline = T0 + deal.terms.windows.startWithin;
        vm.warp(deadline + 1);
        _refused(deal, _tooLate(deal, deadline));
        vm.warp(deadline);
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    function test_GivenStartWithinIsZero() external {
        Deal memory deal = _deal();
        deal.terms.windows.startWithin = 0;
        _place(deal);
        _accept(deal);
        vm.warp(T0 + 1);
        _refused(deal, _tooLate(deal, T0));
        vm.warp(T0);
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    // ------------------------------------------------------------------------------------------- signatures
    function test_RevertWhen_AnotherKeySigned() external {
        Deal memory deal = _accepted();
        (address stranger, uint256 key) = makeAddrAndKey("stranger's cvm");
        _certifyWith(key, _certificateOf(stranger, operator));
        uint256[3] memory keys = [operatorKey, clientKey, key];
        for (uint256 i = 0; i < 3; ++i) {
            (bytes32 r, bytes32 vs) = _signStart(deal, keys[i]);
            _willRevert(_notSigned(deal, vm.addr(keys[i])));
            _startWith(deal, r, vs);
        }
    }

    function test_RevertWhen_SomethingElseWasSigned() external {
        Deal memory deal = _accepted();
        Deal memory other = _deal();
        other.terms.salt = "other";
        OrderId id = _id(deal);
        _forged(deal, _startHash(other));
        _forged(deal, OrderHashLib.hashStart(OrderId.unwrap(id), cvmId, keccak256("other inputs")));
        _forged(deal, OrderHashLib.hashStart(OrderId.unwrap(id), keccak256("other cvm"), _root(deal)));
        _forged(deal, OrderHashLib.hashStop(OrderId.unwrap(id)));
        // A good signature does not carry other words than it was given for.
        (bytes32 r, bytes32 vs) = _signStart(deal, signerKey);
        bytes32 root = keccak256("other inputs");
        vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
        book.start(id, cvmId, root, r, vs);
        root = _root(deal);
        vm.expectPartialRevert(Errors.OrderBook_NotSigned.selector);
        book.start(id, keccak256("other cvm"), root, r, vs);
    }

    function test_RevertWhen_TheSignatureIsForAnotherPlace() external {
        Deal memory deal = _accepted();
        bytes32 structHash = _startHash(deal);
        _elsewhere(deal, _digestAt(block.chainid + 1, address(book), structHash));
        _elsewhere(deal, _digestAt(block.chainid, address(cvms), structHash));
        // The same words without the domain.
        _elsewhere(deal, structHash);
        assertEq(_digestAt(block.chainid, address(book), structHash), _bookDigest(structHash));
    }

    function test_RevertWhen_TheSignatureIsHostile() external {
        Deal memory deal = _accepted();
        (bytes32 r, bytes32 vs) = _signStart(deal, signerKey);
        _recovers(deal, 0, 0, address(0));
        _recovers(deal, r, 0, address(0));
        _recovers(deal, 0, vs, address(0));
        _recovers(deal, bytes32(CURVE_ORDER), vs, address(0));
        // A high s that 255 bits can hold, with either parity.
        bytes32 high = bytes32(type(uint256).max >> 1);
        _recovers(deal, r, high, address(0));
        _recovers(deal, r, bytes32(type(uint256).max), address(0));
        // One above half of the order is high, half of it is not: that is somebody's signature, and nobody's here.
        _recovers(deal, r, bytes32(CURVE_ORDER / 2 + 1), address(0));
        _recovers(deal, r, bytes32(CURVE_ORDER / 2), _recovered(_startHash(deal), r, bytes32(CURVE_ORDER / 2)));
        _recovers(deal, r, _mirrored(vs), _recovered(_startHash(deal), r, _mirrored(vs)));
        // The other parity.
        bytes32 turned = vs ^ bytes32(uint256(1) << 255);
        _recovers(deal, r, turned, _recovered(_startHash(deal), r, turned));
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    // ------------------------------------------------------------------------------------------- the CVM
    function test_RevertGiven_TheCvmWasRevokedOrRetired() external {
        Deal memory deal = _accepted();
        _retire();
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_CvmRetired.selector, cvm));
        _revoke();
        _refused(deal, _cvmRevoked());
    }

    /// @dev Acceptance wants a certificate that outlasts startWithin and no renewal shortens one, so that the registry has
    /// to be made to lie for this.
    function test_RevertGiven_TheCertificateExpired() external {
        Deal memory deal = _accepted();
        (uint256 word, uint256 standing) = cvms.standingOf(cvm);
        word = (word & ~(uint256(type(uint40).max) << 160)) | (T0 << 160);
        vm.mockCall(address(cvms), abi.encodeCall(cvms.standingOf, (cvm)), abi.encode(word, standing));
        _refused(deal, abi.encodeWithSelector(Errors.OrderBook_CvmExpires.selector, cvm, T0, T0));
        vm.warp(T0 - 1);
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    function test_GivenTheCertificateEndsRightAfterTheLastSecond() external {
        Deal memory deal = _deal();
        deal.terms.windows.startWithin = 30 days - 1;
        _place(deal);
        _accept(deal);
        vm.warp(T0 + 30 days - 1);
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    function test_GivenTheCertificateWasRenewed() external {
        Deal memory deal = _accepted();
        _renewWith(TcbStatus.UP_TO_DATE);
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    function test_GivenTheCertificateGotWorseThanThePolicy() external {
        vm.prank(admin);
        references.lowerFloor(profile, uint8(TcbStatus.OUT_OF_DATE));
        Deal memory deal = _accepted();
        _renewWith(TcbStatus.OUT_OF_DATE);
        // The client can void it; until somebody does, the market's own floor is all that is asked.
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    function test_RevertGiven_TheRuntimeWasRemoved() external {
        Deal memory deal = _accepted();
        _removeProfile();
        _refused(deal, _notReference());
    }

    function test_RevertGiven_TheTcbNoLongerSuffices() external {
        Deal memory deal = _accepted();
        _renewWith(TcbStatus.OUT_OF_DATE);
        _refused(deal, _notReference());
    }

    // ------------------------------------------------------------------------------------------- all is well
    function test_GivenTheBookIsPaused() external {
        Deal memory deal = _accepted();
        _pause(true);
        _start(deal);
        assertState(deal, OrderState.RUNNING);
    }

    function test_WhenTheAcceptedCvmSigned() external {
        Deal memory deal = _sponsoredAccepted();
        uint256 lock = _lock(deal);
        skip(33);
        OrderId id = _id(deal);
        (bytes32 r, bytes32 vs) = _signStart(deal, signerKey);
        bytes32 root = _root(deal);
        vm.expectEmit(address(book));
        emit IOrderBook.OrderStarted(id, cvm, cvmId, 2, root);
        vm.prank(makeAddr("anybody"));
        book.start(id, cvmId, root, r, vs);
        Order memory expected;
        expected.state = OrderState.RUNNING;
        expected.phase = Phase.SETUP;
        expected.since = uint40(T0 + 33);
        expected.paramsVersion = 1;
        expected.cvm = cvm;
        expected.lock = lock;
        expected.events = 3;
        assertEq(abi.encode(book.getOrder(id)), abi.encode(expected));
        assertEq(_locked(), lock);
    }

    // ------------------------------------------------------------------------------------------- helpers
    function _refused(Deal memory deal, bytes memory error_) private {
        _willRevert(error_);
        _start(deal);
    }

    function _wrong(Deal memory deal, OrderState actual) private {
        _refused(deal, _wrongState(deal, actual, OrderState.RUNNING));
    }

    /// @dev The CVM signed `structHash` instead.
    function _forged(Deal memory deal, bytes32 structHash) private {
        _elsewhere(deal, _bookDigest(structHash));
    }

    function _elsewhere(Deal memory deal, bytes32 digest) private {
        (bytes32 r, bytes32 vs) = _signCompact(signerKey, digest);
        _recovers(deal, r, vs, _recovered(_startHash(deal), r, vs));
    }

    function _recovers(Deal memory deal, bytes32 r, bytes32 vs, address who) private {
        assertNotEq(who, signer);
        _willRevert(_notSigned(deal, who));
        _startWith(deal, r, vs);
    }
}
