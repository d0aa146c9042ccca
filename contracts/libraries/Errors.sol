// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderId, OrderState, Phase} from "../types/Orders.sol";

/// @notice Every custom error, prefixed by the contract that throws it, with the values that disagreed.
library Errors {
    // --------------------------------------------------------------------------------------------- Escrow
    /// @notice The token moved another amount than it was asked to (a fee on transfer, for one).
    error Escrow_ReceivedOther(address token, uint256 received, uint256 expected);

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
    error OfferRegistry_UnknownVersion(uint64 offer, uint32 version);
    error OfferRegistry_Inactive(uint64 offer);
    error OfferRegistry_OtherTerms(uint64 offer, uint32 version, bytes32 registered, bytes32 expected);
    error OfferRegistry_NotOwner(uint64 offer, address caller, address owner);
    error OfferRegistry_UnknownKind(uint8 kind);
    error OfferRegistry_OtherKind(uint64 offer, uint8 kind, uint8 expected);
    error OfferRegistry_NoToken();
    error OfferRegistry_PayeeCount(uint256 count, uint256 max);
    error OfferRegistry_EmptyPayee(uint256 index);
    error OfferRegistry_PayeeSum(uint256 sum, uint256 expected);
    error OfferRegistry_Reserved(bytes32 field);
    error OfferRegistry_MissingDigest(bytes32 field);
    error OfferRegistry_ComputeHasContent(bytes32 field);

    // ------------------------------------------------------------------------------------ ProviderRegistry
    error ProviderRegistry_NoOperator();
    error ProviderRegistry_AlreadyRegistered(address provider);
    error ProviderRegistry_NotRegistered(address provider);
    error ProviderRegistry_OperatorTaken(address operator, address provider);
    error ProviderRegistry_NotOrderBook(address caller, address expected);
    error ProviderRegistry_NotOperator(address got, address expected);
    error ProviderRegistry_ZeroAmount();
    error ProviderRegistry_FreeStakeTooLow(address provider, address token, uint256 free, uint256 needed);
    error ProviderRegistry_NothingRequested(address provider, address token);
    error ProviderRegistry_StillUnbonding(uint256 releaseAt, uint256 timestamp);
    error ProviderRegistry_SlashAboveLock(uint256 slashed, uint256 locked);

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
    error CvmRegistry_OtherFact(bytes32 cvmId, bytes32 field);
    error CvmRegistry_Revoked(bytes32 cvmId);
    error CvmRegistry_Retired(bytes32 cvmId);
    error CvmRegistry_NotOperator(bytes32 cvmId, address caller, address operator);

    // ------------------------------------------------------------------------------------- CertifierQuorum
    error CertifierQuorum_Length(uint256 certificates, uint256 signatures);
    error CertifierQuorum_TooFew(uint256 certificates, uint256 threshold);
    error CertifierQuorum_TooMany(uint256 certificates, uint256 max);
    error CertifierQuorum_CvmIdMismatch(bytes32 got, bytes32 expected);
    error CertifierQuorum_Disagree(uint256 index, bytes32 got, bytes32 expected);
    error CertifierQuorum_NotLasting(uint256 index, uint256 issuedAt, uint256 expiresAt);
    error CertifierQuorum_NotSigned(uint256 index);
    error CertifierQuorum_NotCertifier(address signer);
    error CertifierQuorum_NotAscending(address previous, address signer);
    error CertifierQuorum_AlreadyCertifier(address certifier);
    error CertifierQuorum_NoCertifier();
    error CertifierQuorum_Threshold(uint256 threshold, uint256 certifiers);

    // ------------------------------------------------------------------------------------- ReferenceValues
    error ReferenceValues_Empty(bytes32 field);
    error ReferenceValues_UnknownTee(uint8 tee);
    error ReferenceValues_WorstTcb(uint8 worstTcb, uint8 max);

    // ------------------------------------------------------------------------------------------- OrderBook
    /// @notice The table of OrderStateLib knows no way from `actual` to `wanted`.
    error OrderBook_WrongState(OrderId id, OrderState actual, OrderState wanted);
    error OrderBook_WrongPhase(OrderId id, Phase actual, Phase expected);
    error OrderBook_NotTerminal(OrderId id, OrderState actual);
    error OrderBook_TooLate(OrderId id, uint256 deadline, uint256 timestamp);
    error OrderBook_TooEarly(OrderId id, uint256 deadline, uint256 timestamp);
    error OrderBook_NotClient(OrderId id, address caller, address client);
    error OrderBook_OtherPayer(address payer, address client);
    error OrderBook_Reserved(bytes32 field);
    error OrderBook_LocationTooLong(uint256 size, uint256 most);
    error OrderBook_InputCount(uint256 count, uint256 max);
    error OrderBook_DuplicateInput(uint256 index, uint64 offer);
    error OrderBook_PreimageInputs(uint256 got, uint256 expected);
    error OrderBook_TermsHash(uint64 offer, bytes32 got, bytes32 expected);
    error OrderBook_InputKind(uint256 index, uint8 kind);
    error OrderBook_ComputeKind(uint8 kind);
    error OrderBook_OtherToken(uint64 offer, address got, address expected);
    error OrderBook_WindowTooShort(bytes32 field, uint256 got, uint256 min);
    error OrderBook_FeeAboveMax(uint16 feeBps, uint16 maxFeeBps);
    error OrderBook_DepositTooLow(uint256 deposit, uint256 required);
    error OrderBook_PolicyDigest(bytes32 got, bytes32 expected);
    error OrderBook_PolicyRefuses(bytes32 cvmId, bytes32 field);
    error OrderBook_NotReference(bytes32 cvmId, bytes32 measurement, bytes32 rootSet);
    error OrderBook_CvmUnknown(bytes32 cvmId);
    error OrderBook_CvmRevoked(bytes32 cvmId);
    error OrderBook_CvmNotRevoked(bytes32 cvmId);
    error OrderBook_CvmStillGood(bytes32 cvmId);
    error OrderBook_CvmExpires(bytes32 cvmId, uint256 expiresAt, uint256 needed);
    error OrderBook_CvmOperator(bytes32 cvmId, address operator, address caller);
    error OrderBook_NotSigned(OrderId id, address recovered, address expected);
    error OrderBook_SummaryMismatch(OrderId id, bytes32 field);
    error OrderBook_Outcome(OrderId id, uint8 outcome);
    error OrderBook_NotAuthority(address caller, address authority);
    error OrderBook_NoTreasury();
    error OrderBook_ParamsBound(bytes32 field, uint256 got, uint256 bound);
    error OrderBook_Wiring(address got, address expected);
}
