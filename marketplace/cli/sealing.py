"""`cloister author pack|seal|push|inspect|reseal`: sealing in steps that may be killed and run again."""

from __future__ import annotations

import os
import shlex
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.exits import ExitCode
from marketplace.cli.options import (
    AsJson,
    Entry,
    HashName,
    SegmentKib,
    ShowProgress,
    given_path,
    hash_of,
    session_of,
)
from marketplace.cli.output import emit, note, progress
from marketplace.errors import BadInputError

if TYPE_CHECKING:
    from enclave_runtime.sealed.buffers import Progress
    from enclave_runtime.sealed.manifest import Release
    from enclave_runtime.wire.offers import OfferKind, Price
    from marketplace.sdk.author import Published
    from marketplace.sdk.containers import Stages
    from marketplace.sdk.inspecting import Inspection
    from marketplace.sdk.profile import Session

__all__ = [
    "check_content",
    "check_sealed_alone",
    "inspect",
    "listed",
    "pack",
    "push",
    "reseal",
    "seal",
    "stages_of",
]

Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", parser=given_path, help="What to seal: all of it, and nothing else."),
]
Kind = Annotated[str, typer.Option("--kind", help="engine, model or dataset.")]
Sealed = Annotated[Path, typer.Argument(metavar="SEALED", help="A file that `seal` made.")]


def pack(
    context: typer.Context,
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A new file; default: FOLDER.tar.")
    ] = None,
    algorithm: HashName = "",
    show: ShowProgress = False,
    as_json: AsJson = False,
) -> None:
    """Write the archive that sealing would seal. To look at, or to compare by digest; no key is made."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import containers

    _check_folder(folder)
    target = _named(out, folder, ".tar")
    with progress(f"packing {folder.name}", show) as draw:
        made = containers.pack(folder, target, algorithm=hash_of(context, algorithm), progress=draw)
    value = {"archive": str(target), "bytes": made.length, "entries": made.entries}
    value["content_digest"] = hex_of(made.digest)
    lines = [
        f"archive  {target}: {made.entries} entries, {made.length} bytes",
        f"digest   {hex_of(made.digest)}  (bare: the name of an engine)",
    ]
    emit(as_json, value, lines)


def seal(
    context: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|ARCHIVE",
            parser=given_path,
            help="What to seal: all of it; or what `pack` made of it.",
        ),
    ],
    kind: Kind,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A new file; default: FOLDER.sealed.")
    ] = None,
    entry: Entry = "",
    algorithm: HashName = "",
    segment_kib: SegmentKib = 1024,
    show: ShowProgress = False,
    as_json: AsJson = False,
) -> None:
    """Seal a folder into a file of your own. Nothing is stored or listed; its key is in your keystore."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import containers
    from marketplace.sealing.newfile import part_of, was_interrupted

    wanted = check_content(folder, kind, entry, archive=True)
    target = _named(out, folder, ".sealed")
    session = session_of(context)
    if was_interrupted(target):
        note(
            f"{part_of(target).name} is of a sealing that was interrupted: it starts again with a new salt"
            " and key, since going on under the old ones could encrypt two texts under one nonce"
        )
    with progress(f"sealing {folder.name}", show) as draw:
        made = containers.seal(
            session,
            folder,
            wanted,
            target,
            entry_point=shlex.split(entry),
            algorithm=hash_of(context, algorithm),
            segment_bytes=segment_kib << 10,
            progress=draw,
        )
    info = made.draft.sealed
    value: dict[str, object] = {
        "sealed": str(target),
        "kind": made.draft.kind.name.lower(),
        "content_digest": hex_of(info.content_digest),
        "ciphertext_digest": hex_of(info.ciphertext_digest),
        "plaintext_bytes": info.plaintext_bytes,
        "ciphertext_bytes": info.ciphertext_bytes,
    }
    lines = [
        f"sealed   {target}: {info.ciphertext_bytes} bytes",
        f"content  {hex_of(info.content_digest)}",
        f"cipher   {hex_of(info.ciphertext_digest)}",
        "its key is in your keystore: `cloister author push` stores it, `publish` lists it too",
    ]
    emit(as_json, value, lines)


