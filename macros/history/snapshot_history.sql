{% macro snapshot_history(relation, entity_keys, columns) -%}
    {%- set keys = entity_keys | join(', ') -%}
with versions as (

    select
        {{ keys }},
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        dbt_valid_from,
        coalesce(dbt_valid_to, {{ assay.end_of_time() }}) as dbt_valid_to
    from {{ relation }}
    -- Replayed history can leave versions that end before they begin: they never held.
    where dbt_valid_from < coalesce(dbt_valid_to, {{ assay.end_of_time() }})

),

changes as (

    select
        {{ keys }},
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        dbt_valid_from as _changed_at,
        false as _has_ended
    from versions

    union all

    -- A version that no other follows at once was deleted.
    select
        {{ keys }},
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        dbt_valid_to as _changed_at,
        true as _has_ended
    from versions
    where
        dbt_valid_to < {{ assay.end_of_time() }}
        and ({{ keys }}, dbt_valid_to) not in (select ({{ keys }}, dbt_valid_from) from versions)

),

final as (

    {{ assay.change_history('changes', entity_keys, '_changed_at', columns, is_deleted='_has_ended') }}

)

select * from final
{%- endmacro %}
