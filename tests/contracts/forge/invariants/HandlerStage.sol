// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {TestToken} from "../../../../contracts/mocks/TestToken.sol";
import {LeaseTerms} from "../../../../contracts/types/Leases.sol";
import {OfferTerms, Payee, Price} from "../../../../contracts/types/Offers.sol";
import {Market} from "../utils/Market.sol";
import {Pack} from "../utils/Pack.sol";
import {MoodyToken} from "./HandlerToken.sol";

/// @notice Everybody and everything that a random history needs: four clients, two sponsors, two providers with a desk
/// in each of two tokens, their hot keys, three owners, a co-author, a reporter, certifiers, an administrator; one token
/// is honest, one has moods. Each of five offers (two compute, an engine, two datasets) has a version for each token and
/// each class of prices.
abstract contract HandlerStage is Market {
    uint256 internal constant TOKENS = 2;
    /// @dev Odd numbers as sold, single units, numbers near what a desk can lock, and nothing at all.
    uint256 internal constant CLASSES = 4;
    uint256 internal constant OFFERS = 5;
    uint256 internal constant LEASED_SLOT = 3;
    uint8 internal constant LEASE_PLACES = 2;
    uint32 internal constant PERIOD = 20_000;
    uint32 internal constant WINDOW = 2000;
    uint256 internal constant DESK_STAKE = 2e33;

    address internal _reporter = makeAddr("reporter");
    address internal _provider2 = makeAddr("provider 2");
    MoodyToken internal _moody;
    address[] internal _tokens;
    address[] internal _clients;
    uint256[] internal _clientKeys;
    address[] internal _sponsors;
    uint256[] internal _sponsorKeys;
    address[] internal _operators;
    /// @dev Whoever can have a credit.
    address[] internal _accounts;
    address[] internal _owners;
    uint64[] internal _offers;
    mapping(uint256 slot => mapping(uint256 version => bytes)) internal _headOf;
    mapping(uint256 slot => mapping(uint256 version => bytes)) internal _payeesOf;
    mapping(uint256 slot => mapping(uint256 version => bytes32)) internal _hashOf;
    mapping(uint256 slot => mapping(uint256 version => Price)) internal _priceOf;
    uint256[] internal _cvmKeys;
    uint32[] internal _cvms;
    bytes internal _leaseTerms;
    /// @dev By client: the last lease, as bytes, and how many there were.
    mapping(uint256 client => bytes) internal _leaseOf;
    mapping(uint256 client => uint64) internal _leaseCount;

    constructor() {
        setUp();
        _moody = new MoodyToken();
        _tokens = [address(token), address(_moody)];
        _owners = [provider, _provider2, engineOwner, ownerA, ownerB];
        for (uint256 i = 0; i < 4; ++i) {
            _join(_clients, _clientKeys, string.concat("client ", vm.toString(i)));
        }
        _join(_sponsors, _sponsorKeys, "sponsor 1");
        _join(_sponsors, _sponsorKeys, "sponsor 2");
        _accounts.push(provider);
        _accounts.push(_provider2);
        _accounts.push(engineOwner);
        _accounts.push(ownerA);
        _accounts.push(ownerB);
        _accounts.push(coAuthor);
        _accounts.push(treasury);
        _accounts.push(_reporter);
        _accounts.push(0x000000000000000000000000000000000000dEaD);
        for (uint256 slot = 0; slot < OFFERS; ++slot) {
            _sell(slot);
        }
        _operators = [operator, makeAddr("operator 2")];
        for (uint256 d = 0; d < 2; ++d) {
            for (uint256 t = 0; t < TOKENS; ++t) {
                vm.prank(_owners[d]);
                providers.openDesk(_offers[d], _tokens[t], _operators[d], _owners[d], 5);
                _addStake(d, t, DESK_STAKE);
            }
        }
        _newCvm();
        _openLeases();
    }

    // ------------------------------------------------------------------------------------------- people
    function _join(address[] storage people, uint256[] storage keys, string memory name) private {
        (address one, uint256 key) = makeAddrAndKey(name);
        people.push(one);
        keys.push(key);
        _accounts.push(one);
        for (uint256 t = 0; t < TOKENS; ++t) {
            TestToken(_tokens[t]).mint(one, 1e36);
            vm.startPrank(one);
            TestToken(_tokens[t]).approve(address(book), type(uint256).max);
            TestToken(_tokens[t]).approve(address(leases), type(uint256).max);
            vm.stopPrank();
        }
    }

    function _addStake(uint256 d, uint256 t, uint256 amount) internal {
        TestToken(_tokens[t]).mint(_owners[d], amount);
        // Pranks for one call each: one that lasts would outlive a revert.
        vm.prank(_owners[d]);
        TestToken(_tokens[t]).approve(address(providers), amount);
        vm.prank(_owners[d]);
        providers.stake(_offers[d], _tokens[t], amount);
    }

    // ------------------------------------------------------------------------------------------- offers
    function _versionOf(uint256 t, uint256 class) internal pure returns (uint32) {
        return uint32(1 + CLASSES * t + class);
    }

    function _sell(uint256 slot) private {
        for (uint256 t = 0; t < TOKENS; ++t) {
            for (uint256 class = 0; class < CLASSES; ++class) {
                uint32 version = _versionOf(t, class);
                OfferTerms memory terms = _termsFor(slot, t, class);
                _headOf[slot][version] = Pack.head(terms);
                _payeesOf[slot][version] = Pack.payees(terms.payees);
                _hashOf[slot][version] = offers.hashTerms(terms);
                _priceOf[slot][version] = terms.price;
                if (version == 1) {
                    _offers.push(_offer(_owners[slot], terms, ""));
                } else {
                    vm.prank(_owners[slot]);
                    offers.addVersion(_offers[slot], version, Pack.listing(terms, ""));
                }
            }
        }
    }

    function _termsFor(uint256 slot, uint256 t, uint256 class) private view returns (OfferTerms memory terms) {
        if (slot < 2) {
            terms = _computeTerms();
            terms.payees = new Payee[](2);
            terms.payees[0] = Payee(_owners[slot], 9001);
            terms.payees[1] = Payee(coAuthor, 999);
        } else {
            terms = slot == 2 ? _engineTerms() : _datasetTerms(_owners[slot]);
        }
        if (class == 1) terms.price = _price(1, 1, 1, 1);
        if (class == 2) terms.price = _price(2 ** 98 + 1, 2 ** 97 + 3, 60, 2 ** 60 + 7);
        if (class == 3) terms.price = _price(0, 0, 0, 0);
        terms.price.revenueBps = uint16(333 * slot);
        terms.token = _tokens[t];
    }

    // ------------------------------------------------------------------------------------------- leases
    function _openLeases() private {
        LeaseTerms memory l;
        (l.offer, l.version, l.termsHash) = (_offers[LEASED_SLOT], 1, _hashOf[LEASED_SLOT][1]);
        (l.token, l.pricePerPeriod, l.periodSeconds) = (_tokens[0], 1_000_003, PERIOD);
        (l.maxPeriods, l.places, l.noticeSeconds, l.maxFeeBps) = (3, LEASE_PLACES, 300, 1000);
        l.payeesHash = Pack.payeesHash(_solo(ownerA));
        _leaseTerms = bytes.concat(
            abi.encodePacked(l.offer, l.version, l.termsHash, l.token, l.pricePerPeriod, l.periodSeconds, l.maxPeriods),
            abi.encodePacked(l.places, l.noticeSeconds, l.minSeconds, l.maxFeeBps, l.payeesHash, l.salt)
        );
        vm.prank(ownerA);
        leases.openTerms(_leaseTerms, Pack.payees(_solo(ownerA)));
    }

    // ------------------------------------------------------------------------------------------- CVMs
    function _newCvm() internal {
        uint256 key = uint256(keccak256(abi.encode("cvm", _cvmKeys.length)));
        bytes32 id = _certifyWith(key, _certificateOf(vm.addr(key), operator));
        _cvmKeys.push(key);
        _cvms.push(cvms.indexOf(id));
    }

    // ------------------------------------------------------------------------------------------- looking
    function _creditsOf(uint256 t) internal view returns (uint256 sum) {
        for (uint256 i = 0; i < _accounts.length; ++i) {
            sum += ILedger(address(book)).creditOf(_tokens[t], _accounts[i]);
        }
    }

    function _isRevoked(uint32 cvm_) internal view returns (bool) {
        return cvms.wordOf(cvm_) & (1 << 208) != 0;
    }

    /// @dev Whether the market still accepts what every CVM here runs.
    function _isReference() internal view returns (bool) {
        return references.worstTcbOf(profile) != 0;
    }
}
