"""Well-known data, where it lies beside the repository: what is built agrees with the files themselves."""

from __future__ import annotations

import duckdb
import pytest
from online_stores import parsed, publish_all
from warehouse import PROJECT, Warehouse

from assay.drift.compare import compare

LANDING = PROJECT.parent / "shared" / "data" / "landing"
ORDER_LINES = (
    f"read_csv('{LANDING}/erp/order_lines/*/*.csv.gz', all_varchar = true, hive_partitioning = false)"
)
CARD_TRANSACTIONS = f"read_csv('{LANDING}/payments/card_transactions/*.csv.gz', all_varchar = true)"
READ = (
    *("slv_order_lines__rejected", "slv_web_events", "fct_daily_sales", "fct_card_transactions"),
    *("dim_customers", "dim_products", "snp_price_list"),
)

# UCI Online Retail and Sparkov are others' data, 100 MB that may not be copied into the repository, and by
# most checkouts lies no copy. Every rule tested here is tested on demo data as well; what these tests add
# is that real files, whose figures are known from their publishers, come out with just those figures.
pytestmark = [
    pytest.mark.minutes,
    pytest.mark.skipif(
        not LANDING.is_dir(),
        reason=f"UCI Online Retail and Sparkov do not lie in {LANDING}: their figures are not compared",
    ),
]


@pytest.fixture(scope="module")
def real(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("real"), LANDING)
    # What the tests read, and all above it: of the rest no figure is known.
    warehouse.build("--select", *(f"+{name}" for name in READ), "--indirect-selection", "cautious")
    return warehouse


def from_files(sql: str) -> list[tuple]:  # type: ignore[type-arg]
    return duckdb.sql(sql).fetchall()


def test_order_lines_are_kept_but_for_exact_duplicates(real: Warehouse) -> None:
    [(landed, distinct)] = from_files(f"select count(*), count(distinct lines) from {ORDER_LINES} as lines")
    rejected = real.query("select rule_ids, count(*) from silver.slv_order_lines__rejected group by all")
    assert (landed, landed - distinct) == (541_909, 5_268)
    assert rejected == [(["exact_duplicate"], landed - distinct)]
    assert real.query("select count(*) from silver.slv_order_lines") == [(distinct,)]


def test_gold_holds_the_money_of_the_files(real: Warehouse) -> None:
    by_country = from_files(
        f"""
        select
            Country,
            sum(round(Quantity::int * UnitPrice::decimal(18, 4), 2)) filter (where InvoiceNo[1] <> 'C'),
            sum(round(Quantity::int * UnitPrice::decimal(18, 4), 2)) filter (where InvoiceNo[1] = 'C')
        from (select distinct * from {ORDER_LINES})
        where InvoiceNo[1] <> 'A' and (Quantity::int > 0 or InvoiceNo[1] = 'C')
        group by all
        order by all
        """
    )
    assert len(by_country) == 38
    assert by_country == real.query(
        """
        select
            country,
            sum(gross_sales_amount),
            -sum(cancelled_amount) filter (where cancelled_amount <> 0)
        from gold.fct_daily_sales
        group by all
        order by all
        """
    )


def test_all_card_transactions_are_kept(real: Warehouse) -> None:
    query = "select count(*), sum({amount}), count_if({is_fraud}), count(distinct {card}) from {table}"
    in_files = from_files(
        query.format(
            amount="amt::decimal(18, 2)", is_fraud="is_fraud = '1'", card="cc_num", table=CARD_TRANSACTIONS
        )
    )
    assert in_files[0][0] == 167_784
    assert in_files == real.query(
        query.format(amount="amount", is_fraud="is_fraud", card="card_id", table="gold.fct_card_transactions")
    )


def test_sources_that_are_not_there_are_empty_tables(real: Warehouse) -> None:
    empty = ("silver.slv_web_events", "gold.dim_customers", "gold.dim_products", "snapshots.snp_price_list")
    assert [real.query(f"select count(*) from {relation}") for relation in empty] == [[(0,)]] * 4


def test_two_years_of_bike_sharing_drift_in_rentals_and_not_in_the_calendar(real: Warehouse) -> None:
    hours = LANDING.parent / "bike_sharing" / "hour.csv"
    published = publish_all(real, real.path.with_name("published.duckdb"))
    with parsed(real) as project:
        [found] = compare(project, published, [str(hours)], reference="2011", current="2012")
    verdicts = {each.feature: each.verdict for each in found.features}
    assert {name for name, verdict in verdicts.items() if verdict == "drift"} == {
        *("instant", "yr", "registered", "cnt")
    }
    calendar = ("season", "mnth", "hr", "holiday", "weekday", "workingday")
    assert {verdicts[name] for name in calendar} == {"stable"}
    assert found.features[0].reference_rows + found.features[0].current_rows == 17_379
