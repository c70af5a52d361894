{% set negatives_a_positive = 4 %}

with purchases as (

    select * from {{ ref('fct_purchases') }}

),

customer_purchases as (

    select *
    from purchases
    where customer_id is not null

),

months as (

    select
        unnest(generate_series(
            date_trunc('month', min(available_at)) + interval '1 month',
            {{ assay.known_until('purchases') }} - interval '35 days',
            interval '1 month'
        )) as prediction_at
    from customer_purchases

),

cut_offs as (

    select
        prediction_at,
        prediction_at + interval '28 days' as ended_at,
        -- Order lines may land days after they were written; what comes later still changes no outcome.
        prediction_at + interval '35 days' as outcome_known_at
    from months

),

customers as (

    select
        customer_id,
        min(available_at) as known_from
    from customer_purchases
    group by customer_id

),

products as (

    select
        product_id,
        min(available_at) as known_from
    from purchases
    group by product_id

),

-- The products known at a cut-off, numbered from 0 so that they can be drawn.
candidates as (

    select
        cut_offs.prediction_at,
        products.product_id,
        row_number() over by_product - 1 as product_number,
        count(*) over (partition by cut_offs.prediction_at) as product_count
    from cut_offs
    inner join products on cut_offs.prediction_at >= products.known_from
    window by_product as (partition by cut_offs.prediction_at order by products.product_id)

),

bought as (

    select distinct
        cut_offs.*,
        customer_purchases.customer_id,
        customer_purchases.product_id
    from cut_offs
    inner join customer_purchases
        on
            cut_offs.prediction_at <= customer_purchases.ordered_at
            and cut_offs.ended_at > customer_purchases.ordered_at
            and cut_offs.outcome_known_at >= customer_purchases.available_at

),

positives as (

    select
        bought.*,
        candidates.product_count
    from bought
    inner join customers
        on bought.customer_id = customers.customer_id and bought.prediction_at >= customers.known_from
    inner join candidates using (prediction_at, product_id)

),

-- The same in every build: a hash draws, not chance.
drawn as (

    select
        positives.prediction_at,
        positives.outcome_known_at,
        positives.customer_id,
        md5_number_lower(concat_ws(
            '|', positives.prediction_at, positives.customer_id, positives.product_id, draws.draw
        )) % positives.product_count as product_number
    from positives
    cross join range({{ negatives_a_positive }}) as draws (draw)

),

negatives as (

    select distinct
        drawn.prediction_at,
        drawn.outcome_known_at,
        drawn.customer_id,
        candidates.product_id
    from drawn
    inner join candidates using (prediction_at, product_number)
    anti join bought
        on
            drawn.prediction_at = bought.prediction_at
            and drawn.customer_id = bought.customer_id
            and candidates.product_id = bought.product_id

),

labelled as (

    select
        prediction_at,
        outcome_known_at,
        customer_id,
        product_id,
        true as outcome
    from positives

    union all

    select
        *,
        false as outcome
    from negatives

),

final as (

    select
        concat_ws('@', customer_id, product_id, prediction_at::date) as next_purchase_id,
        customer_id,
        product_id,
        prediction_at,
        outcome,
        outcome_known_at
    from labelled

)

select * from final
