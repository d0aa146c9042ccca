// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {OfferRegistry} from "../../../../contracts/OfferRegistry.sol";
import {IOrderReports} from "../../../../contracts/interfaces/IOrderReports.sol";
import {RestrictionLib} from "../../../../contracts/libraries/RestrictionLib.sol";

/// @notice The members of the EIP-712 struct.
struct SignedOffer {
    uint64 offer;
    uint32 version;
    bytes32 termsHash;
    uint32 volume;
    uint40 expiresAt;
    uint64 epoch;
    bytes32 salt;
}

/// @title The Solidity side of the cases in tests/conformance/vectors/selling, which the Python twins wrote.
contract SellingTest is Test {
    function doCheck(bytes32 restrictions, address client, bytes32 engine, bytes32 runtime, bytes calldata proof)
        external
        pure
    {
        RestrictionLib.check(restrictions, client, engine, runtime, proof);
    }

    function test_RestrictionsAreAsInPython() external {
        string memory text = vm.readFile("tests/conformance/vectors/selling/restrictions.json");
        bytes32[] memory restrictions = vm.parseJsonBytes32Array(text, ".restrictions");
        address[] memory clients = vm.parseJsonAddressArray(text, ".client");
        bytes32[] memory engines = vm.parseJsonBytes32Array(text, ".engine");
        bytes32[] memory runtimes = vm.parseJsonBytes32Array(text, ".runtime");
        bytes[] memory proofs = vm.parseJsonBytesArray(text, ".proof");
        uint256 restricted = 0;
        for (uint256 i = 0; i < restrictions.length; ++i) {
            this.doCheck(restrictions[i], clients[i], engines[i], runtimes[i], proofs[i]);
            // Where there are clients, engines and runtimes to choose from, nobody else passes.
            if (proofs[i].length < 96 || bytes32(proofs[i]) == 0) continue;
            ++restricted;
            vm.expectRevert();
            this.doCheck(restrictions[i], address(this), engines[i], runtimes[i], proofs[i]);
        }
        assertGt(restricted, 20);
    }

    function test_SignedOffersAreAsInPython() external {
        string memory text = vm.readFile("tests/conformance/vectors/selling/signed.json");
        uint256[] memory chains = vm.parseJsonUintArray(text, ".chain_id");
        address[] memory registries = vm.parseJsonAddressArray(text, ".registry");
        bytes[] memory structs = vm.parseJsonBytesArray(text, ".abi");
        bytes32[] memory digests = vm.parseJsonBytes32Array(text, ".digest");
        bytes memory code = address(new OfferRegistry(IOrderReports(address(1)))).code;
        for (uint256 i = 0; i < chains.length; ++i) {
            // The registry's code at any address of any chain: it makes its domain anew there.
            vm.etch(registries[i], code);
            vm.chainId(chains[i]);
            SignedOffer memory signed = abi.decode(structs[i], (SignedOffer));
            (bytes32 digest,) = OfferRegistry(registries[i])
                .signedOffer(
                    signed.offer,
                    signed.version,
                    signed.termsHash,
                    abi.encodePacked(signed.volume, signed.expiresAt, signed.epoch, signed.salt)
                );
            assertEq(digest, digests[i]);
        }
        assertGt(chains.length, 20);
    }
}
