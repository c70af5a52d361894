{% macro names_read(kind) -%}
    {%- if execute -%}
        {%- set stamp = model.config.meta.assay -%}
        {%- if not stamp or kind not in (stamp.reads or {}) -%}
            {%- do assay._refuse(
                model.name ~ ' reads ' ~ kind ~ ', of which dbt knows nothing: declare config: {meta: {reads: [' ~ kind
                ~ ']}} in its YAML, and install the Python package assay where dbt is installed'
            ) -%}
        {%- endif -%}
        {{ return(stamp.reads[kind]) }}
    {%- endif -%}
    {{ return([]) }}
{%- endmacro %}


{#- The relations of the tables that a model reads, by name. -#}
{% macro relations_read(kind) -%}
    {%- set found = {} -%}
    {%- for name in assay.names_read(kind) -%}
        {%- do found.update({name: ref(name)}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- The checked tables that a model reads, each by the landing table whose rows it checks. -#}
{% macro sources_read() -%}
    {%- set found = {} -%}
    {%- for name in assay.names_read('checked_rows') -%}
        {%- for unique_id in assay._upstream_of(assay._node_named(name)) if unique_id in graph.sources -%}
            {%- set source = graph.sources[unique_id] -%}
            {%- do found.update({source.source_name ~ '.' ~ source.name: ref(name)}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- The keys of the dimensions that a model reads, each with the name of its dimension: other tables refer to it by them. -#}
{% macro keys_of_dimensions() -%}
    {%- set found = {} -%}
    {%- for name in assay.names_read('dimensions') -%}
        {%- set node = assay._node_named(name) -%}
        {%- set keys = node.primary_key | map('trim', '"') | reject('equalto', 'valid_from') | list -%}
        {%- if 'valid_from' in node.columns and keys | length == 1 -%}
            {#- Of several dimensions by one key, dim_products is the one of product_id. -#}
            {%- set is_namesake = name in ['dim_' ~ keys[0] | replace('_id', ''), 'dim_' ~ keys[0] | replace('_id', '') ~ 's'] -%}
            {%- if is_namesake or keys[0] not in found -%}
                {%- do found.update({keys[0]: name}) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
