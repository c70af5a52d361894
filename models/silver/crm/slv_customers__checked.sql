{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook="{{ assay.flag_duplicates(
        this, ref('brz_crm__customers'), ['customer_id', 'log_position', 'op'], 'repeated_change'
    ) }}"
) }}

with landed as (

    {{ debezium_rows(ref('brz_crm__customers'), [
        'customer_id', 'email', 'full_name', 'segment', 'country', 'city', 'marketing_opt_in', 'created_at'
    ]) }}

),

timed as (

    select
        *,
        case when {{ within_event_range('written_at') }} then written_at end as claimed_at,
        {{ available_at(
            'crm', 'customers', event_at='written_at',
            written_at='case when ' ~ within_event_range('received_at') ~ ' then received_at end'
        ) }} as available_at
    from landed

),

final as (

    select
        nullif(trim(attributes.customer_id), '') as customer_id,
        op,
        is_deleted,
        is_snapshot,
        attributes.email,
        attributes.full_name,
        attributes.segment,
        attributes.country,
        attributes.city,
        try_cast(attributes.marketing_opt_in as boolean) as is_marketing_allowed,
        {{ utc_timestamp('attributes.created_at') }} as registered_at,
        log_position,
        {{ event_before_available('claimed_at', 'available_at') }} as event_at,
        claimed_at,
        available_at,
        {{ debezium_rules("nullif(trim(attributes.customer_id), '')") }} as rule_ids,
        {{ as_landed() }}
    from timed
    where {{ known_as_of() }}

)

select * from final
