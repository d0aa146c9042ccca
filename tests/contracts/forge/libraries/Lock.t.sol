// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {LockLib} from "../../../../contracts/libraries/LockLib.sol";
import {SettlementHarness} from "../../harness/SettlementHarness.sol";

/// @notice Locks in 24 bits: never less than asked, and less than one part in 65 536 more.
contract LockTest is Test {
    SettlementHarness private _lib;

    function setUp() external {
        _lib = new SettlementHarness();
    }

    function testFuzz_RoundsUpByLessThanOnePartIn65536(uint256 amount, uint8 bits) external view {
        amount = bound(amount >> (uint256(bits) % 256), 0, LockLib.MAX);
        uint256 code = _lib.encodeUp(amount);
        uint256 locked = _lib.decode(code);
        assertLt(code, 1 << 24, "24 bits");
        assertGe(locked, amount, "never less");
        assertLt((locked - amount) * 65_536, amount == 0 ? 1 : amount, "hardly more");
        assertEq(_lib.encodeUp(locked), code, "once rounded, never again");
    }

    function testFuzz_LargerAmountsHaveLargerCodes(uint144 a, uint144 b) external view {
        (uint256 low, uint256 high) = a < b ? (a, b) : (b, a);
        vm.assume(high <= LockLib.MAX);
        assertLe(_lib.encodeUp(low), _lib.encodeUp(high));
    }

    function test_SmallAmountsAreExact() external view {
        for (uint256 amount = 0; amount < 40; ++amount) {
            assertEq(_lib.encodeUp(amount), amount);
        }
        assertEq(_lib.decode(_lib.encodeUp(131_071)), 131_071, "the largest mantissa");
        assertEq(_lib.decode(_lib.encodeUp(131_072)), 131_072);
        assertEq(_lib.decode(_lib.encodeUp(131_073)), 131_074, "the first that is rounded");
        assertEq(_lib.encodeUp(262_143), 2 << 17 | 65_536, "a mantissa of all ones carries over");
    }

    function test_TheLargestAmount() external {
        assertEq(_lib.encodeUp(LockLib.MAX), (1 << 24) - 1);
        assertEq(_lib.decode((1 << 24) - 1), LockLib.MAX);
        assertGt(LockLib.MAX, type(uint128).max, "more than any deposit");
        vm.expectRevert(abi.encodeWithSelector(Errors.LockLib_TooLarge.selector, LockLib.MAX + 1, LockLib.MAX));
        _lib.encodeUp(LockLib.MAX + 1);
    }

    function test_DecodingLooksAt24BitsAlone() external view {
        assertEq(_lib.decode(1 << 24 | 5), 5);
    }
}
