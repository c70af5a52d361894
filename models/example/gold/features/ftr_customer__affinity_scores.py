"""Fit the affinities of customers to products at each cut-off, from what was available then."""

from example.affinity import affinity_scores, monthly_cut_offs

# Tried on Online Retail: more neighbours find no more of what customers buy in the month after.
NEIGHBOURS = 20
PRODUCTS_A_CUSTOMER = 20

SALES = "customer_id, product_id, 4 as strength, available_at"
VISITS = "customer_id, product_id, if(event_type = 'view', 1, 2) as strength, available_at"
IS_ABOUT_BOTH = "customer_id is not null and product_id is not null"


def model(dbt, session):
    """Return the best products of each customer at each cut-off."""
    sales = dbt.ref("fct_order_lines").filter(f"{IS_ABOUT_BOTH} and line_type = 'sale'")
    visits = dbt.ref("slv_web_events").filter(f"{IS_ABOUT_BOTH} and event_type in ('view', 'cart_addition')")
    events = sales.project(SALES).union(visits.project(VISITS))
    signs = events.aggregate("customer_id, product_id, strength, min(available_at) as available_at")
    [(first, last)] = events.aggregate("min(available_at), max(available_at)").fetchall()
    return affinity_scores(
        signs.to_arrow_table(),
        monthly_cut_offs(first, last),
        neighbours=NEIGHBOURS,
        products=PRODUCTS_A_CUSTOMER,
    )
