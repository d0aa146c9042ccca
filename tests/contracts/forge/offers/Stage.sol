// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {OfferRegistry} from "../../../../contracts/OfferRegistry.sol";
import {IOrderReports} from "../../../../contracts/interfaces/IOrderReports.sol";
import {OfferKind, OfferTerms, Payee} from "../../../../contracts/types/Offers.sol";
import {Report} from "../../../../contracts/types/Orders.sol";
import {OfferBytes} from "./OfferBytes.sol";

/// @notice Knows which orders were completed with which report, as the OrderBook does.
contract ReportShelf is IOrderReports {
    error NoSuchReport(bytes32 orderHash);

    mapping(bytes32 orderHash => bytes32) private _reports;

    function complete(bytes calldata order, Report calldata report) external returns (bytes32 id) {
        _reports[keccak256(order)] = keccak256(abi.encode(report));
        return orderId(order);
    }

    function checkReport(bytes calldata order, Report calldata report) external view returns (bytes32 id) {
        if (_reports[keccak256(order)] != keccak256(abi.encode(report))) revert NoSuchReport(keccak256(order));
        return orderId(order);
    }

    function orderId(bytes calldata order) public pure returns (bytes32) {
        return keccak256(bytes.concat("order", order));
    }
}

/// @notice An input as an order names it.
struct In {
    uint64 offer;
    uint32 version;
    bytes32 terms;
    bytes32 lease;
}

/// @notice A registry, some owners and a client. Offers are made of structs and travel as bytes.
abstract contract Stage is Test {
    using OfferBytes for OfferTerms;

    uint256 internal constant T0 = 1_800_000_000;
    string internal constant URI = "ipfs://manifest";

    address internal ownerA;
    uint256 internal keyA;
    address internal ownerB = makeAddr("owner B");
    address internal coAuthor = makeAddr("co-author");
    address internal provider = makeAddr("provider");
    address internal client = makeAddr("client");
    address internal poker = makeAddr("poker");
    address internal token = makeAddr("token");
    ReportShelf internal book;
    OfferRegistry internal offers;

    function setUp() public virtual {
        vm.warp(T0);
        vm.roll(1000);
        (ownerA, keyA) = makeAddrAndKey("owner A");
        book = new ReportShelf();
        offers = new OfferRegistry(book);
    }

    // ------------------------------------------------------------------------------------------- terms
    function _two(address first, uint16 bps, address second) internal pure returns (Payee[] memory list) {
        list = new Payee[](2);
        list[0] = Payee(first, bps);
        list[1] = Payee(second, 10_000 - bps);
    }

    function _compute() internal view returns (OfferTerms memory terms) {
        terms.kind = uint8(OfferKind.COMPUTE);
        terms.token = token;
        terms.price.perHour = 7_200_000;
        terms.payees = new Payee[](1);
        terms.payees[0] = Payee(provider, 10_000);
    }

    function _content(OfferKind kind, address owner) internal view returns (OfferTerms memory terms) {
        terms.kind = uint8(kind);
        terms.token = token;
        terms.price.fixedPrice = 1_000_000;
        terms.price.perHour = 3_600_000;
        terms.price.minSeconds = 60;
        terms.payees = _two(owner, 7001, coAuthor);
        terms.manifestDigest = keccak256("manifest");
        terms.contentDigest = keccak256("content");
        terms.grantKey = address(uint160(uint256(keccak256("grant key"))));
    }

    function _serial(OfferTerms memory terms, uint32 number) internal pure returns (uint32) {
        return (uint32(terms.kind) << 28) | number;
    }

    function _list(address owner, OfferTerms memory terms, uint32 number) internal returns (uint64 offer) {
        bytes memory packed = _trailing(terms, URI);
        vm.prank(owner);
        return offers.list(_serial(terms, number), packed);
    }

    function _trailing(OfferTerms memory terms, string memory uri) internal pure returns (bytes memory) {
        return abi.encodePacked(terms.token, terms.head(), OfferBytes.payees(terms.payees), uri);
    }

    // ------------------------------------------------------------------------------------------- orders
    /// @dev Only what the registry looks at is set; the rest is noise that it must not mind.
    function _order(In memory compute, In[] memory inputs) internal view returns (bytes memory order) {
        order = abi.encodePacked(client, poker, token, compute.offer, compute.version, compute.terms);
        bytes memory rest = new bytes(297 - order.length);
        for (uint256 i = 0; i < rest.length; ++i) {
            rest[i] = 0xee;
        }
        uint24 extras = 0;
        bytes memory leases;
        for (uint256 i = 0; i < inputs.length; ++i) {
            if (inputs[i].lease == 0) continue;
            extras |= uint24(1 << i);
            leases = abi.encodePacked(leases, inputs[i].lease);
        }
        order = abi.encodePacked(order, rest, extras);
        for (uint256 i = 0; i < inputs.length; ++i) {
            order = abi.encodePacked(order, inputs[i].offer, inputs[i].version, inputs[i].terms);
        }
        order = bytes.concat(order, leases);
    }

    function _in(uint64 offer, OfferTerms memory terms) internal pure returns (In memory) {
        return In(offer, 1, terms.hash(), 0);
    }
}
