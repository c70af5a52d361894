{{ config(materialized='table') }}

with checked as (

    select * from {{ ref('slv_price_list__checked') }}

),

-- A dump is known by its file. Without a single good row it says nothing, least of all that all is delisted.
dumps as (

    select
        file_id,
        max(claimed_at) as exported_at,
        min(available_at) as available_at
    from checked
    where rule_ids is null
    group by file_id

),

-- A dump that arrives after a later one tells nothing new; of dumps that arrive together, the last export counts.
telling_dumps as (

    select
        file_id,
        available_at
    from dumps
    qualify
        row_number() over (partition by available_at order by exported_at desc, file_id asc) = 1
        and exported_at = max(exported_at) over (
            order by available_at range between unbounded preceding and current row
        )

),

dumps_in_order as (

    select
        file_id,
        available_at,
        row_number() over (order by available_at) as dump_number
    from telling_dumps

),

-- A rejected row leaves its product's price as it was: what it should have said is not known.
mentions as (

    select
        dumps_in_order.dump_number,
        checked.product_id,
        arg_min(checked.unit_price, checked.row_number) filter (where checked.rule_ids is null) as unit_price,
        arg_min(checked.currency, checked.row_number) filter (where checked.rule_ids is null) as currency
    from checked
    inner join dumps_in_order on checked.file_id = dumps_in_order.file_id
    where checked.product_id is not null
    group by all

),

last_dump as (

    select max(dump_number) as dump_number from dumps_in_order

),

listings as (

    select
        product_id,
        dump_number,
        unit_price,
        currency,
        true as is_listed
    from mentions
    where unit_price is not null

),

mentions_in_order as (

    select
        *,
        lead(dump_number) over (partition by product_id order by dump_number) as next_dump_number
    from mentions

),

delistings as (

    select
        mentions_in_order.product_id,
        mentions_in_order.dump_number + 1 as dump_number,
        null::decimal(18, 4) as unit_price,
        null::varchar as currency,
        false as is_listed
    from mentions_in_order
    cross join last_dump
    where
        mentions_in_order.dump_number < last_dump.dump_number
        and mentions_in_order.next_dump_number is distinct from mentions_in_order.dump_number + 1

),

states as (

    select * from listings
    union all
    select * from delistings

),

changes as (

    select *
    from states
    qualify
        row(unit_price, currency, is_listed)
        is distinct from lag(row(unit_price, currency, is_listed)) over (
            partition by product_id order by dump_number
        )

),

final as (

    select
        changes.product_id,
        changes.unit_price,
        changes.currency,
        changes.is_listed,
        dumps_in_order.available_at
    from changes
    inner join dumps_in_order on changes.dump_number = dumps_in_order.dump_number
)

select * from final
