// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderId, OrderState, Phase} from "../types/Orders.sol";

/// @notice Every custom error, prefixed by the contract that throws it, with the values that disagreed.
library Errors {
    // --------------------------------------------------------------------------------------------- Escrow
    /// @notice The token moved another amount than it was asked to (a fee on transfer, for one).
    error Escrow_ReceivedOther(address token, uint256 received, uint256 expected);

    // ------------------------------------------------------------------------------------------- Deployer
    error Deployer_Taken(address at);
    error Deployer_NoCode(address at);

    // -------------------------------------------------------------------------------------------- LockLib
    error LockLib_TooLarge(uint256 amount, uint256 max);

    // --------------------------------------------------------------------------------------------- Ledger
    error Ledger_NothingCredited(address token, address account);
    error Ledger_CreditTooLow(address token, address account, uint256 credit, uint256 needed);
    error Ledger_NoReceiver(address to);

    // --------------------------------------------------------------------------------------- OfferRegistry
    error OfferCodec_HeadsLength(uint256 got, uint256 expected);
    error OfferCodec_PayeesLength(uint256 got, uint256 each, uint256 maxPayees);
    error OfferRegistry_UnknownOffer(uint64 offer);
    error OfferRegistry_NotOwner(uint64 offer, address caller, address owner);
    error OfferRegistry_UnknownVersion(uint64 offer, uint32 version);
    error OfferRegistry_VersionUsed(uint64 offer, uint32 version);
    /// @notice Versions are used one after the other, from 1.
    error OfferRegistry_VersionGap(uint64 offer, uint32 version);
    error OfferRegistry_Closed(uint64 offer, uint32 version);
    error OfferRegistry_Retired(uint64 offer, uint32 version);
    error OfferRegistry_OtherTerms(uint64 offer, uint32 version, bytes32 registered, bytes32 expected);
    error OfferRegistry_UnknownKind(uint256 kind);
    error OfferRegistry_OtherKind(uint64 offer, uint256 kind, uint256 expected);
    error OfferRegistry_NoToken();
    error OfferRegistry_EmptyPayee(uint256 index);
    error OfferRegistry_PayeeSum(uint256 sum, uint256 expected);
    error OfferRegistry_OtherPayees(bytes32 got, bytes32 expected);
    error OfferRegistry_OutOfRange(bytes32 field, uint256 got, uint256 max);
    error OfferRegistry_MissingDigest(bytes32 field);
    error OfferRegistry_ComputeHasContent(bytes32 field);
    /// @notice A lineage that no order report proved here.
    error OfferRegistry_LineageUnproven(bytes32 lineage);
    error OfferRegistry_OtherLineage(bytes32 got, bytes32 expected);
    error OfferRegistry_NotClient(address caller, address client);
    error OfferRegistry_InputCount(uint256 payees, uint256 tables, uint256 expected);
    error OfferRegistry_InputTerms(uint256 index, bytes32 got, bytes32 expected);
    error OfferRegistry_InputPayees(uint256 index, bytes32 got, bytes32 expected);
    error OfferRegistry_InputTable(uint256 index, bytes32 got, bytes32 expected);
    error OfferRegistry_NotOrderBook(address caller, address expected);
    error OfferRegistry_SignedLength(uint256 got, uint256 least);
    error OfferRegistry_SignedExpired(uint256 expiresAt, uint256 timestamp);
    error OfferRegistry_OtherEpoch(address owner, uint256 got, uint256 expected);
    error OfferRegistry_VolumeUsed(bytes32 signedOffer, uint256 filled, uint256 volume);
    error OfferRegistry_NotSigned(address owner, bytes32 digest);
    error RestrictionLib_Length(uint256 got, uint256 expected);
    error RestrictionLib_OtherRoots(bytes32 got, bytes32 expected);
    /// @param tree 0 clients, 1 engines, 2 runtimes.
    error RestrictionLib_NotAllowed(uint256 tree);
    error RoyaltyLib_Length(uint256 got, uint256 each, uint256 maxEntries);
    error RoyaltyLib_TooManyEntries(uint256 max);

    // ------------------------------------------------------------------------------------ ProviderRegistry
    error ProviderRegistry_NotOwner(uint64 offer, address caller, address owner);
    error ProviderRegistry_NotCompute(uint64 offer, uint256 kind);
    error ProviderRegistry_NoToken();
    error ProviderRegistry_NoOperator();
    error ProviderRegistry_NoPayee(address payee);
    error ProviderRegistry_AlreadyOpen(uint64 offer, address token);
    error ProviderRegistry_NoDesk(uint64 offer, address token);
    error ProviderRegistry_NotOrderBook(address caller, address expected);
    error ProviderRegistry_NotOperator(address got, address expected);
    error ProviderRegistry_Full(uint64 offer, address token, uint256 capacity);
    error ProviderRegistry_ZeroAmount();
    error ProviderRegistry_TooMuch(uint64 offer, address token, uint256 amount, uint256 most);
    error ProviderRegistry_FreeStakeTooLow(uint64 offer, address token, uint256 free, uint256 needed);
    error ProviderRegistry_NothingRequested(uint64 offer, address token);
    error ProviderRegistry_StillUnbonding(uint256 releaseAt, uint256 timestamp);

    // ------------------------------------------------------------------------------------------- LeaseBook
    error LeaseBook_Length(uint256 got, uint256 expected);
    error LeaseBook_NotOwner(uint64 offer, address caller, address owner);
    error LeaseBook_NotLeasable(uint64 offer, uint256 kind);
    error LeaseBook_OtherTerms(uint64 offer, uint32 version, bytes32 registered, bytes32 expected);
    error LeaseBook_Empty(bytes32 field);
    error LeaseBook_OtherPayees(bytes32 got, bytes32 expected);
    error LeaseBook_PayeeSum(uint256 sum, uint256 expected);
    error LeaseBook_NotOpen(bytes32 terms);
    error LeaseBook_StillOpen(bytes32 terms);
    error LeaseBook_FeeAboveMax(uint256 feeBps, uint256 max);
    error LeaseBook_NotPayer(bytes32 lease, address caller, address payer);
    error LeaseBook_NotLessee(bytes32 lease, address caller, address lessee);
    error LeaseBook_NoLessee();
    error LeaseBook_AlreadyLeased(bytes32 lease);
    error LeaseBook_NoLease(bytes32 lease);
    error LeaseBook_TooManyPeriods(bytes32 lease, uint256 periods, uint256 max);
    error LeaseBook_TooLong(bytes32 lease, uint256 lastsFor, uint256 max);
    error LeaseBook_Over(bytes32 lease, uint256 end, uint256 timestamp);
    error LeaseBook_EndsAnyway(bytes32 lease, uint256 end, uint256 atTheEarliest);
    error LeaseBook_PlacesTaken(bytes32 lease, uint256 taken);
    error LeaseBook_NoTopUp(bytes32 lease);
    error LeaseBook_TopUpLater(bytes32 lease, uint256 from, uint256 timestamp);
    error LeaseBook_TopUpOver(bytes32 lease, uint256 until, uint256 timestamp);
    error LeaseBook_NothingEarned(bytes32 lease);
    error LeaseBook_NotOrderBook(address caller, address expected);
    error LeaseBook_OtherUse(bytes32 lease, address lessee, uint64 offer, uint32 version, bytes32 termsHash);
    error LeaseBook_EndsBefore(bytes32 lease, uint256 end, uint256 until);
    error LeaseBook_NoPlace(bytes32 lease);
    error LeaseBook_NoTreasury();

    // ---------------------------------------------------------------------------------------- CvmRegistry
    error CvmRegistry_UnknownVerifier(address verifier);
    error CvmRegistry_OtherCvm(bytes32 got, bytes32 expected);
    error CvmRegistry_OtherSigner(address got, address expected);
    error CvmRegistry_OtherOperator(address got, address expected);
    error CvmRegistry_OtherRegistry(address got, address expected);
    error CvmRegistry_NotPossessed(bytes32 cvmId, address recovered, address expected);
    error CvmRegistry_EmptyFact(bytes32 cvmId, bytes32 field);
    error CvmRegistry_Expired(bytes32 cvmId, uint256 expiresAt, uint256 timestamp);
    error CvmRegistry_NotLater(bytes32 cvmId, uint256 expiresAt, uint256 known);
    error CvmRegistry_OtherProfile(bytes32 cvmId, uint32 got, uint32 expected);
    error CvmRegistry_TooLong(bytes32 cvmId, uint256 expiresAt, uint256 latest);
    error CvmRegistry_UnknownCvm(uint32 cvm);
    error CvmRegistry_KnownVerifier(address verifier);
    error CvmRegistry_NoVerifier(address account);
    error CvmRegistry_NotReferences(address caller, address expected);
    error CvmRegistry_NotOrderBook(address caller, address expected);
    error CvmRegistry_Revoked(bytes32 cvmId);
    error CvmRegistry_Retired(bytes32 cvmId);
    error CvmRegistry_NotOperator(bytes32 cvmId, address caller, address operator);

    // ------------------------------------------------------------------------------------- CertifierQuorum
    /// @notice Evidence is 266 bytes and 138 for each certifier.
    error CertifierQuorum_Length(uint256 size);
    error CertifierQuorum_TooFew(uint256 certificates, uint256 threshold);
    error CertifierQuorum_TooMany(uint256 certificates, uint256 max);
    error CertifierQuorum_NotLasting(uint256 index, uint256 issuedAt, uint256 expiresAt);
    error CertifierQuorum_NotSigned(uint256 index);
    /// @notice Also where a certifier signed another claim than the evidence holds: then somebody else is recovered.
    error CertifierQuorum_NotCertifier(address signer);
    error CertifierQuorum_NotAscending(address previous, address signer);
    error CertifierQuorum_AlreadyCertifier(address certifier);
    error CertifierQuorum_NoCertifier();
    error CertifierQuorum_Threshold(uint256 threshold, uint256 certifiers);

    // ----------------------------------------------------------------------------------------- P256Verdict
    error P256Verdict_Length(uint256 got, uint256 expected);
    error P256Verdict_NotKey(bytes32 key);
    error P256Verdict_AlreadyKey(bytes32 key);
    error P256Verdict_OffCurve(bytes32 x, bytes32 y);
    error P256Verdict_NotSigned(bytes32 key);
    error P256Verdict_NotLasting(uint256 issuedAt, uint256 expiresAt);

    // ------------------------------------------------------------------------------------- ReferenceValues
    error ReferenceValues_Empty(bytes32 field);
    error ReferenceValues_WorstTcb(uint8 worstTcb, uint8 max);
    error ReferenceValues_Closed(bytes32 rootSet);
    error ReferenceValues_Open(bytes32 rootSet);
    error ReferenceValues_Full(bytes32 rootSet, uint256 max);
    error ReferenceValues_Accepted(uint32 profile);
    error ReferenceValues_NotAccepted(uint32 profile);
    error ReferenceValues_NotLower(uint32 profile, uint8 worstTcb, uint8 known);
    error ReferenceValues_NotAscending(bytes32 previous, bytes32 measurement);

    // ------------------------------------------------------------------------------------------ OrderCodec
    /// @notice An order's bytes are 300 + 44 * n, with n from 1 to 16, and 32 for each of its extras.
    error OrderCodec_Length(uint256 got);
    /// @notice Extras of inputs that are not there, bits without a meaning, or an extra that is zero.
    error OrderCodec_Extras(uint256 got);

    // ----------------------------------------------------------------------------------------- PolicyCodec
    /// @notice A policy's bytes are 34 + 32 * n, and name no more trust classes than n.
    error PolicyCodec_Length(uint256 got);

    // ------------------------------------------------------------------------------------------- OrderBook
    /// @notice The table of OrderStateLib knows no way from `actual` to `wanted`.
    error OrderBook_WrongState(OrderId id, OrderState actual, OrderState wanted);
    error OrderBook_WrongPhase(OrderId id, Phase actual, Phase expected);
    error OrderBook_NotTerminal(OrderId id, OrderState actual);
    error OrderBook_NothingDue(OrderId id, uint256 k);
    error OrderBook_TooLate(OrderId id, uint256 deadline, uint256 timestamp);
    error OrderBook_TooEarly(OrderId id, uint256 deadline, uint256 timestamp);
    error OrderBook_NotClient(OrderId id, address caller, address client);
    error OrderBook_NotPayer(OrderId id, address caller, address payer);
    error OrderBook_OtherPayer(address payer, address client);
    error OrderBook_OtherInBatch(uint256 index, bytes32 field);
    error OrderBook_NotSignedBy(OrderId id, address account);
    error OrderBook_Paused();
    error OrderBook_LocationTooLong(uint256 size, uint256 most);
    error OrderBook_DuplicateInput(uint256 index, uint64 offer);
    error OrderBook_TermsHash(uint64 offer, bytes32 got, bytes32 expected);
    error OrderBook_PayeesHash(uint64 offer, bytes32 got, bytes32 expected);
    error OrderBook_Lineage(uint64 offer, bytes32 got, bytes32 expected);
    error OrderBook_InputKind(uint256 index, uint256 kind);
    error OrderBook_ComputeKind(uint256 kind);
    /// @notice The order asks for more seconds than the offer rents.
    error OrderBook_RentTooLong(uint64 offer, uint256 maxSeconds, uint256 most);
    error OrderBook_RevenueAboveAll(uint256 sumBps);
    /// @notice An owner restricted an input: `acceptWith` takes the proofs.
    error OrderBook_NeedsProof(OrderId id);
    error OrderBook_ListLength(uint256 got, uint256 expected);
    error OrderBook_WindowTooShort(bytes32 field, uint256 got, uint256 min);
    error OrderBook_WindowTooLong(bytes32 field, uint256 got, uint256 max);
    error OrderBook_UnitsTooMany(uint256 got, uint256 max);
    error OrderBook_Holdback(uint256 bps, uint256 window);
    error OrderBook_FeeAboveMax(uint256 feeBps, uint256 maxFeeBps);
    error OrderBook_DepositTooLow(uint256 deposit, uint256 required);
    error OrderBook_PolicyDigest(bytes32 got, bytes32 expected);
    error OrderBook_PolicyRefuses(uint32 cvm, bytes32 field);
    error OrderBook_NotReference(uint32 cvm, uint32 profile);
    error OrderBook_CvmUnknown(uint32 cvm);
    error OrderBook_CvmRevoked(uint32 cvm);
    error OrderBook_CvmRetired(uint32 cvm);
    error OrderBook_CvmNotRevoked(uint32 cvm);
    error OrderBook_CvmStillGood(uint32 cvm);
    error OrderBook_CvmExpires(uint32 cvm, uint256 expiresAt, uint256 needed);
    error OrderBook_CvmOperator(uint32 cvm, address operator, address caller);
    error OrderBook_NotSigned(OrderId id, address recovered, address expected);
    error OrderBook_SummaryMismatch(OrderId id, bytes32 field);
    error OrderBook_Outcome(OrderId id, uint256 outcome);
    error OrderBook_AlreadyClaimed(OrderId id, uint256 k);
    error OrderBook_ProofLength(uint256 got, uint256 least);
    error OrderBook_NoSuchOffer(OrderId id, uint256 k, uint256 inputs);
    /// @notice An order that EXPIRED gets what the lock owes first, by `claimRest`.
    error OrderBook_SlashFirst(OrderId id);
    error OrderBook_HoldbackPending(OrderId id, uint256 until);
    error OrderBook_NoHoldback(OrderId id);
    error OrderBook_FullyFunded(OrderId id, uint256 limit);
    error OrderBook_NotServed(OrderId id);
    error OrderBook_NoEquivocation(OrderId id);
    error OrderBook_BatchTooLong(uint256 max);
    /// @notice A call of a batch says that it is longer than what is left.
    error OrderBook_BatchCut(uint256 index, uint256 size);
    error OrderBook_NotAuthority(address caller, address authority);
    error OrderBook_NoTreasury();
    error OrderBook_ParamsBound(bytes32 field, uint256 got, uint256 bound);
    error OrderBook_Wiring(address got, address expected);
    /// @notice A part of the OrderBook was called by itself; it keeps nothing of its own.
    error OrderBook_NotTheBook(address got, address expected);
}
