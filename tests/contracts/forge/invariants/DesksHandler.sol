// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Desk} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {BlacklistToken, MintableToken} from "../../../../contracts/mocks/HostileTokens.sol";
import {Desks} from "../providers/Desks.sol";

/// @notice Three owners with desks in two tokens (one refuses receivers), their hot keys and payees, stakers, strangers,
/// an OrderBook and the clock: at random. What reverts is no harm.
contract DesksHandler is Desks {
    struct Order {
        uint256 desk;
        uint256 lock;
        bool alive;
    }

    struct Where {
        uint64 offer;
        address token;
        address owner;
    }

    Where[] private _desks;
    Order[] private _orders;
    address[] private _operators;
    address[] private _people;
    mapping(address token => uint256) public staked;
    mapping(bytes32 what => uint256) public count;
    /// @notice Raised where an action did what it must not; the invariants look at it.
    string public wrong;

    constructor() {
        setUp();
        BlacklistToken black = new BlacklistToken();
        for (uint256 i = 0; i < 3; ++i) {
            _operators.push(makeAddr(string(abi.encodePacked("operator ", bytes1(uint8(65 + i))))));
            _people.push(makeAddr(string(abi.encodePacked("staker ", bytes1(uint8(65 + i))))));
            _people.push(makeAddr(string(abi.encodePacked("payee ", bytes1(uint8(65 + i))))));
        }
        for (uint64 i = 0; i < 4; ++i) {
            address ruler = i == 0 ? poker : i == 1 ? payee : owner;
            address in_ = i % 2 == 0 ? address(black) : address(token);
            uint64 offer = OFFER + 1 + i / 3;
            if (i < 2) offer = OFFER + 10 + i;
            offers.setOwner(offer, ruler);
            vm.prank(ruler);
            providers.openDesk(offer, in_, _operators[i % 3], _people[1], 2);
            _desks.push(Where(offer, in_, ruler));
        }
        // The desk that setUp opened, with its stake.
        _desks.push(Where(OFFER, address(token), owner));
        staked[address(token)] = STAKE;
        for (uint256 i = 0; i < 6; ++i) {
            black.mint(_people[i], type(uint128).max);
            token.mint(_people[i], type(uint128).max);
            vm.startPrank(_people[i]);
            black.approve(address(providers), type(uint256).max);
            token.approve(address(providers), type(uint256).max);
            vm.stopPrank();
        }
    }

    // ------------------------------------------------------------------------------------------- actions
    function stake(uint256 seed, uint256 amount) external {
        Where memory at = _desks[seed % 5];
        amount = (seed >> 8) % 8 == 0 ? bound(amount, 1, type(uint112).max) : 1 + amount % 1000;
        vm.prank(_people[(seed >> 16) % 3 * 2]);
        providers.stake(at.offer, at.token, amount);
        staked[at.token] += amount;
        ++count["stake"];
    }

    function reserve(uint256 seed, uint256 lock) external {
        Where memory at = _desks[seed % 5];
        Desk memory desk = providers.deskOf(at.offer, at.token);
        lock = (seed >> 8) % 8 == 0 ? lock : bound(lock, 0, desk.free);
        vm.prank(book);
        providers.reserve(at.offer, at.token, desk.operator, lock);
        _orders.push(Order(seed % 5, lock, true));
        ++count["reserve"];
    }

    function release(uint256 seed, uint256 slashed) external {
        Order storage order = _alive(seed);
        slashed = (seed >> 128) % 2 == 0 ? 0 : bound(slashed, 0, order.lock);
        Where memory at = _desks[order.desk];
        vm.prank(book);
        providers.release(at.offer, at.token, order.lock, slashed);
        (order.alive, order.lock) = (false, 0);
        ++count["release"];
    }

    /// @notice Takes an order's lock and all that is free or leaving; the order ends later, with no lock.
    function strike(uint256 seed) external {
        require(seed % 2 == 0, "not now");
        Order storage order = _alive(seed);
        Where memory at = _desks[order.desk];
        Desk memory before = providers.deskOf(at.offer, at.token);
        vm.prank(book);
        uint256 taken = providers.strike(at.offer, at.token, order.lock);
        if (taken != order.lock + before.free + before.unbonding) wrong = "a strike took something else";
        order.lock = 0;
        ++count["strike"];
    }

    function unstake(uint256 seed, uint256 amount) external {
        Where memory at = _desks[seed % 5];
        Desk memory desk = providers.deskOf(at.offer, at.token);
        vm.prank(at.owner);
        providers.requestUnstake(at.offer, at.token, bound(amount, 0, desk.free));
        ++count["unstake"];
    }

    function finish(uint256 seed) external {
        Where memory at = _desks[seed % 5];
        skip(seed % 2 == 0 ? UNBONDING : 0);
        providers.finishUnstake(at.offer, at.token);
        ++count["finish"];
    }

    function change(uint256 seed) external {
        Where memory at = _desks[seed % 5];
        vm.startPrank(at.owner);
        providers.setOperator(at.offer, at.token, _operators[(seed >> 8) % 3]);
        providers.setPayee(at.offer, at.token, _people[(seed >> 16) % 3 * 2 + 1]);
        // forge-lint: disable-next-line(unsafe-typecast)
        providers.setCapacity(at.offer, at.token, uint16((seed >> 24) % 6));
        vm.stopPrank();
        ++count["change"];
    }

    function refuse(uint256 seed) external {
        BlacklistToken(_desks[0].token).refuse(seed % 4 == 0 ? book : _people[seed % 6], seed & 0x100 == 0);
    }

    /// @notice A hot key that fell into wrong hands tries everything.
    function steal(uint256 seed) external {
        Where memory at = _desks[seed % 5];
        vm.startPrank(_operators[(seed >> 8) % 3]);
        try providers.requestUnstake(at.offer, at.token, 1) {
            wrong = "a hot key unstaked";
        } catch {}
        try providers.setPayee(at.offer, at.token, _operators[0]) {
            wrong = "a hot key named a payee";
        } catch {}
        try providers.release(at.offer, at.token, 1, 1) {
            wrong = "a hot key released";
        } catch {}
        try providers.strike(at.offer, at.token, 1) {
            wrong = "a hot key struck";
        } catch {}
        vm.stopPrank();
        ++count["steal"];
    }

    // ------------------------------------------------------------------------------------------- looking
    function deskAt(uint256 i) external view returns (Where memory at, Desk memory desk) {
        at = _desks[i];
        desk = providers.deskOf(at.offer, at.token);
    }

    /// @return locks Sum of the locks of the orders that run at desk `i`.
    /// @return alive How many they are.
    function ordersAt(uint256 i) external view returns (uint256 locks, uint256 alive) {
        for (uint256 k = 0; k < _orders.length; ++k) {
            if (_orders[k].desk != i || !_orders[k].alive) continue;
            locks += _orders[k].lock;
            ++alive;
        }
    }

    function tokens() external view returns (address[2] memory) {
        return [_desks[0].token, address(token)];
    }

    function balance(address token_) external view returns (uint256) {
        return MintableToken(token_).balanceOf(address(providers));
    }

    /// @return sum What left: to the OrderBook and to payees.
    function left(address token_) external view returns (uint256 sum) {
        sum = MintableToken(token_).balanceOf(book) + MintableToken(token_).balanceOf(payee);
        for (uint256 i = 1; i < 6; i += 2) {
            sum += MintableToken(token_).balanceOf(_people[i]) - type(uint128).max;
        }
    }

    function hotKeysHold() external view returns (uint256 sum) {
        for (uint256 i = 0; i < 3; ++i) {
            sum += token.balanceOf(_operators[i]) + MintableToken(_desks[0].token).balanceOf(_operators[i]);
        }
    }

    // ------------------------------------------------------------------------------------------- liveness
    /// @notice By OrderBook, owners and time: no order runs, and all stake is back.
    function finishAll() external {
        BlacklistToken black = BlacklistToken(_desks[0].token);
        black.refuse(book, false);
        for (uint256 i = 0; i < 6; ++i) {
            black.refuse(_people[i], false);
        }
        for (uint256 k = 0; k < _orders.length; ++k) {
            if (!_orders[k].alive) continue;
            Where memory at = _desks[_orders[k].desk];
            vm.prank(book);
            providers.release(at.offer, at.token, _orders[k].lock, k % 2 == 0 ? _orders[k].lock : 0);
            _orders[k].alive = false;
        }
        for (uint256 i = 0; i < 5; ++i) {
            _empty(_desks[i]);
        }
    }

    function _empty(Where memory at) private {
        // Twice: what is free and what is leaving may together be more than one number holds.
        for (uint256 round = 0; round < 2; ++round) {
            Desk memory desk = providers.deskOf(at.offer, at.token);
            uint256 room = type(uint112).max - desk.unbonding;
            uint256 amount = desk.free < room ? desk.free : room;
            if (amount != 0) {
                vm.prank(at.owner);
                providers.requestUnstake(at.offer, at.token, amount);
            }
            skip(UNBONDING);
            if (desk.unbonding + amount != 0) providers.finishUnstake(at.offer, at.token);
        }
    }

    function _alive(uint256 seed) private view returns (Order storage order) {
        uint256 total = _orders.length;
        for (uint256 step = 0; step < total; ++step) {
            order = _orders[(seed % total + step) % total];
            if (order.alive) return order;
        }
        revert("no such order");
    }
}
