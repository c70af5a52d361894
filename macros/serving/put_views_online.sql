{% macro put_views_online() -%}
    {%- for view in assay.names_read('online_views') -%}
        {%- call statement('online', auto_begin=false) -%}
            create or replace table {{ assay.online_relation(view) }} as
            {{ assay.online_rows(view) }}
        {%- endcall -%}
    {%- endfor -%}
{%- endmacro %}


{#- The table of what is online of a view: beside the catalog. -#}
{% macro online_relation(view) -%}
    {{ return(api.Relation.create(database=this.database, schema=this.schema, identifier='srv_' ~ view)) }}
{%- endmacro %}
