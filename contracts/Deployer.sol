// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "./libraries/Errors.sol";

/// @title Creates contracts at addresses that depend on who asks and on a salt, and on nothing else.
/// @notice The contracts of a market name each other in their constructors. An address that CREATE2 gives depends on
/// those arguments, so it could not be one of them; these addresses can (docs/adr/0016-deterministic-deployment.md).
/// @dev Holds nothing, has no owner, and is the same on every chain: anybody may put it there, anybody may use it, and
/// nobody reaches an address that belongs to another's salts.
contract Deployer {
    /// @dev Creation code of a contract that does one thing: CREATE from its calldata, and revert with the constructor's
    /// own reason where that fails. It is created by CREATE2 from this code alone, and creates with nonce 1.
    ///   74 <21 bytes> 3d 52 6015 600b f3        return the 21 bytes:
    ///   36 3d 3d 37 36 3d 34 f0                 CREATE(value, calldata)
    ///   6014 57 3d 6000 80 3e 3d 6000 fd        address zero: revert with what came back
    ///   5b                                      else stop
    bytes private constant _SHIM = hex"74363d3d37363d34f06014573d6000803e3d6000fd5b3d526015600bf3";
    bytes32 private constant _SHIM_HASH = keccak256(_SHIM);

    event Deployed(address indexed created, address indexed sender, bytes32 indexed salt);

    /// @notice Creates a contract from `initCode` at `addressOf(msg.sender, salt)`.
    /// @dev Reverts with the constructor's reason, or where that address is taken.
    function deploy(bytes32 salt, bytes calldata initCode) external returns (address created) {
        created = addressOf(msg.sender, salt);
        if (created.code.length != 0) revert Errors.Deployer_Taken(created);
        bytes memory shim = _SHIM;
        bytes32 own = _ownSalt(msg.sender, salt);
        address creator;
        assembly ("memory-safe") {
            creator := create2(0, add(shim, 32), mload(shim), own)
        }
        // The shim takes creation code as it is: no function, no selector.
        // solhint-disable-next-line avoid-low-level-calls
        (bool ok, bytes memory reason) = creator.call(initCode);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
        if (created.code.length == 0) revert Errors.Deployer_NoCode(created);
        // slither-disable-next-line reentrancy-events: the address depends on sender and salt alone
        emit Deployed(created, msg.sender, salt);
    }

    /// @notice Where `deploy(salt, ...)` by `sender` puts a contract.
    function addressOf(address sender, bytes32 salt) public view returns (address) {
        bytes32 creator = keccak256(abi.encodePacked(hex"ff", address(this), _ownSalt(sender, salt), _SHIM_HASH));
        // RLP of [creator, 1]: the address of the first contract that the creator makes.
        return
            address(
                uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(uint160(uint256(creator))), hex"01"))))
            );
    }

    function _ownSalt(address sender, bytes32 salt) private pure returns (bytes32) {
        return keccak256(abi.encode(sender, salt));
    }
}
