{% macro put_views_online() -%}
    {%- for view in assay.names_read('online_views') -%}
        {%- call statement('online', auto_begin=false) -%}
            create or replace table {{ assay.online_relation(view) }} as
            {{ assay.online_rows(view) }}
        {%- endcall -%}
    {%- endfor -%}
{%- endmacro %}
