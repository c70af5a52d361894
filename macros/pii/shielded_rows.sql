{% macro shielded_rows(relation) -%}
    {#- Unit tests have no graph: they see rows as they landed. -#}
    {%- set found = assay._declared_pii(model) if execute and graph.nodes else {} -%}
    {%- for field in found.lost or [] -%}
        {%- do assay._refuse(
            'the contract declares ' ~ field ~ ' personal (pii), and no column here says that it carries it. Write config: {meta: '
            ~ '{landed_as: ' ~ field ~ '}} at the column that does; where none does, list it under config.meta.pii_dropped of the model'
        ) -%}
    {%- endfor -%}
    select *
    {%- if var('hash_pii', true) and found.columns %}
    replace (
        {%- for column in found.columns %}
        {{ assay.pii_hash(assay.quoted(column.name)) if column.pii == 'hash' else assay.pii_mask(assay.quoted(column.name)) }}
        as {{ assay.quoted(column.name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    )
    {%- endif %}
    from {{ relation }}
{%- endmacro %}


{#- What the contracts of a checked model's sources declare personal, and the columns of the model that carry it. A column
    carries the field that its `config.meta.landed_as` names, else the one of its own name. -#}
{% macro _declared_pii(checked) -%}
    {%- set declared = {} -%}
    {%- for bronze in checked.depends_on.nodes if bronze in graph.nodes -%}
        {%- for source in graph.nodes[bronze].depends_on.nodes if source in graph.sources -%}
            {%- do declared.update(graph.sources[source].config.meta.get('pii') or {}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set columns, carried = [], [] -%}
    {%- for column in graph.nodes[checked.unique_id].columns.values() if declared -%}
        {%- set landed_as = column.config.meta.get('landed_as', column.name) -%}
        {%- for field, pii in declared.items() if landed_as in (field, field.split('.')[-1]) -%}
            {%- do columns.append({'name': column.name, 'pii': pii}) -%}
            {%- do carried.append(field) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set dropped = graph.nodes[checked.unique_id].config.meta.get('pii_dropped', []) -%}
    {{ return({'columns': columns, 'lost': declared.keys() | reject('in', carried + dropped) | list}) }}
{%- endmacro %}
