{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook="{{ assay.flag_duplicates(
        this, ref('brz_catalog__price_list'), ['file_id', 'product_id'], 'duplicate_price'
    ) }}"
) }}

with landed as (

    {{ rows_to_check(ref('brz_catalog__price_list')) }}

),

typed as (

    select
        *,
        nullif(trim(landed.product_id), '') as listed_product_id,
        {{ strict_number('landed.unit_price', 'decimal(18, 4)') }} as list_price,
        nullif(trim(landed.currency), '') as currency_code,
        {{ utc_timestamp('exported_at') }} as written_at
    from landed

),

timed as (

    select
        *,
        case when {{ within_event_range('written_at') }} then written_at end as claimed_at,
        {{ available_at('catalog', 'price_list', event_at='written_at') }} as available_at
    from typed

),

final as (

    select
        listed_product_id as product_id,
        list_price as unit_price,
        currency_code as currency,
        {{ event_before_available('claimed_at', 'available_at') }} as event_at,
        claimed_at,
        available_at,
        {{ broken_rules(
            structure={'malformed_row': 'malformed_reason is not null'},
            content={
                'missing_product_id': 'listed_product_id is null',
                'invalid_unit_price': 'list_price is null',
                'invalid_currency': "not coalesce(regexp_full_match(currency_code, '[A-Z]{3}'), false)",
                'invalid_exported_at': 'claimed_at is null',
            }
        ) }} as rule_ids,
        {{ as_landed() }}
    from timed
    where {{ known_as_of() }}

)

select * from final
