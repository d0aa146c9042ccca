// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OfferCodec} from "../../../contracts/libraries/OfferCodec.sol";
import {OrderCodec} from "../../../contracts/libraries/OrderCodec.sol";
import {OrderHashLib} from "../../../contracts/libraries/OrderHashLib.sol";
import {PolicyCodec} from "../../../contracts/libraries/PolicyCodec.sol";
import {CvmCertificate, CvmKeys, Possession} from "../../../contracts/types/Certificates.sol";
import {OrderStart, OrderTerms, ReportSummary, Stop} from "../../../contracts/types/Orders.sol";

/// @notice OrderHashLib and the codecs as a contract, for the Python twins' conformance tests and for tests in memory.
contract HashHarness {
    /// @param heads Heads of an order; `k` is the number of the offer, 0 for compute.
    function hashOffer(bytes calldata heads, uint256 k, address token) external pure returns (bytes32) {
        OfferCodec.check(heads, heads.length / OfferCodec.HEAD);
        return OfferCodec.termsHash(heads, k * OfferCodec.HEAD, token);
    }

    function hashPayees(bytes calldata payees) external pure returns (bytes32) {
        return OfferCodec.hashPayees(payees);
    }

    function hashOrder(bytes calldata order) external pure returns (bytes32) {
        return OrderCodec.structHash(order, OrderCodec.check(order));
    }

    function inputsRoot(bytes calldata order) external pure returns (bytes32) {
        return OrderCodec.inputsRoot(order, OrderCodec.check(order));
    }

    function decodeOrder(bytes calldata order) external pure returns (OrderTerms memory) {
        return OrderCodec.decode(order);
    }

    function hashPolicy(bytes calldata policy) external pure returns (bytes32) {
        (uint256 classes, uint256 measurements) = PolicyCodec.check(policy);
        return PolicyCodec.structHash(policy, classes, measurements);
    }

    function hashStart(OrderStart calldata start) external pure returns (bytes32) {
        return OrderHashLib.hashStart(start.orderId, start.cvmId, start.inputsRoot);
    }

    /// @dev Packs the members as `Report.numbers` has them.
    function hashSummary(ReportSummary calldata s) external pure returns (bytes32) {
        uint256 numbers = uint256(s.phase) | uint256(s.outcome) << 8 | uint256(s.attributableInput) << 16
            | uint256(s.sequence) << 24 | uint256(s.secondsUsed) << 56 | uint256(s.unitsUsed) << 88;
        return OrderHashLib.hashSummary(s.orderId, s.cvmId, numbers, s.inputsRoot, s.resultDigest, s.statementDigest);
    }

    function hashStop(Stop calldata stop) external pure returns (bytes32) {
        return OrderHashLib.hashStop(stop.orderId);
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
