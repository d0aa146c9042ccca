"""One honest order is admitted; one test for every field that can be tampered with (section 7(1))."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enclave_runtime.loader.admission import AdmittedOrder, admit
from enclave_runtime.loader.messages import Admit, parse_message
from enclave_runtime.sealed.manifest import Release, manifest_digest
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.wire.codec import hex_of, to_json
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind, Price, terms_hash
from enclave_runtime.wire.orders import inputs_root
from tests.fakes.sealed_order import SealedInput, SealedOrder, engine_and_data, offer_of, seal_input

ROOM = 1 << 30


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return engine_and_data()


def admitted(members: dict[str, Any], room: int = ROOM) -> AdmittedOrder:
    _, message = parse_message({"op": "admit", **members})
    assert isinstance(message, Admit)
    return admit(message, plaintext_bytes=room)


def step_of(members: dict[str, Any], room: int = ROOM) -> str:
    with pytest.raises(RefusedError) as refusal:
        admitted(members, room)
    assert refusal.value.got != refusal.value.expected
    return refusal.value.step


def with_inputs(order: SealedOrder, *inputs: SealedInput, **changed: Any) -> SealedOrder:
    return replace(order, inputs=inputs, changed=changed)


def test_admits_what_every_digest_confirms(order: SealedOrder) -> None:
    got = admitted(order.admit())
    assert got.order_id == order.order_id
    assert got.inputs_root == inputs_root(order.preimage.terms.inputs)
    assert got.engine.manifest == order.inputs[0].manifest
    assert [line.content_digest for line in got.lines] == [item.terms.content_digest for item in order.inputs]
    assert [line.kind for line in got.lines] == [OfferKind.ENGINE, OfferKind.DATASET, OfferKind.DATASET]


@pytest.mark.parametrize("sha256", [[], [0], [2], [0, 1, 2]])
def test_output_is_sealed_under_sha256_as_soon_as_one_input_is(order: SealedOrder, sha256: list[int]) -> None:
    inputs = list(order.inputs)
    for index in sha256:
        kind, entry_point = inputs[index].manifest.kind, inputs[index].manifest.entry_point
        inputs[index] = seal_input(kind, {"main.py": b"pass"}, entry_point, Algorithm.SHA256)
    expected = Algorithm.SHA256 if sha256 else Algorithm.BLAKE3
    assert admitted(with_inputs(order, *inputs).admit()).output_algorithm is expected


class TestOrderId:
    def test_refuses_another_name_for_the_order(self, order: SealedOrder) -> None:
        assert step_of(order.admit() | {"order_id": hex_of(b"\x01" * 32)}) == "order-id"

    @pytest.mark.parametrize("member", ["client", "token", "config_digest", "deposit", "salt", "windows"])
    def test_refuses_changed_terms(self, order: SealedOrder, member: str) -> None:
        members = order.admit()
        values = {
            "client": hex_of(b"\x01" * 20),
            "token": hex_of(b"\x01" * 20),
            "config_digest": hex_of(b"\x01" * 32),
            "deposit": "1",
            "salt": hex_of(b"\x09" * 32),
            "windows": to_json(replace(order.windows, max_seconds=1)),
        }
        members["preimage"]["terms"][member] = values[member]
        assert step_of(members) == "order-id"

    @pytest.mark.parametrize("domain", [{"chain_id": "1"}, {"order_book": hex_of(b"\x01" * 20)}])
    def test_refuses_another_contract_or_chain(self, order: SealedOrder, domain: dict[str, str]) -> None:
        members = order.admit()
        assert step_of(members | {"domain": members["domain"] | domain}) == "order-id"


class TestOfferTerms:
    @pytest.mark.parametrize("where", [("compute",), ("inputs", 0), ("inputs", 2)])
    def test_refuses_another_price_than_the_order_pins(
        self, order: SealedOrder, where: tuple[str | int, ...]
    ) -> None:
        members = order.admit()
        offer: Any = members["preimage"]
        for part in where:
            offer = offer[part]
        offer["price"] = to_json(Price(fixed_price=6))
        assert step_of(members) == "terms-hash"

    def test_refuses_offers_in_another_order(self, order: SealedOrder) -> None:
        members = order.admit()
        members["preimage"]["inputs"].reverse()
        assert step_of(members) == "terms-hash"

    def test_refuses_a_missing_or_extra_offer(self, order: SealedOrder) -> None:
        members = order.admit()
        members["preimage"]["inputs"].pop()
        assert step_of(members) == "input-count"
        members = order.admit()
        members["preimage"]["inputs"].append(members["preimage"]["inputs"][0])
        assert step_of(members) == "input-count"

    def test_refuses_an_order_without_inputs(self, order: SealedOrder) -> None:
        assert step_of(with_inputs(order).admit()) == "input-count"

    def test_refuses_more_than_sixteen_inputs(self, order: SealedOrder) -> None:
        many = with_inputs(order, order.inputs[0], *[order.inputs[1]] * 16).admit()
        assert step_of(many | {"manifests": many["manifests"][:16]}) == "input-count"


class TestKinds:
    def test_refuses_data_first(self, order: SealedOrder) -> None:
        engine, first, _ = order.inputs
        assert step_of(with_inputs(order, first, engine).admit()) == "engine-first"

    def test_refuses_two_engines(self, order: SealedOrder) -> None:
        engine, first, _ = order.inputs
        assert step_of(with_inputs(order, engine, first, engine).admit()) == "engine-first"

    def test_refuses_compute_as_an_input(self, order: SealedOrder) -> None:
        engine, first, _ = order.inputs
        compute = replace(first, terms=replace(first.terms, kind=int(OfferKind.COMPUTE)))
        assert step_of(with_inputs(order, engine, compute).admit()) == "input-kind"

    def test_refuses_a_compute_offer_that_is_none(self, order: SealedOrder) -> None:
        pre = order.preimage
        engine = order.inputs[0].terms
        changed = replace(
            order, changed={"compute": replace(pre.terms.compute, terms_hash=terms_hash(engine))}
        )
        members = changed.admit()
        members["preimage"]["compute"] = to_json(engine)
        assert step_of(members) == "compute-kind"

    def test_refuses_one_offer_twice(self, order: SealedOrder) -> None:
        refs = order.preimage.terms.inputs
        twice = (refs[0], refs[1], replace(refs[2], offer=refs[1].offer))
        assert step_of(replace(order, changed={"inputs": twice}).admit()) == "duplicate-input"


class TestManifests:
    def test_refuses_another_manifest_than_the_offer_names(self, order: SealedOrder) -> None:
        members = order.admit()
        members["manifests"][1] = members["manifests"][2]
        assert step_of(members) == "manifest-digest"

    def test_refuses_a_missing_manifest(self, order: SealedOrder) -> None:
        members = order.admit()
        members["manifests"].pop()
        assert step_of(members) == "manifest-count"

    def test_refuses_bytes_that_are_no_manifest(self, order: SealedOrder) -> None:
        engine, first, _ = order.inputs
        bad = replace(first, terms=replace(first.terms, manifest_digest=manifest_digest(b"{}")))
        members = with_inputs(order, engine, bad).admit()
        members["manifests"][1] = "{}"
        assert step_of(members) == "manifest-form"

    @pytest.mark.parametrize(
        ("changed", "step"),
        [
            ({"kind": int(OfferKind.MODEL)}, "manifest-kind"),
            ({"content_digest": b"\x01" * 32}, "manifest-content"),
            ({"grant_key": b"\x01" * 20}, "manifest-grant-key"),
        ],
    )
    def test_refuses_a_manifest_that_contradicts_its_offer(
        self, order: SealedOrder, changed: dict[str, Any], step: str
    ) -> None:
        engine, first, _ = order.inputs
        bad = replace(first, terms=replace(first.terms, **changed))
        assert step_of(with_inputs(order, engine, bad).admit()) == step

    def test_refuses_content_that_is_no_archive(self, order: SealedOrder) -> None:
        engine, first, _ = order.inputs
        manifest = replace(first.manifest, media_type="text/plain")
        bad = replace(first, manifest=manifest, terms=offer_of(manifest))
        assert step_of(with_inputs(order, engine, bad).admit()) == "manifest-media-type"

    def test_takes_a_model_too(self, order: SealedOrder) -> None:
        model = seal_input(OfferKind.MODEL, {"weights": b"\x00" * 10})
        assert admitted(with_inputs(order, order.inputs[0], model).admit()).lines[1].kind is OfferKind.MODEL

    def test_release_url_is_not_the_loader_s_business(self, order: SealedOrder) -> None:
        engine, first, _ = order.inputs
        manifest = replace(
            first.manifest, release=Release("https://broker.example/", first.manifest.release.grant_key)
        )
        elsewhere = replace(first, manifest=manifest, terms=offer_of(manifest))
        assert admitted(with_inputs(order, engine, elsewhere).admit())


class TestClientsOwn:
    def test_refuses_another_configuration(self, order: SealedOrder) -> None:
        assert step_of(order.admit() | {"config": hex_of(b'{"threads":2}')}) == "config-digest"

    def test_refuses_another_configuration_salt(self, order: SealedOrder) -> None:
        assert step_of(order.admit() | {"config_salt": hex_of(b"\x01" * 32)}) == "config-digest"

    def test_refuses_another_receiver_of_the_result(self, order: SealedOrder) -> None:
        other = order.inputs[0].head[:8] + order.result_key.public_bytes[8:]
        assert step_of(order.admit() | {"result_key": hex_of(other)}) == "result-key-digest"

    def test_refuses_a_result_key_that_is_none(self, order: SealedOrder) -> None:
        assert step_of(order.admit() | {"result_key": hex_of(b"\x01" * 32)}) == "result-key"


class TestAbilities:
    def test_refuses_serving(self, order: SealedOrder) -> None:
        changed = replace(order, changed={"access_key_digest": b"\x01" * 32})
        assert step_of(changed.admit()) == "access-key"

    def test_refuses_a_delivery_that_it_does_not_know(self, order: SealedOrder) -> None:
        assert step_of(replace(order, changed={"delivery": 1}).admit()) == "delivery"

    def test_refuses_more_than_fits_in(self, order: SealedOrder) -> None:
        sizes = [item.manifest.sealed.plaintext_bytes for item in order.inputs]
        needed = sum(sizes) + max(sizes)
        assert admitted(order.admit(), room=needed)
        assert step_of(order.admit(), room=needed - 1) == "input-size"

    def test_refuses_segments_that_no_frame_can_carry(self, order: SealedOrder) -> None:
        engine, first, _ = order.inputs
        manifest = replace(first.manifest, sealed=replace(first.manifest.sealed, segment_bytes=1 << 22))
        large = replace(first, manifest=manifest, terms=offer_of(manifest))
        assert step_of(with_inputs(order, engine, large).admit()) == "segment-size"
