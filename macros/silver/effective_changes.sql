{% macro effective_changes(checked, key, attributes={}) -%}
    {%- set key = assay.quoted(key) -%}
    {%- set arrived = 'order by available_at range between unbounded preceding and current row' -%}
with checked as (

    select * from {{ checked }}

),

kept as (

    select
        * exclude (file_id, rule_ids),
        -- No clock that runs ahead puts a change behind those that come after it.
        least(claimed_at, claimed_available_at, landed_at) as committed_at
    from checked
    where rule_ids is null

),

{{ assay._changes_with_ends(key) }}
{{ assay._judged_changes(key, arrived) }}
{{ assay._completed_changes(key, arrived, attributes) }}
endings as (

    select
        source_file,
        file_version,
        row_number,
        list({{ key }} order by {{ key }}) as ended_keys
    from completed
    where is_end and is_known and not is_superseded
    group by all

),

final as (

    select * exclude (is_end, place_in_log, ordered_at, is_overtaken, is_known, committed_at)
    from completed
    where not is_end

    union all by name

    select
        kept.* exclude (committed_at) replace (null as {{ key }}),
        false as is_superseded,
        endings.ended_keys
    from kept
    left join endings using (source_file, file_version, row_number)
    where kept.op = 't'

)

select * from final
{%- endmacro %}


{#- Changes, and where a table is emptied an end of each entity. -#}
{% macro _changes_with_ends(key) -%}
entities as (

    select distinct {{ key }} as entity
    from kept
    where {{ key }} is not null

),

-- Where a table is emptied, each entity ends.
changes as (

    select
        *,
        false as is_end
    from kept
    where op is distinct from 't'

    union all by name

    select
        kept.* replace (entities.entity as {{ key }}),
        true as is_end
    from kept
    cross join entities
    where kept.op = 't'

),
{%- endmacro %}


{#- Where each change stands among those of its row, and whether it ever was the known state. -#}
{% macro _judged_changes(key, arrived) -%}
    {%- set last_first = 'ordered_at desc, place_in_log desc, source_file desc, file_version desc, row_number desc' -%}
-- The log's own position orders its changes. Logs are ordered among themselves, and changes without a position, by
-- clocks; a log's changes are as late as the latest before them.
placed as (

    select
        *,
        case when log_name is null then coalesce(log_position, []) else [] end as place_in_log,
        case when log_name is null then committed_at else max(committed_at) over of_log end as ordered_at,
        coalesce(log_name is not null and log_position < max(log_position) over of_log, false) as is_overtaken,
        count(*) filter (where not is_end) over (partition by {{ key }} {{ arrived }}) > 0 as is_known
    from changes
    window of_log as (partition by {{ key }}, log_name {{ arrived }})

),

-- A change that arrives after a later one of the same row tells nothing new: it never was the known state.
-- Of changes that arrive together, the last alone ever was.
judged as (

    select
        *,
        coalesce(
            is_overtaken
            or row(ordered_at, place_in_log) < max(row(ordered_at, place_in_log)) filter (where not is_overtaken) over (
                partition by {{ key }} {{ arrived }}
            )
            or row_number() over (
                partition by {{ key }}, available_at order by is_overtaken, {{ last_first }}
            ) > 1,
            false
        ) as is_superseded
    from placed

),
{%- endmacro %}


{#- Changes with the values that the log did not repeat. -#}
{% macro _completed_changes(key, arrived, attributes) -%}
{% if attributes %}
-- What the log did not repeat is as it last was.
incomplete as (

    select distinct {{ key }}
    from judged
    where unavailable_attributes is not null

),

completed as (

    select
        * replace (
            {%- for name, attribute in attributes.items() %}
            {%- set column = assay.quoted(name) %}
            case
                when list_contains(unavailable_attributes, '{{ attribute }}') then (
                    arg_max(struct_pack(value := {{ column }}), row(ordered_at, coalesce(log_position, []))) filter (
                        where list_contains(unavailable_attributes, '{{ attribute }}') is not true
                    ) over (partition by {{ key }} {{ arrived }})
                ).value
                else {{ column }}
            end as {{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
    from judged
    semi join incomplete on judged.{{ key }} = incomplete.{{ key }}

    union all by name

    select *
    from judged
    anti join incomplete on judged.{{ key }} = incomplete.{{ key }}

),
{% else %}
completed as (

    select * from judged

),
{% endif %}
{%- endmacro %}
