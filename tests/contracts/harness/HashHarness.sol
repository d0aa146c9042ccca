// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderHashLib} from "../../../contracts/libraries/OrderHashLib.sol";
import {CvmCertificate, CvmKeys, Possession} from "../../../contracts/types/Certificates.sol";
import {OfferTerms} from "../../../contracts/types/Offers.sol";
import {
    InputRef,
    OrderStart,
    OrderTerms,
    ReportSummary,
    RuntimePolicy,
    Stop
} from "../../../contracts/types/Orders.sol";

/// @notice OrderHashLib as a contract, for the Python twin's conformance tests and for tests in memory.
contract HashHarness {
    function hashOffer(OfferTerms calldata terms) external pure returns (bytes32) {
        return OrderHashLib.hashOffer(terms);
    }

    function hashOrder(OrderTerms calldata terms) external pure returns (bytes32) {
        return OrderHashLib.hashOrder(terms);
    }

    function hashPolicy(RuntimePolicy calldata policy) external pure returns (bytes32) {
        return OrderHashLib.hashPolicy(policy);
    }

    function hashStart(OrderStart calldata start) external pure returns (bytes32) {
        return OrderHashLib.hashStart(start);
    }

    function hashSummary(ReportSummary calldata summary) external pure returns (bytes32) {
        return OrderHashLib.hashSummary(summary);
    }

    function hashStop(Stop calldata stop) external pure returns (bytes32) {
        return OrderHashLib.hashStop(stop);
    }

    function hashKeys(CvmKeys calldata keys) external pure returns (bytes32) {
        return OrderHashLib.hashKeys(keys);
    }

    function hashPossession(Possession calldata possession) external pure returns (bytes32) {
        return OrderHashLib.hashPossession(possession);
    }

    function hashCertificate(CvmCertificate calldata certificate) external pure returns (bytes32) {
        return OrderHashLib.hashCertificate(certificate);
    }

    function inputsRoot(InputRef[] calldata inputs) external pure returns (bytes32) {
        return OrderHashLib.inputsRoot(inputs);
    }

    /// @notice The domain separator of any contract of the protocol.
    function domainSeparator(string calldata name, uint256 chainId, address verifyingContract)
        public
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encode(OrderHashLib.DOMAIN_TYPEHASH, keccak256(bytes(name)), keccak256("1"), chainId, verifyingContract)
        );
    }

    function digest(string calldata name, uint256 chainId, address verifyingContract, bytes32 structHash)
        external
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(name, chainId, verifyingContract), structHash));
    }
}
