// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SettlementLib} from "../../../../contracts/libraries/SettlementLib.sol";
import {CvmCertificate, TeeKind} from "../../../../contracts/types/Certificates.sol";
import {OfferTerms} from "../../../../contracts/types/Offers.sol";
import {
    InputRef,
    Order,
    OrderId,
    OrderPreimage,
    OrderState,
    Outcome,
    Params,
    Phase
} from "../../../../contracts/types/Orders.sol";
import {Market} from "../utils/Market.sol";

/// @notice Everybody at once, at random: clients, a provider, certifiers, governance, pokers and the clock. Actions
/// look for an order that they can move, so that most calls do something; what reverts is no harm.
contract Handler is Market {
    uint256 public constant MAX_ORDERS = 16;

    struct Ghost {
        OrderId id;
        uint8 inputs;
        uint8 cvm;
        uint128 deposit;
        bytes32 frozen;
        uint256 lock;
        uint256 slashed;
        uint256 paid;
        uint256 claimed;
        uint256[] amounts;
        uint8[] indices;
    }

    Ghost[] private _ghosts;
    address[] private _clients;
    uint256[] private _cvmKeys;
    bytes32[] private _cvmIds;
    mapping(bytes32 what => uint256) public count;

    constructor() {
        setUp();
        for (uint256 i = 0; i < 4; ++i) {
            address one = makeAddr(string(abi.encodePacked("client ", i)));
            _clients.push(one);
            token.mint(one, 1e30);
            vm.prank(one);
            token.approve(address(book), type(uint256).max);
        }
        _newCvm();
    }

    // ------------------------------------------------------------------------------------------- actions
    /// @notice Places an order and leads it zero to three steps on, so that every state is met often.
    function place(uint256 seed) external {
        require(_ghosts.length < MAX_ORDERS, "enough");
        _ghosts.push();
        Ghost storage ghost = _ghosts[_ghosts.length - 1];
        ghost.inputs = uint8(1 + seed % 3);
        OrderPreimage memory pre = preimageOf(_ghosts.length - 1);
        ghost.id = _id(pre);
        ghost.deposit = pre.terms.deposit;
        _place(pre);
        ++count["place"];
        uint256 steps = (seed / 3) % 4;
        if (steps == 0) return;
        _acceptBy(_ghosts.length - 1, pre, seed % _cvmIds.length);
        if (steps == 1) return;
        _start(pre);
        if (steps == 2) return;
        skip(seed % 300);
        _checkpoint(pre, uint32(seed % 300), uint64(seed % 7));
    }

    function accept(uint256 seed) external {
        (uint256 i, OrderPreimage memory pre) = _find(seed, OrderState.PLACED);
        _acceptBy(i, pre, seed % _cvmIds.length);
    }

    function _acceptBy(uint256 i, OrderPreimage memory pre, uint256 cvm) private {
        _use(cvm);
        _accept(pre);
        _ghosts[i].cvm = uint8(cvm);
        _ghosts[i].lock = _lockOf(pre);
        ++count["accept"];
    }

    function start(uint256 seed) external {
        (, OrderPreimage memory pre) = _find(seed, OrderState.ACCEPTED);
        _start(pre);
        ++count["start"];
    }

    function checkpoint(uint256 seed, uint32 secs, uint64 units) external {
        (, OrderPreimage memory pre) = _find(seed, OrderState.RUNNING);
        _checkpoint(pre, secs % 6000, units % 2000);
        ++count["checkpoint"];
    }

    function complete(uint256 seed, uint32 secs, uint64 units) external {
        (uint256 i, OrderPreimage memory pre) = _find(seed, OrderState.RUNNING);
        uint256 before = token.balanceOf(address(book));
        Outcome outcome = seed % 4 == 0 ? Outcome.HOST : seed % 4 == 1 ? Outcome.FAILED : Outcome.COMPLETED;
        Order memory order = _order(pre);
        _complete(pre, outcome, order.secondsUsed + secs % 6000, order.unitsUsed + units % 2000);
        _settled(i, pre, before);
        ++count["complete"];
    }

    function refuse(uint256 seed, uint32 secs) external {
        (uint256 i, OrderPreimage memory pre) = _find(seed, OrderState.RUNNING);
        uint256 before = token.balanceOf(address(book));
        _refuse(pre, secs % 6000);
        _settled(i, pre, before);
        ++count["refuse"];
    }

    function stop(uint256 seed) external {
        (uint256 i, OrderPreimage memory pre) = _find(seed, OrderState.RUNNING);
        uint256 before = token.balanceOf(address(book));
        _stop(pre);
        _settled(i, pre, before);
        ++count["stop"];
    }

    function cancel(uint256 seed) external {
        (uint256 i, OrderPreimage memory pre) = _find(seed, OrderState.PLACED);
        uint256 before = token.balanceOf(address(book));
        _cancelAs(seed % 2 == 0 ? pre.terms.client : poker, pre);
        _settled(i, pre, before);
        ++count["cancel"];
    }

    function expire(uint256 seed) external {
        (uint256 i, OrderPreimage memory pre) = _find(seed, seed % 2 == 0 ? OrderState.ACCEPTED : OrderState.RUNNING);
        uint256 before = token.balanceOf(address(book));
        _expire(pre);
        _settled(i, pre, before);
        ++count["expire"];
    }

    function voidOrder(uint256 seed) external {
        (uint256 i, OrderPreimage memory pre) = _find(seed, OrderState.ACCEPTED);
        uint256 before = token.balanceOf(address(book));
        _void(pre);
        _settled(i, pre, before);
        ++count["void"];
    }

    function settleRevoked(uint256 seed) external {
        (uint256 i, OrderPreimage memory pre) = _find(seed, OrderState.RUNNING);
        uint256 before = token.balanceOf(address(book));
        _settleRevoked(pre);
        _settled(i, pre, before);
        ++count["settleRevoked"];
    }

    function claim(uint256 seed, uint256 mask) external {
        uint256 i = seed % _ghosts.length;
        OrderPreimage memory pre = preimageOf(i);
        uint256 before = token.balanceOf(address(book));
        book.claim(pre, seed % 3 == 0 ? type(uint256).max : mask);
        _ghosts[i].paid += before - token.balanceOf(address(book));
        uint256 now_ = book.claimedOf(_ghosts[i].id);
        require(now_ & _ghosts[i].claimed == _ghosts[i].claimed, "a paid bit was cleared");
        _ghosts[i].claimed = now_;
        ++count["claim"];
    }

    function revoke(uint256 seed) external {
        // Rarely, one that an order uses, and there is always a fresh one.
        require(seed % 3 == 0, "not now");
        vm.prank(admin);
        cvms.revoke(_cvmIds[_ghosts[seed % _ghosts.length].cvm]);
        _newCvm();
        ++count["revoke"];
    }

    function policy(uint256 seed) external {
        // A prank for one call: one that lasts would outlive a revert.
        vm.prank(admin);
        if (seed % 8 == 0) references.removeMeasurement(MEASUREMENT);
        else references.acceptMeasurement(MEASUREMENT, uint8(TeeKind.TDX), "again");
        ++count["policy"];
    }

    function govern(uint16 feeBps, uint16 penaltyBps) external {
        vm.prank(address(authority));
        book.addParams(Params(feeBps % (FEE_BPS + 1), penaltyBps % 5001, MIN_GRACE, treasury));
        ++count["govern"];
    }

    function stakeMore(uint256 amount) external {
        _stake(provider, 1 + amount % STAKE);
        ++count["stake"];
    }

    function unstake(uint256 amount) external {
        vm.prank(provider);
        if (amount % 2 == 0) providers.requestUnstake(address(token), 1 + amount % (STAKE / 4));
        else providers.finishUnstake(address(token));
        ++count["unstake"];
    }

    function wait(uint256 secs) external {
        skip(secs % 3 == 0 ? secs % 8000 : secs % 400);
        ++count["wait"];
    }

    // ------------------------------------------------------------------------------------------- looking
    function orders() external view returns (uint256) {
        return _ghosts.length;
    }

    function ghostOf(uint256 i) external view returns (Ghost memory) {
        return _ghosts[i];
    }

    function orderOf(uint256 i) public view returns (Order memory) {
        return book.getOrder(_ghosts[i].id);
    }

    function claimedOf(uint256 i) external view returns (uint256) {
        return book.claimedOf(_ghosts[i].id);
    }

    function money() external view returns (uint256 inBook, uint256 inProviders) {
        return (token.balanceOf(address(book)), token.balanceOf(address(providers)));
    }

    function stakeNow() external view returns (uint256 free, uint256 locked, uint256 unbonding) {
        (free, locked, unbonding,) = providers.stakeOf(provider, address(token));
    }

    function isTerminal(OrderState state) public pure returns (bool) {
        return state >= OrderState.CANCELLED;
    }

    function frozenOf(uint256 i) public view returns (bytes32) {
        return keccak256(abi.encode(orderOf(i)));
    }

    /// @dev What `_ghosts[i]` says, as terms: one to three inputs, several clients, odd times.
    function preimageOf(uint256 i) public view returns (OrderPreimage memory pre) {
        pre = _preimage();
        uint256 inputs = _ghosts[i].inputs;
        OfferTerms[] memory terms = new OfferTerms[](inputs);
        InputRef[] memory refs = new InputRef[](inputs);
        for (uint256 k = 0; k < inputs; ++k) {
            terms[k] = pre.inputs[k];
            refs[k] = pre.terms.inputs[k];
        }
        pre.inputs = terms;
        pre.terms.inputs = refs;
        pre.terms.client = _clients[i % _clients.length];
        pre.terms.payer = pre.terms.client;
        pre.terms.placeBefore = type(uint40).max;
        pre.terms.windows.maxSeconds = uint32(i % 5 == 0 ? 0 : 997 * (i % 7 + 1));
        pre.terms.windows.setupSeconds = uint32(120 * (i % 4));
        pre.terms.maxUnits = uint64(i * 31);
        pre.terms.salt = bytes32(i);
        pre.terms.deposit = uint128(_deposit(pre) + i % 2);
    }

    // ------------------------------------------------------------------------------------------- liveness
    /// @notice Ends order `i` by the client, anybody and time alone, whatever state it is in, and claims everything.
    function finish(uint256 i) external {
        OrderPreimage memory pre = preimageOf(i);
        OrderState state = orderOf(i).state;
        if (state == OrderState.PLACED) _cancelAs(pre.terms.client, pre);
        _use(_ghosts[i].cvm);
        (,, bool revoked) = cvms.signerOf(cvmId);
        if (state == OrderState.ACCEPTED) {
            skip(uint256(pre.terms.windows.startWithin) + 1);
            (uint8 tee,) = references.measurementOf(MEASUREMENT);
            if (revoked || tee == 0) _void(pre);
            else _expire(pre);
        }
        if (state == OrderState.RUNNING && revoked) _settleRevoked(pre);
        if (state == OrderState.RUNNING && !revoked) {
            if (i % 2 == 0) {
                _stop(pre);
            } else {
                skip(20_000);
                _expire(pre);
            }
        }
        book.claim(pre, type(uint256).max);
    }

    // ------------------------------------------------------------------------------------------- inside
    /// @dev Remembers what the end froze, and what left the lock.
    function _settled(uint256 i, OrderPreimage memory pre, uint256 before) private {
        Ghost storage ghost = _ghosts[i];
        ghost.frozen = frozenOf(i);
        ghost.slashed = token.balanceOf(address(book)) - before;
        ghost.lock = 0;
        SettlementLib.Payout[] memory list = book.payouts(pre);
        for (uint256 p = 0; p < list.length; ++p) {
            ghost.amounts.push(list[p].amount);
            ghost.indices.push(list[p].index);
        }
    }

    function _lockOf(OrderPreimage memory pre) private view returns (uint256 sum) {
        Params memory params = book.params(_order(pre).paramsVersion);
        sum = _amount(pre.compute.price, pre.terms.windows.maxSeconds, pre.terms.maxUnits) * params.startPenaltyBps
            / 10_000;
        for (uint256 k = 0; k < pre.inputs.length; ++k) {
            sum += _amount(pre.inputs[k].price, pre.terms.windows.maxSeconds, 0);
        }
    }

    function _find(uint256 seed, OrderState wanted) private returns (uint256 i, OrderPreimage memory pre) {
        uint256 total = _ghosts.length;
        for (uint256 step = 0; step < total; ++step) {
            i = (seed % total + step) % total;
            if (orderOf(i).state != wanted) continue;
            _use(_ghosts[i].cvm);
            return (i, preimageOf(i));
        }
        revert("no such order");
    }

    function _use(uint256 cvm) private {
        cvmId = _cvmIds[cvm];
        signerKey = _cvmKeys[cvm];
        signer = vm.addr(signerKey);
    }

    function _newCvm() private {
        uint256 key = uint256(keccak256(abi.encode("cvm", _cvmIds.length)));
        CvmCertificate memory certificate = _certificateOf(vm.addr(key), operator);
        certificate.expiresAt = type(uint40).max;
        _cvmKeys.push(key);
        _cvmIds.push(_certifyWith(key, certificate));
    }
}
