{# A schema is called as it is configured: silver is `silver` in every target. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ assay.generate_schema_name(custom_schema_name, node) }}
{%- endmacro %}
