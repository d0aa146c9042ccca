// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OfferKind, OfferTerms} from "../../../../contracts/types/Offers.sol";
import {OfferBytes} from "./OfferBytes.sol";
import {Stage} from "./Stage.sol";

/// @notice A signed offer with its terms.
struct Signed {
    uint64 offer;
    uint32 version;
    OfferTerms terms;
    uint32 volume;
    uint40 expiresAt;
    uint64 epoch;
    bytes32 salt;
}

/// @notice An owner that signs, and the OrderBook that fills.
abstract contract SignedStage is Stage {
    using OfferBytes for OfferTerms;

    bytes32 internal constant SIGNED_TYPEHASH = keccak256(
        "SignedOffer(uint64 offer,uint32 version,bytes32 termsHash,uint32 volume,uint40 expiresAt,uint64 epoch,bytes32 salt)"
    );

    function setUp() public virtual override {
        super.setUp();
        vm.prank(ownerA);
        offers.enroll();
    }

    function _signed(uint32 volume) internal view returns (Signed memory signed) {
        signed.terms = _content(OfferKind.DATASET, ownerA);
        signed.offer = (uint64(offers.ownerIndexOf(ownerA)) << 32) | _serial(signed.terms, 0);
        signed.version = 1;
        signed.volume = volume;
        signed.expiresAt = uint40(T0 + 1 days);
        signed.epoch = offers.epochOf(ownerA);
        signed.salt = "salt";
    }

    function _structHash(Signed memory signed) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                SIGNED_TYPEHASH,
                signed.offer,
                signed.version,
                signed.terms.hash(),
                signed.volume,
                signed.expiresAt,
                signed.epoch,
                signed.salt
            )
        );
    }

    /// @dev By the words of EIP-712, not by the contract's own.
    function _digest(Signed memory signed) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Cloister OfferRegistry"),
                keccak256("1"),
                block.chainid,
                address(offers)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, _structHash(signed)));
    }

    function _pack(Signed memory signed) internal pure returns (bytes memory) {
        return abi.encodePacked(
            signed.volume, signed.expiresAt, signed.epoch, signed.salt, OfferBytes.payees(signed.terms.payees)
        );
    }

    function _sign(Signed memory signed) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keyA, _digest(signed));
        return abi.encodePacked(r, s, v);
    }

    function _call(Signed memory signed, bytes memory signature) internal view returns (bytes memory) {
        return abi.encodeCall(
            offers.fillSigned,
            (signed.offer, signed.version, signed.terms.token, signed.terms.head(), _pack(signed), signature)
        );
    }

    function _fill(Signed memory signed) internal {
        bytes memory call_ = _call(signed, _sign(signed));
        vm.prank(address(book));
        (bool done, bytes memory why) = address(offers).call(call_);
        assertTrue(done, string(why));
    }
}
