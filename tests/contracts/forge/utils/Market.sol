// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Authority} from "../../../../contracts/Authority.sol";
import {CvmRegistry} from "../../../../contracts/CvmRegistry.sol";
import {OfferRegistry} from "../../../../contracts/OfferRegistry.sol";
import {OrderBook} from "../../../../contracts/OrderBook.sol";
import {ProviderRegistry} from "../../../../contracts/ProviderRegistry.sol";
import {ReferenceValues} from "../../../../contracts/ReferenceValues.sol";
import {IEvidenceVerifier} from "../../../../contracts/interfaces/IEvidenceVerifier.sol";
import {SettlementLib} from "../../../../contracts/libraries/SettlementLib.sol";
import {TestToken} from "../../../../contracts/mocks/TestToken.sol";
import {CvmCertificate, CvmKeys, Possession, TcbStatus, TeeKind} from "../../../../contracts/types/Certificates.sol";
import {OfferKind, OfferTerms, Payee, Price} from "../../../../contracts/types/Offers.sol";
import {
    ComputeRef,
    Holdback,
    InputRef,
    Order,
    OrderId,
    OrderPreimage,
    OrderStart,
    OrderState,
    OrderTerms,
    Outcome,
    Params,
    Phase,
    ReportSummary,
    RuntimePolicy,
    Stop,
    Windows
} from "../../../../contracts/types/Orders.sol";
import {CertifierQuorum} from "../../../../contracts/verifiers/CertifierQuorum.sol";
import {HashHarness} from "../../harness/HashHarness.sol";

