{% macro stream_hours(streams, segments) -%}
    {%- if not streams -%}
        {{ return(assay.no_rows()) }}
    {%- endif -%}
{{ assay._messages_of_streams(streams, segments) }}

hours as (

    select
        source_table,
        topic,
        partition,
        any_value(idle_after) as idle_after,
        date_trunc('hour', landed_at) as landed_hour,
        count(*) as message_count,
        count(*) filter (where is_rejected) as rejected_count,
        count(*) filter (where event_at < watermark_before) as late_count,
        quantile_cont(epoch(landed_at - event_at), 0.5) as lateness_p50_seconds,
        quantile_cont(epoch(landed_at - event_at), 0.99) as lateness_p99_seconds,
        max(epoch(landed_at - event_at)) as lateness_max_seconds,
        max(event_at) as last_event_at,
        max(landed_at) as last_landed_at
    from ordered
    group by source_table, topic, partition, landed_hour

),

marked as (

    select
        *,
        max(last_event_at) over (
            partition by source_table, topic, partition order by landed_hour
        ) as watermark
    from hours

),

{{ assay._offsets_of_streams(segments) }}

{{ assay._watermarks_of_streams() }}

final as (

    select
        marked.* exclude (idle_after, last_event_at, last_landed_at),
        complete.source_watermark,
        offsets.first_offset,
        offsets.last_offset,
        offsets.gap_count
    from marked
    inner join complete using (source_table, topic, landed_hour)
    left join offsets using (source_table, topic, partition, landed_hour)

)

select * from final
{%- endmacro %}


{#- The messages of all streams, each with the latest event that its partition had told of before it. -#}
{% macro _messages_of_streams(streams, segments) -%}
with received as (
    {% for source_table, stream in streams.items() %}
    select
        segments.source_table,
        segments.topic,
        segments.partition,
        segments.first_offset,
        checked.row_number,
        {{ assay.as_utc('checked.landed_at') }} as landed_at,
        {{ assay.as_utc('checked.event_at') }} as event_at,
        checked.rule_ids is not null as is_rejected,
        {{ assay._window_lengths([stream.idle_after])[stream.idle_after] }} as idle_after
    from {{ stream.relation }} as checked
    inner join {{ segments }} as segments on checked.file_id = segments.file_id
    {{- '\n\n    union all\n' if not loop.last }}
    {% endfor %}
),

ordered as (

    select
        *,
        max(event_at) over (
            partition by source_table, topic, partition
            order by first_offset, row_number
            rows between unbounded preceding and 1 preceding
        ) as watermark_before
    from received

),
{%- endmacro %}


{#- Which offsets the segments of an hour hold, and how many lack before them. -#}
{% macro _offsets_of_streams(segments) -%}
begun as (

    select
        source_table,
        topic,
        partition,
        first_offset,
        min(landed_at) as landed_at
    from ordered
    group by all

),

bounded as (

    select
        *,
        first_offset - 1 - max(last_offset) over (
            partition by source_table, topic, partition
            order by first_offset
            rows between unbounded preceding and 1 preceding
        ) as gap
    from {{ segments }}

),

-- An hour may have messages of a segment alone that began in the hour before.
offsets as (

    select
        begun.source_table,
        begun.topic,
        begun.partition,
        date_trunc('hour', begun.landed_at) as landed_hour,
        min(bounded.first_offset) as first_offset,
        max(bounded.last_offset) as last_offset,
        sum(coalesce(bounded.gap, 0))::bigint as gap_count
    from begun
    inner join bounded
        on
            begun.source_table = bounded.source_table
            and begun.topic = bounded.topic
            and begun.partition = bounded.partition
            and begun.first_offset = bounded.first_offset
    group by all

),
{%- endmacro %}


{#- How far each stream is complete by each hour. -#}
{% macro _watermarks_of_streams() -%}
-- How far the other partitions were by each hour: one that has been silent for long does not count.
complete as (

    select
        asked.source_table,
        asked.topic,
        asked.landed_hour,
        min(others.watermark) as source_watermark
    from (select distinct source_table, topic, landed_hour from marked) as asked
    inner join (
        select
            *,
            lead(landed_hour) over (partition by source_table, topic, partition order by landed_hour) as next_hour
        from marked
    ) as others
        on
            asked.source_table = others.source_table
            and asked.topic = others.topic
            and asked.landed_hour >= others.landed_hour
            and (others.next_hour is null or asked.landed_hour < others.next_hour)
            and others.last_landed_at + others.idle_after >= asked.landed_hour
    group by all

),
{%- endmacro %}
