{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook=after_commit("{{ assay.flag_duplicates(
        this, ref('brz_crm__customers'), assay.content_hash('crm', 'customers'),
        ['change_hash'], 'repeated_change'
    ) }}")
) }}

with landed as (

    {{ debezium_rows(ref('brz_crm__customers'), [
        'customer_id', 'email', 'full_name', 'segment', 'country', 'city', 'marketing_opt_in', 'created_at'
    ]) }}

),

timed as (

    {{ with_times('landed', 'crm', 'customers', received_at='received_at') }}

),

final as (

    select
        {{ filled('attributes.customer_id') }} as customer_id,
        op,
        is_deleted,
        is_snapshot,
        {{ filled('attributes.email') }} as email,
        {{ filled('attributes.full_name') }} as full_name,
        {{ filled('attributes.segment') }} as segment,
        {{ filled('attributes.country') }} as country,
        {{ filled('attributes.city') }} as city,
        try_cast(attributes.marketing_opt_in as boolean) as is_marketing_allowed,
        {{ utc_timestamp('attributes.created_at') }} as registered_at,
        unavailable_attributes,
        log_name,
        log_position,
        change_hash,
        event_at,
        claimed_at,
        available_at,
        claimed_available_at,
        {{ debezium_rules(
            filled('attributes.customer_id'),
            {
                'invalid_marketing_opt_in': 'attributes.marketing_opt_in is not null'
                    ~ ' and try_cast(attributes.marketing_opt_in as boolean) is null',
                'invalid_created_at': 'attributes.created_at is not null and '
                    ~ 'not coalesce(isfinite(' ~ utc_timestamp('attributes.created_at') ~ '), false)',
            }
        ) }} as rule_ids,
        {{ as_landed() }}
    from timed
    where {{ known_as_of() }}

)

{{ shielded_rows('final') }}
