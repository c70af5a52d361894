with invoices as (

    select * from {{ ref('fct_invoices') }}

),

final as (

    select
        account_id,
        sum(seats)::bigint as seats
    from invoices
    group by account_id

)

select * from final
