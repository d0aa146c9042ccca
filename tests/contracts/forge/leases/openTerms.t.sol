// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILeaseBook} from "../../../../contracts/interfaces/ILeaseBook.sol";
import {Errors} from "../../../../contracts/libraries/Errors.sol";
import {LeaseTerms} from "../../../../contracts/types/Leases.sol";
import {Leases} from "./Leases.sol";

contract OpenTermsTest is Leases {
    function test_RevertWhen_TheLengthIsAnother() external {
        bytes memory data = _bytes(_terms());
        _refused(
            bytes.concat(data, hex"00"), _payees(), abi.encodeWithSelector(Errors.LeaseBook_Length.selector, 162, 161)
        );
        _refused("", _payees(), abi.encodeWithSelector(Errors.LeaseBook_Length.selector, 0, 161));
    }

    function test_RevertWhen_TheCallerIsNotTheOwner() external {
        vm.expectRevert(abi.encodeWithSelector(Errors.LeaseBook_NotOwner.selector, OFFER, poker, owner));
        vm.prank(poker);
        leases.openTerms(_bytes(_terms()), _payees());
    }

    function test_RevertWhen_TheOfferIsComputeOrOfNoKind() external {
        for (uint64 kind = 0; kind < 16; ++kind) {
            if (kind >= 1 && kind <= 3) continue;
            LeaseTerms memory terms = _terms();
            terms.offer = (uint64(7) << 32) | (kind << 28) | 1;
            offers.setOwner(terms.offer, owner);
            offers.setTerms(terms.offer, VERSION, TERMS_HASH);
            _refused(terms, abi.encodeWithSelector(Errors.LeaseBook_NotLeasable.selector, terms.offer, kind));
        }
    }

    function test_RevertWhen_TheVersionIsNotForSale() external {
        LeaseTerms memory terms = _terms();
        (terms.version, terms.termsHash) = (9, 0);
        _refused(terms, abi.encodeWithSelector(Errors.LeaseBook_OtherTerms.selector, OFFER, 9, 0, 0));
    }

    function test_RevertWhen_TheVersionHasOtherTerms() external {
        LeaseTerms memory terms = _terms();
        terms.termsHash = "other";
        _refused(
            terms,
            abi.encodeWithSelector(Errors.LeaseBook_OtherTerms.selector, OFFER, VERSION, TERMS_HASH, bytes32("other"))
        );
    }

    function test_RevertWhen_TokenPeriodPeriodsOrPlacesAreZero() external {
        LeaseTerms memory terms = _terms();
        terms.token = address(0);
        _refused(terms, abi.encodeWithSelector(Errors.LeaseBook_Empty.selector, bytes32("token")));
        terms = _terms();
        terms.periodSeconds = 0;
        _refused(terms, abi.encodeWithSelector(Errors.LeaseBook_Empty.selector, bytes32("periodSeconds")));
        terms = _terms();
        terms.maxPeriods = 0;
        _refused(terms, abi.encodeWithSelector(Errors.LeaseBook_Empty.selector, bytes32("maxPeriods")));
        terms = _terms();
        terms.places = 0;
        _refused(terms, abi.encodeWithSelector(Errors.LeaseBook_Empty.selector, bytes32("places")));
    }

    function test_RevertWhen_ThePayeesAreOthersThanHashed() external {
        bytes memory payees = abi.encodePacked(poker, uint16(10_000));
        _refused(
            _bytes(_terms()),
            payees,
            abi.encodeWithSelector(Errors.LeaseBook_OtherPayees.selector, _payeesHash(payees), _terms().payeesHash)
        );
    }

    function test_RevertWhen_APayeeOrItsShareIsZero() external {
        bytes memory empty = abi.encodeWithSelector(Errors.LeaseBook_Empty.selector, bytes32("payee"));
        _refusedPayees(abi.encodePacked(address(0), uint16(10_000)), empty);
        _refusedPayees(abi.encodePacked(owner, uint16(10_000), poker, uint16(0)), empty);
    }

    function test_RevertWhen_TheSharesDoNotAddUp() external {
        _refusedPayees(
            abi.encodePacked(owner, uint16(9999)),
            abi.encodeWithSelector(Errors.LeaseBook_PayeeSum.selector, 9999, 10_000)
        );
        _refusedPayees(
            abi.encodePacked(owner, uint16(9999), poker, uint16(2)),
            abi.encodeWithSelector(Errors.LeaseBook_PayeeSum.selector, 10_001, 10_000)
        );
    }

    function test_OpensThemWithThePreimageInTheEvent() external {
        bytes memory data = _bytes(_terms());
        bytes32 id = leases.termsIdOf(data);
        assertFalse(leases.isOpen(id));
        vm.expectEmit(address(leases));
        emit ILeaseBook.LeaseTermsOpened(id, OFFER, owner, bytes.concat(data, _payees()));
        vm.prank(owner);
        assertEq(leases.openTerms(data, _payees()), id);
        assertTrue(leases.isOpen(id));
    }

    function test_GivenANotice_ItOpensThemAgain() external {
        _open(_terms());
        _giveNotice(_terms());
        _open(_terms());
        assertTrue(leases.isOpen(leases.termsIdOf(_bytes(_terms()))));
    }

    function _refused(LeaseTerms memory terms, bytes memory reason) private {
        _refused(_bytes(terms), _payees(), reason);
    }

    function _refusedPayees(bytes memory payees, bytes memory reason) private {
        LeaseTerms memory terms = _terms();
        terms.payeesHash = _payeesHash(payees);
        _refused(_bytes(terms), payees, reason);
    }

    function _refused(bytes memory data, bytes memory payees, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(owner);
        leases.openTerms(data, payees);
    }
}
