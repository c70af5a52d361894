"""The demo data is what its manifest says: recounted here from the files alone."""

import csv
import gzip
import hashlib
import json
import os
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from example import generate

PROJECT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {"customers": 200, "days": 60, "events": 5000}
EVENTS = {
    "Product Viewed",
    "Product Added",
    "Product Removed",
    "Products Searched",
    "Checkout Started",
    "Order Completed",
}
SATURDAY = 5


class Demo:
    """A generated landing zone with its manifest."""

    def __init__(self, root: Path, **arguments: Any) -> None:
        self.root = root
        self.manifest = generate(root, **arguments)

    def flawed(self) -> set[str]:
        files = self.manifest["files"]
        return {*files["empty"], *files["truncated"]}

    def texts(self, table: str) -> Iterator[tuple[datetime, str]]:
        """The content of a table's sound files, with the time each landed."""
        for path in sorted((self.root / table).rglob("*.*")):
            if path.is_file() and str(path.relative_to(self.root)) not in self.flawed():
                content = path.read_bytes()
                text = gzip.decompress(content) if path.suffix == ".gz" else content
                landed_at = datetime.strptime(path.parent.name, "landed_at=%Y-%m-%dT%H-%M-%S")
                yield landed_at, text.decode()

    def lines(self, table: str) -> list[str]:
        return [line for _, text in self.texts(table) for line in text.splitlines()]

    def tables(self, table: str) -> Iterator[tuple[datetime, list[str], list[list[str]]]]:
        """Of each CSV file: when it landed, its header, its rows."""
        for landed_at, text in self.texts(table):
            header, *rows = csv.reader(text.splitlines())
            yield landed_at, header, rows

    def dirt(self, table: str) -> dict[str, int]:
        return {**self.manifest["planted"][table], **self.manifest["kept_dirt"].get(table, {})}


@pytest.fixture(scope="module")
def demo(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("small"), **SMALL)


@pytest.fixture(scope="module")
def year(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("year"), customers=100, events=20_000)


@pytest.fixture(scope="module")
def writers(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """As many customers as it takes for some to write twice."""
    return Demo(tmp_path_factory.mktemp("writers"), customers=2000, events=0)


def fingerprint(root: Path) -> dict[str, str]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return "malformed"


def is_number(text: object) -> bool:
    try:
        return abs(float(str(text))) < 1e12
    except ValueError:
        return False


def is_instant(text: str, form: str) -> bool:
    try:
        return datetime.strptime(text, form).year > 1900
    except ValueError:
        return False


# --- the same arguments, the same bytes ---------------------------------------------------------------------


def test_same_seed_gives_the_same_bytes_in_another_process(demo: Demo, tmp_path: Path) -> None:
    again = f"from pathlib import Path; from example import generate; generate(Path('again'), **{SMALL})"
    code = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); {again}"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert fingerprint(tmp_path / "again") == fingerprint(demo.root)


def test_compressed_files_carry_neither_name_nor_time(demo: Demo) -> None:
    headers = {path.read_bytes()[3:8] for path in demo.root.rglob("*.gz")}
    assert headers == {bytes(5)}


def test_another_seed_gives_other_bytes_in_every_table(demo: Demo, tmp_path: Path) -> None:
    other = Demo(tmp_path / "other", **SMALL, seed=43)
    for table in demo.manifest["rows"]:
        assert demo.lines(table) != other.lines(table), table


def test_manifest_is_written_as_returned_and_records_the_parameters(demo: Demo) -> None:
    text = (demo.root / "_demo.json").read_text()
    assert json.loads(text) == demo.manifest
    assert text == json.dumps(demo.manifest, indent=2, sort_keys=True) + "\n"
    assert demo.manifest["parameters"] == {**SMALL, "seed": 42, "start": "2025-01-01"}


# --- the dirt, recounted ------------------------------------------------------------------------------------


