{% macro change_history(relation, entity_keys, available_at, columns, is_deleted=none, change_order=none) -%}
    {%- do assay._check_names(entity_keys, columns) -%}
    {%- set change_order = assay._sql(change_order) if change_order -%}
    {%- set rows = {
        'relation': relation | string, 'entity_keys': entity_keys, 'available_at': assay.as_utc(available_at),
        'columns': columns, 'is_deleted': '(' ~ assay._sql(is_deleted) ~ ') is true' if is_deleted else 'false',
        'change_order': change_order, 'where': none,
    } -%}
    {%- set expressions = [rows.is_deleted, assay.quoted(columns)] + ([change_order] if change_order else []) -%}
    {%- do assay._register_history(assay._change_rows, rows, expressions, columns | length, reach="interval '0 days'") -%}
    {{ assay._change_rows(**rows) }}
{%- endmacro %}


{% macro _change_rows(relation, entity_keys, available_at, columns, is_deleted, change_order, where, increment=none, since=none) -%}
    {%- set keys = assay.quoted(entity_keys) -%}
with changes as (

    select
        {{ keys }},
        {{ assay._with_end(available_at, 'available_at', relation) }} as _at,
        {%- if change_order %}
        ({{ change_order }}) is not null as _has_order,
        {{ change_order }} as _order,
        {%- endif %}
        {{ is_deleted }} as _is_deleted,
        -- What a deleted entity last looked like is no part of its state. CASE takes no ARRAY before DuckDB 2.0.
        list_extract([struct_pack(
            {%- for column in columns %}{{ assay.quoted(column) }} := {{ assay.quoted(column) }}{{ ', ' if not loop.last }}{% endfor -%}
        )], case when not ({{ is_deleted }}) then 1 end) as _state
    {{ assay._from_events(relation, entity_keys, where, increment, available_at ~ ' >= {cut}') }}

),
{% if increment %}
{{ assay._seeds(entity_keys, increment) }}
{% endif %}
-- Of changes at one instant the last in their order stands, else the greatest; a deletion is greater than any.
instants as (

    select
        {{ keys }},
        _at,
        max(struct_pack({{ '_has_order, _order, ' if change_order }}_is_deleted, _state)) as _last
    from changes
    group by {{ keys }}, _at

),

{{ 'computed' if increment else 'states' }} as (

    select
        {{ keys }},
        _at,
        _at as _updated_at,
        _last._is_deleted
        {%- for column in columns %},
        _last._state.{{ assay.quoted(column) }} as {{ assay.quoted(column) }}
        {%- endfor %}
    from instants

),
{% if increment %}
{{ assay._states_since(entity_keys, columns, increment, '_is_deleted') }}
{% endif %}
final as (

    {{ assay.history_of_states('states', entity_keys, columns, '_is_deleted', since) }}

)

select * from final
{%- endmacro %}
