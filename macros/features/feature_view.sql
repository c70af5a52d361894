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
        {%- do assay._refuse(
            name ~ ' is no feature view: there are ' ~ (known | sort | join(', ') or 'none')
            ~ '. The YAML of a new one: assay features yaml ' ~ name ~ ' --write'
        ) -%}
    {%- endif -%}
    {%- set declared = found[0].config.meta.feature_view -%}
    {%- do assay._check_age(declared.get('max_age'), name) -%}
    {%- set columns, described, pii = [], [], [] -%}
    {%- for column in found[0].columns.values() if column.name not in ['valid_from', 'valid_to', 'updated_at', 'confirmed_at'] -%}
        {%- set shield = column.config.meta.get('pii') -%}
        {%- do described.append(
            {'name': column.name, 'type': column.data_type, 'description': column.description, 'pii': shield}
        ) -%}
        {%- if column.name not in declared['keys'] -%}
            {%- do columns.append(column.name) -%}
        {%- endif -%}
        {#- A key is what callers ask by: where it is personal, silver hashes it. -#}
        {%- if 'pii' in column.tags or (shield and column.name not in declared['keys']) -%}
            {%- do pii.append(column.name) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return({
        'name': name,
        'unique_id': found[0].unique_id,
        'description': found[0].description | trim,
        'owner': declared.get('owner'),
        'entity': declared.entity,
        'entity_keys': declared['keys'],
        'columns': columns,
        'described': described,
        'pii': pii,
        'online': declared.get('online', false),
        'online_pii': declared.get('online_pii', false),
        'max_age': declared.get('max_age'),
        'defaults': declared.defaults or {},
        'derived': declared.derived or [],
        'inputs': declared.inputs or [],
        'confirmed_at': 'confirmed_at' in found[0].columns,
    }) }}
{%- endmacro %}


{#- An age is a length of time or none: 0 or an empty text could mean either. -#}
{% macro _check_age(age, name) -%}
    {%- if age is not none and not assay._window_lengths([age]) -%}
        {%- do assay._refuse('the max_age ' ~ age ~ ' of ' ~ name ~ ' is no length of time: write one such as 24h, or leave it out') -%}
    {%- endif -%}
{%- endmacro %}