def push(
    context: typer.Context,
    sealed: Sealed,
    to: Annotated[
        list[str],
        typer.Option("--to", metavar="SCHEME", help="file, ipfs or s3; repeat. Default: the profile's."),
    ] = [],  # noqa: B006 - typer copies defaults
    also: Annotated[
        list[str],
        typer.Option("--also", metavar="URI", help="Where it lies already, such as https://...; repeat."),
    ] = [],  # noqa: B006 - typer copies defaults
    verify: Annotated[
        bool, typer.Option("--verify", help="Read back what the stores have; put again what is wrong.")
    ] = False,
    show: ShowProgress = False,
    as_json: AsJson = False,
) -> None:
    """Store a sealed file and its manifest. Killed, it goes on with what is not there yet."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import containers

    session = session_of(context)
    made = containers.push(session, sealed, to=to, also=also, verify=verify, stages=stages_of(sealed, show))
    value: dict[str, object] = {
        "manifest": made.manifest_uri,
        "manifest_digest": hex_of(made.manifest.digest()),
        "sealed": made.content_uri,
        "locations": list(made.manifest.locations),
        "sent": not made.kept,
    }
    lines = [
        f"manifest  {made.manifest_uri}",
        f"digest    {hex_of(made.manifest.digest())}",
        f"sealed    {made.content_uri}{' (was there already)' if made.kept else ''}",
        *(f"also      {uri}" for uri in made.manifest.locations[1:]),
    ]
    emit(as_json, value, lines)


def inspect(
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="SEALED|URI|OFFER", help="A sealed file, a manifest's URI, or an offer.")
    ],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all of it, at every location, and compare its digest.")
    ] = False,
    files: Annotated[
        bool, typer.Option("--files", help="Of a sealed file of yours: the files in it.")
    ] = False,
    show: ShowProgress = False,
    as_json: AsJson = False,
) -> None:
    """Show what is public about sealed content, where it lies, and whether you have its key."""
    from enclave_runtime.wire.codec import hex_of
    from enclave_runtime.wire.errors import RefusedError
    from marketplace.sdk import inspecting, market
    from marketplace.sdk.streams import file_digest
    from marketplace.sealing.containers import load_sealed

    session, path = session_of(context), Path(target)
    inside: dict[str, int] | None = None
    if path.exists() or (":" not in target and not target.isdecimal()):
        draft = load_sealed(path).draft
        if verify:
            with progress(f"reading {path.name}", show) as draw:
                got = file_digest(path, progress=draw)
            if got != draft.sealed.ciphertext_digest:
                raise RefusedError("stream.digest", hex_of(got), hex_of(draft.sealed.ciphertext_digest))
        found = inspecting.inspect(session, draft, pushed=False, verify=verify)
        inside = inspecting.files_in(session, path) if files else None
    else:
        if files:
            raise BadInputError("--files", "what lies in stores", "a sealed file of yours")
        manifest = (
            market.manifest_of(session, session.reader.get_offer(int(target)))
            if target.isdecimal()
            else inspecting.manifest_at(session, target)
        )
        with progress("reading what lies there", show) as draw:
            found = inspecting.inspect(session, manifest, verify=verify, progress=draw)
    value = _inspection_json(found)
    if inside is not None:
        value["files"] = dict(inside)
    lines = [f"has       {size:>12}  {name}" for name, size in (inside or {}).items()]
    emit(as_json, value, _inspection_lines(found) + lines)
    if verify and any(words != inspecting.WHOLE for words in found.places.values()):
        raise typer.Exit(ExitCode.NOT_VERIFIED)


def reseal(
    context: typer.Context,
    offer: Annotated[int, typer.Argument(help="An offer of yours.")],
    algorithm: Annotated[
        str,
        typer.Option("--algorithm", metavar="blake3|sha256", help="Hash of segments. Default: as it was."),
    ] = "",
    show: ShowProgress = False,
    as_json: AsJson = False,
) -> None:
    """Encrypt an offer's content again under a new key, as its next version. The old one is marked."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import published_json
    from marketplace.sdk import containers

    session = session_of(context)
    with progress(f"sealing offer {offer} again", show) as draw:
        wanted = hash_of(context, algorithm) if algorithm else None
        made, old = containers.reseal(session, offer, algorithm=wanted, progress=draw)
    value = {**published_json(made), "replaced": hex_of(old)}
    lines = [
        f"offer     {made.offer}, version {made.version}",
        f"manifest  {made.manifest_uri}",
        f"sealed    {made.content_uri}",
        f"replaces  {hex_of(old)}, whose key stays for orders that run",
        f"take the old version from sale: `cloister author close {made.offer} --version {made.version - 1}`",
    ]
    emit(as_json, value, lines)


