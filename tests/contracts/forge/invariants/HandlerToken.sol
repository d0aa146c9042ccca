// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice What a hostile token does to the next transfers.
enum Mood {
    HONEST,
    RETURNS_FALSE,
    REVERTS,
    KEEPS_A_SHARE,
    ADDS_ONE,
    CALLS_SOMEBODY
}

/// @notice A token that changes its mind: each transfer is as honest as its mood. It never touches balances outside
/// of a transfer, which is all that Escrow assumes of a token.
contract MoodyToken is ERC20 {
    error InThisMood();
    error Refused(address account);

    Mood public mood;
    address public refused;
    address private _target;
    bytes private _data;
    uint256 public calls;

    constructor() ERC20("Moody", "MOOD") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @param account Receives nothing from now on.
    function setMood(Mood mood_, address account, address target, bytes calldata data) external {
        (mood, refused, _target, _data) = (mood_, account, target, data);
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return mood != Mood.RETURNS_FALSE && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return mood != Mood.RETURNS_FALSE && super.transferFrom(from, to, value);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, value);
        if (mood == Mood.REVERTS) revert InThisMood();
        if (to == refused) revert Refused(to);
        uint256 kept = mood == Mood.KEEPS_A_SHARE ? value / 100 : 0;
        super._update(from, to, value - kept);
        if (kept != 0) super._update(from, address(0xFEE), kept);
        if (mood == Mood.ADDS_ONE) super._update(address(0), to, 1);
        if (mood != Mood.CALLS_SOMEBODY || _target == address(0)) return;
        // solhint-disable-next-line avoid-low-level-calls
        (bool done,) = _target.call(_data);
        if (done) ++calls;
    }
}