/// @notice A whole market on one chain: every contract, one provider with one certified CVM, an engine and two
/// datasets for sale, a client with money. Each helper leads one step further along the life of an order.
abstract contract Market is Test {
    // --- numbers, odd ones on purpose: they round
    uint256 internal constant T0 = 1_800_000_000;
    uint16 internal constant FEE_BPS = 250;
    uint16 internal constant PENALTY_BPS = 1000;
    uint32 internal constant MIN_GRACE = 60;
    uint40 internal constant UNBONDING = 7 days;
    uint128 internal constant STAKE = 1_000_000_000;
    uint8 internal constant NO_INPUT = 255;
    uint32 internal constant LAST = type(uint32).max;
    bytes32 internal constant MEASUREMENT = keccak256("measurement");
    bytes32 internal constant ROOT_SET = keccak256("dev:test");
    string internal constant WHERE = "file:///packet";

    // --- who
    address internal admin = makeAddr("admin");
    address internal treasury = makeAddr("treasury");
    address internal provider = makeAddr("provider");
    address internal poker = makeAddr("poker");
    address internal engineOwner = makeAddr("engine owner");
    address internal ownerA = makeAddr("owner A");
    address internal ownerB = makeAddr("owner B");
    address internal coAuthor = makeAddr("co-author");
    address internal client;
    uint256 internal clientKey;
    address internal operator;
    uint256 internal operatorKey;
    address internal signer;
    uint256 internal signerKey;
    uint256[3] internal certifierKeys;

    // --- what
    Authority internal authority;
    OfferRegistry internal offers;
    ReferenceValues internal references;
    CertifierQuorum internal quorum;
    CvmRegistry internal cvms;
    ProviderRegistry internal providers;
    OrderBook internal book;
    TestToken internal token;
    HashHarness internal hashes;
    bytes32 internal cvmId;
    uint64 internal computeOffer;
    uint64[] internal inputOffers;
    bytes private _pending;

    function setUp() public virtual {
        vm.warp(T0);
        (client, clientKey) = makeAddrAndKey("client");
        (operator, operatorKey) = makeAddrAndKey("operator");
        (signer, signerKey) = makeAddrAndKey("cvm signer");
        _certifiers();
        _deploy();
        _enlist();
        _list();
        token.mint(client, 1e30);
        vm.prank(client);
        token.approve(address(book), type(uint256).max);
    }

    // ------------------------------------------------------------------------------------------- deployment
    function _certifiers() private {
        // Sorted by address, as the quorum wants signatures.
        (, certifierKeys[0]) = makeAddrAndKey("certifier 1");
        (, certifierKeys[1]) = makeAddrAndKey("certifier 2");
        (, certifierKeys[2]) = makeAddrAndKey("certifier 3");
        for (uint256 i = 0; i < 2; ++i) {
            for (uint256 j = 0; j < 2 - i; ++j) {
                if (vm.addr(certifierKeys[j]) > vm.addr(certifierKeys[j + 1])) {
                    (certifierKeys[j], certifierKeys[j + 1]) = (certifierKeys[j + 1], certifierKeys[j]);
                }
            }
        }
    }

    function _deploy() private {
        // By name: the code of every contract inside every test would make the compiler ten times slower.
        hashes = HashHarness(_new("HashHarness", ""));
        token = TestToken(_new("TestToken", abi.encode("Test Dollar", "TUSD", 6)));
        authority = Authority(_new("Authority", abi.encode(admin)));
        offers = OfferRegistry(_new("OfferRegistry", ""));
        references = ReferenceValues(_new("ReferenceValues", abi.encode(authority)));
        address[] memory set = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            set[i] = vm.addr(certifierKeys[i]);
        }
        quorum = CertifierQuorum(_new("CertifierQuorum", abi.encode(authority, set, 2)));
        IEvidenceVerifier[] memory verifiers = new IEvidenceVerifier[](1);
        verifiers[0] = quorum;
        cvms = CvmRegistry(_new("CvmRegistry", abi.encode(authority, verifiers)));
        address predicted = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        providers = ProviderRegistry(_new("ProviderRegistry", abi.encode(predicted, UNBONDING)));
        Params memory first =
            Params({feeBps: FEE_BPS, startPenaltyBps: PENALTY_BPS, minGrace: MIN_GRACE, treasury: treasury});
        book = OrderBook(_new("OrderBook", abi.encode(authority, offers, providers, cvms, references, first)));
    }

    function _new(string memory name, bytes memory args) internal returns (address) {
        return deployCode(string.concat(name, ".sol:", name), args);
    }

    function _enlist() private {
        vm.startPrank(admin);
        references.acceptMeasurement(MEASUREMENT, uint8(TeeKind.TDX), keccak256("release 1"));
        references.acceptTrustClass(ROOT_SET, uint8(TcbStatus.SW_HARDENING_NEEDED));
        vm.stopPrank();
        vm.prank(provider);
        providers.register(operator);
        _stake(provider, STAKE);
        cvmId = _certify(_certificate());
    }

    function _stake(address who, uint256 amount) internal {
        token.mint(who, amount);
        vm.startPrank(who);
        token.approve(address(providers), amount);
        providers.stake(address(token), amount);
        vm.stopPrank();
    }

    function _list() private {
        vm.prank(provider);
        computeOffer = offers.list(_computeTerms(), "");
        vm.prank(engineOwner);
        inputOffers.push(offers.list(_engineTerms(), "ipfs://engine"));
        vm.prank(ownerA);
        inputOffers.push(offers.list(_datasetTerms(ownerA), "ipfs://a"));
        vm.prank(ownerB);
        inputOffers.push(offers.list(_datasetTerms(ownerB), "ipfs://b"));
    }

    // ------------------------------------------------------------------------------------------- offers
    function _computeTerms() internal view returns (OfferTerms memory terms) {
        terms.kind = uint8(OfferKind.COMPUTE);
        terms.token = address(token);
        terms.price = Price({fixedPrice: 11, perHour: 3_600_007, minSeconds: 60, perUnit: 3, revenueBps: 0});
        terms.payees = _solo(provider);
    }

    function _engineTerms() internal view returns (OfferTerms memory terms) {
        terms = _content(OfferKind.ENGINE, engineOwner);
        terms.price = Price({fixedPrice: 1_000_003, perHour: 0, minSeconds: 0, perUnit: 2, revenueBps: 0});
    }

    /// @dev Per hour with a minimum; two payees whose shares do not divide evenly.
    function _datasetTerms(address owner) internal view returns (OfferTerms memory terms) {
        terms = _content(OfferKind.DATASET, owner);
        terms.price = Price({fixedPrice: 17, perHour: 777_777, minSeconds: 120, perUnit: 0, revenueBps: 0});
        terms.payees = new Payee[](3);
        terms.payees[0] = Payee(owner, 3333);
        terms.payees[1] = Payee(coAuthor, 3333);
        terms.payees[2] = Payee(ownerB, 3334);
    }

    function _content(OfferKind kind, address owner) internal view returns (OfferTerms memory terms) {
        terms.kind = uint8(kind);
        terms.token = address(token);
        terms.payees = _solo(owner);
        terms.manifestDigest = keccak256(abi.encode("manifest", kind, owner));
        terms.contentDigest = keccak256(abi.encode("content", kind, owner));
        terms.grantKey = address(uint160(uint256(keccak256(abi.encode("grant key", owner)))));
    }

    function _solo(address account) internal pure returns (Payee[] memory payees) {
        payees = new Payee[](1);
        payees[0] = Payee(account, 10_000);
    }

    // ------------------------------------------------------------------------------------------- certificates
    function _keys(address signer_) internal pure returns (CvmKeys memory) {
        return CvmKeys(signer_, keccak256("hpke"), keccak256("statement"), keccak256("tls"));
    }

    function _certificate() internal view returns (CvmCertificate memory c) {
        return _certificateOf(signer, operator);
    }

    function _certificateOf(address signer_, address operator_) internal view returns (CvmCertificate memory c) {
        CvmKeys memory keys = _keys(signer_);
        c.cvmId = hashes.hashKeys(keys);
        c.signer = signer_;
        c.hpke = keys.hpke;
        c.statement = keys.statement;
        c.tls = keys.tls;
        c.operator = operator_;
        c.measurement = MEASUREMENT;
        c.tee = uint8(TeeKind.TDX);
        c.rootSet = ROOT_SET;
        c.tcbStatus = uint8(TcbStatus.UP_TO_DATE);
        c.platformId = keccak256("platform");
        c.evidenceId = keccak256("evidence");
        c.challenge = keccak256("challenge");
        c.issuedAt = uint40(block.timestamp);
        c.expiresAt = uint40(block.timestamp + 30 days);
    }

    /// @dev The first `count` certifiers sign the same certificate.
    function _evidence(CvmCertificate memory certificate, uint256 count) internal view returns (bytes memory) {
        CvmCertificate[] memory certificates = new CvmCertificate[](count);
        bytes[] memory signatures = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            certificates[i] = certificate;
            signatures[i] = _sign(certifierKeys[i], quorum.digestOf(certificate));
        }
        return abi.encode(certificates, signatures);
    }

    function _possession(bytes32 cvmId_, address operator_) internal view returns (Possession memory) {
        return Possession(cvmId_, operator_, address(cvms), keccak256("chain challenge"));
    }

    function _signPossession(uint256 key, Possession memory possession) internal view returns (bytes memory) {
        return _sign(key, _digest("Cloister CvmRegistry", address(cvms), hashes.hashPossession(possession)));
    }

    function _certify(CvmCertificate memory certificate) internal returns (bytes32) {
        return _certifyWith(signerKey, certificate);
    }

    function _certifyWith(uint256 key, CvmCertificate memory certificate) internal returns (bytes32) {
        Possession memory possession = _possession(certificate.cvmId, certificate.operator);
        cvms.register(
            _keys(certificate.signer), possession, _signPossession(key, possession), quorum, _evidence(certificate, 2)
        );
        return certificate.cvmId;
    }

    function _revoke() internal {
        vm.prank(admin);
        cvms.revoke(cvmId);
    }

    // ------------------------------------------------------------------------------------------- orders
    function _policy() internal pure returns (RuntimePolicy memory policy) {
        policy.trustClasses = new bytes32[](1);
        policy.trustClasses[0] = ROOT_SET;
        policy.teeMask = 1 << uint8(TeeKind.TDX);
        policy.measurements = new bytes32[](1);
        policy.measurements[0] = MEASUREMENT;
        policy.worstTcb = uint8(TcbStatus.SW_HARDENING_NEEDED);
    }

    function _windows() internal pure returns (Windows memory) {
        return Windows({
            acceptWithin: 600,
            startWithin: 300,
            setupSeconds: 240,
            keysWithin: 120,
            loadWithin: 180,
            maxSeconds: 5000,
            grace: 400
        });
    }

    /// @dev Compute, engine, datasets A and B, exactly the deposit that is needed.
    function _preimage() internal view returns (OrderPreimage memory pre) {
        pre.compute = _computeTerms();
        pre.inputs = new OfferTerms[](3);
        pre.inputs[0] = _engineTerms();
        pre.inputs[1] = _datasetTerms(ownerA);
        pre.inputs[2] = _datasetTerms(ownerB);
        pre.terms.client = client;
        pre.terms.payer = client;
        pre.terms.token = address(token);
        pre.terms.compute = ComputeRef(computeOffer, 1, hashes.hashOffer(pre.compute));
        pre.terms.inputs = new InputRef[](3);
        for (uint256 i = 0; i < 3; ++i) {
            pre.terms.inputs[i] = InputRef(inputOffers[i], 1, hashes.hashOffer(pre.inputs[i]), 0);
        }
        pre.terms.configDigest = keccak256("config");
        pre.terms.resultKeyDigest = keccak256("result key");
        pre.terms.runtimePolicyDigest = hashes.hashPolicy(_policy());
        pre.terms.placeBefore = uint40(T0 + 1 days);
        pre.terms.windows = _windows();
        pre.terms.maxUnits = 1000;
        pre.terms.maxFeeBps = FEE_BPS;
        pre.terms.deposit = uint128(_deposit(pre));
        pre.terms.salt = keccak256("salt");
    }

    function _amount(Price memory price, uint256 secs, uint256 units) internal pure returns (uint256) {
        uint256 billed = secs < price.minSeconds ? price.minSeconds : secs;
        return price.fixedPrice + uint256(price.perHour) * billed / 3600 + uint256(price.perUnit) * units;
    }

    function _deposit(OrderPreimage memory pre) internal pure returns (uint256 sum) {
        sum = _amount(pre.compute.price, pre.terms.windows.maxSeconds, pre.terms.maxUnits);
        for (uint256 i = 0; i < pre.inputs.length; ++i) {
            sum += _amount(pre.inputs[i].price, pre.terms.windows.maxSeconds, pre.terms.maxUnits);
        }
    }

    function _penalty(OrderPreimage memory pre) internal pure returns (uint256) {
        return _amount(pre.compute.price, pre.terms.windows.maxSeconds, pre.terms.maxUnits) * PENALTY_BPS / 10_000;
    }

    function _lock(OrderPreimage memory pre) internal pure returns (uint256 sum) {
        sum = _penalty(pre);
        for (uint256 i = 0; i < pre.inputs.length; ++i) {
            sum += _amount(pre.inputs[i].price, pre.terms.windows.maxSeconds, 0);
        }
    }

    function _id(OrderPreimage memory pre) internal view returns (OrderId) {
        return OrderId.wrap(_bookDigest(hashes.hashOrder(pre.terms)));
    }

    // ------------------------------------------------------------------------------------------- the life
    /// @dev The next step of the life below reverts with this error. (Building a step calls the harness, which a plain
    /// `expectRevert` would catch instead.)
    function _willRevert(bytes memory error_) internal {
        _pending = error_;
    }

    function _arm() private {
        if (_pending.length == 0) return;
        vm.expectRevert(_pending);
        delete _pending;
    }

    function _place(OrderPreimage memory pre) internal {
        _arm();
        vm.prank(pre.terms.client);
        book.place(pre.terms, WHERE);
    }

    function _accept(OrderPreimage memory pre) internal {
        _acceptAs(operator, pre, _policy(), cvmId);
    }

    function _acceptAs(address caller, OrderPreimage memory pre, RuntimePolicy memory policy, bytes32 cvmId_) internal {
        _arm();
        vm.prank(caller);
        book.accept(pre, policy, cvmId_);
    }

    function _start(OrderPreimage memory pre) internal {
        _startWith(pre, _startSignature(pre));
    }

    function _startWith(OrderPreimage memory pre, bytes memory signature) internal {
        _arm();
        vm.prank(poker);
        book.start(pre.terms, signature);
    }

    function _checkpoint(OrderPreimage memory pre, uint32 secs, uint64 units) internal {
        _checkpointWith(pre, _integrity(pre, secs, units));
    }

    function _checkpointWith(OrderPreimage memory pre, ReportSummary memory summary) internal {
        bytes memory signature = _signSummary(summary);
        _arm();
        vm.prank(poker);
        book.checkpoint(pre.terms, summary, signature, WHERE);
    }

    function _complete(OrderPreimage memory pre, Outcome outcome, uint32 secs, uint64 units) internal {
        _completeWith(pre, _final(pre, Phase.ENGINE, outcome, secs, units));
    }

    function _completeWith(OrderPreimage memory pre, ReportSummary memory summary) internal {
        bytes memory signature = _signSummary(summary);
        _arm();
        vm.prank(poker);
        book.complete(pre, summary, signature, WHERE);
    }

    function _refuse(OrderPreimage memory pre, uint32 secs) internal {
        _refuseWith(pre, _final(pre, Phase.SETUP, Outcome.REFUSED, secs, 0));
    }

    function _refuseWith(OrderPreimage memory pre, ReportSummary memory summary) internal {
        bytes memory signature = _signSummary(summary);
        _arm();
        vm.prank(poker);
        book.refuse(pre, summary, signature, WHERE);
    }

    function _expire(OrderPreimage memory pre) internal {
        _arm();
        vm.prank(poker);
        book.expire(pre);
    }

    function _stop(OrderPreimage memory pre) internal {
        _arm();
        vm.prank(pre.terms.client);
        book.stop(pre);
    }

    function _settleRevoked(OrderPreimage memory pre) internal {
        _arm();
        vm.prank(poker);
        book.settleRevoked(pre);
    }

    function _void(OrderPreimage memory pre) internal {
        _arm();
        vm.prank(poker);
        book.voidOrder(pre, _policy());
    }

    function _cancelAs(address caller, OrderPreimage memory pre) internal {
        _arm();
        vm.prank(caller);
        book.cancel(pre.terms);
    }

    function _placed() internal returns (OrderPreimage memory pre) {
        pre = _preimage();
        _place(pre);
    }

    function _accepted() internal returns (OrderPreimage memory pre) {
        pre = _placed();
        _accept(pre);
    }

    function _setup() internal returns (OrderPreimage memory pre) {
        pre = _accepted();
        _start(pre);
    }

    /// @dev Running, in phase ENGINE after 100 seconds of setup, 100 of them proven.
    function _engine() internal returns (OrderPreimage memory pre) {
        pre = _setup();
        skip(100);
        _checkpoint(pre, 100, 0);
    }

    // ------------------------------------------------------------------------------------------- signatures
    function _summary(OrderPreimage memory pre) internal view returns (ReportSummary memory summary) {
        summary.orderId = OrderId.unwrap(_id(pre));
        summary.cvmId = cvmId;
        summary.attributableInput = NO_INPUT;
        summary.inputsRoot = hashes.inputsRoot(pre.terms.inputs);
        summary.statementDigest = keccak256("statement of it");
    }

    function _integrity(OrderPreimage memory pre, uint32 secs, uint64 units)
        internal
        view
        returns (ReportSummary memory summary)
    {
        summary = _summary(pre);
        summary.phase = uint8(Phase.ENGINE);
        summary.sequence = 1;
        summary.secondsUsed = secs;
        summary.unitsUsed = units;
    }

    function _final(OrderPreimage memory pre, Phase phase, Outcome outcome, uint32 secs, uint64 units)
        internal
        view
        returns (ReportSummary memory summary)
    {
        summary = _summary(pre);
        summary.phase = uint8(phase);
        summary.sequence = LAST;
        summary.outcome = uint8(outcome);
        summary.secondsUsed = secs;
        summary.unitsUsed = units;
        if (outcome == Outcome.COMPLETED) summary.resultDigest = keccak256("result");
    }

    function _startSignature(OrderPreimage memory pre) internal view returns (bytes memory) {
        OrderStart memory start = OrderStart(OrderId.unwrap(_id(pre)), cvmId, hashes.inputsRoot(pre.terms.inputs));
        return _sign(signerKey, _bookDigest(hashes.hashStart(start)));
    }

    function _signSummary(ReportSummary memory summary) internal view returns (bytes memory) {
        return _sign(signerKey, _bookDigest(hashes.hashSummary(summary)));
    }

    function _stopSignature(OrderPreimage memory pre, uint256 key) internal view returns (bytes memory) {
        return _sign(key, _bookDigest(hashes.hashStop(Stop(OrderId.unwrap(_id(pre))))));
    }

    function _bookDigest(bytes32 structHash) internal view returns (bytes32) {
        return _digest("Cloister OrderBook", address(book), structHash);
    }

    function _digest(string memory name, address contract_, bytes32 structHash) internal view returns (bytes32) {
        return hashes.digest(name, block.chainid, contract_, structHash);
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    // ------------------------------------------------------------------------------------------- looking
    function _order(OrderPreimage memory pre) internal view returns (Order memory) {
        return book.getOrder(_id(pre));
    }

    function _payout(OrderPreimage memory pre, uint256 index) internal view returns (uint256) {
        SettlementLib.Payout[] memory list = book.payouts(pre);
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i].index == index) return list[i].amount;
        }
        revert("no such index");
    }

    function _locked() internal view returns (uint256 locked) {
        (, locked,,) = providers.stakeOf(provider, address(token));
    }

    function _free() internal view returns (uint256 free) {
        (free,,,) = providers.stakeOf(provider, address(token));
    }

    /// @dev The order's id after its terms changed: offers' hashes and deposit follow.
    function _reprice(OrderPreimage memory pre) internal view {
        pre.terms.compute.termsHash = hashes.hashOffer(pre.compute);
        for (uint256 i = 0; i < pre.inputs.length; ++i) {
            pre.terms.inputs[i].termsHash = hashes.hashOffer(pre.inputs[i]);
        }
        pre.terms.deposit = uint128(_deposit(pre));
    }

    function assertState(OrderPreimage memory pre, OrderState expected) internal view {
        assertEq(uint8(_order(pre).state), uint8(expected), "state");
    }

    /// @dev Claims everything and checks that the order paid out to the last unit what it held.
    function _claimAll(OrderPreimage memory pre, uint256 slashed) internal {
        uint256 before = token.balanceOf(address(book));
        vm.prank(poker);
        book.claim(pre, type(uint256).max);
        assertEq(before - token.balanceOf(address(book)), pre.terms.deposit + slashed, "paid out == held");
    }
}
