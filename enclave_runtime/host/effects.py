"""Carries out what the session asks for, and drives its generators (see `loader.effects`)."""

from __future__ import annotations

from typing import Any, TypeVar

from enclave_runtime.attestation.model import Attester, DeviceAttester
from enclave_runtime.host.engine_room import EngineRoom
from enclave_runtime.host.scratch import Scratch
from enclave_runtime.loader import effects
from enclave_runtime.loader.effects import Effect, Steps

__all__ = ["Surroundings"]

T = TypeVar("T")


class Surroundings:
    """Quotes, devices, files and the engine."""

    def __init__(
        self,
        attester: Attester,
        scratch: Scratch,
        room: EngineRoom,
        devices: DeviceAttester | None = None,
    ) -> None:
        self._attester = attester
        self._devices = devices
        self._scratch = scratch
        self._room = room

    def drive(self, steps: Steps[T]) -> T:
        """Carry out each effect of `steps` and return what they end with."""
        try:
            effect = next(steps)
            while True:
                try:
                    result = self._perform(effect)
                except Exception as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case effects.Devices(nonce):
                return None if self._devices is None else self._devices.evidence(nonce)
            case effects.Quote(report_data):
                return self._attester.evidence(report_data)
            case effects.OpenSink(index):
                return self._scratch.open_sink(index)
            case effects.Unpack(lengths):
                return self._scratch.unpack(lengths)
            case effects.StartEngine(task):
                return self._room.start(task)
            case effects.StopEngine():
                return self._room.stop()
            case effects.ReadResult(offset):
                return self._scratch.read_result(offset)
            case effects.CountPublished():
                return self._room.checkpoints.count if self._room.checkpoints else 0
            case effects.ReadPublished(index, offset):
                return self._room.published(index).sealed, self._scratch.read_published(index, offset)
            case effects.ReleasePublished(index):
                return self._room.released(index)
            case effects.RemoveAll(keep_result):
                self._room.quiet()
                return self._scratch.remove_all(keep_result=keep_result)
            case effects.CountPlaintext():
                return self._scratch.count_plaintext()
