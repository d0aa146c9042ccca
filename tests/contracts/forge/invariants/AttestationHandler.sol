// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICvmRegistry} from "../../../../contracts/interfaces/ICvmRegistry.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {CvmCertificate, CvmKeys} from "../../../../contracts/types/Certificates.sol";
import {Stage} from "../attestation/Stage.sol";

/// @notice Ten CVMs, five runtimes under two root sets, three certifiers of whom one is hostile, a governance that
/// changes its mind, and strangers: everybody at once, at random. What was seen once is kept, to be compared.
contract AttestationHandler is Stage {
    uint256 public constant CVMS = 10;
    bytes32 public constant BACKDOOR = "backdoor";

    address[] private _signers;
    uint256[] private _signerKeys;
    uint256[] private _known;
    /// @notice The first number that a CVM was seen with, its word then, and its operator.
    mapping(bytes32 cvmId => uint32) public firstNumber;
    mapping(bytes32 cvmId => uint256) public firstWord;
    mapping(bytes32 cvmId => address) public firstOperator;
    mapping(bytes32 cvmId => bool) public wasRevoked;
    mapping(bytes32 cvmId => bool) public wasRetired;
    mapping(string action => uint256) public did;
    uint256 public hostileDid;

    constructor() {
        setUp();
        for (uint256 i = 0; i < CVMS; ++i) {
            (address who, uint256 key) = makeAddrAndKey(string.concat("cvm ", vm.toString(i)));
            _signers.push(who);
            _signerKeys.push(key);
        }
        vm.startPrank(admin);
        cvms.removeVerifier(fixedVerifier);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------------------------------- CVMs
    function register(uint256 which, uint256 what, uint256 lasts) external {
        _become(which);
        try this.tryRegister(_item(_certificateOf(what, lasts))) {
            _saw();
            _known.push(which);
            ++did["register"];
        } catch {}
    }

    function registerMany(uint256 which, uint256 what, uint256 lasts) external {
        ICvmRegistry.Registration[] memory items = new ICvmRegistry.Registration[](3);
        for (uint256 i = 0; i < 3; ++i) {
            _become(which % CVMS + i);
            items[i] = _item(_certificateOf(what % 5 + i, lasts));
        }
        items[what % 3].evidence = "junk";
        did["registerBatch"] += cvms.registerBatch(items);
        for (uint256 i = 0; i < 3; ++i) {
            _become(which % CVMS + i);
            _saw();
        }
    }

    function renew(uint256 which, uint256 what, uint256 lasts) external {
        _become(_known.length == 0 ? which : _known[which % _known.length]);
        // As certifiers do: mostly for long, so that most of them renew.
        if (what % 4 != 0) lasts = bound(lasts, 20 days, 31 days);
        ICvmRegistry.Renewal[] memory items = new ICvmRegistry.Renewal[](3);
        items[0] = ICvmRegistry.Renewal(uint32(which % 20), quorum, "junk");
        items[1] = ICvmRegistry.Renewal(cvms.indexOf(cvmId), quorum, _evidence(_certificateOf(what, lasts), 2));
        items[2] = ICvmRegistry.Renewal(uint32(what % 20), quorum, items[1].evidence);
        did["renew"] += cvms.renewBatch(items);
    }

    /// @dev One certifier signs whatever it likes, as often as it likes, beside what honest ones signed.
    function lie(uint256 which, uint256 what, uint256 lasts) external {
        _become(which);
        CvmCertificate memory truth = _certificateOf(what, lasts);
        CvmCertificate memory falsehood = _certificateOf(what, lasts);
        falsehood.measurement = BACKDOOR;
        bytes memory claim = _claim(what % 2 == 0 ? falsehood : truth);
        bytes memory first = _signedBy(certifierKeys[what % 3 == 0 ? 0 : 1], what % 3 == 0 ? truth : falsehood);
        bytes memory second = _signedBy(certifierKeys[1], falsehood);
        ICvmRegistry.Registration memory item = _item(truth);
        item.evidence = bytes.concat(claim, first, second);
        try this.tryRegister(item) {
            ++hostileDid;
        } catch {}
        try cvms.renew(cvms.indexOf(cvmId), quorum, item.evidence) {
            ++hostileDid;
        } catch {}
    }

    function revoke(uint256 which, bool byProof) external {
        _become(which);
        // Seldom, or nothing else is ever seen.
        if (which % 3 != 0) return;
        if (byProof) {
            if (cvms.indexOf(cvmId) == 0) return;
            uint32 cvm = cvms.indexOf(cvmId);
            vm.prank(orderBook);
            cvms.revokeByProof(cvm);
        } else {
            if (wasRevoked[cvmId]) return;
            vm.prank(admin);
            cvms.revoke(cvmId);
        }
        _saw();
        wasRevoked[cvmId] = true;
        ++did["revoke"];
    }

    function retire(uint256 which, bool byOperator) external {
        _become(which);
        if (which % 3 != 0) return;
        vm.prank(byOperator ? operator : poker);
        try cvms.retire(cvmId) {
            wasRetired[cvmId] = true;
            ++did["retire"];
            if (!byOperator) ++hostileDid;
        } catch {}
    }

    function wait(uint256 seconds_) external {
        skip(bound(seconds_, 1, 3 days));
    }

    // ------------------------------------------------------------------------------------------- policy
    function declare(uint256 what) external {
        references.declare(keccak256(abi.encode("junk", what % 50)), _rootSetOf(what), TDX);
        ++did["declare"];
    }

    function accept(uint256 what, uint8 floor) external {
        vm.prank(admin);
        try references.acceptProfile(_measurementOf(what), _rootSetOf(what), TDX, floor % 8, RELEASE) {
            ++did["accept"];
        } catch {}
    }

    function remove(uint32 first, uint32 second) external {
        uint32[] memory list = new uint32[](3);
        (list[0], list[1], list[2]) = (first % 8, second % 8, first % 8);
        vm.prank(admin);
        references.removeProfiles(list);
        ++did["remove"];
    }

    function shift(uint32 profile, uint8 floor) external {
        vm.startPrank(admin);
        if (floor % 2 == 0) {
            try references.raiseFloor(_one(profile % 8), floor % 8) {} catch {}
        } else {
            try references.lowerFloor(profile % 8, floor % 8) {} catch {}
        }
        vm.stopPrank();
        ++did["shift"];
    }

    function classes(uint256 what, bool open) external {
        vm.startPrank(admin);
        if (open) {
            try references.reopenTrustClass(_rootSetOf(what)) {} catch {}
        } else if (what % 5 == 0) {
            try references.removeTrustClass(_rootSetOf(what)) {} catch {}
        }
        vm.stopPrank();
        ++did["classes"];
    }

    function trespass(uint256 what) external {
        vm.startPrank(poker);
        try cvms.revoke(cvmId) {
            ++hostileDid;
        } catch {}
        try cvms.revokeByProof(uint32(what % 12)) {
            ++hostileDid;
        } catch {}
        try references.acceptProfile(BACKDOOR, ROOT_SET, TDX, BEST, RELEASE) {
            ++hostileDid;
        } catch {}
        try quorum.addCertifier(poker) {
            ++hostileDid;
        } catch {}
        try cvms.addVerifier(fixedVerifier) {
            ++hostileDid;
        } catch {}
        vm.stopPrank();
    }

    // ------------------------------------------------------------------------------------------- what is seen
    /// @dev From outside, so that a refusal is caught.
    function tryRegister(ICvmRegistry.Registration calldata item) external {
        cvms.register(item.keys, item.possession, item.possessionSignature, item.verifier, item.evidence);
    }

    function idAt(uint256 which) external view returns (bytes32) {
        return OrderHashLib.hashKeys(_keys(_signers[which]));
    }

    function registry() external view returns (ICvmRegistry) {
        return cvms;
    }

    /// @return Numbers of accepted profiles in the lists, all told, and whether every list fits the floors.
    function listed() external view returns (uint256, bool) {
        uint256 total = 0;
        for (uint256 i = 0; i < 2; ++i) {
            uint32[] memory list = references.acceptedIn(_rootSetOf(i));
            total += list.length;
            if (references.isClosed(_rootSetOf(i)) && list.length != 0) return (total, false);
            for (uint256 k = 0; k < list.length; ++k) {
                (uint8 worst,,, bytes32 rootSet) = references.profileOf(list[k]);
                if (worst == 0 || rootSet != _rootSetOf(i)) return (total, false);
                for (uint256 m = 0; m < k; ++m) {
                    if (list[m] == list[k]) return (total, false);
                }
            }
        }
        return (total, true);
    }

    function floors() external view returns (uint256 accepted) {
        for (uint32 i = 0; i <= references.profileCount(); ++i) {
            if (references.worstTcbOf(i) != 0) ++accepted;
        }
    }

    /// @return The first number whose CVM is told another floor than ReferenceValues has; 0 where there is none.
    function toldOtherwise() external view returns (uint32) {
        for (uint32 cvm = 1; cvm <= cvms.cvmCount(); ++cvm) {
            (uint256 word, uint256 standing) = cvms.standingOf(cvm);
            uint32 profile = uint32(word >> 216);
            (uint8 worst, uint8 tee, bytes32 measurement, bytes32 rootSet) = references.profileOf(profile);
            uint256 hash = uint256(keccak256(abi.encode(measurement, rootSet, tee)));
            if (standing != (worst == 0 ? 0 : hash >> 16 << 16 | uint256(tee) << 8 | worst)) return cvm;
        }
        return 0;
    }

    function backdoorIsAccepted() external view returns (bool) {
        return references.isAccepted(BACKDOOR, ROOT_SET, TDX, BEST);
    }

    // ------------------------------------------------------------------------------------------- helpers
    function _become(uint256 which) private {
        signer = _signers[which % CVMS];
        signerKey = _signerKeys[which % CVMS];
        cvmId = OrderHashLib.hashKeys(_keys(signer));
    }

    function _saw() private {
        uint32 cvm = cvms.indexOf(cvmId);
        if (cvm == 0 || firstNumber[cvmId] != 0) return;
        firstNumber[cvmId] = cvm;
        firstWord[cvmId] = cvms.wordOf(cvm);
        firstOperator[cvmId] = cvms.operatorOf(cvm);
    }

    function _certificateOf(uint256 what, uint256 lasts) private view returns (CvmCertificate memory c) {
        c = _certificate();
        // A CVM's runtime does not change; now and then a certificate says it did.
        c.measurement = _measurementOf(what % 7 == 0 ? what : uint160(signer));
        c.rootSet = _rootSetOf(uint160(signer));
        c.tcbStatus = uint8(what % 8);
        c.expiresAt = uint40(block.timestamp + bound(lasts, 0, 33 days));
    }

    function _item(CvmCertificate memory c) private view returns (ICvmRegistry.Registration memory item) {
        item.keys = CvmKeys(c.signer, c.hpke, c.statement, c.tls);
        item.possession = _possession(c.cvmId, c.operator);
        item.possessionSignature = _signPossession(signerKey, item.possession);
        item.verifier = quorum;
        item.evidence = _evidence(c, 2);
    }

    function _measurementOf(uint256 what) private pure returns (bytes32) {
        return keccak256(abi.encode("runtime", what % 5));
    }

    function _rootSetOf(uint256 what) private pure returns (bytes32) {
        return what % 2 == 0 ? ROOT_SET : bytes32("another root set");
    }
}
