{% macro online_relation(view) -%}
    {{ return(api.Relation.create(database=this.database, schema=this.schema, identifier='srv_' ~ view)) }}
{%- endmacro %}
