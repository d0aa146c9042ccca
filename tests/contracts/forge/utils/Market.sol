// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Authority} from "../../../../contracts/Authority.sol";
import {CvmRegistry} from "../../../../contracts/CvmRegistry.sol";
import {LeaseBook} from "../../../../contracts/LeaseBook.sol";
import {OfferRegistry} from "../../../../contracts/OfferRegistry.sol";
import {OrderBook} from "../../../../contracts/OrderBook.sol";
import {ProviderRegistry} from "../../../../contracts/ProviderRegistry.sol";
import {ReferenceValues} from "../../../../contracts/ReferenceValues.sol";
import {IEvidenceVerifier} from "../../../../contracts/interfaces/IEvidenceVerifier.sol";
import {ILedger} from "../../../../contracts/interfaces/ILedger.sol";
import {IOrderBook} from "../../../../contracts/interfaces/IOrderBook.sol";
import {IOrderReports} from "../../../../contracts/interfaces/IOrderReports.sol";
import {Desk} from "../../../../contracts/interfaces/IProviderRegistry.sol";
import {LockLib} from "../../../../contracts/libraries/LockLib.sol";
import {OrderHashLib} from "../../../../contracts/libraries/OrderHashLib.sol";
import {PolicyCodec} from "../../../../contracts/libraries/PolicyCodec.sol";
import {TestToken} from "../../../../contracts/mocks/TestToken.sol";
import {OrderBase} from "../../../../contracts/orders/OrderBase.sol";
import {CvmCertificate, CvmKeys, Possession, TcbStatus, TeeKind} from "../../../../contracts/types/Certificates.sol";
import {OfferKind, OfferTerms, Payee, Price} from "../../../../contracts/types/Offers.sol";
import {
    ComputeRef,
    InputRef,
    Order,
    OrderId,
    OrderState,
    OrderTerms,
    Outcome,
    Params,
    Phase,
    Report,
    RuntimePolicy,
    Windows
} from "../../../../contracts/types/Orders.sol";
import {CertifierQuorum} from "../../../../contracts/verifiers/CertifierQuorum.sol";
import {Pack} from "./Pack.sol";

/// @notice Everything that an order is made of, unpacked.
struct Deal {
    OrderTerms terms;
    OfferTerms compute;
    OfferTerms[] inputs;
}

/// @notice What a CVM says in a checkpoint or at the end, unpacked.
struct Said {
    Phase phase;
    Outcome outcome;
    uint8 blamed;
    uint32 sequence;
    uint32 secs;
    uint64 units;
    bytes32 result;
    bytes32 statement;
}

