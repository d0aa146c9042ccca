// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "forge-std/Vm.sol";

import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {Payee} from "../../../../contracts/types/Offers.sol";
import {Holdback, Outcome} from "../../../../contracts/types/Orders.sol";
import {Deal} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {Money} from "./Money.sol";

/// @notice `claim` takes a short way where an order COMPLETED or FAILED, and where no royalties are owed; `dueOf` and the
/// table of section 6.7 know nothing of it. See claimPaths.tree.
contract ClaimPathsTest is Money {
    function testFuzz_TheShortWayClaimsWhatIsDue(uint32 secs, uint64 units, uint16 bps, uint256 draws, bool failed)
        external
    {
        Deal memory deal = _deal();
        bps %= 5001;
        if (bps != 0) deal.terms.holdback = Holdback(bps, WINDOW);
        _reprice(deal);
        _runs(deal);
        skip(bound(draws, 0, 300));
        if (draws & 1 != 0 && _due(deal, 0) != 0) _claim(deal, 0);
        (secs, units) = (uint32(bound(secs, 100, type(uint32).max)), uint64(bound(units, 0, 2000)));
        _complete(deal, failed ? Outcome.FAILED : Outcome.COMPLETED, secs, units);
        if (draws & 2 != 0) skip(WINDOW + 1);
        for (uint256 k = 0; k <= deal.inputs.length; ++k) {
            (uint256 gross, bool isLast) = (_due(deal, k), k != 0 || failed || bps == 0 || draws & 2 != 0);
            if (k == 0 && draws & 1 != 0 && !isLast && gross == _drawn(deal)) continue;
            vm.recordLogs();
            _claim(deal, k);
            _isClaimed(k, gross, isLast);
        }
    }

    /// @dev Each receives the floor of its share, in as many steps as one likes; the last takes what rounding left.
    function testFuzz_PayeesShareWithoutATable(uint16[7] memory shares, uint32 secs) external {
        Deal memory deal = _deal();
        Payee[] memory payees = new Payee[](8);
        uint256 left = 10_000;
        for (uint256 i = 0; i < 7; ++i) {
            payees[i] = Payee(address(uint160(0xaaa0 + i)), uint16(1 + shares[i] % (left / 4)));
            left -= payees[i].bps;
        }
        payees[7] = Payee(address(0xaaa7), uint16(left));
        deal.compute.payees = payees;
        _relist(deal);
        _runs(deal);
        if (_due(deal, 0) != 0) _claim(deal, 0);
        skip(400);
        _complete(deal, Outcome.COMPLETED, uint32(bound(secs, 100, 500)), 77);
        uint256 net = _net(_due(deal, 0));
        _claim(deal, 0);
        uint256 sum;
        for (uint256 i = 0; i < 7; ++i) {
            assertEq(_credit(payees[i].account), net * payees[i].bps / 10_000, "a floor");
            sum += _credit(payees[i].account);
        }
        assertEq(_credit(payees[7].account), net - sum, "the rest");
    }

    function _drawn(Deal memory deal) private view returns (uint256 claimed) {
        (, claimed) = book.dueOf(Pack.order(deal.terms), 0, Pack.head(deal.compute));
    }

    function _isClaimed(uint256 k, uint256 gross, bool isLast) private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1);
        assertEq(logs[0].topics[0], IOrderBook.Claimed.selector);
        uint256 credited = abi.decode(logs[0].data, (uint256));
        assertEq(uint224(credited), gross, "as dueOf says");
        assertEq(uint8(credited >> 224), k);
        assertEq((credited >> 232) & 0xff, isLast ? 1 : 0, "last");
    }
}
