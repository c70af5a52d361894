{% macro online_rows(view) -%}
    {%- do ref(view) -%}
    {%- if execute -%}
        {{ assay._online_rows(assay.feature_view(view), ref(view)) }}
    {%- endif -%}
{%- endmacro %}


{#- `version` is of all that an entity has shown since something last arrived, however much of it has passed by now: it
    changes when something new is known, and not by the clock. -#}
{% macro _online_rows(view, relation) -%}
    {%- set keys = assay.quoted(view.entity_keys) -%}
    {%- set columns = assay._online_columns(view) -%}
    {%- do assay._refuse_names_online(view.name, view.entity_keys + columns) -%}
    {%- set arrived_at = 'coalesce(list_last(confirmed_at), updated_at)' if view.confirmed_at else 'updated_at' -%}
with history as (

    select
        {{ assay.quoted(view.entity_keys + columns) }},
        {{ assay.as_utc('valid_from') }} as valid_from,
        {{ assay.as_utc('valid_to') }} as valid_to,
        {{ assay.as_utc(arrived_at) }} as updated_at
    from {{ relation }}

),

arrivals as (

    select
        {{ keys }},
        max(updated_at) as arrived_at
    from history
    group by {{ keys }}

),

stretches as (

    select history.*
    from history
    inner join arrivals
        on history.valid_to > arrivals.arrived_at{{ assay._same_entity(view.entity_keys, 'history', 'arrivals') }}

),

versions as (

    select
        {{ keys }},
        -- Signed, and so in every store's integers.
        (bit_xor(hash(stretches)) >> 1)::bigint as version
    from stretches
    group by {{ keys }}

),

final as (

    select
        stretches.*,
        versions.version
    from stretches
    inner join versions
        on true{{ assay._same_entity(view.entity_keys, 'stretches', 'versions') }}
    where stretches.valid_to > (select max(arrived_at) from arrivals)

)

select * from final
{%- endmacro %}


{#- Refuse names that the query has a use of its own for. -#}
{% macro _refuse_names_online(view, columns) -%}
    {%- set names = [] -%}
    {%- for name in ['valid_from', 'valid_to', 'updated_at', 'version', 'arrived_at', 'stretches'] -%}
        {%- do names.append((name, 'column of online rows themselves')) -%}
    {%- endfor -%}
    {%- for name in columns -%}
        {%- do names.append((name, 'column ' ~ name ~ ' of ' ~ view)) -%}
    {%- endfor -%}
    {%- do assay._refuse_doubles(names) -%}
{%- endmacro %}


{#- What a view puts online: all columns but those tagged pii, unless it says that they may. -#}
{% macro _online_columns(view) -%}
    {%- if not view.online -%}
        {%- do assay._refuse(view.name ~ ' is not online: declare online: true in its feature_view') -%}
    {%- endif -%}
    {%- if view.online_pii -%}
        {{ return(view.columns) }}
    {%- endif -%}
    {%- for derived in view.derived -%}
        {%- for column in assay._mentioned(view.pii, derived.expression) -%}
            {%- do assay._refuse('the derived feature ' ~ derived.name ~ ' of ' ~ view.name ~ ' uses ' ~ column
                ~ ', which is tagged pii and so not online: declare online_pii: true in the feature_view, or leave it out') -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(view.columns | reject('in', view.pii) | list) }}
{%- endmacro %}
