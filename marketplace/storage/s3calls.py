"""Calls to an S3 service: boto's, with the patience and the errors that all stores have.

boto would try again by itself, each time for as long as one attempt may last, and say nothing meanwhile; so
it makes one attempt, and `retry.with_patience` the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from marketplace.errors import BadInputError
from marketplace.storage.base import (
    BlobNotFoundError,
    BlobUnreachableError,
    DishonestServerError,
    StorageError,
)
from marketplace.storage.patience import Patience, Shell
from marketplace.storage.retry import with_patience, within
from marketplace.storage.s3answers import answer_of, bound_answers

__all__ = ["S3Calls", "S3Config", "s3_errors"]

_LATER: Final = ("SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "InternalError", "429")


@dataclass(frozen=True, slots=True)
class S3Config:
    """Which service, and where in it new blobs go.

    Attributes:
        bucket: of new blobs.
        prefix: put before the names of new blobs; empty, or ends with a slash.
        endpoint: URL of the service; None for AWS.
        region: as the service calls it; None leaves it to boto.
        profile: section of boto's credential files; None leaves it to boto.
        max_blob_bytes: the longest blob that is taken.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    max_blob_bytes: int = 1 << 44

    @property
    def where(self) -> str:
        """What errors call the service."""
        return self.endpoint or "AWS"


class S3Calls:
    """boto's client: each of its methods asks again where that may help. Safe for threads.

    Raises, from any method:
        BlobUnreachableError: no usable answer, in all attempts.
        botocore's errors: those that another attempt would not change; `s3_errors` turns them into ours.
    """

    def __init__(self, config: S3Config, patience: Patience, shell: Shell) -> None:
        """Take where it is; nothing is asked yet."""
        self._config = config
        self._patience = patience
        self._shell = shell

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a method of boto's client."""
        method: Callable[..., Any] = getattr(self._boto, name)

        def call(**named: Any) -> Any:
            return with_patience(lambda: self._once(name, method, named), self._patience, self._shell)

        return call

    def _once(self, name: str, method: Callable[..., Any], named: dict[str, Any]) -> Any:
        from botocore.exceptions import ClientError, HTTPClientError

        what = f"S3 at {self._config.where}, {name}"
        sent = len(named.get("Body", b"")) / self._patience.slowest_bytes_s
        try:
            return answer_of(
                within(self._patience.longest_answer_s + sent, lambda: method(**named), what), what
            )
        except (ValueError, KeyError, RecursionError) as error:  # boto reads what the service wrote
            raise DishonestServerError(
                f"{what}: got {type(error).__name__}, expected an answer that can be read",
                hint="is the endpoint in [storage.s3] an S3 service?",
            ) from error
        except HTTPClientError as error:
            raise BlobUnreachableError(
                f"{what}: got {type(error).__name__}, expected an answer",
                hint="is the endpoint in [storage.s3] right, and is the service running?",
            ) from error
        except ClientError as error:
            said = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status < 500 and status != 429 and said.get("Code") not in _LATER:
                raise
            raise BlobUnreachableError(
                f"{what}: got {_short(said.get('Code', status), 60)}, expected success",
                hint="the service is busy or broken: try again later",
            ) from error

    @cached_property
    def _boto(self) -> Any:
        import boto3
        from botocore.config import Config

        how, config = self._patience, self._config
        settings = Config(
            connect_timeout=how.connect_s,
            read_timeout=how.answer_s,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=16,
            signature_version="s3v4",
            # Old and small services know no checksums of S3's own; names and digests of ours say more.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if config.endpoint else {},
        )
        session = boto3.Session(profile_name=config.profile, region_name=config.region)
        client = session.client("s3", endpoint_url=config.endpoint, config=settings)
        bound_answers(client, f"S3 at {config.where}")
        return client


@contextmanager
def s3_errors(config: S3Config, doing: str) -> Iterator[None]:
    """Turn boto's errors into ours."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

    try:
        yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        if answer.get("Code") in ("404", "NoSuchKey"):
            raise BlobNotFoundError(
                f"{doing}: got nothing under this name, expected a blob", hint="use another location"
            ) from error
        got = f"{_short(answer.get('Code', 'an error'), 60)} ({_short(answer.get('Message', ''), 120)})"
        raise StorageError(
            f"S3 at {config.where}, {doing}: got {got}, expected success",
            hint="check bucket and rights of the credentials that boto finds",
        ) from error
    except ParamValidationError as error:
        expected = "s3://BUCKET/KEY with a bucket's name"
        raise BadInputError("blob URI", f"{doing[:100]!r}, which S3 cannot mean", expected) from error
    except NoCredentialsError as error:
        raise StorageError(
            f"S3 at {config.where}, {doing}: got no credentials, expected some",
            hint="put them where boto looks: ~/.aws/credentials, AWS_* or an instance role",
        ) from error
    except BotoCoreError as error:
        raise BlobUnreachableError(
            f"S3 at {config.where}, {doing}: got {type(error).__name__}, expected an answer",
            hint="is the endpoint in [storage.s3] right, and is the service running?",
        ) from error


def _short(said: object, limit: int) -> str:
    """Return a service's word as one line of a log can have it."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(said)[:limit])
