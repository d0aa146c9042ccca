// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LeaseTerms} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

contract IdsTest is Leases {
    function testFuzz_TermsId(LeaseTerms memory terms) external view {
        assertEq(leases.termsIdOf(_bytes(terms)), _digest(_hash(terms)));
    }

    function test_TermsIdOnAnotherChain() external {
        bytes32 here = leases.termsIdOf(_bytes(_terms()));
        vm.chainId(4321);
        bytes32 there = leases.termsIdOf(_bytes(_terms()));
        assertNotEq(here, there);
        assertEq(there, _digest(_hash(_terms())));
    }

    function testFuzz_LeaseId(LeaseTerms memory terms, address lessee_, address payer, uint64 salt) external view {
        bytes32 typehash = keccak256("Lease(bytes32 terms,address lessee,address payer,uint64 salt)");
        bytes32 hash = keccak256(abi.encode(typehash, _digest(_hash(terms)), lessee_, payer, salt));
        assertEq(leases.leaseIdOf(_leaseBytes(terms, lessee_, payer, salt)), _digest(hash));
    }

    function test_KeepsWhatTheConstructorWasGiven() external view {
        assertEq(address(leases.OFFERS()), address(offers));
        assertEq(leases.ORDER_BOOK(), book);
        assertEq(leases.authority(), address(authority));
        assertEq(leases.feeBps(), FEE_BPS);
        assertEq(leases.treasury(), treasury);
    }

    function _hash(LeaseTerms memory terms) private pure returns (bytes32) {
        bytes32 typehash = keccak256(
            "LeaseTerms(uint64 offer,uint32 version,bytes32 termsHash,address token,uint128 pricePerPeriod,uint32 periodSeconds,uint16 maxPeriods,uint8 places,uint32 noticeSeconds,uint32 minSeconds,uint16 maxFeeBps,bytes32 payeesHash,bytes32 salt)"
        );
        return keccak256(bytes.concat(typehash, abi.encode(terms)));
    }

    function _digest(bytes32 structHash) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Cloister LeaseBook"),
                keccak256("1"),
                block.chainid,
                address(leases)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }
}