/// @notice A whole market on one chain: every contract, one provider with one desk and one certified CVM, an engine and
/// two datasets for sale, a client with money. Each helper leads one step further along the life of an order.
abstract contract Market is Test {
    // --- numbers, odd ones on purpose: they round
    uint256 internal constant T0 = 1_800_000_000;
    uint16 internal constant FEE_BPS = 250;
    uint16 internal constant PENALTY_BPS = 1000;
    uint32 internal constant MIN_GRACE = 60;
    uint40 internal constant UNBONDING = 7 days;
    uint128 internal constant STAKE = 1_000_000_000;
    uint16 internal constant CAPACITY = 100;
    uint8 internal constant NO_INPUT = 255;
    uint32 internal constant LAST = type(uint32).max;
    bytes32 internal constant MEASUREMENT = keccak256("measurement");
    bytes32 internal constant ROOT_SET = keccak256("dev:test");
    bytes32 internal constant STATEMENT = keccak256("statement of it");
    string internal constant WHERE = "file:///packet";
    uint256 internal constant REST = 17;

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
    address internal sponsor;
    uint256 internal sponsorKey;
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
    LeaseBook internal leases;
    IOrderBook internal book;
    TestToken internal token;
    bytes32 internal cvmId;
    uint32 internal cvm;
    uint32 internal profile;
    uint64 internal computeOffer;
    uint64[] internal inputOffers;
    bytes private _pending;

    function setUp() public virtual {
        vm.warp(T0);
        (client, clientKey) = makeAddrAndKey("client");
        (sponsor, sponsorKey) = makeAddrAndKey("sponsor");
        (operator, operatorKey) = makeAddrAndKey("operator");
        (signer, signerKey) = makeAddrAndKey("cvm signer");
        _certifiers();
        _deploy();
        _list();
        _enlist();
        _fund(client);
        _fund(sponsor);
    }

    /// @dev Money, and an allowance for all of it.
    function _fund(address who) internal {
        token.mint(who, 1e30);
        vm.prank(who);
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
        token = TestToken(_new("TestToken", abi.encode("Test Dollar", "TUSD", 6)));
        authority = Authority(_new("Authority", abi.encode(admin)));
        // ReferenceValues and CvmRegistry, which comes three deployments later, know each other.
        address registry = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 3);
        references = ReferenceValues(_new("ReferenceValues", abi.encode(authority, registry)));
        address[] memory set = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            set[i] = vm.addr(certifierKeys[i]);
        }
        quorum = CertifierQuorum(_new("CertifierQuorum", abi.encode(authority, set, 2)));
        // Four registries and three parts know the OrderBook before it exists.
        address predicted = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 7);
        _deployRegistries(predicted);
        Params memory first =
            Params({feeBps: FEE_BPS, startPenaltyBps: PENALTY_BPS, minGrace: MIN_GRACE, treasury: treasury});
        address[3] memory parts;
        parts[0] = _new("OrderBookEntries", abi.encode(predicted, _market()));
        parts[1] = _new("OrderBookEndings", abi.encode(predicted, _market()));
        parts[2] = _new("OrderBookAccounts", abi.encode(predicted, _market()));
        book = IOrderBook(_new("OrderBook", abi.encode(parts, _market(), first)));
    }

    function _deployRegistries(address predicted) private {
        offers = OfferRegistry(_new("OfferRegistry", abi.encode(predicted)));
        IEvidenceVerifier[] memory verifiers = new IEvidenceVerifier[](1);
        verifiers[0] = quorum;
        cvms = CvmRegistry(_new("CvmRegistry", abi.encode(authority, predicted, references, verifiers)));
        providers = ProviderRegistry(_new("ProviderRegistry", abi.encode(offers, predicted, UNBONDING)));
        leases = LeaseBook(_new("LeaseBook", abi.encode(offers, predicted, authority, FEE_BPS, treasury)));
    }

    function _market() internal view returns (OrderBase.Market memory) {
        return OrderBase.Market(address(authority), offers, providers, cvms, references, leases);
    }

    function _new(string memory name, bytes memory args) internal returns (address) {
        return deployCode(string.concat(name, ".sol:", name), args);
    }

    function _enlist() private {
        vm.prank(admin);
        profile = references.acceptProfile(
            MEASUREMENT, ROOT_SET, uint8(TeeKind.TDX), uint8(TcbStatus.SW_HARDENING_NEEDED), keccak256("release 1")
        );
        vm.prank(provider);
        providers.openDesk(computeOffer, address(token), operator, provider, CAPACITY);
        _stake(provider, STAKE);
        cvmId = _certify(_certificate());
        cvm = cvms.indexOf(cvmId);
    }

    function _stake(address who, uint256 amount) internal {
        token.mint(who, amount);
        vm.startPrank(who);
        token.approve(address(providers), amount);
        providers.stake(computeOffer, address(token), amount);
        vm.stopPrank();
    }

    function _list() private {
        computeOffer = _offer(provider, _computeTerms(), "");
        inputOffers.push(_offer(engineOwner, _engineTerms(), "ipfs://engine"));
        inputOffers.push(_offer(ownerA, _datasetTerms(ownerA), "ipfs://a"));
        inputOffers.push(_offer(ownerB, _datasetTerms(ownerB), "ipfs://b"));
    }

    /// @dev Lists under a serial that nobody used: its kind, and a number that always rises.
    function _offer(address owner, OfferTerms memory terms, string memory uri) internal returns (uint64) {
        vm.prank(owner);
        return offers.list((uint32(terms.kind) << 28) | ++_serial, Pack.listing(terms, uri));
    }

    uint32 private _serial;

    // ------------------------------------------------------------------------------------------- offers
    function _price(uint128 fixedPrice, uint128 perHour, uint32 minSeconds, uint128 perUnit)
        internal
        pure
        returns (Price memory)
    {
        return Price(fixedPrice, perHour, minSeconds, 0, perUnit, 0);
    }

    function _computeTerms() internal view returns (OfferTerms memory terms) {
        terms.kind = uint8(OfferKind.COMPUTE);
        terms.token = address(token);
        terms.price = _price(11, 3_600_007, 60, 3);
        terms.payees = _solo(provider);
    }

    function _engineTerms() internal view returns (OfferTerms memory terms) {
        terms = _content(OfferKind.ENGINE, engineOwner);
        terms.price = _price(1_000_003, 0, 0, 2);
    }

    /// @dev Per hour with a minimum; three payees whose shares do not divide evenly.
    function _datasetTerms(address owner) internal view returns (OfferTerms memory terms) {
        terms = _content(OfferKind.DATASET, owner);
        terms.price = _price(17, 777_777, 120, 0);
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
        c.cvmId = OrderHashLib.hashKeys(keys);
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
    function _evidence(CvmCertificate memory c, uint256 count) internal view returns (bytes memory evidence) {
        evidence = bytes.concat(
            abi.encodePacked(c.signer, c.hpke, c.statement, c.tls, c.operator, c.measurement),
            abi.encodePacked(c.tee, c.rootSet, c.tcbStatus, c.platformId, c.gpuDigest)
        );
        for (uint256 i = 0; i < count; ++i) {
            (bytes32 r, bytes32 vs) = _signCompact(certifierKeys[i], quorum.digestOf(c));
            evidence = abi.encodePacked(evidence, c.evidenceId, c.challenge, c.issuedAt, c.expiresAt, r, vs);
        }
    }

    function _possession(bytes32 cvmId_, address operator_) internal view returns (Possession memory) {
        return Possession(cvmId_, operator_, address(cvms), keccak256("chain challenge"));
    }

    function _signPossession(uint256 key, Possession memory possession) internal view returns (bytes memory) {
        bytes32 structHash = keccak256(abi.encode(OrderHashLib.POSSESSION_TYPEHASH, possession));
        return _sign(key, _digest("Cloister CvmRegistry", address(cvms), structHash));
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

    function _hashPolicy(RuntimePolicy memory policy) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                PolicyCodec.RUNTIME_POLICY_TYPEHASH,
                keccak256(abi.encodePacked(policy.trustClasses)),
                policy.teeMask,
                keccak256(abi.encodePacked(policy.measurements)),
                policy.worstTcb
            )
        );
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

    /// @dev Compute, engine, datasets A and B, exactly the deposit that is needed for all of maxSeconds.
    function _deal() internal view returns (Deal memory deal) {
        deal.compute = _computeTerms();
        deal.inputs = new OfferTerms[](3);
        deal.inputs[0] = _engineTerms();
        deal.inputs[1] = _datasetTerms(ownerA);
        deal.inputs[2] = _datasetTerms(ownerB);
        deal.terms.client = client;
        deal.terms.payer = client;
        deal.terms.token = address(token);
        deal.terms.compute = ComputeRef(computeOffer, 1, 0);
        deal.terms.inputs = new InputRef[](3);
        for (uint256 i = 0; i < 3; ++i) {
            deal.terms.inputs[i] = InputRef(inputOffers[i], 1, 0, 0);
        }
        deal.terms.configDigest = keccak256("config");
        deal.terms.resultKeyDigest = keccak256("result key");
        deal.terms.runtimePolicyDigest = _hashPolicy(_policy());
        deal.terms.placeBefore = uint40(T0 + 1 days);
        deal.terms.windows = _windows();
        deal.terms.maxUnits = 1000;
        deal.terms.maxFeeBps = FEE_BPS;
        deal.terms.salt = keccak256("salt");
        _reprice(deal);
    }

    /// @dev Offers' hashes and deposit follow what a test changed.
    function _reprice(Deal memory deal) internal view {
        deal.terms.compute.termsHash = offers.hashTerms(deal.compute);
        for (uint256 i = 0; i < deal.inputs.length; ++i) {
            deal.terms.inputs[i].termsHash = offers.hashTerms(deal.inputs[i]);
        }
        deal.terms.deposit = uint128(_deposit(deal, deal.terms.windows.maxSeconds));
    }

    function _usage(Price memory price, uint256 secs, uint256 units) internal pure returns (uint256) {
        return uint256(price.perHour) * secs / 3600 + uint256(price.perUnit) * units;
    }

    function _amount(Price memory price, uint256 secs, uint256 units) internal pure returns (uint256) {
        return price.fixedPrice + _usage(price, secs < price.minSeconds ? price.minSeconds : secs, units);
    }

    /// @dev What an order that runs for `limit` seconds can cost, with the reserve for a contest.
    function _deposit(Deal memory deal, uint256 limit) internal pure returns (uint256 sum) {
        sum = _amount(deal.compute.price, limit, deal.terms.maxUnits);
        sum += sum * deal.terms.holdback.bps / 10_000;
        for (uint256 i = 0; i < deal.inputs.length; ++i) {
            if (deal.terms.inputs[i].lease != 0) continue;
            sum += _amount(deal.inputs[i].price, limit, deal.terms.maxUnits);
        }
    }

    function _penalty(Deal memory deal) internal pure returns (uint256) {
        return _amount(deal.compute.price, deal.terms.windows.maxSeconds, deal.terms.maxUnits) * PENALTY_BPS / 10_000;
    }

    /// @dev As the desk locks it: rounded up to 17 significant bits.
    function _lock(Deal memory deal) internal pure returns (uint256 sum) {
        sum = _penalty(deal);
        for (uint256 i = 0; i < deal.inputs.length; ++i) {
            if (deal.terms.inputs[i].lease != 0) continue;
            Price memory price = deal.inputs[i].price;
            sum += price.fixedPrice + _ceilHours(price.perHour, price.minSeconds)
            + _ceilHours(price.perHour, deal.terms.windows.grace);
        }
        return LockLib.decode(LockLib.encodeUp(sum));
    }

    function _ceilHours(uint256 perHour, uint256 secs) private pure returns (uint256) {
        return (perHour * secs + 3599) / 3600;
    }

    function _id(Deal memory deal) internal view returns (OrderId) {
        return book.orderId(Pack.order(deal.terms));
    }

    function _heads(Deal memory deal) internal pure returns (bytes memory) {
        return Pack.heads(deal.compute, deal.inputs);
    }

    /// @return Terms of offer `k`: 0 compute, i + 1 input i.
    function _termsOf(Deal memory deal, uint256 k) internal pure returns (OfferTerms memory) {
        return k == 0 ? deal.compute : deal.inputs[k - 1];
    }

    // ------------------------------------------------------------------------------------------- the life
    /// @dev The next step of the life below reverts with this error. (Building a step calls contracts, which a plain
    /// `expectRevert` would catch instead.)
    function _willRevert(bytes memory error_) internal {
        _pending = error_;
    }

    function _arm(address caller) internal {
        if (_pending.length != 0) vm.expectRevert(_pending);
        delete _pending;
        vm.prank(caller);
    }

    function _place(Deal memory deal) internal {
        _placeAs(deal.terms.client, deal);
    }

    function _placeAs(address caller, Deal memory deal) internal {
        bytes memory order = Pack.order(deal.terms);
        _arm(caller);
        book.place(order, WHERE);
    }

    function _accept(Deal memory deal) internal {
        _acceptAs(operator, deal, _policy(), cvm);
    }

    function _acceptAs(address caller, Deal memory deal, RuntimePolicy memory policy, uint32 cvm_) internal {
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        bytes memory packed = Pack.policy(policy);
        _arm(caller);
        book.accept(order, heads, packed, cvm_);
    }

    function _start(Deal memory deal) internal {
        (bytes32 r, bytes32 vs) = _signStart(deal, signerKey);
        _startWith(deal, r, vs);
    }

    function _startWith(Deal memory deal, bytes32 r, bytes32 vs) internal {
        (OrderId id, bytes32 root) = (_id(deal), _root(deal));
        _arm(poker);
        book.start(id, cvmId, root, r, vs);
    }

    /// @dev Enters ENGINE.
    function _checkpoint(Deal memory deal, uint32 secs, uint64 units) internal {
        _say(deal, _integrity(secs, units));
    }

    /// @dev One more checkpoint in the phase the order is in.
    function _prove(Deal memory deal, uint32 secs, uint64 units) internal {
        Order memory order = _order(deal);
        Said memory said = _integrity(secs, units);
        (said.phase, said.sequence, said.statement) = (order.phase, order.sequence + 1, 0);
        _say(deal, said);
    }

    function _say(Deal memory deal, Said memory said) internal {
        _sayWith(deal, said, signerKey);
    }

    function _sayWith(Deal memory deal, Said memory said, uint256 key) internal {
        OrderId id = _id(deal);
        (bytes32 r, bytes32 vs) = _signSaid(deal, said, key);
        _arm(poker);
        if (said.statement == 0) book.checkpoint(id, _numbers(said), r, vs);
        else book.enterEngine(id, _numbers(said), said.statement, r, vs);
    }

    function _complete(Deal memory deal, Outcome outcome, uint32 secs, uint64 units) internal {
        _completeWith(deal, _final(Phase.ENGINE, outcome, secs, units));
    }

    function _completeWith(Deal memory deal, Said memory said) internal {
        _completeWithReport(deal, _report(deal, said, signerKey));
    }

    function _completeWithReport(Deal memory deal, Report memory report) internal {
        bytes memory order = Pack.order(deal.terms);
        _arm(poker);
        book.complete(order, report, WHERE);
    }

    function _refuse(Deal memory deal, uint32 secs) internal {
        _refuseWith(deal, _final(Phase.SETUP, Outcome.REFUSED, secs, 0));
    }

    function _refuseWith(Deal memory deal, Said memory said) internal {
        (bytes memory order, Report memory report) = (Pack.order(deal.terms), _report(deal, said, signerKey));
        _arm(poker);
        book.refuse(order, report, WHERE);
    }

    function _expire(Deal memory deal) internal {
        bytes memory order = Pack.order(deal.terms);
        _arm(poker);
        book.expire(order);
    }

    function _stop(Deal memory deal) internal {
        bytes memory order = Pack.order(deal.terms);
        _arm(deal.terms.client);
        book.stop(order, "");
    }

    function _settleRevoked(Deal memory deal) internal {
        bytes memory order = Pack.order(deal.terms);
        _arm(poker);
        book.settleRevoked(order);
    }

    function _void(Deal memory deal) internal {
        bytes memory order = Pack.order(deal.terms);
        bytes memory packed = Pack.policy(_policy());
        _arm(poker);
        book.voidOrder(order, packed);
    }

    function _cancelAs(address caller, Deal memory deal) internal {
        bytes memory order = Pack.order(deal.terms);
        _arm(caller);
        book.cancel(order);
    }

    function _placed() internal returns (Deal memory deal) {
        deal = _deal();
        _place(deal);
    }

    function _accepted() internal returns (Deal memory deal) {
        deal = _placed();
        _accept(deal);
    }

    function _setup() internal returns (Deal memory deal) {
        deal = _accepted();
        _start(deal);
    }

    /// @dev Running, in phase ENGINE after 100 seconds of setup, 100 of them proven.
    function _engine() internal returns (Deal memory deal) {
        deal = _setup();
        skip(100);
        _checkpoint(deal, 100, 0);
    }

    // ------------------------------------------------------------------------------------------- money
    function _claim(Deal memory deal, uint256 k) internal {
        (bytes memory order, bytes memory proof) = (Pack.order(deal.terms), Pack.proof(k, _termsOf(deal, k), ""));
        _arm(poker);
        book.claim(order, proof);
    }

    function _claimRest(Deal memory deal) internal {
        (bytes memory order, bytes memory heads) = (Pack.order(deal.terms), _heads(deal));
        _arm(poker);
        book.claimRest(order, heads);
    }

    /// @return Credit of `account` in the market's token.
    function _credit(address account) internal view returns (uint256) {
        return ILedger(address(book)).creditOf(address(token), account);
    }

    /// @return sum Credits of everybody this market knows.
    function _credits() internal view returns (uint256 sum) {
        address[11] memory known = [
            client,
            sponsor,
            provider,
            poker,
            engineOwner,
            ownerA,
            ownerB,
            coAuthor,
            treasury,
            operator,
            0x000000000000000000000000000000000000dEaD
        ];
        for (uint256 i = 0; i < known.length; ++i) {
            sum += _credit(known[i]);
        }
    }

    /// @dev Claims everything of an ended order and checks that its credits are what it held, to the last unit.
    function _claimAll(Deal memory deal, uint256 slashed) internal {
        uint256 before = _credits();
        _claimRest(deal);
        for (uint256 k = 0; k <= deal.inputs.length; ++k) {
            OfferTerms memory terms = _termsOf(deal, k);
            (uint256 due, uint256 claimed) = book.dueOf(Pack.order(deal.terms), k, Pack.head(terms));
            if (due != claimed) _claim(deal, k);
        }
        assertEq(_credits() - before, deal.terms.deposit + slashed, "credited == held");
        assertEq(token.balanceOf(address(book)), _credits(), "balance == credits");
    }

    // ------------------------------------------------------------------------------------------- signatures
    function _root(Deal memory deal) internal pure returns (bytes32) {
        return keccak256(abi.encode(deal.terms.inputs));
    }

    function _integrity(uint32 secs, uint64 units) internal pure returns (Said memory) {
        return Said(Phase.ENGINE, Outcome.NONE, NO_INPUT, 1, secs, units, 0, STATEMENT);
    }

    function _final(Phase phase, Outcome outcome, uint32 secs, uint64 units) internal pure returns (Said memory) {
        bytes32 result = outcome == Outcome.COMPLETED ? keccak256("result") : bytes32(0);
        return Said(phase, outcome, NO_INPUT, LAST, secs, units, result, STATEMENT);
    }

    function _numbers(Said memory said) internal pure returns (uint256) {
        return uint256(said.phase) | (uint256(said.outcome) << 8) | (uint256(said.blamed) << 16)
            | (uint256(said.sequence) << 24) | (uint256(said.secs) << 56) | (uint256(said.units) << 88);
    }

    function _signStart(Deal memory deal, uint256 key) internal view returns (bytes32 r, bytes32 vs) {
        return _signCompact(key, _bookDigest(OrderHashLib.hashStart(OrderId.unwrap(_id(deal)), cvmId, _root(deal))));
    }

    function _signSaid(Deal memory deal, Said memory said, uint256 key) internal view returns (bytes32 r, bytes32 vs) {
        // A checkpoint names neither CVM nor inputs again.
        bool isLast = said.sequence == LAST;
        bytes32 structHash = OrderHashLib.hashSummary(
            OrderId.unwrap(_id(deal)),
            isLast ? cvmId : bytes32(0),
            _numbers(said),
            isLast ? _root(deal) : bytes32(0),
            said.result,
            said.statement
        );
        return _signCompact(key, _bookDigest(structHash));
    }

    function _report(Deal memory deal, Said memory said, uint256 key) internal view returns (Report memory) {
        (bytes32 r, bytes32 vs) = _signSaid(deal, said, key);
        return Report(cvmId, said.result, said.statement, _numbers(said), r, vs);
    }

    function _stopSignature(Deal memory deal, uint256 key) internal view returns (bytes memory) {
        return _sign(key, _bookDigest(OrderHashLib.hashStop(OrderId.unwrap(_id(deal)))));
    }

    function _receiptSignature(Deal memory deal, uint256 key) internal view returns (bytes memory) {
        return _sign(key, _bookDigest(OrderHashLib.hashReceipt(OrderId.unwrap(_id(deal)))));
    }

    function _bookDigest(bytes32 structHash) internal view returns (bytes32) {
        return _digest("Cloister OrderBook", address(book), structHash);
    }

    function _digest(string memory name, address contract_, bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = OrderHashLib.domainSeparator(name, "1", contract_);
        return keccak256(abi.encodePacked(bytes2(0x1901), domain, structHash));
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev EIP-2098: the parity in the highest bit of s.
    function _signCompact(uint256 key, bytes32 digest) internal pure returns (bytes32 r, bytes32 vs) {
        uint8 v;
        (v, r, vs) = vm.sign(key, digest);
        if (v == 28) vs |= bytes32(uint256(1) << 255);
    }

    // ------------------------------------------------------------------------------------------- looking
    function _order(Deal memory deal) internal view returns (Order memory) {
        return book.getOrder(_id(deal));
    }

    /// @return gross Dues of offer `k`.
    function _due(Deal memory deal, uint256 k) internal view returns (uint256 gross) {
        (gross,) = book.dueOf(Pack.order(deal.terms), k, Pack.head(_termsOf(deal, k)));
    }

    function _desk() internal view returns (Desk memory) {
        return providers.deskOf(computeOffer, address(token));
    }

    function _locked() internal view returns (uint256) {
        return _desk().locked;
    }

    function _free() internal view returns (uint256) {
        return _desk().free;
    }

    function assertState(Deal memory deal, OrderState expected) internal view {
        assertEq(uint8(_order(deal).state), uint8(expected), "state");
    }
}
