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
