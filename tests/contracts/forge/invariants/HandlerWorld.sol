// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {CvmCertificate, TcbStatus, TeeKind} from "../../../../contracts/types/Certificates.sol";
import {Params} from "../../../../contracts/types/Orders.sol";
import {Pack} from "../utils/Pack.sol";
import {HandlerMoney} from "./HandlerMoney.sol";
import {Mood} from "./HandlerToken.sol";

/// @notice What happens around orders: leases, certificates, policy, governance, stake, offers, a token with moods.
abstract contract HandlerWorld is HandlerMoney {
    bytes32[] internal _leaseIds;

    /// @notice A client leases dataset A, renews, or ends its lease; anybody collects.
    function lease(uint256 seed) external {
        seed = _shake(seed);
        uint256 c = seed % 4;
        bytes memory known = _leaseOf[c];
        vm.prank(_clients[c]);
        if (known.length == 0 || (seed >> 8) % 8 == 0) {
            bytes memory fresh = abi.encodePacked(_leaseTerms, _clients[c], _clients[c], ++_leaseCount[c]);
            leases.lease(fresh, 1 + (seed >> 16) % 3);
            // The places of an older lease stay those of the orders that name it.
            _leaseOf[c] = fresh;
            _leaseIds.push(leases.leaseIdOf(fresh));
        } else if ((seed >> 8) % 4 == 1) {
            leases.end(known);
            delete _leaseOf[c];
        } else if ((seed >> 8) % 4 == 2) {
            leases.renew(known, 1);
        } else {
            leases.collect(known, Pack.payees(_solo(ownerA)));
        }
        ++count["lease"];
    }

    function revoke(uint256 seed) external {
        seed = _shake(seed);
        // Rarely, one that an order uses, and there is always a fresh one.
        require(seed % 3 == 0 && _ghosts.length != 0, "not now");
        bytes32 id = cvms.cvmIdAt(_cvms[_ghosts[(seed >> 128) % _ghosts.length].cvm]);
        vm.prank(admin);
        cvms.revoke(id);
        _newCvm();
        ++count["revoke"];
    }

    function policy(uint256 seed) external {
        seed = _shake(seed);
        uint32[] memory list = new uint32[](1);
        list[0] = profile;
        // A prank for one call: one that lasts would outlive a revert.
        vm.prank(admin);
        if (seed % 8 == 0) {
            references.removeProfiles(list);
        } else {
            references.acceptProfile(
                MEASUREMENT, ROOT_SET, uint8(TeeKind.TDX), uint8(TcbStatus.SW_HARDENING_NEEDED), "again"
            );
        }
        ++count["policy"];
    }

    function govern(uint256 seed, uint16 feeBps, uint16 penaltyBps) external {
        seed = _shake(seed);
        vm.prank(address(authority));
        if (seed % 3 == 0) book.setPaused(seed % 24 == 0);
        else book.addParams(Params(feeBps % (FEE_BPS + 1), penaltyBps % 5001, MIN_GRACE, treasury));
        ++count["govern"];
    }

    /// @notice One certifier of three, where two are asked for.
    function hostileCertifier(uint256 seed) external {
        seed = _shake(seed);
        uint256 key = uint256(keccak256(abi.encode("hostile", seed)));
        CvmCertificate memory certificate = _certificateOf(vm.addr(key), poker);
        bytes memory proof = _signPossession(key, _possession(certificate.cvmId, poker));
        try cvms.register(
            _keys(certificate.signer), _possession(certificate.cvmId, poker), proof, quorum, _evidence(certificate, 1)
        ) {
            wrong = "INV-12: one certifier below the quorum was believed";
        } catch {
            ++count["hostileCertifier"];
        }
    }

    function stakes(uint256 seed, uint256 amount) external {
        seed = _shake(seed);
        (uint256 d, uint256 t) = ((seed >> 8) % 2, (seed >> 16) % TOKENS);
        if (seed % 3 == 0) {
            _addStake(d, t, 1 + amount % 1e12);
        } else {
            vm.prank(_owners[d]);
            if (seed % 3 == 1) providers.requestUnstake(_offers[d], _tokens[t], 1 + amount % (DESK_STAKE / 8));
            else providers.finishUnstake(_offers[d], _tokens[t]);
        }
        ++count["stakes"];
    }

    /// @notice A provider closes its desk or opens it wider, and an owner takes an offer from the shelf or puts it back.
    function shelve(uint256 seed) external {
        seed = _shake(seed);
        (uint256 d, uint256 t) = ((seed >> 8) % 2, (seed >> 16) % TOKENS);
        if (seed % 2 == 0) {
            vm.prank(_owners[d]);
            providers.setCapacity(_offers[d], _tokens[t], 3 + uint16(seed >> 24) % 9);
        } else {
            (uint256 slot, uint32 version) = ((seed >> 32) % OFFERS, _versionOf(t, (seed >> 40) % CLASSES));
            vm.prank(_owners[slot]);
            if (seed % 16 == 1) offers.close(_offers[slot], version, _hashOf[slot][version]);
            else offers.reopen(_offers[slot], version, _hashOf[slot][version]);
        }
        ++count["shelve"];
    }

    /// @notice The token in which a third of the orders is counted becomes hostile, in one of its ways, or honest again.
    function mood(uint256 seed) external {
        seed = _shake(seed);
        address account = (seed >> 8) % 3 == 0 ? _accounts[(seed >> 16) % _accounts.length] : address(0);
        (address target, bytes memory data) = (address(book), bytes(""));
        if (_ghosts.length != 0) {
            (, Ghost storage g) = _any(seed);
            uint256 what = (seed >> 24) % 4;
            if (what == 0) {
                data = abi.encodeCall(ILedger.withdraw, (address(_moody), _accounts[seed % _accounts.length]));
            }
            if (what == 1) data = _claimData(g, 0);
            if (what == 2) data = abi.encodeCall(book.cancel, (g.order));
            if (what == 3) {
                data = abi.encodeCall(ILedger.withdraw, (address(_moody), _accounts[seed % _accounts.length]));
                data = abi.encodeCall(book.batch, (abi.encodePacked(uint16(data.length), data)));
            }
        }
        _moody.setMood(Mood(seed % 6), account, target, data);
        ++count["mood"];
    }
}
