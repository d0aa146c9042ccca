// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {CallLib} from "../../../../contracts/libraries/CallLib.sol";
import {OfferCodec} from "../../../../contracts/libraries/OfferCodec.sol";
import {OrderCodec} from "../../../../contracts/libraries/OrderCodec.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {SettlementLib} from "../../../../contracts/libraries/SettlementLib.sol";
import {SignatureLib} from "../../../../contracts/libraries/SignatureLib.sol";
import {Price} from "../../../../contracts/types/Offers.sol";

/// @notice Answers as the test wants.
contract Answering {
    error Refused(uint256 argument);

    function one(uint256 argument) external pure returns (uint256) {
        return argument + 1;
    }

    function two(uint256 argument) external pure returns (uint256, uint256) {
        return (argument + 1, argument + 2);
    }

    function refuse(uint256 argument) external pure returns (uint256) {
        revert Refused(argument);
    }
}

/// @notice What is called most is written for gas; here it is held equal to what is written to be read.
contract HotPathsTest is Test {
    Answering private _answering = new Answering();

    // ------------------------------------------------------------------------------------------- forms
    /// @dev One form, many heads: each is hashed and priced as if it were the only one.
    function testFuzz_AFormHashesAndPricesEachHead(bytes32 seed, address token) external view {
        bytes memory heads;
        for (uint256 i = 0; i < 3 * 8; ++i) {
            heads = bytes.concat(heads, keccak256(abi.encode(seed, i)));
        }
        this.fillAll(heads, token);
    }

    function fillAll(bytes calldata heads, address token) external pure {
        uint256 form = OfferCodec.form(uint160(token));
        for (uint256 at = 0; at < 3 * OfferCodec.HEAD; at += OfferCodec.HEAD) {
            bytes32 hash = OfferCodec.fill(form, OrderCodec.pointer(heads) + at);
            assertEq(hash, OfferCodec.termsHash(heads, at, token));
            Price memory price = OfferCodec.price(heads, at);
            assertEq(keccak256(abi.encode(OfferCodec.priceOf(form))), keccak256(abi.encode(price)));
            assertEq(SettlementLib.amountAt(form, at * 1e6, at), SettlementLib.amountDown(price, at * 1e6, at));
            assertEq(SettlementLib.inputLockAt(form, at), SettlementLib.inputLockUp(price, at));
        }
    }

    /// @dev The formulas of docs/protocol.md, in the compiler's own arithmetic.
    function testFuzz_PricesAreWhatTheProtocolSays(Price memory price, uint32 secs, uint64 units) external pure {
        uint256 time = secs < price.minSeconds ? price.minSeconds : secs;
        uint256 amount = price.fixedPrice + uint256(price.perHour) * time / 3600 + uint256(price.perUnit) * units;
        assertEq(SettlementLib.amountDown(price, secs, units), amount);
        uint256 lock = price.fixedPrice + (uint256(price.perHour) * price.minSeconds + 3599) / 3600;
        assertEq(SettlementLib.inputLockUp(price, secs), lock + (uint256(price.perHour) * secs + 3599) / 3600);
    }

    // ------------------------------------------------------------------------------------------- hashes, signatures
    function testFuzz_ACheckpointIsASummary(bytes32 id, uint256 numbers, bytes32 statement) external pure {
        // Outcome 0 and 255 to blame, as `checkpoint` wants it.
        numbers = (numbers & ~uint256(0xffff00)) | 0xff0000;
        bytes32 summary = OrderHashLib.hashSummary(id, 0, numbers, 0, 0, statement);
        assertEq(OrderHashLib.hashCheckpoint(id, numbers, statement), summary);
    }

    function testFuzz_RecoverIsThePrecompile(uint256 key, bytes32 domain, bytes32 hash) external view {
        key = bound(key, 1, type(uint128).max);
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, hash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        bytes32 vs = bytes32(uint256(s) | (uint256(v - 27) << 255));
        assertEq(SignatureLib.recover(domain, hash, r, vs), vm.addr(key));
        // Another parity is another key, or none.
        address other = ecrecover(digest, 55 - v, r, s);
        assertEq(SignatureLib.recover(domain, hash, r, vs ^ bytes32(uint256(1) << 255)), other);
        // The upper half of the group is nobody's.
        uint256 half = SignatureLib.HALF_ORDER;
        assertEq(SignatureLib.recover(domain, hash, r, bytes32(half)), ecrecover(digest, 27, r, bytes32(half)));
        assertEq(SignatureLib.recover(domain, hash, r, bytes32(half + 1)), address(0));
        assertEq(SignatureLib.recover(domain, hash, r, bytes32(type(uint256).max)), address(0));
        assertEq(SignatureLib.recover(domain, hash, 0, vs), address(0));
        assertEq(SignatureLib.recover(domain, hash, r, 0), address(0));
    }

    // ------------------------------------------------------------------------------------------- views
    function testFuzz_AViewIsRead(uint128 argument) external view {
        address target = address(_answering);
        assertEq(CallLib.read(target, Answering.one.selector, argument), uint256(argument) + 1);
        (uint256 first, uint256 second) = CallLib.readTwo(target, Answering.two.selector, argument);
        assertEq(first, uint256(argument) + 1);
        assertEq(second, uint256(argument) + 2);
    }

    function test_RevertWhen_TheViewReverts() external {
        vm.expectRevert(abi.encodeWithSelector(Answering.Refused.selector, 7));
        this.read(address(_answering), Answering.refuse.selector);
        vm.expectRevert(abi.encodeWithSelector(Answering.Refused.selector, 7));
        this.readTwo(address(_answering), Answering.refuse.selector);
    }

    function test_RevertWhen_TheAnswerIsTooShort() external {
        vm.expectRevert(bytes(""));
        this.readTwo(address(_answering), Answering.one.selector);
        // Of no code, nothing is read.
        vm.expectRevert(bytes(""));
        this.read(makeAddr("no code"), Answering.one.selector);
        vm.expectRevert(bytes(""));
        this.readTwo(makeAddr("no code"), Answering.two.selector);
    }

    function read(address target, bytes4 selector) external view returns (uint256) {
        return CallLib.read(target, selector, 7);
    }

    function readTwo(address target, bytes4 selector) external view returns (uint256, uint256) {
        return CallLib.readTwo(target, selector, 7);
    }
}
