{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook=after_commit("{{ assay.flag_duplicates(
        this, ref('brz_crm__accounts'), assay.content_hash('crm', 'accounts'), ['change_hash'], 'repeated_change'
    ) }}")
) }}

with landed as (

    {{ debezium_rows(ref('brz_crm__accounts'), ['account_id', 'tier', 'seat_limit']) }}

),

timed as (

    {{ with_times('landed', 'crm', 'accounts', received_at='received_at') }}

),

final as (

    select
        {{ filled('attributes.account_id') }} as account_id,
        op,
        is_deleted,
        is_snapshot,
        {{ filled('attributes.tier') }} as tier,
        {{ strict_number('attributes.seat_limit', 'integer') }} as seat_limit,
        unavailable_attributes,
        log_name,
        log_position,
        change_hash,
        event_at,
        claimed_at,
        available_at,
        claimed_available_at,
        {{ debezium_rules(filled('attributes.account_id'), {}) }} as rule_ids,
        {{ as_landed() }}
    from timed
    where {{ known_as_of() }}

)

{{ shielded_rows('final') }}
