// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderBase} from "../../../../contracts/orders/OrderBase.sol";
import {Params} from "../../../../contracts/types/Orders.sol";
import {Stage} from "./Stage.sol";

contract ConstructorTest is Stage {
    /// @dev Who is told the book's address before it stands: three parts, four registries.
    address[7] private _told;

    function setUp() public override {
        super.setUp();
        (_told[0], _told[1], _told[2]) = book.parts();
        (_told[3], _told[4], _told[5], _told[6]) = (address(providers), address(offers), address(cvms), address(leases));
    }

    function test_RevertWhen_OneWasToldAnotherAddress() external {
        for (uint256 i = 0; i < 7; ++i) {
            address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
            vm.clearMockedCalls();
            for (uint256 j = 0; j < 7; ++j) {
                if (j != i) vm.mockCall(_told[j], _question(j), abi.encode(next));
            }
            _create(_first(), abi.encodeWithSelector(Errors.OrderBook_Wiring.selector, address(book), next));
        }
    }

    function test_RevertWhen_AShareIsAboveItsBound() external {
        Params memory first = _first();
        first.feeBps = 1001;
        _bad(first, _bound("feeBps", 1001, 1000));
        first = _first();
        first.startPenaltyBps = 5001;
        _bad(first, _bound("startPenaltyBps", 5001, 5000));
        first = _first();
        first.minGrace = 1 days + 1;
        _bad(first, _bound("minGrace", 1 days + 1, 1 days));
        first = _first();
        first.treasury = address(0);
        _bad(first, abi.encodeWithSelector(Errors.OrderBook_NoTreasury.selector));
    }

    function test_WhenSharesAreAtTheirBounds() external {
        _agree();
        Params memory first = Params(1000, 5000, 1 days, treasury);
        IOrderBook made = IOrderBook(_create(first, ""));
        assertEq(abi.encode(made.params(1)), abi.encode(first));
        _agree();
        first = Params(0, 0, 0, address(1));
        made = IOrderBook(_create(first, ""));
        assertEq(abi.encode(made.params(1)), abi.encode(first));
    }

    function test_WhenTheyFitTogether() external {
        OrderBase base = OrderBase(address(book));
        assertEq(address(base.OFFERS()), address(offers));
        assertEq(address(base.PROVIDERS()), address(providers));
        assertEq(address(base.CVMS()), address(cvms));
        assertEq(address(base.REFERENCES()), address(references));
        assertEq(address(base.LEASES()), address(leases));
        assertEq(base.BOOK(), address(book));
        assertEq(book.AUTHORITY(), address(authority));
        for (uint256 i = 0; i < 7; ++i) {
            (, bytes memory answer) = _told[i].staticcall(_question(i));
            assertEq(abi.decode(answer, (address)), address(book));
        }
        // Each part has the same market.
        for (uint256 i = 0; i < 3; ++i) {
            OrderBase part = OrderBase(_told[i]);
            assertEq(address(part.OFFERS()), address(offers));
            assertEq(address(part.PROVIDERS()), address(providers));
            assertEq(address(part.CVMS()), address(cvms));
            assertEq(address(part.REFERENCES()), address(references));
            assertEq(address(part.LEASES()), address(leases));
            assertEq(part.AUTHORITY(), address(authority));
        }
        assertEq(book.paramsVersion(), 1);
        assertEq(abi.encode(book.params(1)), abi.encode(_first()));
        assertEq(abi.encode(book.params(0)), abi.encode(Params(0, 0, 0, address(0))));
        assertFalse(book.isPaused());
        _agree();
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        vm.expectEmit(next);
        emit IOrderBook.ParamsAdded(1, FEE_BPS, PENALTY_BPS, MIN_GRACE, treasury);
        assertEq(_create(_first(), ""), next);
    }

    /// @dev Everybody was told the next address.
    function _agree() private {
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        for (uint256 i = 0; i < 7; ++i) {
            vm.mockCall(_told[i], _question(i), abi.encode(next));
        }
    }

    function _question(uint256 i) private pure returns (bytes memory) {
        return i < 3 ? abi.encodeWithSignature("BOOK()") : abi.encodeWithSignature("ORDER_BOOK()");
    }

    function _bad(Params memory first, bytes memory error_) private {
        _agree();
        _create(first, error_);
    }

    function _create(Params memory first, bytes memory error_) private returns (address made) {
        address[3] memory others = [_told[0], _told[1], _told[2]];
        bytes memory code =
            abi.encodePacked(vm.getCode("OrderBook.sol:OrderBook"), abi.encode(others, _market(), first));
        bytes memory reason;
        // Not by expectRevert, which is content with a creation that stands.
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
            reason := mload(0x40)
            mstore(0x40, add(add(reason, 0x20), and(add(returndatasize(), 0x1f), not(0x1f))))
            mstore(reason, returndatasize())
            returndatacopy(add(reason, 0x20), 0, returndatasize())
        }
        assertEq(made == address(0), error_.length != 0, "made, or refused");
        if (made == address(0)) assertEq(reason, error_);
    }

    function _first() private view returns (Params memory) {
        return Params(FEE_BPS, PENALTY_BPS, MIN_GRACE, treasury);
    }

    function _bound(bytes32 field, uint256 got, uint256 most) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_ParamsBound.selector, field, got, most);
    }
}
