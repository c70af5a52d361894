{% macro online_catalog(views) -%}
    {%- for view in views -%}
        {%- do ref('srv_' ~ view) -%}
    {%- endfor -%}
    {%- if execute -%}
        {%- do assay._all_listed(views) -%}
        {%- for view in views -%}
            {{ 'union all' if not loop.first }}
            select
                '{{ view }}' as feature_view,
                '{{ tojson(assay._definition(view), sort_keys=true) | replace("'", "''") }}' as definition,
                (select max(updated_at) from {{ ref('srv_' ~ view) }}) as known_until,
                '{{ invocation_id }}' as run_id
        {% endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro _all_listed(views) -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.meta.feature_view -%}
        {%- if node.config.meta.feature_view.online and node.name not in views and node.package_name == model.package_name -%}
            {%- do assay._refuse(node.name ~ ' is online, and not listed in the online_catalog') -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}


{#- All that a server needs to know of a view. -#}
{% macro _definition(name) -%}
    {%- set view = assay.feature_view(name) -%}
    {%- set online = assay._online_columns(view) -%}
    {%- set described = {'keys': [], 'columns': []} -%}
    {%- for column in view.described -%}
        {%- if column.name in view.entity_keys -%}
            {%- do described['keys'].append(column) -%}
        {%- elif column.name in online -%}
            {%- do described['columns'].append(dict(column, default=view.defaults.get(column.name))) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return({
        'name': name,
        'description': view.description,
        'entity': view.entity,
        'owner': view.owner,
        'max_age': view.max_age,
        'keys': described['keys'],
        'columns': described.columns,
        'derived': view.derived,
        'inputs': view.inputs,
        'unique_id': view.unique_id,
    }) }}
{%- endmacro %}
