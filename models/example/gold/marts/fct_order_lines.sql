with order_lines as (

    select * from {{ ref('slv_order_lines') }}

),

final as (

    select
        order_line_id,
        order_id,
        product_id,
        product_description,
        customer_id,
        country,
        -- The sign alone does not tell: write-offs of stock carry negative quantities on ordinary invoices.
        case
            when order_id like 'C%' then 'cancellation'
            when order_id like 'A%' then 'adjustment'
            when quantity < 0 then 'write_off'
            else 'sale'
        end as line_type,
        quantity,
        unit_price,
        line_amount,
        event_at as ordered_at,
        event_at::date as ordered_date,
        available_at
    from order_lines

)

select * from final
