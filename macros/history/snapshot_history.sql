{#- One call of `change_history`, so that it can be materialized as a history. -#}
{% macro snapshot_history(relation, entity_keys, columns) -%}
    {{ assay.change_history(
        assay._changes_of_versions(relation, entity_keys, columns), entity_keys, '_changed_at', columns, is_deleted='_has_ended'
    ) }}
{%- endmacro %}


{% macro _changes_of_versions(relation, entity_keys, columns) -%}
    {%- set names = assay.quoted(entity_keys + columns) -%}
(
    with versions as (

        select
            {{ names }},
            {{ assay.as_utc('dbt_valid_from') }} as _begins_at,
            {{ assay.as_utc('dbt_valid_to') }} as _ends_at,
            lower(dbt_is_deleted) is not distinct from 'true' as _is_deletion
        from (
            select * from {{ relation }}

            -- The column is there where `hard_deletes` is `new_record`.
            union all by name

            select null::varchar as dbt_is_deleted where false
        ) as rows

    ),

    -- Replayed history can leave versions that end before they begin: they never held.
    held as (

        select
            *,
            lead(_begins_at) over (partition by {{ assay.quoted(entity_keys) }} order by _begins_at, _ends_at) as _next_at
        from versions
        where (_begins_at >= _ends_at) is not true

    )

    select {{ names }}, _begins_at as _changed_at, _is_deletion as _has_ended
    from held

    union all

    -- A version that no other follows at once was deleted. The end of time is midnight in UTC, or in whatever zone.
    select {{ names }}, _ends_at, true
    from held
    where _ends_at < least(coalesce(_next_at, 'infinity'), {{ assay.end_of_time() }} - interval '1 day')
)
{%- endmacro %}
