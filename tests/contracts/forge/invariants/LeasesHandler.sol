// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LeaseLib} from "../../../../contracts/libraries/LeaseLib.sol";
import {BlacklistToken, MintableToken, ReentrantToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {Lease, LeaseTerms, TopUp} from "../../../../contracts/types/Leases.sol";
import {Leases} from "../leases/Leases.sol";

/// @notice Owners, lessees, sponsors, payees, a treasury, governance, strangers, an OrderBook, a token that refuses
/// receivers, one that re-enters, and the clock: at random. What reverts is no harm.
contract LeasesHandler is Leases {
    uint256 public constant MAX_LEASES = 12;

    struct Sold {
        bytes data;
        bytes32 id;
        LeaseTerms terms;
        uint256 paidIn;
        uint256 refunded;
        uint256[] untils;
    }

    Sold[] private _sold;
    LeaseTerms[] private _offered;
    address[] private _people;
    address[] private _tokens;
    mapping(address token => uint256) public withdrawn;
    mapping(bytes32 what => uint256) public count;
    /// @notice Raised where an action did what it must not; the invariants look at it.
    string public wrong;

    constructor() {
        setUp();
        MintableToken black = new BlacklistToken();
        ReentrantToken again = new ReentrantToken();
        _tokens = [address(token), address(black), address(again)];
        for (uint256 i = 0; i < 5; ++i) {
            _people.push(makeAddr(string(abi.encodePacked("person ", bytes1(uint8(65 + i))))));
        }
        for (uint256 i = 0; i < 5; ++i) {
            for (uint256 t = 0; t < 3; ++t) {
                MintableToken(_tokens[t]).mint(_people[i], 1e45);
                vm.prank(_people[i]);
                MintableToken(_tokens[t]).approve(address(leases), type(uint256).max);
            }
        }
        // Three offers of one owner in each token: cheap to the unit, usual, and as dear as a number can say.
        for (uint256 t = 0; t < 3; ++t) {
            LeaseTerms memory terms = _terms();
            terms.token = _tokens[t];
            terms.pricePerPeriod = t == 0 ? 7 : t == 1 ? PRICE : 1e38;
            terms.periodSeconds = uint32(t == 0 ? 3600 : 1000 * (t + 1));
            // forge-lint: disable-next-line(unsafe-typecast)
            terms.salt = bytes32(t);
            _offered.push(terms);
            _open(terms);
        }
        again.arm(address(leases), abi.encodeCall(leases.withdraw, (address(again), _people[0])));
    }

    // ------------------------------------------------------------------------------------------- actions
    function lease(uint256 seed) external {
        require(_sold.length < MAX_LEASES, "enough");
        LeaseTerms memory terms = _offered[seed % 3];
        address payer = _people[(seed >> 8) % 5];
        bytes memory data = _leaseBytes(terms, _people[(seed >> 16) % 5], payer, uint64(_sold.length));
        uint256 periods = 1 + (seed >> 24) % 3;
        vm.prank(payer);
        bytes32 id = leases.lease(data, periods);
        Sold storage one = _sold.push();
        (one.data, one.id, one.terms) = (data, id, terms);
        one.paidIn = periods * terms.pricePerPeriod;
        ++count["lease"];
    }

    function renew(uint256 seed) external {
        Sold storage one = _sold[seed % _sold.length];
        uint256 periods = 1 + (seed >> 8) % 2;
        vm.prank(_people[(seed >> 16) % 5]);
        leases.renew(one.data, periods);
        one.paidIn += periods * one.terms.pricePerPeriod;
        ++count["renew"];
    }

    function topUp(uint256 seed) external {
        Sold storage one = _sold[seed % _sold.length];
        address payer = _payerOf(one.data);
        // forge-lint: disable-next-line(unsafe-typecast)
        TopUp memory allowed = TopUp(uint16(seed % 3), uint40(block.timestamp + seed % 9000), uint32(seed % 9000));
        if (seed & 0x100 == 0) {
            vm.prank(payer);
            leases.setTopUp(one.data, allowed);
        }
        leases.renewFor(one.data);
        one.paidIn += one.terms.pricePerPeriod;
        ++count["topUp"];
    }

    function take(uint256 seed, uint256 until) external {
        Sold storage one = _sold[seed % _sold.length];
        Lease memory got = leases.leaseOf(one.id);
        until = bound(until, block.timestamp, uint256(got.start) + got.paid + 10);
        LeaseTerms memory terms = one.terms;
        address lessee_ = _lesseeOf(one.data);
        vm.prank(book);
        leases.take(one.id, lessee_, terms.offer, terms.version, terms.termsHash, until);
        one.untils.push(until);
        ++count["take"];
    }

    function free(uint256 seed) external {
        Sold storage one = _sold[seed % _sold.length];
        uint256 which = (seed >> 8) % one.untils.length;
        one.untils[which] = one.untils[one.untils.length - 1];
        one.untils.pop();
        _free(one.id);
        ++count["free"];
    }

    function end(uint256 seed) external {
        Sold storage one = _sold[seed % _sold.length];
        address payer = _payerOf(one.data);
        address lessee_ = _lesseeOf(one.data);
        uint256 before = leases.creditOf(one.terms.token, payer);
        vm.prank(lessee_);
        leases.end(one.data);
        if (one.untils.length != 0) wrong = "a lease ended under a running order";
        one.refunded += leases.creditOf(one.terms.token, payer) - before;
        ++count["end"];
    }

    function notice(uint256 seed) external {
        LeaseTerms memory terms = _offered[seed % 3];
        if (seed & 0x300 != 0) _open(terms);
        else _giveNotice(terms);
        ++count["notice"];
    }

    function recall(uint256 seed) external {
        Sold storage one = _sold[seed % _sold.length];
        address payer = _payerOf(one.data);
        uint256 before = leases.creditOf(one.terms.token, payer);
        if (leases.isOpen(leases.termsIdOf(_bytes(one.terms)))) _giveNotice(one.terms);
        _recall(one.data);
        one.refunded += leases.creditOf(one.terms.token, payer) - before;
        ++count["recall"];
    }

    function collect(uint256 seed) external {
        Sold storage one = _sold[seed % _sold.length];
        leases.collect(one.data, _payees());
        ++count["collect"];
    }

    function withdraw(uint256 seed) external {
        address[] memory all = everybody();
        address one = _tokens[seed % 3];
        address account = all[(seed >> 8) % all.length];
        if (seed & 0x10000 == 0) vm.prank(account);
        withdrawn[one] += leases.withdraw(one, account);
        ++count["withdraw"];
    }

    function refuse(uint256 seed) external {
        address[] memory all = everybody();
        BlacklistToken(_tokens[1]).refuse(all[seed % all.length], seed & 0x100 == 0);
    }

    function govern(uint16 feeBps) external {
        vm.prank(admin);
        leases.setFee(feeBps % 1001, treasury);
        ++count["govern"];
    }

    /// @notice A stranger tries what is not his.
    function steal(uint256 seed) external {
        Sold storage one = _sold[seed % _sold.length];
        vm.startPrank(poker);
        try leases.end(one.data) {
            wrong = "a stranger ended a lease";
        } catch {}
        try leases.setTopUp(one.data, TopUp(9, type(uint40).max, type(uint32).max)) {
            wrong = "a stranger spends the payer's allowance";
        } catch {}
        try leases.withdrawTo(_tokens[seed % 3], 1, poker) {
            wrong = "a stranger withdrew";
        } catch {}
        vm.stopPrank();
        ++count["steal"];
    }

    function wait(uint256 secs) external {
        skip(secs % 4 == 0 ? secs % 2500 : secs % 200);
        ++count["wait"];
    }

    // ------------------------------------------------------------------------------------------- looking
    /// @notice All who are ever credited.
    function everybody() public view returns (address[] memory all) {
        all = new address[](9);
        (all[0], all[1], all[2], all[3]) = (owner, coAuthor, lastPayee, treasury);
        for (uint256 i = 0; i < 5; ++i) {
            all[4 + i] = _people[i];
        }
    }

    function tokens() external view returns (address[] memory) {
        return _tokens;
    }

    function sold() external view returns (uint256) {
        return _sold.length;
    }

    function soldAt(uint256 i) external view returns (Sold memory) {
        return _sold[i];
    }

    function lookUp(uint256 i) external view returns (Lease memory) {
        return leases.leaseOf(_sold[i].id);
    }

    function credits(address token_) external view returns (uint256 sum) {
        address[] memory all = everybody();
        for (uint256 i = 0; i < all.length; ++i) {
            sum += leases.creditOf(token_, all[i]);
        }
    }

    function balance(address token_) external view returns (uint256) {
        return MintableToken(token_).balanceOf(address(leases));
    }

    /// @notice What lease `i` costs up to `secs` seconds.
    function cost(uint256 i, uint256 secs) external view returns (uint256) {
        return LeaseLib.earnedDown(_sold[i].terms.pricePerPeriod, _sold[i].terms.periodSeconds, secs);
    }

    // ------------------------------------------------------------------------------------------- liveness
    /// @notice By OrderBook, anybody and time alone: all places free, all income credited, all credits fetched.
    function finish() external {
        for (uint256 i = 0; i < _sold.length; ++i) {
            while (_sold[i].untils.length != 0) {
                _sold[i].untils.pop();
                _free(_sold[i].id);
            }
        }
        skip(100_000_000);
        for (uint256 i = 0; i < _sold.length; ++i) {
            if (leases.leaseOf(_sold[i].id).collected != type(uint32).max) leases.collect(_sold[i].data, _payees());
        }
        address[] memory all = everybody();
        for (uint256 a = 0; a < all.length; ++a) {
            BlacklistToken(_tokens[1]).refuse(all[a], false);
            for (uint256 t = 0; t < 3; ++t) {
                if (leases.creditOf(_tokens[t], all[a]) != 0) leases.withdraw(_tokens[t], all[a]);
            }
        }
    }

    function _lesseeOf(bytes memory data) private pure returns (address) {
        return _addressAt(data, 161);
    }

    function _payerOf(bytes memory data) private pure returns (address) {
        return _addressAt(data, 181);
    }

    function _addressAt(bytes memory data, uint256 at) private pure returns (address account) {
        assembly ("memory-safe") {
            account := shr(96, mload(add(add(data, 0x20), at)))
        }
    }
}
