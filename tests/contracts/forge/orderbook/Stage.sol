// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {CvmCertificate, TcbStatus} from "../../../../contracts/types/Certificates.sol";
import {LeaseTerms} from "../../../../contracts/types/Leases.sol";
import {Payee} from "../../../../contracts/types/Offers.sol";
import {OrderId, OrderState, Params, Sale} from "../../../../contracts/types/Orders.sol";
import {Deal, Market} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";

/// @notice An account that is a contract (ERC-1271): it stands behind the digests it agreed to, whatever the signature.
contract Wallet {
    mapping(bytes32 digest => bool) private _agreed;
    bool private _angry;

    function agree(bytes32 digest, bool value) external {
        _agreed[digest] = value;
    }

    /// @dev From now on it reverts instead of answering.
    function rage() external {
        _angry = true;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        require(!_angry, "wallet is angry");
        return _agreed[digest] ? this.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// @notice What the tests of the OrderBook's functions share: its errors with their arguments, an order that somebody
/// else pays, leases, hostile signatures.
abstract contract Stage is Market {
    uint256 internal constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    uint32 internal constant PERIOD = 10_000;
    uint128 internal constant LEASE_PRICE = 1_000_003;

    // ------------------------------------------------------------------------------------------- errors
    function _wrongState(Deal memory deal, OrderState actual, OrderState wanted) internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_WrongState.selector, _id(deal), actual, wanted);
    }

    /// @dev As it is thrown now.
    function _tooLate(Deal memory deal, uint256 deadline) internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_TooLate.selector, _id(deal), deadline, vm.getBlockTimestamp());
    }

    /// @dev As it is thrown now.
    function _tooEarly(Deal memory deal, uint256 deadline) internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_TooEarly.selector, _id(deal), deadline, vm.getBlockTimestamp());
    }

    function _mismatch(Deal memory deal, bytes32 field) internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_SummaryMismatch.selector, _id(deal), field);
    }

    function _notSigned(Deal memory deal, address recovered) internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_NotSigned.selector, _id(deal), recovered, signer);
    }

    function _notSignedBy(Deal memory deal, address account) internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_NotSignedBy.selector, _id(deal), account);
    }

    function _cvmRevoked() internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_CvmRevoked.selector, cvm);
    }

    function _notReference() internal view returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_NotReference.selector, cvm, profile);
    }

    function _wrongLength(uint256 got) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderCodec_Length.selector, got);
    }

    function _locationTooLong() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(Errors.OrderBook_LocationTooLong.selector, 257, 256);
    }

    // ------------------------------------------------------------------------------------------- sponsors
    /// @dev An order of the client that the sponsor pays.
    function _sponsoredDeal() internal view returns (Deal memory deal) {
        deal = _deal();
        deal.terms.payer = sponsor;
    }

    /// @dev Placed by the client, with the sponsor's signature.
    function _placeSponsored(Deal memory deal) internal {
        bytes memory order = Pack.order(deal.terms);
        bytes memory signature = _sign(sponsorKey, OrderId.unwrap(_id(deal)));
        vm.prank(client);
        book.placeFor(order, WHERE, "", signature);
    }

    function _sponsoredPlaced() internal returns (Deal memory deal) {
        deal = _sponsoredDeal();
        _placeSponsored(deal);
    }

    function _sponsoredAccepted() internal returns (Deal memory deal) {
        deal = _sponsoredPlaced();
        _accept(deal);
    }

    function _sponsoredSetup() internal returns (Deal memory deal) {
        deal = _sponsoredAccepted();
        _start(deal);
    }

    function _sponsoredEngine() internal returns (Deal memory deal) {
        deal = _sponsoredSetup();
        skip(100);
        _checkpoint(deal, 100, 0);
    }

    // ------------------------------------------------------------------------------------------- funds
    /// @dev Accepts an order whose deposit pays for fewer seconds than maxSeconds.
    function _acceptPartly(Deal memory deal) internal {
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        uint256 count = deal.inputs.length + 1;
        vm.prank(operator);
        book.acceptWith(order, heads, _packedPolicy(), cvm, Sale(new bytes[](count), new bytes[](count)));
    }

    function _packedPolicy() internal pure returns (bytes memory) {
        return Pack.policy(_policy());
    }

    /// @dev Anybody adds to the deposit.
    function _topUp(Deal memory deal, address who, uint128 amount) internal {
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        token.mint(who, amount);
        vm.startPrank(who);
        token.approve(address(book), amount);
        book.topUp(order, heads, amount);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------------------------------- leases
    /// @dev Terms for an offer of owner A: three periods at most, one place.
    function _leaseTerms(uint64 offer, bytes32 termsHash) internal view returns (LeaseTerms memory terms) {
        terms.offer = offer;
        terms.version = 1;
        terms.termsHash = termsHash;
        terms.token = address(token);
        terms.pricePerPeriod = LEASE_PRICE;
        terms.periodSeconds = PERIOD;
        terms.maxPeriods = 3;
        terms.places = 1;
        terms.noticeSeconds = 300;
        terms.maxFeeBps = 1000;
        terms.payeesHash = Pack.payeesHash(_solo(ownerA));
        terms.salt = "lease";
    }

    /// @dev Buys a lease of dataset A for `lessee`, paid by the sponsor.
    function _lease(address lessee, uint256 periods) internal returns (bytes32 id) {
        return _leaseOf(inputOffers[1], offers.hashTerms(_datasetTerms(ownerA)), lessee, periods);
    }

    function _leaseOf(uint64 offer, bytes32 termsHash, address lessee, uint256 periods) internal returns (bytes32 id) {
        LeaseTerms memory t = _leaseTerms(offer, termsHash);
        bytes memory terms = bytes.concat(
            abi.encodePacked(t.offer, t.version, t.termsHash, t.token, t.pricePerPeriod, t.periodSeconds, t.maxPeriods),
            abi.encodePacked(t.places, t.noticeSeconds, t.minSeconds, t.maxFeeBps, t.payeesHash, t.salt)
        );
        Payee[] memory payees = _solo(ownerA);
        vm.prank(ownerA);
        leases.openTerms(terms, Pack.payees(payees));
        vm.startPrank(sponsor);
        token.approve(address(leases), type(uint256).max);
        id = leases.lease(abi.encodePacked(terms, lessee, sponsor, uint64(1)), periods);
        vm.stopPrank();
    }

    /// @dev Dataset A, input 1, under a lease of the client with one place.
    function _leasedDeal() internal returns (Deal memory deal) {
        deal = _deal();
        deal.terms.inputs[1].lease = _lease(client, 2);
        _reprice(deal);
    }

    function _places(bytes32 lease) internal view returns (uint256) {
        return leases.leaseOf(lease).left;
    }

    // ------------------------------------------------------------------------------------------- governance
    function _setParams(uint16 feeBps, uint32 minGrace) internal {
        vm.prank(address(authority));
        book.addParams(Params(feeBps, PENALTY_BPS, minGrace, treasury));
    }

    function _pause(bool paused) internal {
        vm.prank(address(authority));
        book.setPaused(paused);
    }

    function _removeProfile() internal {
        uint32[] memory list = new uint32[](1);
        list[0] = profile;
        vm.prank(admin);
        references.removeProfiles(list);
    }

    function _retire() internal {
        vm.prank(operator);
        cvms.retire(cvmId);
    }

    /// @dev The CVM's certificate again, with another TCB status and a second longer than the first.
    function _renewWith(TcbStatus tcbStatus) internal {
        CvmCertificate memory again = _certificate();
        again.tcbStatus = uint8(tcbStatus);
        again.expiresAt += 1;
        cvms.renew(cvm, quorum, _evidence(again, 2));
    }

    // ------------------------------------------------------------------------------------------- signatures
    /// @dev What anybody recovers from this signature: an address, or zero with an error.
    function _recovered(bytes32 structHash, bytes32 r, bytes32 vs) internal view returns (address who) {
        (who,,) = ECDSA.tryRecover(_bookDigest(structHash), r, vs);
    }

    function _startHash(Deal memory deal) internal view returns (bytes32) {
        return OrderHashLib.hashStart(OrderId.unwrap(_id(deal)), cvmId, _root(deal));
    }

    /// @dev The same signature with s mirrored: equally good for ecrecover, and refused. EIP-2098 has no room for the
    /// mirrored s where it takes 256 bits, which is nearly always: its highest bit is read as the parity then.
    function _mirrored(bytes32 vs) internal pure returns (bytes32) {
        uint256 s = uint256(vs) & (type(uint256).max >> 1);
        return bytes32(CURVE_ORDER - s);
    }

    /// @dev 65 bytes with s mirrored and the parity turned.
    function _mirrored(bytes memory signature) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        uint8 v = uint8(signature[64]) == 27 ? 28 : 27;
        return abi.encodePacked(r, CURVE_ORDER - uint256(s), v);
    }

    /// @dev The domain of another chain, or another contract, with the book's name.
    function _digestAt(uint256 chain, address contract_, bytes32 structHash) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(OrderHashLib.DOMAIN_TYPEHASH, keccak256("Cloister OrderBook"), keccak256("1"), chain, contract_)
        );
        return keccak256(abi.encodePacked(bytes2(0x1901), domain, structHash));
    }
}
