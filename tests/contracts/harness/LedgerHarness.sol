// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ledger} from "../../../contracts/Ledger.sol";

/// @notice A ledger whose credits anybody gives, with tokens of his own.
contract LedgerHarness is Ledger {
    function give(address token, address account, uint256 amount) external nonReentrant {
        _credit(token, account, amount);
        _pull(token, msg.sender, amount);
    }
}