def listed(session: Session, made: Published, price: Price, *, as_json: bool) -> None:
    """Print what a publication came to."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import price_words, published_json

    lines = [
        f"offer     {made.offer}, version {made.version}: {price_words(price, session.token().info())}",
        f"content   {hex_of(made.content_digest)}",
        f"manifest  {made.manifest_uri}",
        f"sealed    {made.content_uri}",
        f"sent      {made.tx or 'nothing: these terms were listed already'}",
    ]
    emit(as_json, published_json(made), lines)


def check_content(folder: Path, kind: str, entry: str, *, archive: bool = False) -> OfferKind:
    """Return the kind of content that a folder, or an archive where that will do, is to be.

    Raises:
        BadInputError: no folder, no such kind, or an entry point that the kind must or must not have.
    """
    from enclave_runtime.wire.offers import OfferKind
    from marketplace.domain.offer import kind_of

    if not (archive and folder.is_file()):
        _check_folder(folder)
    if not kind:
        raise BadInputError("--kind", "nothing", "engine, model or dataset")
    if kind_of(kind) is OfferKind.COMPUTE:
        raise BadInputError(
            "--kind", kind, "engine, model or dataset", hint="`cloister provider offer` lists compute"
        )
    if (kind_of(kind) is OfferKind.ENGINE) is not bool(entry):
        expected = "what runs, such as 'python train.py'" if not entry else "none: only engines run"
        raise BadInputError("--entry", repr(entry) if entry else "nothing", expected)
    return kind_of(kind)


def check_sealed_alone(kind: str, entry: str, algorithm: str = "") -> None:
    """Refuse to say of a sealed file what it says itself.

    Raises:
        BadInputError: kind, entry point or hash.
    """
    if kind or entry:
        raise BadInputError("--kind, --entry", kind or repr(entry), "none: a sealed file says its own")
    if algorithm:
        raise BadInputError("--algorithm", algorithm, "none: a sealed file says its own")


def stages_of(path: Path, show: bool) -> Stages:
    """Return what shows the parts of a long run with a file, one after the other."""

    def stage(what: str) -> AbstractContextManager[Progress | None]:
        return progress(f"{what} {path.name}", show)

    return stage


def _inspection_json(found: Inspection) -> dict[str, object]:
    from enclave_runtime.wire.codec import hex_of

    manifest, info = found.manifest, found.manifest.sealed
    return {
        "kind": manifest.kind.name.lower(),
        "manifest_digest": None if found.manifest_digest is None else hex_of(found.manifest_digest),
        "content_digest": hex_of(info.content_digest),
        "ciphertext_digest": hex_of(info.ciphertext_digest),
        "algorithm": info.algorithm.value,
        "segment_bytes": info.segment_bytes,
        "segments": info.layout.segments,
        "plaintext_bytes": info.plaintext_bytes,
        "ciphertext_bytes": info.ciphertext_bytes,
        "media_type": manifest.media_type,
        "entry_point": list(manifest.entry_point),
        "release_url": manifest.release.url,
        **_shares_json(manifest.release),
        "places": dict(found.places),
        "key_held": found.key_held,
        "replaced_by": None if found.replaced_by is None else hex_of(found.replaced_by),
    }


def _shares_json(release: Release) -> dict[str, object]:
    """Return the brokers of a key in shares; nothing of other keys."""
    if release.threshold is None:
        return {}
    urls = [broker.url for broker in release.threshold.brokers]
    return {"release_brokers": urls, "release_needed": release.threshold.needed}


def _who_grants(release: Release) -> str:
    """Return who has to agree before this key leaves, in words."""
    if release.threshold is None:
        return release.url or "its owner, by hand"
    urls = ", ".join(broker.url for broker in release.threshold.brokers)
    return f"{release.threshold.needed} of {len(release.threshold.brokers)} brokers: {urls}"


def _inspection_lines(found: Inspection) -> list[str]:
    from enclave_runtime.wire.codec import hex_of

    manifest, info = found.manifest, found.manifest.sealed
    size = f"{info.plaintext_bytes} bytes in {info.layout.segments} segments of {info.segment_bytes}"
    held = {True: "in your keystore", False: "not in your keystore", None: "not looked for: no passphrase"}
    lines = [
        f"kind      {manifest.kind.name.lower()}, {manifest.media_type}",
        f"content   {hex_of(info.content_digest)}: {size}, {info.algorithm.value}",
        f"cipher    {hex_of(info.ciphertext_digest)}: {info.ciphertext_bytes} bytes",
        f"key       {held[found.key_held]}; from {_who_grants(manifest.release)}",
    ]
    if found.manifest_digest is not None:
        lines.insert(0, f"manifest  {hex_of(found.manifest_digest)}")
    if manifest.entry_point:
        lines.append(f"runs      {shlex.join(manifest.entry_point)}")
    if found.replaced_by is not None:
        lines.append(f"REPLACED  by {hex_of(found.replaced_by)}")
    return lines + [f"at        {uri}: {words}" for uri, words in found.places.items()]


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise BadInputError("folder", str(folder), "a folder")


def _named(out: Path | None, folder: Path, suffix: str) -> Path:
    """Return the file to write: as said, or beside the folder under its name."""
    if out is not None:
        return out
    whole = Path(os.path.abspath(folder))
    return whole.with_name(whole.name + suffix)
