// SPDX-License-Identifier: Apache-2.0
// A gallery: each is a few lines, and they are read side by side.
// solhint-disable one-contract-per-file
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice What the hostile tokens share: an open faucet.
abstract contract MintableToken is ERC20 {
    constructor() ERC20("Hostile", "BAD") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @title Keeps one per cent of every transfer.
contract FeeToken is MintableToken {
    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, value);
        super._update(from, address(0xFEE), value / 100);
        super._update(from, to, value - value / 100);
    }
}

/// @title Credits more than it was asked to.
contract BonusToken is MintableToken {
    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(address(0), to, 1);
    }
}

/// @title Moves nothing and returns false, without a revert.
contract FalseToken is MintableToken {
    bool public honest;

    function setHonest(bool value) external {
        honest = value;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return honest && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return honest && super.transferFrom(from, to, value);
    }
}

/// @title Refuses single receivers, as tokens with a blacklist do.
contract BlacklistToken is MintableToken {
    error Refused(address account);

    mapping(address account => bool) public refused;

    function refuse(address account, bool value) external {
        refused[account] = value;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (refused[to]) revert Refused(to);
        super._update(from, to, value);
    }
}

/// @title Returns nothing at all, as some old and large tokens do. Not hostile, only odd.
contract SilentToken {
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @title Calls somebody in the middle of every transfer.
contract ReentrantToken is MintableToken {
    address private _target;
    bytes private _data;
    uint256 public tried;
    uint256 public succeeded;

    function arm(address target, bytes calldata data) external {
        (_target, _data) = (target, data);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0)) return;
        ++tried;
        // solhint-disable-next-line avoid-low-level-calls
        (bool ok,) = _target.call(_data);
        if (ok) ++succeeded;
    }
}
