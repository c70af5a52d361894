{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook=after_commit("{{ assay.flag_duplicates(
        this, ref('brz_billing__invoices'), assay.content_hash('billing', 'invoices'), ['invoice_id'], 'repeated_invoice'
    ) }}")
) }}

with landed as (

    {{ rows_to_check(ref('brz_billing__invoices')) }}

),

typed as (

    select
        {{ as_landed() }},
        content_hash,
        malformed_reason,
        schema_conflict,
        contract_rule_ids,
        {{ filled('invoice_id') }} as invoice_id,
        {{ filled('account_id') }} as account_id,
        {{ strict_number('seats', 'integer') }} as seats,
        {{ strict_number('total', 'decimal(18, 2)') }} as total,
        {{ utc_timestamp('issued_at') }} as written_at
    from landed

),

timed as (

    {{ with_times('typed', 'billing', 'invoices') }}

),

final as (

    select
        invoice_id,
        account_id,
        seats,
        total,
        event_at,
        claimed_at,
        available_at,
        {{ broken_rules(
            structure={
                'malformed_row': 'malformed_reason is not null',
                'schema_changed': 'schema_conflict is not null',
            },
            content={
                'missing_invoice_id': 'invoice_id is null',
                'missing_account_id': 'account_id is null',
                'invalid_total': 'total is null',
                'invalid_issued_at': 'claimed_at is null',
            },
            contract='contract_rule_ids'
        ) }} as rule_ids,
        {{ as_landed() }}
    from timed
    where {{ known_as_of() }}

)

{{ shielded_rows('final') }}
