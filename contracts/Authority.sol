// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

/// @title Who may do what: roles, delays and schedules of every `restricted` function.
/// @notice OpenZeppelin's AccessManager as it is; it has a name here so that it is built and shipped with the rest.
contract Authority is AccessManager {
    constructor(address initialAdmin) AccessManager(initialAdmin) {}
}
