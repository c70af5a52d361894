{% macro relations_read(kind) -%}
    {%- set found = {} -%}
    {%- for name in assay.names_read(kind) -%}
        {%- do found.update({name: ref(name)}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
