#!/usr/bin/env python3
"""The wallet script: shows what an order costs, asks, then places it in one transaction.

    scripts/place_order.py --home HOME --compute 4 --input 1 --input 2 --input 3 --config config.json

The deposit moves with an ERC-20 permit inside the same transaction, so no allowance is left behind. The home
is a profile as `cloister init` makes it. `cloister order place` does the same and more; this script is as
short as the SDK lets it be, to be read and changed. Its last line is the order id.

Exit status: 0 placed, 1 refused, failed or not confirmed, 2 wrong use.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
if VENV.exists() and Path(sys.prefix).resolve() != VENV.resolve():
    # Whoever starts this without the project's environment gets it all the same.
    os.execv(VENV / "bin" / "python", [str(VENV / "bin" / "python"), __file__, *sys.argv[1:]])
sys.path.insert(0, str(ROOT))

from enclave_runtime.wire.codec import hex_of  # noqa: E402
from enclave_runtime.wire.errors import EnclaveError  # noqa: E402
from marketplace.domain.money import format_amount  # noqa: E402
from marketplace.errors import BadInputError, MarketError  # noqa: E402
from marketplace.sdk import client  # noqa: E402
from marketplace.sdk.client import OrderRequest  # noqa: E402
from marketplace.sdk.profile import Profile, Session  # noqa: E402


def main() -> int:
    """Run the script and return its exit status."""
    args = _arguments()
    try:
        session = Session(Profile.load(args.home), ask=lambda question: getpass.getpass(question + ": "))
        request = OrderRequest(args.compute, args.input, args.config.read_bytes(), args.max_seconds)
        if not _agreed(session, request, yes=args.yes):
            print("nothing was sent", file=sys.stderr)
            return 1
        placed = client.place(session, request, entropy=os.urandom)
    except BadInputError as error:
        return _failed(error, 2)
    except (MarketError, EnclaveError, OSError) as error:
        return _failed(error, 1)
    print(f"sent {placed.tx}, {placed.gas} gas", file=sys.stderr)
    print(hex_of(placed.order_id))
    return 0


def _agreed(session: Session, request: OrderRequest, *, yes: bool) -> bool:
    """Show the cost, and whether the person agrees to it."""
    quoted = client.quote(session, request)
    info = session.token(quoted.token).info()

    def tokens(units: int) -> str:
        return format_amount(units, info.decimals, info.symbol)

    if session.profile.simulated:
        print("SIMULATED: this order accepts a development root; no hardware protects it", file=sys.stderr)
    for line in quoted.lines:
        print(f"{line.role:<10} offer {line.offer:<4} at most {tokens(line.most)}", file=sys.stderr)
        for receiver, most in line.shares:
            print(f"{'':<10}   {hex_of(receiver)} at most {tokens(most)}", file=sys.stderr)
    print(f"deposit    {tokens(quoted.deposit)}; what is not used comes back", file=sys.stderr)
    print(f"at least   {tokens(quoted.least)}, once the engine has started", file=sys.stderr)
    print(f"fee        {tokens(quoted.fee_most)} at most, within the above", file=sys.stderr)
    return yes or (sys.stdin.isatty() and input("place it? [y/N] ").strip().lower() in ("y", "yes"))


def _failed(error: Exception, status: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    if hint := getattr(error, "hint", ""):
        print(f"  what to do: {hint}", file=sys.stderr)
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="profile folder; default: CLOISTER_HOME, or the user's own")
    parser.add_argument("--compute", type=int, required=True, metavar="OFFER")
    parser.add_argument(
        "--input", type=int, required=True, action="append", metavar="OFFER", help="engine first"
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="what the engine reads")
    parser.add_argument("--max-seconds", type=int, default=3600)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
