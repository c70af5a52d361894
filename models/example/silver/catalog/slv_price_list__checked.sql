{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook=after_commit("{{ assay.flag_duplicates(
        this, ref('brz_catalog__price_list'), assay.content_hash('catalog', 'price_list'),
        ['file_id', 'product_id'], 'duplicate_price'
    ) }}")
) }}

with landed as (

    {{ rows_to_check(ref('brz_catalog__price_list')) }}

),

typed as (

    select
        {{ as_landed() }},
        malformed_reason,
        schema_conflict,
        contract_rule_ids,
        {{ filled('product_id') }} as product_id,
        {{ strict_number('unit_price', 'decimal(18, 4)') }} as unit_price,
        {{ filled('currency') }} as currency,
        {{ utc_timestamp('exported_at') }} as written_at
    from landed

),

timed as (

    {{ with_times('typed', 'catalog', 'price_list') }}

),

final as (

    select
        product_id,
        unit_price,
        currency,
        event_at,
        claimed_at,
        available_at,
        {{ broken_rules(
            structure={
                'malformed_row': 'malformed_reason is not null',
                'schema_changed': 'schema_conflict is not null',
            },
            content={
                'missing_product_id': 'product_id is null',
                'invalid_unit_price': 'unit_price is null',
                'negative_unit_price': 'unit_price < 0',
                'invalid_currency': "not coalesce(regexp_full_match(currency, '[A-Z]{3}'), false)",
                'invalid_exported_at': 'claimed_at is null',
            },
            contract='contract_rule_ids'
        ) }} as rule_ids,
        {{ as_landed() }}
    from timed
    where {{ known_as_of() }}

)

{{ shielded_rows('final') }}
