// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ComputeRef, Holdback, InputRef, OrderTerms, Windows} from "../types/Orders.sol";
import {Errors} from "./Errors.sol";

/// @title An order's terms as tight bytes (docs/protocol.md section 6.1), the twin of `domain/tight.py`.
/// @notice What is hashed is the EIP-712 struct, word for word; what travels is the same members without the zeros that
/// fill ABI words, since a sender pays for each byte three times: in calldata, in memory and in the log. There is one
/// encoding of each order: every member has its place and width, and the length says how many inputs there are. What
/// most orders lack stands behind the inputs, and only where `EXTRAS` says so: the access key's digest of a served order
/// first, then the lease of each input that has one. The reserved members of a delivery are zero in every order, and are
/// not carried at all.
/// @dev Members stand at constant offsets. Bytes behind the end of calldata read as zero, so that nothing here needs a
/// bound of its own once `check` has seen the length.
library OrderCodec {
    uint256 internal constant CLIENT = 0;
    uint256 internal constant PAYER = 20;
    uint256 internal constant TOKEN = 40;
    uint256 internal constant COMPUTE_OFFER = 60;
    uint256 internal constant COMPUTE_VERSION = 68;
    uint256 internal constant COMPUTE_TERMS = 72;
    uint256 internal constant CONFIG_DIGEST = 104;
    uint256 internal constant RESULT_KEY_DIGEST = 136;
    uint256 internal constant RUNTIME_POLICY_DIGEST = 168;
    uint256 internal constant PLACE_BEFORE = 200;
    uint256 internal constant ACCEPT_WITHIN = 205;
    uint256 internal constant START_WITHIN = 209;
    uint256 internal constant SETUP_SECONDS = 213;
    uint256 internal constant KEYS_WITHIN = 217;
    uint256 internal constant LOAD_WITHIN = 221;
    uint256 internal constant MAX_SECONDS = 225;
    uint256 internal constant GRACE = 229;
    uint256 internal constant MAX_UNITS = 233;
    uint256 internal constant HOLDBACK_BPS = 241;
    uint256 internal constant HOLDBACK_WINDOW = 243;
    uint256 internal constant MAX_FEE_BPS = 247;
    uint256 internal constant DEPOSIT = 249;
    uint256 internal constant SALT = 265;
    /// @dev Three bytes: bit i for a lease of input i, bit 16 for an access key.
    uint256 internal constant EXTRAS = 297;
    uint256 internal constant INPUTS = 300;

    uint256 internal constant INPUT = 44;
    uint256 internal constant INPUT_OFFER = 0;
    uint256 internal constant INPUT_VERSION = 8;
    uint256 internal constant INPUT_TERMS = 12;
    uint256 internal constant MAX_INPUTS = 16;

    bytes32 internal constant COMPUTE_REF_TYPEHASH =
        keccak256("ComputeRef(uint64 offer,uint32 version,bytes32 termsHash)");
    bytes32 internal constant INPUT_REF_TYPEHASH =
        keccak256("InputRef(uint64 offer,uint32 version,bytes32 termsHash,bytes32 lease)");
    bytes32 internal constant HOLDBACK_TYPEHASH = keccak256("Holdback(uint16 bps,uint32 window)");
    bytes32 internal constant WINDOWS_TYPEHASH = keccak256(
        "Windows(uint32 acceptWithin,uint32 startWithin,uint32 setupSeconds,uint32 keysWithin,uint32 loadWithin,uint32 maxSeconds,uint32 grace)"
    );
    bytes32 internal constant ORDER_TERMS_TYPEHASH = keccak256(
        "OrderTerms(address client,address payer,address token,ComputeRef compute,InputRef[] inputs,bytes32 configDigest,bytes32 resultKeyDigest,bytes32 accessKeyDigest,bytes32 runtimePolicyDigest,uint40 placeBefore,Windows windows,uint64 maxUnits,Holdback holdback,uint8 delivery,bytes32 deliveryDigest,uint16 maxFeeBps,uint128 deposit,bytes32 salt)"
        "ComputeRef(uint64 offer,uint32 version,bytes32 termsHash)" "Holdback(uint16 bps,uint32 window)"
        "InputRef(uint64 offer,uint32 version,bytes32 termsHash,bytes32 lease)"
        "Windows(uint32 acceptWithin,uint32 startWithin,uint32 setupSeconds,uint32 keysWithin,uint32 loadWithin,uint32 maxSeconds,uint32 grace)"
    );

    // ---------------------------------------------------------------------------------------------- reading
    /// @return count The number of inputs, 1 to 16. Reverts where the length fits no number of inputs, or where bytes say
    /// in a second way what fewer can say.
    function check(bytes calldata order) internal pure returns (uint256 count) {
        uint256 size = order.length;
        uint256 named = extras(order);
        unchecked {
            uint256 inputs = size - INPUTS;
            if (named != 0) inputs -= 32 * _count(named);
            // A shorter order wraps around, as no input does: both are far more than 16.
            // slither-disable-next-line divide-before-multiply: the product shows whether anything was left over
            count = inputs / INPUT;
            if (count - 1 >= MAX_INPUTS || INPUT * count != inputs) revert Errors.OrderCodec_Length(size);
            if (named != 0) _checkExtras(order, named, count);
        }
    }

    /// @dev No lease of an input that is not there, and no bits beyond the access key's; what is named is not zero.
    function _checkExtras(bytes calldata order, uint256 named, uint256 count) private pure {
        if (named >> 17 != 0 || uint16(named) >> count != 0) revert Errors.OrderCodec_Extras(named);
        for (uint256 at = inputAt(count); at < order.length; at += 32) {
            if (wordAt(order, at) == 0) revert Errors.OrderCodec_Extras(named);
        }
    }

    /// @return count How many bits of `bits` are set.
    function _count(uint256 bits) private pure returns (uint256 count) {
        unchecked {
            // Each round takes the lowest one away.
            for (; bits != 0; bits &= bits - 1) {
                ++count;
            }
        }
    }

    /// @return named What stands behind the inputs: bit i a lease of input i, bit 16 an access key.
    function extras(bytes calldata order) internal pure returns (uint256 named) {
        assembly ("memory-safe") {
            named := shr(232, calldataload(add(order.offset, EXTRAS)))
        }
    }

    /// @return at Where an order, or heads, begin in calldata. What is called often carries this one word along, and reads
    /// members by `load(at + MEMBER)`: a slice is two words on the stack, and each accessor a call.
    function pointer(bytes calldata order) internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := order.offset
        }
    }

    /// @return word The 32 bytes of calldata at `at`: a member is in front, and is shifted down.
    function load(uint256 at) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(at)
        }
    }

    /// @return value `size` bytes (1 to 32) at `at`, as a number.
    function uintAt(bytes calldata order, uint256 at, uint256 size) internal pure returns (uint256 value) {
        // `calldataload` reads 32 bytes; the shift keeps the first `size` of them.
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, size)), calldataload(add(order.offset, at)))
        }
    }

    /// @return value The word at `at`.
    function wordAt(bytes calldata order, uint256 at) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := calldataload(add(order.offset, at))
        }
    }

    function client(bytes calldata order) internal pure returns (address) {
        return address(uint160(uintAt(order, CLIENT, 20)));
    }

    function payer(bytes calldata order) internal pure returns (address) {
        return address(uint160(uintAt(order, PAYER, 20)));
    }

    function token(bytes calldata order) internal pure returns (address) {
        return address(uint160(uintAt(order, TOKEN, 20)));
    }

    function computeOffer(bytes calldata order) internal pure returns (uint64) {
        return uint64(uintAt(order, COMPUTE_OFFER, 8));
    }

    /// @return Whether the order serves: a batch order has no access key.
    function isServed(bytes calldata order) internal pure returns (bool) {
        return extras(order) >> 16 != 0;
    }

    function setupSeconds(bytes calldata order) internal pure returns (uint256) {
        return uintAt(order, SETUP_SECONDS, 4);
    }

    function maxSeconds(bytes calldata order) internal pure returns (uint256) {
        return uintAt(order, MAX_SECONDS, 4);
    }

    function grace(bytes calldata order) internal pure returns (uint256) {
        return uintAt(order, GRACE, 4);
    }

    function maxUnits(bytes calldata order) internal pure returns (uint256) {
        return uintAt(order, MAX_UNITS, 8);
    }

    function holdbackBps(bytes calldata order) internal pure returns (uint256) {
        return uintAt(order, HOLDBACK_BPS, 2);
    }

    function deposit(bytes calldata order) internal pure returns (uint256) {
        return uintAt(order, DEPOSIT, 16);
    }

    /// @return Where input `i` begins.
    function inputAt(uint256 i) internal pure returns (uint256) {
        unchecked {
            return INPUTS + INPUT * i;
        }
    }

    /// @return Where the reference to offer `k` begins: 0 compute, i + 1 input i. Both have version and terms hash at the
    /// same places behind it.
    function offerAt(uint256 k) internal pure returns (uint256) {
        unchecked {
            return k == 0 ? COMPUTE_OFFER : INPUTS + INPUT * (k - 1);
        }
    }

    /// @return Whether input `i` is used under a lease, and so costs this order nothing.
    function isLeased(bytes calldata order, uint256 i) internal pure returns (bool) {
        return (extras(order) >> i) & 1 != 0;
    }

    /// @return Whether any input is.
    function hasLease(bytes calldata order) internal pure returns (bool) {
        return uint16(extras(order)) != 0;
    }

    /// @return at Where the leases begin, of an order with `count` inputs.
    function leasesAt(bytes calldata order, uint256 count) internal pure returns (uint256 at) {
        unchecked {
            return inputAt(count) + 32 * (extras(order) >> 16);
        }
    }

    /// @return Lease of input `i`, or zero, in an order with `count` inputs.
    function inputLease(bytes calldata order, uint256 count, uint256 i) internal pure returns (bytes32) {
        if (!isLeased(order, i)) return 0;
        unchecked {
            uint256 before = extras(order) & ((1 << i) - 1);
            return wordAt(order, leasesAt(order, count) + 32 * _count(before));
        }
    }

    /// @return digest Of the access key, or zero.
    function accessKeyDigest(bytes calldata order, uint256 count) internal pure returns (bytes32 digest) {
        if (isServed(order)) digest = wordAt(order, inputAt(count));
    }

    // ---------------------------------------------------------------------------------------------- hashing
    /// @param count As `check` returned it.
    /// @return hash The EIP-712 struct hash of the terms.
    /// @dev One buffer at the free pointer, for the hashes of the members first, then for the nineteen words of the
    /// struct. Nothing of it is used afterwards, so that the pointer stays where it was.
    function structHash(bytes calldata order, uint256 count) internal pure returns (bytes32 hash) {
        bytes32 inputs = _inputsHash(order, count);
        (bytes32 compute, bytes32 windows, bytes32 held) = _memberHashes(order);
        bytes32 accessKey = accessKeyDigest(order, count);
        bytes32 typeHash = ORDER_TERMS_TYPEHASH;
        assembly ("memory-safe") {
            let at := mload(0x40)
            let from := order.offset
            mstore(at, typeHash)
            mstore(add(at, 0x20), shr(96, calldataload(from)))
            mstore(add(at, 0x40), shr(96, calldataload(add(from, PAYER))))
            mstore(add(at, 0x60), shr(96, calldataload(add(from, TOKEN))))
            mstore(add(at, 0x80), compute)
            mstore(add(at, 0xa0), inputs)
            // configDigest and resultKeyDigest stand in one piece.
            calldatacopy(add(at, 0xc0), add(from, CONFIG_DIGEST), 0x40)
            mstore(add(at, 0x100), accessKey)
            mstore(add(at, 0x120), calldataload(add(from, RUNTIME_POLICY_DIGEST)))
            mstore(add(at, 0x140), shr(216, calldataload(add(from, PLACE_BEFORE))))
            mstore(add(at, 0x160), windows)
            mstore(add(at, 0x180), shr(192, calldataload(add(from, MAX_UNITS))))
            mstore(add(at, 0x1a0), held)
            // delivery and deliveryDigest: what lies behind the end of calldata is zero.
            calldatacopy(add(at, 0x1c0), calldatasize(), 0x40)
            mstore(add(at, 0x200), shr(240, calldataload(add(from, MAX_FEE_BPS))))
            mstore(add(at, 0x220), shr(128, calldataload(add(from, DEPOSIT))))
            mstore(add(at, 0x240), calldataload(add(from, SALT)))
            hash := keccak256(at, 0x260)
        }
    }

    /// @return root keccak256(abi.encode(inputs)): what a CVM signs as the inputs it was given.
    function inputsRoot(bytes calldata order, uint256 count) internal pure returns (bytes32 root) {
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, 0x20)
            mstore(add(at, 0x20), count)
            let to := add(at, 0x40)
            let from := add(order.offset, INPUTS)
            let end := add(to, shl(7, count))
            let named := shr(232, calldataload(add(order.offset, EXTRAS)))
            // Behind the inputs and the access key, as `leasesAt`.
            let lease := add(add(from, mul(count, INPUT)), shl(5, shr(16, named)))
            for {} 1 {} {
                // Offer and version in one word.
                let word := calldataload(from)
                mstore(to, shr(192, word))
                mstore(add(to, 0x20), and(shr(160, word), 0xffffffff))
                mstore(add(to, 0x40), calldataload(add(from, INPUT_TERMS)))
                // The lease, or zero: whatever stood there.
                word := and(named, 1)
                mstore(add(to, 0x60), mul(word, calldataload(lease)))
                lease := add(lease, shl(5, word))
                named := shr(1, named)
                from := add(from, INPUT)
                to := add(to, 0x80)
                if iszero(lt(to, end)) { break }
            }
            root := keccak256(at, sub(to, at))
        }
    }

    function _inputsHash(bytes calldata order, uint256 count) private pure returns (bytes32 hash) {
        bytes32 typeHash = INPUT_REF_TYPEHASH;
        assembly ("memory-safe") {
            let at := mload(0x40)
            let list := add(at, 0xa0)
            let to := list
            let end := add(to, shl(5, count))
            let from := add(order.offset, INPUTS)
            let named := shr(232, calldataload(add(order.offset, EXTRAS)))
            // As in `inputsRoot`.
            let lease := add(add(from, mul(count, INPUT)), shl(5, shr(16, named)))
            mstore(at, typeHash)
            for {} 1 {} {
                let word := calldataload(from)
                mstore(add(at, 0x20), shr(192, word))
                mstore(add(at, 0x40), and(shr(160, word), 0xffffffff))
                mstore(add(at, 0x60), calldataload(add(from, INPUT_TERMS)))
                word := and(named, 1)
                mstore(add(at, 0x80), mul(word, calldataload(lease)))
                lease := add(lease, shl(5, word))
                named := shr(1, named)
                mstore(to, keccak256(at, 0xa0))
                to := add(to, 0x20)
                from := add(from, INPUT)
                if iszero(lt(to, end)) { break }
            }
            hash := keccak256(list, sub(to, list))
        }
    }

    /// @return compute Struct hashes of the three members that are structs of numbers.
    /// @return windows See `compute`.
    /// @return held    See `compute`.
    function _memberHashes(bytes calldata order) private pure returns (bytes32 compute, bytes32 windows, bytes32 held) {
        (bytes32 computeType, bytes32 windowsType, bytes32 holdbackType) =
            (COMPUTE_REF_TYPEHASH, WINDOWS_TYPEHASH, HOLDBACK_TYPEHASH);
        assembly ("memory-safe") {
            let at := mload(0x40)
            let word := calldataload(add(order.offset, COMPUTE_OFFER))
            mstore(at, computeType)
            mstore(add(at, 0x20), shr(192, word))
            mstore(add(at, 0x40), and(shr(160, word), 0xffffffff))
            mstore(add(at, 0x60), calldataload(add(order.offset, COMPUTE_TERMS)))
            compute := keccak256(at, 0x80)
            // The seven windows are 28 bytes in one piece.
            word := calldataload(add(order.offset, ACCEPT_WITHIN))
            mstore(at, windowsType)
            mstore(add(at, 0x20), shr(224, word))
            mstore(add(at, 0x40), and(shr(192, word), 0xffffffff))
            mstore(add(at, 0x60), and(shr(160, word), 0xffffffff))
            mstore(add(at, 0x80), and(shr(128, word), 0xffffffff))
            mstore(add(at, 0xa0), and(shr(96, word), 0xffffffff))
            mstore(add(at, 0xc0), and(shr(64, word), 0xffffffff))
            mstore(add(at, 0xe0), and(shr(32, word), 0xffffffff))
            windows := keccak256(at, 0x100)
            word := calldataload(add(order.offset, HOLDBACK_BPS))
            mstore(at, holdbackType)
            mstore(add(at, 0x20), shr(240, word))
            mstore(add(at, 0x40), and(shr(208, word), 0xffffffff))
            held := keccak256(at, 0x60)
        }
    }

    // ---------------------------------------------------------------------------------------------- for people
    /// @return terms The same members as a struct, for views, wallets and explorers.
    function decode(bytes calldata order) internal pure returns (OrderTerms memory terms) {
        uint256 count = check(order);
        terms.client = client(order);
        terms.payer = payer(order);
        terms.token = token(order);
        terms.compute =
            ComputeRef(computeOffer(order), uint32(uintAt(order, COMPUTE_VERSION, 4)), wordAt(order, COMPUTE_TERMS));
        terms.configDigest = wordAt(order, CONFIG_DIGEST);
        terms.resultKeyDigest = wordAt(order, RESULT_KEY_DIGEST);
        terms.accessKeyDigest = accessKeyDigest(order, count);
        terms.runtimePolicyDigest = wordAt(order, RUNTIME_POLICY_DIGEST);
        terms.placeBefore = uint40(uintAt(order, PLACE_BEFORE, 5));
        terms.windows = Windows({
            acceptWithin: uint32(uintAt(order, ACCEPT_WITHIN, 4)),
            startWithin: uint32(uintAt(order, START_WITHIN, 4)),
            setupSeconds: uint32(setupSeconds(order)),
            keysWithin: uint32(uintAt(order, KEYS_WITHIN, 4)),
            loadWithin: uint32(uintAt(order, LOAD_WITHIN, 4)),
            maxSeconds: uint32(maxSeconds(order)),
            grace: uint32(grace(order))
        });
        terms.maxUnits = uint64(maxUnits(order));
        terms.holdback = Holdback(uint16(holdbackBps(order)), uint32(uintAt(order, HOLDBACK_WINDOW, 4)));
        // delivery and deliveryDigest stay zero.
        terms.maxFeeBps = uint16(uintAt(order, MAX_FEE_BPS, 2));
        terms.deposit = uint128(deposit(order));
        terms.salt = wordAt(order, SALT);
        terms.inputs = new InputRef[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 at = inputAt(i);
            terms.inputs[i] = InputRef({
                offer: uint64(uintAt(order, at, 8)),
                version: uint32(uintAt(order, at + INPUT_VERSION, 4)),
                termsHash: wordAt(order, at + INPUT_TERMS),
                lease: inputLease(order, count, i)
            });
        }
    }
}
