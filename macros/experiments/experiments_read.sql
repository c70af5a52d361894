{% macro experiments_read() -%}
    {%- if not execute -%}
        {{ return([]) }}
    {%- endif -%}
    {%- do assay.names_read('measured') -%}
    {%- set found = model.config.meta.assay.experiments -%}
    {%- if found.problems -%}
        {%- do assay._refuse((found.problems | join(' ')).rstrip('.')) -%}
    {%- endif -%}
    {{ return(found.planned) }}
{%- endmacro %}
