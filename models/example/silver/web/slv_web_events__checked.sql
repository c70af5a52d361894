{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook=after_commit("{{ assay.flag_duplicates(
        this, ref('brz_web__events'), assay.content_hash('web', 'events'),
        ['message_id'], 'duplicate_message'
    ) }}")
) }}

with landed as (

    {{ rows_to_check(ref('brz_web__events'), documents=true) }}

),

event_types as (

    select * from {{ ref('web_event_types') }}

),

parsed as (

    select
        * exclude (content_hash),
        json_valid(line) as is_json,
        -- TRY would read row by row wherever one line in two thousand is malformed.
        case when json_valid(line) then json_transform(line, '{
            "messageId": "VARCHAR", "userId": "VARCHAR", "anonymousId": "VARCHAR", "event": "VARCHAR",
            "timestamp": "VARCHAR", "receivedAt": "VARCHAR",
            "properties": {
                "product_id": "VARCHAR", "category": "VARCHAR", "price": "VARCHAR", "quantity": "VARCHAR",
                "order_id": "VARCHAR", "total": "VARCHAR", "query": "VARCHAR"
            }
        }') end as document
    from landed

),

typed as (

    select
        *,
        {{ filled('document.messageId') }} as message_id,
        {{ filled('document.userId') }} as customer_id,
        {{ filled('document.anonymousId') }} as anonymous_id,
        {{ strict_number('document.properties.price', 'decimal(18, 2)') }} as price,
        {{ strict_number('document.properties.quantity', 'integer') }} as quantity,
        {{ strict_number('document.properties.total', 'decimal(18, 2)') }} as order_amount,
        {{ utc_timestamp('document."timestamp"') }} as written_at,
        {{ utc_timestamp('document.receivedAt') }} as received_at
    from parsed

),

timed as (

    {{ with_times('typed', 'web', 'events', received_at='received_at') }}

),

final as (

    select
        timed.message_id,
        timed.customer_id,
        timed.anonymous_id,
        timed.document.event as event_name,
        event_types.event_type,
        {{ filled('timed.document.properties.product_id') }} as product_id,
        {{ filled('timed.document.properties.category') }} as category,
        timed.price,
        timed.quantity,
        {{ filled('timed.document.properties.order_id') }} as order_id,
        timed.order_amount,
        {{ filled('timed.document.properties.query') }} as search_query,
        timed.event_at,
        timed.claimed_at,
        timed.available_at,
        timed.claimed_available_at,
        {{ broken_rules(
            structure={
                'malformed_row': 'timed.malformed_reason is not null',
                'schema_changed': 'timed.schema_conflict is not null',
                'malformed_json': 'not timed.is_json',
                'not_an_object': "timed.message_id is null and left(ltrim(timed.line), 1) <> '{'",
            },
            content={
                'missing_message_id': 'timed.message_id is null',
                'missing_identity': 'timed.customer_id is null and timed.anonymous_id is null',
                'unknown_event': 'event_types.event_type is null',
                'invalid_timestamp': 'timed.written_at is null',
                'timestamp_out_of_range': 'timed.written_at is not null and timed.claimed_at is null',
                'invalid_received_at': 'not coalesce(' ~ within_event_range('timed.received_at') ~ ', false)',
                'invalid_price': 'timed.document.properties.price is not null and timed.price is null',
                'invalid_quantity': 'timed.document.properties.quantity is not null and timed.quantity is null',
                'invalid_order_amount': 'timed.document.properties.total is not null and timed.order_amount is null',
            },
            contract='timed.contract_rule_ids'
        ) }} as rule_ids,
        timed.file_id,
        timed.row_number,
        timed.source_file,
        timed.file_version,
        timed.landed_at,
        timed.loaded_at,
        timed.run_id
    from timed
    left join event_types on timed.document.event = event_types.event_name
    where {{ known_as_of('timed.available_at') }}

)

{{ shielded_rows('final') }}
