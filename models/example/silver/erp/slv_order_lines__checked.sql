{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook=after_commit("{{ assay.flag_duplicates(
        this, ref('brz_erp__order_lines'), assay.content_hash('erp', 'order_lines'),
        ['order_line_id']
    ) }}")
) }}

with landed as (

    {{ rows_to_check(ref('brz_erp__order_lines')) }}

),

typed as (

    select
        {{ as_landed() }},
        content_hash,
        malformed_reason,
        schema_conflict,
        contract_rule_ids,
        {{ filled('InvoiceNo') }} as order_id,
        {{ filled('StockCode') }} as product_id,
        {{ filled('Description') }} as product_description,
        nullif(regexp_replace(trim(CustomerID), '\.0$', ''), '') as customer_id,
        {{ filled('Country') }} as country,
        {{ strict_number('Quantity', 'integer') }} as quantity,
        {{ strict_number('UnitPrice', 'decimal(18, 4)') }} as unit_price,
        {{ utc_timestamp('InvoiceDate', ['%m/%d/%Y %H:%M']) }} as written_at
    from landed

),

priced as (

    select
        *,
        try_cast(round(quantity::decimal(38, 0) * unit_price, 2) as decimal(18, 2)) as line_amount
    from typed

),

timed as (

    {{ with_times('priced', 'erp', 'order_lines') }}

),

final as (

    select
        content_hash as order_line_id,
        order_id,
        product_id,
        product_description,
        customer_id,
        country,
        quantity,
        unit_price,
        line_amount,
        event_at,
        claimed_at,
        available_at,
        {{ broken_rules(
            structure={
                'malformed_row': 'malformed_reason is not null',
                'schema_changed': 'schema_conflict is not null',
            },
            content={
                'missing_invoice_no': 'order_id is null',
                'missing_stock_code': 'product_id is null',
                'invalid_quantity': 'quantity is null',
                'invalid_unit_price': 'unit_price is null',
                'amount_out_of_range': 'quantity is not null and unit_price is not null and line_amount is null',
                'invalid_invoice_date': 'written_at is null',
                'invoice_date_out_of_range': 'written_at is not null and claimed_at is null',
            },
            contract='contract_rule_ids'
        ) }} as rule_ids,
        {{ as_landed() }}
    from timed
    where {{ known_as_of() }}

)

{{ shielded_rows('final') }}
