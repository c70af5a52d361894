with invoices as (

    select * from {{ ref('fct_invoices') }}

),

final as (

    select
        first.invoice_id,
        first.account_id,
        first.available_at as prediction_at,
        bool_or(second.invoice_id is not null) as outcome,
        first.available_at + interval '41 days' as outcome_known_at
    from invoices as first
    left join invoices as second
        on
            first.account_id = second.account_id
            and first.available_at < second.issued_at
            and first.available_at + interval '40 days' > second.issued_at
            and first.available_at + interval '41 days' >= second.available_at
    where first.available_at + interval '41 days' <= {{ known_until('invoices') }}
    group by first.invoice_id, first.account_id, first.available_at

)

select * from final
