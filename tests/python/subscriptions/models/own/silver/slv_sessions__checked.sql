{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook=after_commit("{{ assay.flag_duplicates(
        this, ref('brz_app__sessions'), assay.content_hash('app', 'sessions'), ['session_id'], 'repeated_session'
    ) }}")
) }}

with landed as (

    {{ rows_to_check(ref('brz_app__sessions'), documents=true) }}

),

parsed as (

    select
        *,
        json_valid(line) as is_json,
        case when json_valid(line) then json_transform(line, '{
            "id": "VARCHAR", "account": "VARCHAR", "device": "VARCHAR", "minutes": "VARCHAR", "began_at": "VARCHAR",
            "sent_at": "VARCHAR"
        }') end as document
    from landed

),

typed as (

    select
        *,
        {{ filled('document.id') }} as session_id,
        {{ strict_number('document.minutes', 'integer') }} as minutes,
        {{ utc_timestamp('document.began_at') }} as written_at,
        {{ utc_timestamp('document.sent_at') }} as received_at
    from parsed

),

timed as (

    {{ with_times('typed', 'app', 'sessions', received_at='received_at') }}

),

final as (

    select
        session_id,
        {{ filled('document.account') }} as account_id,
        {{ filled('document.device') }} as device,
        minutes,
        event_at,
        claimed_at,
        available_at,
        claimed_available_at,
        {{ broken_rules(
            structure={
                'malformed_row': 'malformed_reason is not null',
                'schema_changed': 'schema_conflict is not null',
                'malformed_json': 'not is_json',
            },
            content={
                'missing_session_id': 'session_id is null',
                'invalid_minutes': 'minutes is null',
                'invalid_began_at': 'claimed_at is null',
            },
            contract='contract_rule_ids'
        ) }} as rule_ids,
        {{ as_landed() }}
    from timed
    where {{ known_as_of() }}

)

{{ shielded_rows('final') }}
