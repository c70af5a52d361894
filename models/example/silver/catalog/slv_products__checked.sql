{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook=after_commit("{{ assay.flag_duplicates(
        this, ref('brz_catalog__products'), assay.content_hash('catalog', 'products'),
        ['change_hash'], 'repeated_change'
    ) }}")
) }}

with landed as (

    {{ debezium_rows(ref('brz_catalog__products'), [
        'product_id', 'product_name', 'category', 'brand', 'unit_cost', 'is_active', 'created_at'
    ]) }}

),

timed as (

    {{ with_times('landed', 'catalog', 'products', received_at='received_at') }}

),

final as (

    select
        {{ filled('attributes.product_id') }} as product_id,
        op,
        is_deleted,
        is_snapshot,
        {{ filled('attributes.product_name') }} as product_name,
        {{ filled('attributes.category') }} as category,
        {{ filled('attributes.brand') }} as brand,
        {{ strict_number('attributes.unit_cost', 'decimal(18, 4)') }} as unit_cost,
        try_cast(attributes.is_active as boolean) as is_active,
        {{ utc_timestamp('attributes.created_at') }} as introduced_at,
        unavailable_attributes,
        log_name,
        log_position,
        change_hash,
        event_at,
        claimed_at,
        available_at,
        claimed_available_at,
        {{ debezium_rules(
            filled('attributes.product_id'),
            {
                'invalid_unit_cost': 'attributes.unit_cost is not null and '
                    ~ strict_number('attributes.unit_cost', 'decimal(18, 4)') ~ ' is null',
                'negative_unit_cost': strict_number('attributes.unit_cost', 'decimal(18, 4)') ~ ' < 0',
                'invalid_is_active': 'attributes.is_active is not null'
                    ~ ' and try_cast(attributes.is_active as boolean) is null',
                'invalid_created_at': 'attributes.created_at is not null and '
                    ~ 'not coalesce(isfinite(' ~ utc_timestamp('attributes.created_at') ~ '), false)',
            }
        ) }} as rule_ids,
        {{ as_landed() }}
    from timed
    where {{ known_as_of() }}

)

{{ shielded_rows('final') }}