def flaws_of_call(call: dict[str, Any]) -> list[str]:
    properties = call["properties"]
    is_dated = is_instant(call["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ")
    found = {
        "unknown_event": call["event"] not in EVENTS,
        "missing_identity": call["userId"] is None and call["anonymousId"] is None,
        "missing_message_id": call["messageId"] is None,
        "invalid_timestamp": not is_dated,
        "invalid_price": "price" in properties and not is_number(properties["price"]),
        "invalid_quantity": not isinstance(properties.get("quantity", 1), int),
        "clock_ahead": is_dated and call["timestamp"] > call["receivedAt"],
        "late_event": is_dated and delay(call) > timedelta(hours=1),
    }
    return [kind for kind, is_so in found.items() if is_so]


def delay(call: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(call["receivedAt"]) - datetime.fromisoformat(call["timestamp"])


def recount_web(demo: Demo) -> Counter[str]:
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    first: dict[str, dict[str, Any]] = {}
    calls = []
    for line in demo.lines("web/events"):
        value = parsed(line)
        if value == "malformed":
            counts["malformed_json"] += 1
        elif not isinstance(value, dict):
            counts["not_an_object"] += 1
        elif line in seen:
            counts["exact_duplicate"] += 1
        else:
            seen.add(line)
            calls.append(value)
    for call in sorted(calls, key=lambda call: call["receivedAt"]):
        flaws = flaws_of_call(call)
        if call["messageId"] in first:
            flaws.append("duplicate_message")
            assert call | {"receivedAt": None} == first[call["messageId"]] | {"receivedAt": None}
        elif call["messageId"]:
            first[call["messageId"]] = call
        assert len(flaws) <= 1, call
        counts.update(flaws)
    return counts


def recount_erp(demo: Demo) -> Counter[str]:
    counts: Counter[str] = Counter()
    seen: set[tuple[str, ...]] = set()
    for _, header, rows in demo.tables("erp/order_lines"):
        for row in rows:
            flaws = []
            if tuple(row) in seen:
                flaws.append("exact_duplicate")
            elif len(row) != len(header):
                flaws.append("malformed_row")
            else:
                order = dict(zip(header, row, strict=True))
                out_of_range = order["InvoiceDate"].startswith("0001")
                is_dated = is_instant(order["InvoiceDate"], "%Y-%m-%d %H:%M:%S")
                found = {
                    "missing_invoice_no": not order["InvoiceNo"],
                    "missing_stock_code": not order["StockCode"],
                    "invalid_quantity": not (order["Quantity"].lstrip("-").isdigit())
                    or len(order["Quantity"]) > 18,
                    "invalid_unit_price": not is_number(order["UnitPrice"]),
                    "invalid_invoice_date": not is_dated and not out_of_range,
                    "invoice_date_out_of_range": out_of_range,
                }
                flaws += [kind for kind, is_so in found.items() if is_so]
                is_returned = order["InvoiceNo"].startswith("C")
                assert is_returned == order["Quantity"].startswith("-")
                assert not (flaws and (is_returned or not order["CustomerID"]))
                counts["cancellation"] += is_returned
                counts["missing_customer"] += not order["CustomerID"]
            assert len(flaws) <= 1, row
            counts.update(flaws)
            seen.add(tuple(row))
    return counts


def recount_payments(demo: Demo) -> Counter[str]:
    counts: Counter[str] = Counter()
    seen: set[tuple[str, ...]] = set()
    transactions: dict[tuple[str, str], list[str]] = {}
    for _, header, rows in demo.tables("payments/card_transactions"):
        for row in rows:
            if tuple(row) in seen:
                counts["exact_duplicate"] += 1
                continue
            seen.add(tuple(row))
            if len(row) != len(header):
                counts["malformed_row"] += 1
                continue
            use = dict(zip(header, row, strict=True))
            key = (use["cc_num"], use["trans_num"])
            found = {
                "duplicate_transaction": key in transactions,
                "missing_card": not use["cc_num"],
                "invalid_amount": not is_number(use["amt"]),
                "invalid_coordinates": abs(float(use["merch_lat"])) > 90,
                "invalid_is_fraud": use["is_fraud"] not in ("0", "1"),
            }
            flaws = [kind for kind, is_so in found.items() if is_so]
            assert len(flaws) <= 1, row
            counts.update(flaws)
            if "duplicate_transaction" in flaws:
                original = dict(zip(header, transactions[key], strict=True))
                assert original["amt"] != use["amt"]
                assert 0 < int(use["unix_time"]) - int(original["unix_time"]) < 10
            transactions.setdefault(key, row)
    return counts


def recount_changes(demo: Demo, table: str, key: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    newest: dict[str, int] = {}
    delivered: list[dict[str, Any]] = []
    first: dict[int, dict[str, Any]] = {}
    for line in demo.lines(table):
        change = parsed(line)
        if change is None:
            counts["tombstone"] += 1
        elif change == "malformed":
            counts["malformed_json"] += 1
        elif line in seen:
            counts["exact_duplicate"] += 1
        else:
            delivered.append(change)
        seen.add(line)
    for change in sorted(delivered, key=lambda change: change["ts_ms"]):
        row, lsn = change["after"] or change["before"], change["source"]["lsn"]
        found = {
            "repeated_change": lsn in first,
            "unknown_op": change["op"] not in "rcud",
            "missing_key": key not in row,
        }
        flaws = [kind for kind, is_so in found.items() if is_so]
        if not flaws and lsn < newest.get(row[key], 0):
            flaws.append("out_of_order")
        assert len(flaws) <= 1, change
        counts.update(flaws)
        assert first.setdefault(lsn, change) | {"ts_ms": 0} == change | {"ts_ms": 0}
        if not flaws:
            newest[row[key]] = lsn
    return counts


def recount_prices(demo: Demo) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _, header, rows in demo.tables("catalog/price_list"):
        seen: set[tuple[str, ...]] = set()
        priced: set[str] = set()
        for row in rows:
            if tuple(row) in seen:
                counts["exact_duplicate"] += 1
            elif len(row) != len(header):
                counts["malformed_row"] += 1
            else:
                missing, invalid = not row[0], not is_number(row[1])
                assert not (missing and invalid)
                counts["missing_product_id"] += missing
                counts["invalid_unit_price"] += invalid
                assert row[0] not in priced
                priced.add(row[0])
            seen.add(tuple(row))
    return counts


def recount_documents(demo: Demo) -> Counter[str]:
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    for line in demo.lines("docs/documents"):
        document = json.loads(line)
        found = {
            "exact_duplicate": line in seen,
            "empty_document": not document["deleted"] and not document["body"].strip(),
            "invalid_updated_at": not is_instant(document["updated_at"], "%Y-%m-%dT%H:%M:%SZ"),
        }
        assert sum(found.values()) <= 1, line
        counts.update(kind for kind, is_so in found.items() if is_so)
        seen.add(line)
    return counts


RECOUNTS: dict[str, Callable[[Demo], Counter[str]]] = {
    "web/events": recount_web,
    "erp/order_lines": recount_erp,
    "payments/card_transactions": recount_payments,
    "crm/customers": lambda demo: recount_changes(demo, "crm/customers", "customer_id"),
    "catalog/products": lambda demo: recount_changes(demo, "catalog/products", "product_id"),
    "catalog/price_list": recount_prices,
    "docs/documents": recount_documents,
}


@pytest.mark.parametrize("table", RECOUNTS)
def test_manifest_counts_what_is_in_the_files(demo: Demo, year: Demo, table: str) -> None:
    for data in (demo, year):
        assert +RECOUNTS[table](data) == +Counter(data.dirt(table))


@pytest.mark.parametrize("table", RECOUNTS)
def test_manifest_counts_the_rows(demo: Demo, table: str) -> None:
    is_csv = table in ("erp/order_lines", "payments/card_transactions", "catalog/price_list")
    headers = sum(1 for _ in demo.texts(table)) if is_csv else 0
    assert demo.manifest["rows"][table] == len(demo.lines(table)) - headers


@pytest.mark.parametrize(
    "arguments",
    [
        SMALL,
        {"customers": 50, "days": 30, "events": 2000},
        {"customers": 50, "days": 30, "events": 2000, "seed": 7},
    ],
)
def test_every_kind_of_dirt_is_planted(tmp_path: Path, arguments: dict[str, Any]) -> None:
    small = Demo(tmp_path / "small", **arguments)
    absent = [(table, kind) for table in RECOUNTS for kind, count in small.dirt(table).items() if not count]
    assert absent == []
    assert all(small.manifest["files"].values())


def test_dirt_is_rare_in_the_long_run(year: Demo) -> None:
    rows = year.manifest["rows"]["web/events"]
    for kind, count in year.dirt("web/events").items():
        assert 0.001 < count / rows < 0.005, kind


def test_nothing_is_planted_in_tables_that_are_not_built(tmp_path: Path) -> None:
    idle = Demo(tmp_path / "idle", customers=3, days=3, events=0)
    for table in ("web/events", "erp/order_lines", "payments/card_transactions"):
        assert not (idle.root / table).exists()
        assert not any(idle.dirt(table).values())
        assert idle.manifest["rows"][table] == 0
    assert idle.manifest["rows"]["crm/customers"] >= 2


# --- the files ----------------------------------------------------------------------------------------------


def test_flawed_files_are_as_listed(demo: Demo) -> None:
    files = demo.manifest["files"]
    assert [(demo.root / path).stat().st_size for path in files["empty"]] == [0]
    assert not any((demo.root / path).exists() for path in files["missing"])
    (truncated,) = files["truncated"]
    with pytest.raises((EOFError, zlib.error)):
        gzip.decompress((demo.root / truncated).read_bytes())
    whole = sorted((demo.root / "erp/order_lines").rglob("order_lines.csv.gz"))
    assert any(path.read_bytes().startswith((demo.root / truncated).read_bytes()) for path in whole)


def test_one_price_list_is_missing_and_one_lands_after_the_next(demo: Demo) -> None:
    landed = {rows[0][3][:10]: landed_at for landed_at, _, rows in demo.tables("catalog/price_list")}
    days = [f"{date(2025, 1, 1) + timedelta(days=day)}" for day in range(SMALL["days"])]
    assert len([day for day in days if day not in landed]) == 1
    overtaken = [
        day
        for day, after in pairwise(days)
        if day in landed and after in landed and landed[day] > landed[after]
    ]
    assert len(overtaken) == 1


def test_trading_days_skip_saturday_and_one_file_is_three_days_late(demo: Demo) -> None:
    late_by = []
    for landed_at, _, rows in demo.tables("erp/order_lines"):
        good = [
            row[4]
            for row in rows
            if len(row) > 4 and row[4].startswith("2025") and is_instant(row[4], "%Y-%m-%d %H:%M:%S")
        ]
        last = max(datetime.fromisoformat(value) for value in good)
        late_by.append((landed_at.date() - last.date()).days)
    assert sorted(late_by)[-1] == 4
    assert sorted(late_by)[-2] <= 2
    in_turn = [landed_at for landed_at, _ in demo.texts("erp/order_lines") if landed_at.minute == 0]
    assert len(in_turn) > 40
    assert all((landed_at - timedelta(days=1)).weekday() != SATURDAY for landed_at in in_turn)


def test_sales_channel_appears_halfway(demo: Demo) -> None:
    headers = [header for landed_at, header, _ in demo.tables("erp/order_lines")]
    widths = [len(header) for header in headers]
    assert widths[0] == 8
    assert widths[-1] == 9
    assert widths == sorted(widths)
    assert abs(widths.count(8) - widths.count(9)) <= 6
    channels = {row[8] for _, header, rows in demo.tables("erp/order_lines") for row in rows if len(row) == 9}
    assert channels == {"web", "phone", "wholesale"}


# --- the simulated company ----------------------------------------------------------------------------------


def calls(demo: Demo) -> list[dict[str, Any]]:
    return [value for line in demo.lines("web/events") if isinstance(value := parsed(line), dict)]


def test_as_many_calls_as_asked_for(demo: Demo) -> None:
    planted = demo.manifest["planted"]["web/events"]
    assert len(calls(demo)) - planted["exact_duplicate"] - planted["duplicate_message"] == SMALL["events"]


def test_calls_stand_in_the_file_of_the_day_they_are_received(demo: Demo) -> None:
    elsewhere = [
        line
        for landed_at, text in demo.texts("web/events")
        for line in text.splitlines()
        if isinstance(call := parsed(line), dict)
        and datetime.fromisoformat(call["receivedAt"]).date() != landed_at.date() - timedelta(days=1)
    ]
    # Only lines repeated in the next day's file.
    assert 0 < len(elsewhere) <= demo.dirt("web/events")["exact_duplicate"]


def test_customers_look_mostly_at_their_favourite_categories(year: Demo) -> None:
    viewed: dict[str, Counter[str]] = defaultdict(Counter)
    campaign = next(each for each in year.manifest["drift"] if each["name"] == "campaign")
    for call in calls(year):
        is_before = call["receivedAt"] < campaign["from"]
        if call["event"] == "Product Viewed" and call["userId"] and is_before:
            viewed[call["userId"]][call["properties"]["category"]] += 1
    shares = [
        sum(count for _, count in counter.most_common(2)) / counter.total()
        for counter in viewed.values()
        if counter.total() >= 50
    ]
    assert len(shares) > 20
    assert median(shares) > 0.7
    everybody = sum(viewed.values(), Counter())
    assert sum(count for _, count in everybody.most_common(2)) / everybody.total() < 0.6


def test_business_grows_and_peaks_before_christmas(year: Demo) -> None:
    months = Counter(call["receivedAt"][:7] for call in calls(year))
    assert months["2025-10"] > 1.3 * months["2025-01"]
    assert months["2025-12"] > 1.2 * months["2025-10"]


def test_customers_who_left_do_not_come_back(year: Demo) -> None:
    deleted = {
        change["before"]["customer_id"]: change["source"]["ts_ms"]
        for line in year.lines("crm/customers")
        if isinstance(change := parsed(line), dict) and change["op"] == "d"
    }
    assert deleted
    for call in calls(year):
        if call["userId"] in deleted:
            received = datetime.fromisoformat(call["receivedAt"]).timestamp() * 1000
            assert received - 4 * 86_400_000 < deleted[call["userId"]]


def test_fraud_is_rare_larger_and_comes_in_bursts(year: Demo) -> None:
    amounts: dict[str, list[float]] = {"0": [], "1": []}
    times: dict[str, list[int]] = defaultdict(list)
    for _, _, rows in year.tables("payments/card_transactions"):
        for row in rows:
            if len(row) == 22 and row[21] in amounts and is_number(row[4]):
                amounts[row[21]].append(float(row[4]))
                if row[21] == "1":
                    times[row[1]].append(int(row[18]))
    assert 0.005 < len(amounts["1"]) / len(amounts["0"]) < 0.02
    assert median(amounts["1"]) > 4 * median(amounts["0"])
    for used in times.values():
        assert all(min(abs(at - other) for other in used if other != at) < 300 for at in used)


def test_card_times_agree_and_files_are_sorted_by_card(demo: Demo) -> None:
    for _, header, rows in demo.tables("payments/card_transactions"):
        whole = [row for row in rows if len(row) == len(header) and row[1]]
        assert all(datetime.fromisoformat(f"{row[0]}+00:00").timestamp() == int(row[18]) for row in whole)
        assert len({row[1] for row in whole}) < len(whole)
        cards = [row[1] for row in whole]
        changes = sum(one != two for one, two in pairwise(cards))
        # Resent rows follow at the end, each of some card.
        assert changes < len(set(cards)) + 20


def test_every_order_of_the_web_is_invoiced_with_its_total(year: Demo) -> None:
    spoilt = {"invalid_quantity", "invalid_unit_price", "malformed_row", "missing_invoice_no"}
    invoiced: dict[str, int] = defaultdict(int)
    for _, _, rows in year.tables("erp/order_lines"):
        for row in {tuple(row) for row in rows}:
            if len(row) in (8, 9) and is_number(row[3]) and is_number(row[5]) and float(row[3]).is_integer():
                invoiced[row[0]] += int(row[3]) * round(100 * float(row[5]))
    orders = {
        call["properties"]["order_id"]: round(100 * call["properties"]["total"])
        for call in calls(year)
        if call["event"] == "Order Completed"
    }
    assert len(orders) > 100
    assert orders.keys() <= invoiced.keys()
    differing = sum(invoiced[order_id] != total for order_id, total in orders.items())
    assert differing <= sum(year.dirt("erp/order_lines")[kind] for kind in spoilt)


def test_web_and_erp_prices_are_those_of_the_days_list(year: Demo) -> None:
    listed = {
        (row[3][:10], row[0]): row[1]
        for _, header, rows in year.tables("catalog/price_list")
        for row in rows
        if len(row) == len(header)
    }
    missing = min(
        day
        for day in (f"{date(2025, 1, 1) + timedelta(days=n)}" for n in range(365))
        if not any(key[0] == day for key in listed)
    )
    compared = 0
    for call in calls(year):
        day, product_id = call["timestamp"][:10], call["properties"].get("product_id")
        is_clean = not flaws_of_call(call)
        if product_id and is_clean and day != missing:
            assert float(listed[day, product_id]) == call["properties"]["price"]
            compared += 1
    for _, _, rows in year.tables("erp/order_lines"):
        for row in rows:
            if (
                len(row) > 7
                and (row[4][:10], row[1]) in listed
                and not row[0].startswith("C")
                and is_number(row[5])
            ):
                assert listed[row[4][:10], row[1]] == row[5]
                compared += 1
    assert compared > 10_000


def test_change_log_tells_a_consistent_story(year: Demo) -> None:
    """In the order of the log each change starts from what the one before it left."""
    for table, key in (("crm/customers", "customer_id"), ("catalog/products", "product_id")):
        changes = {
            change["source"]["lsn"]: change
            for line in year.lines(table)
            if isinstance(change := parsed(line), dict) and change["op"] in "rcud"
        }
        state: dict[str, Any] = {}
        for _, change in sorted(changes.items()):
            row = change["after"] or change["before"]
            if key in row:
                assert change["before"] == state.get(row[key])
                state[row[key]] = change["after"]
        assert {change["op"] for change in changes.values()} == set("rcud")


def versions_of_documents(demo: Demo) -> dict[str, list[dict[str, Any]]]:
    """The versions of each document, oldest first, those that are no dirt."""
    versions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in dict.fromkeys(demo.lines("docs/documents")):
        document = json.loads(line)
        if not document["document_id"].startswith("draft-"):
            versions[document["document_id"]].append(document)
    assert all(each == sorted(each, key=lambda version: version["updated_at"]) for each in versions.values())
    return versions


def test_copies_of_tickets_are_as_listed(writers: Demo) -> None:
    texts = {
        name: versions[0]["body"]
        for name, versions in versions_of_documents(writers).items()
        if name.startswith("ticket-")
    }
    copies = writers.manifest["documents"]["copies"]
    assert copies["exact"]
    assert copies["near"]
    for name, original in copies["near"]:
        assert texts[name] != texts[original]
        assert texts[name].startswith(texts[original])
    first: dict[str, str] = {}
    same = [[name, first[text]] for name, text in texts.items() if first.setdefault(text, name) != name]
    roots = {name: first[texts[original]] for name, original in copies["exact"]}
    assert dict(same) == roots


def test_documents_that_are_deleted_or_edited_are_as_listed(writers: Demo) -> None:
    documents = versions_of_documents(writers)
    deleted = [name for name, versions in documents.items() if versions[-1]["deleted"]]
    assert sorted(deleted) == sorted(writers.manifest["documents"]["deleted"])
    assert {name.split("-")[0] for name in deleted} == {"help", "product", "ticket"}
    assert all(len(documents[name]) > 1 and not documents[name][0]["deleted"] for name in deleted)
    edited = {
        name for name, versions in documents.items() if len({each.get("body") for each in versions}) > 2
    }
    assert {name.split("-")[0] for name in edited} == {"help", "product"}


# --- the arguments ------------------------------------------------------------------------------------------


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="not an empty folder: name a new one"):
        generate(tmp_path, customers=1, days=1, events=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"customers": 0}, "customers must be at least 1, not 0"),
        ({"days": 0}, "days must be at least 1, not 0"),
        ({"events": -1}, "events must be at least 0, not -1"),
    ],
)
def test_senseless_numbers_are_refused(tmp_path: Path, bad: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(tmp_path / "out", **bad)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("customers", "days", "events"), [(1, 1, 0), (1, 1, 1), (20, 2, 200), (1, 40, 300)])
def test_tiny_worlds_work(tmp_path: Path, customers: int, days: int, events: int) -> None:
    tiny = Demo(tmp_path / "tiny", customers=customers, days=days, events=events)
    for table, recount in RECOUNTS.items():
        assert +recount(tiny) == +Counter(tiny.dirt(table)), table


def test_progress_is_told_of_every_day(tmp_path: Path) -> None:
    told: list[int] = []
    generate(tmp_path / "out", customers=1, days=9, events=10, progress=told.append)
    assert sum(told) == 9
