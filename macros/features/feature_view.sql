{% macro feature_view(name) -%}
    {%- set found = [] -%}
    {%- set known = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.meta.feature_view -%}
        {%- do known.append(node.name) -%}
        {%- if node.name == name -%}
            {%- do found.append(node) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if not found -%}
        {%- do assay._refuse(name ~ ' is no feature view: there are ' ~ (known | sort | join(', ') or 'none')) -%}
    {%- endif -%}
    {%- set declared = found[0].config.meta.feature_view -%}
    {%- set columns = [] -%}
    {%- for column in found[0].columns if column not in declared['keys'] + ['valid_from', 'valid_to', 'updated_at', 'confirmed_at'] -%}
        {%- do columns.append(column) -%}
    {%- endfor -%}
    {{ return({
        'name': name,
        'entity': declared.entity,
        'entity_keys': declared['keys'],
        'columns': columns,
        'max_age': declared.max_age,
        'defaults': declared.defaults or {},
        'derived': declared.derived or [],
        'inputs': declared.inputs or [],
        'confirmed_at': 'confirmed_at' in found[0].columns,
    }) }}
{%- endmacro %}
