"""No folder that holds one's own keys is sealed: what is sealed is sold, and opened elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from marketplace.errors import BadInputError

if TYPE_CHECKING:
    from marketplace.sdk.profile import Profile

__all__ = ["check_holds_no_secret"]


def check_holds_no_secret(profile: Profile, folder: Path) -> None:
    """Refuse a folder with a profile's keys in it, by whatever path or link it is named.

    Raises:
        BadInputError: it holds the wallet's key, the keystore or another secret of the profile; says which.
    """
    secrets = (profile.key, profile.passphrase, profile.content_keys, profile.owner.grant_key)
    top = folder.resolve()
    for secret in secrets:
        if secret is not None and secret.resolve().is_relative_to(top):
            raise BadInputError(
                "folder",
                f"{folder}, which holds {secret}, a secret of your profile",
                "a folder of what is to be sealed, and nothing else",
                hint="move the content into a folder of its own",
            )
