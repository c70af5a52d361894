{% macro served_rows(asked, views, checked) -%}
    {%- set found = [] -%}
    {%- for view, relation in views.items() -%}
        {%- set node = assay._node_named(view) -%}
        {%- for name in checked if assay._node_named(name).unique_id in assay._upstream_of(node) -%}
            {%- do found.append(assay._rows_of_view(asked, node, name, checked)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for query in found %}
    {{ 'union all' if not loop.first }}
    {{ query }}
    {%- else %}
    select
        null::varchar as prediction_id,
        null::varchar as feature_view,
        null::varchar as entity_keys,
        null::timestamp as as_of,
        null::varchar as silver_table,
        null::varchar as linked_by,
        null::varchar as source_file,
        null::integer as file_version,
        null::bigint as row_number
    where false
    {%- endfor %}
{%- endmacro %}


{#- The rows of one table that may be in what a view served. -#}
{% macro _rows_of_view(asked, view, name, checked) -%}
    {%- set table = assay._node_named(name) -%}
    {%- set keys = assay._keys_in(view, table) -%}
    {%- set ways = [] -%}
    {%- if keys -%}
        {%- do ways.append(assay._rows_by_keys(asked, view, name, checked[name], keys)) -%}
    {%- else -%}
        {%- for other in checked if assay._node_named(other).unique_id in assay._upstream_of(view) and assay._keys_in(view, assay._node_named(other)) -%}
            {%- for column in assay._ids_of_both(table, assay._node_named(other)) -%}
                {%- do ways.append(assay._rows_by_another(asked, view, name, checked[name], column, checked[other], assay._keys_in(view, assay._node_named(other)))) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if not ways or assay._is_mixed(view, table) -%}
        {%- do ways.append(assay._any_row(asked, view, name)) -%}
    {%- endif -%}
    {{ return(ways | join('\n    union all\n    ')) }}
{%- endmacro %}


{% macro _rows_by_keys(asked, view, name, relation, keys) -%}
    select
        {{ assay._link(view, name, keys | join(', ')) }},
        landed.source_file,
        landed.file_version,
        landed.row_number
    from {{ asked }} as asked
    inner join {{ relation }} as landed on {{ assay._was_there('landed') }}{{ assay._asked_for(keys, 'landed') }}
    where asked.feature_view = {{ assay._text(view.name) }}
{%- endmacro %}


{#- Of a table that does not name the entity, such as one of products: through one that names both. -#}
{% macro _rows_by_another(asked, view, name, relation, column, through, keys) -%}
    select
        {{ assay._link(view, name, column) }},
        landed.source_file,
        landed.file_version,
        landed.row_number
    from {{ asked }} as asked
    inner join {{ through }} as through on {{ assay._was_there('through') }}{{ assay._asked_for(keys, 'through') }}
    inner join {{ relation }} as landed
        on {{ assay._was_there('landed') }} and {{ assay.quoted(column, 'landed') }}::varchar = {{ assay.quoted(column, 'through') }}::varchar
    where asked.feature_view = {{ assay._text(view.name) }}
{%- endmacro %}


{% macro _any_row(asked, view, name) -%}
    select
        {{ assay._link(view, name, none) }},
        null::varchar as source_file,
        null::integer as file_version,
        null::bigint as row_number
    from {{ asked }} as asked
    where asked.feature_view = {{ assay._text(view.name) }}
{%- endmacro %}


{% macro _link(view, name, linked_by) -%}
        asked.prediction_id,
        asked.feature_view,
        asked.entity_keys,
        asked.as_of,
        {{ assay._text(name) }} as silver_table,
        {{ assay._text(linked_by) if linked_by else 'null::varchar' }} as linked_by
{%- endmacro %}


{#- What landed after the prediction, by a backfill for one, counts as known before and was not there all the same. -#}
{% macro _was_there(table) -%}
    {{ table }}.rule_ids is null and {{ table }}.available_at <= asked.as_of and {{ table }}.landed_at <= asked.received_at
{%- endmacro %}


{#- Continues a join's condition. -#}
{% macro _asked_for(keys, table) -%}
    {%- for key in keys %} and {{ assay.quoted(key, table) }}::varchar = {{ assay._key_asked(key) }}{% endfor -%}
{%- endmacro %}


{% macro _key_asked(key) -%}
    {{ return('json_extract_string(asked.entity_keys, ' ~ assay._text('/' ~ key | replace('~', '~0') | replace('/', '~1')) ~ ')') }}
{%- endmacro %}


{#- The keys of a view by which the rows of a table are found: ids, where there are any. Beside one, a key such as a category may
    say of what there is a row, while rows of others enter it too. -#}
{% macro _keys_in(view, table) -%}
    {%- set types = assay._types_as_built(table) -%}
    {%- set found = [] -%}
    {%- for key in view.config.meta.feature_view['keys'] if assay._folded(key) in types -%}
        {%- do found.append(key) -%}
    {%- endfor -%}
    {%- set ids = [] -%}
    {%- for key in found if assay._folded(key).endswith('_id') -%}
        {%- do ids.append(key) -%}
    {%- endfor -%}
    {{ return(ids or found) }}
{%- endmacro %}


{% macro _ids_of_both(table, other) -%}
    {%- set types = assay._types_as_built(other) -%}
    {%- set found = [] -%}
    {%- for column in assay._types_as_built(table) if column.endswith('_id') and column != 'file_id' and column != 'run_id' and column in types -%}
        {%- do found.append(column) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- Whether Python makes a view of a table: it may have looked at the rows of all entities. -#}
{% macro _is_mixed(view, table) -%}
    {%- for unique_id in assay._upstream_of(view) + [view.unique_id] if (graph.nodes.get(unique_id) or {}).language == 'python' -%}
        {%- if table.unique_id in assay._upstream_of(graph.nodes[unique_id]) -%}
            {{ return(true) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}
