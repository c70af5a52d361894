"""The repository's dbt project without its example, with three sources of a business of subscriptions.

Invoices land as CSV, sessions of use as JSON lines, accounts as Debezium change events.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from small_project import PROJECT, SmallProject

HERE = Path(__file__).parent
ACCOUNTS = [f"A{number:02}" for number in range(1, 25)]
BEGIN = datetime(2026, 1, 1)
DAYS = 150
_FOLDERS = ("macros", "models", "seeds", "snapshots", "analyses", "tests/dbt", "contracts")
_FILES = ("dbt_project.yml", "profiles.yml", "packages.yml")


def make_subscription_project(root: Path) -> SmallProject:
    """Copy the project to `root`, leave out the example, and land files of the three sources."""
    for name in _FOLDERS:
        shutil.copytree(PROJECT / name, root / name)
    for name in _FILES:
        shutil.copy(PROJECT / name, root / name)
    stand_in = Path("dbt_expectations")
    shutil.copytree(PROJECT / "assay" / "stand_ins" / stand_in, root / "dbt_packages" / stand_in)
    shutil.copytree(HERE / "subscriptions", root, dirs_exist_ok=True)
    project = SmallProject(root, {"ASSAY_EXAMPLE": "none"})
    _land(project.landing)
    return project


def _land(landing: Path) -> None:
    """Land an invoice a month of each account until it leaves, and its sessions; one line of each is bad."""
    invoices = ["not a number,A01,3,much,2026-01-05 09:00:00"]
    sessions = ["{"]
    changes = []
    for number, account in enumerate(ACCOUNTS):
        stays = DAYS if number % 3 else 45 + 4 * number
        changes.append(_change(number, account, 0, "c", "starter"))
        if number % 2:
            changes.append(_change(number, account, 50 + number, "u", "team"))
        for day in range(number % 28, min(DAYS, stays), 30):
            issued_at = BEGIN + timedelta(days=day, hours=9)
            seats = 1 + number % 7
            invoices.append(f"I{number:02}{day:03},{account},{seats},{seats * 12.5:.2f},{issued_at}")
        for day in range(number % 3, stays, 3):
            began_at = BEGIN + timedelta(days=day, hours=8 + number % 10, minutes=7 * number)
            sessions.append(
                json.dumps(
                    {
                        "id": f"S{number:02}-{day:03}",
                        "account": account,
                        "device": ["phone", "laptop"][(number + day) % 2],
                        "minutes": 5 + (number * 7 + day * 3) % 50,
                        "began_at": f"{began_at.isoformat()}Z",
                        "sent_at": f"{(began_at + timedelta(minutes=1)).isoformat()}Z",
                    }
                )
            )
    header = "invoice_id,account_id,seats,total,issued_at"
    for day in range(31, DAYS + 31, 30):
        until = BEGIN + timedelta(days=day)
        since = until - timedelta(days=30) if day > 31 else datetime.min
        of_month = [line for line in invoices if since <= datetime.fromisoformat(line.split(",")[-1]) < until]
        _write(landing / "billing" / "invoices", until, "invoices.csv", [header, *of_month])
    end = BEGIN + timedelta(days=DAYS, hours=1)
    _write(landing / "app" / "sessions", end, "sessions.jsonl", sessions)
    _write(landing / "crm" / "accounts", end, "accounts.jsonl", changes)


def _change(number: int, account: str, day: int, op: str, tier: str) -> str:
    at = int((BEGIN + timedelta(days=day)).timestamp() * 1000)
    source = {"connector": "postgresql", "name": "crm", "ts_ms": at, "lsn": 1000 * day + number}
    after = {"account_id": account, "tier": tier, "seat_limit": 10}
    return json.dumps({"op": op, "ts_ms": at + 5, "source": source, "before": None, "after": after})


def _write(folder: Path, landed_at: datetime, name: str, lines: list[str]) -> None:
    path = folder / f"landed_at={landed_at:%Y-%m-%dT%H-%M-%S}" / name
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")
